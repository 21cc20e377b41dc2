// A search without an index: reads the table, keeps the rows in which the words stand as they are, shows ten.
const fs = require('fs');
const path = require('path');

function rows(file) {
  const [header, ...lines] = fs.readFileSync(file, 'utf-8').trim().split('\n').map(cells);
  return lines.map((line) => Object.fromEntries(header.map((name, at) => [name, line[at] || ''])));
}

function cells(line) {
  const found = [];
  let current = '';
  let quoted = false;
  for (let at = 0; at < line.length; at += 1) {
    if (line[at] === '"' && quoted && line[at + 1] === '"') {
      current += '"';
      at += 1;
    } else if (line[at] === '"') quoted = !quoted;
    else if (line[at] === ',' && !quoted) {
      found.push(current);
      current = '';
    } else current += line[at];
  }
  return [...found, current];
}

const words = process.argv[3].toLowerCase();
const fields = ['name', 'description', 'use_cases', 'tools', 'alias'];
const hits = rows(path.resolve(process.argv[2])).filter((row) => fields.some((name) => row[name].toLowerCase().includes(words)));
console.log(`${hits.length} found`);
for (const hit of hits.slice(0, 10)) console.log(`${hit.name}: ${hit.description.slice(0, 80)}`);
