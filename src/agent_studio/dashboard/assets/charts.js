// Charts of uPlot that read like the rest of the page: its colours, a readout in words, the same figures as a table.

import { h } from "./dom.js";
import { count, hour, moment } from "./format.js";

const HEIGHT = 180;

/**
 * Bars over time, one colour a series, stacked.
 *
 * `times` are RFC 3339, each series is `{ name, values, colour (a CSS variable) }`, `show` writes one value.
 */
export function bars(title, times, series, { show = count, tick = show, step = 3_600 } = {}) {
  const tops = [];
  series.forEach((one, at) => tops.push(one.values.map((value, i) => (value ?? 0) + (tops[at - 1]?.[i] ?? 0))));
  const x = times.map(seconds);
  return chart(title, x, series, {
    show, tick,
    drawn: tops.map((values, at) => ({ values, ...series[at] })).reverse(),
    paint: (colour) => ({ fill: colour, stroke: colour, width: 0, paths: uPlot.paths.bars({ size: [0.78, 40], gap: 0 }), points: { show: false } }),
    scale: { x: { time: true, range: () => [x[0] - step / 2, x.at(-1) + step / 2] }, y: fromZero(0) },
    name: (at) => moment(times[at]),
  });
}

/** Lines over time, and a limit where there is one. */
export function lines(title, times, series, { show = count, tick = show, limit = null } = {}) {
  return chart(title, times.map(seconds), series, {
    show, tick,
    limit,
    drawn: series,
    paint: (colour) => ({ stroke: colour, width: 1.75, spanGaps: true, points: { size: 4, fill: colour } }),
    scale: { x: { time: true }, y: fromZero(limit ?? 0) },
    name: (at) => moment(times[at]),
  });
}

/** How often each range of values occurs; `labels` name the ranges. */
export function histogram(title, labels, values, { show = count } = {}) {
  const series = [{ name: "runs", values, colour: "--series-1" }];
  return chart(title, labels.map((_, at) => at), series, {
    show,
    drawn: series,
    paint: (colour) => ({ fill: colour, stroke: colour, width: 0, paths: uPlot.paths.bars({ size: [0.94, 200], gap: 0 }), points: { show: false } }),
    scale: { x: { time: false, range: [-0.6, labels.length - 0.4] }, y: fromZero(0) },
    name: (at) => labels[at],
    axis: { values: (_, at) => at.map((one) => (Number.isInteger(one) ? labels[one] : "")), incrs: [1, 2, 4, 8, 16] },
  });
}

function chart(title, x, series, { drawn, show, tick = show, limit = null, paint, scale, name, axis = {} }) {
  const keys = h("span", { class: "keys", "aria-hidden": "true" }, series.length > 1 || limit !== null
    ? [...series.map((one) => key(one.name, one.colour)), limit !== null && key(`limit ${tick(limit)}`, "--bad")] : []);
  const readout = h("span", { "aria-hidden": "true" });
  const place = h("div", { class: "plot", role: "img", "aria-label": `${title}: ${spoken(series, show)}` });
  const figure = h("figure", {}, h("figcaption", {}, keys, readout), place, asTable(title, x, series, show, name));
  const read = (at) => {
    readout.textContent = at === null || at === undefined ? ""
      : `${name(at)}: ${series.map((one) => (series.length > 1 ? `${one.name} ` : "") + show(one.values[at])).join(", ")}`;
  };
  whenPlaced(place, (width) => plot(place, width, [x, ...drawn.map((one) => one.values)], {
    series: drawn.map((one) => paint(colour(one.colour))), scale, axis, tick, read, limit,
  }));
  return figure;
}

function plot(place, width, data, { series, scale, axis, tick, read, limit }) {
  const ink = colour("--quiet");
  const font = `11px ${getComputedStyle(document.body).fontFamily}`;
  const common = { stroke: ink, font, ticks: { show: false } };
  return new uPlot({
    width, height: HEIGHT,
    legend: { show: false },
    cursor: { y: false, drag: { x: false, y: false }, points: { show: false } },
    scales: scale,
    series: [{}, ...series],
    axes: [
      { ...common, grid: { show: false }, space: 70, size: 28, values: (_, at) => at.map(hour), ...axis },
      { ...common, grid: { stroke: colour("--line"), width: 1 }, space: 36, size: wide, gap: 8, values: (_, at) => at.map(tick) },
    ],
    hooks: { setCursor: [(u) => read(u.cursor.idx)], draw: limit === null ? [] : [(u) => drawLimit(u, limit)] },
  }, data, place);
}

/** Room for the longest label of an axis. */
function wide(_, labels) {
  return 14 + 6.5 * Math.max(2, ...(labels ?? []).map((label) => label.length));
}

function drawLimit(u, limit) {
  const y = u.valToPos(limit, "y", true);
  const { left, width } = u.bbox;
  u.ctx.save();
  u.ctx.strokeStyle = colour("--bad");
  u.ctx.setLineDash([4 * devicePixelRatio, 4 * devicePixelRatio]);
  u.ctx.lineWidth = devicePixelRatio;
  u.ctx.beginPath();
  u.ctx.moveTo(left, y);
  u.ctx.lineTo(left + width, y);
  u.ctx.stroke();
  u.ctx.restore();
}

/** Draw once the place has a width, and again in another one; what has left the page is let go. */
function whenPlaced(place, draw) {
  let drawn = null;
  const watch = new ResizeObserver(([entry]) => {
    const width = Math.floor(entry.contentRect.width);
    if (!place.isConnected) {
      watch.disconnect();
      drawn?.destroy();
    } else if (drawn) drawn.setSize({ width, height: HEIGHT });
    else if (width) drawn = draw(width);
  });
  watch.observe(place);
}

function asTable(title, x, series, show, name) {
  const head = h("tr", {}, h("td"), series.map((one) => h("th", { scope: "col", class: "number" }, one.name)));
  const rows = x.map((_, at) => h("tr", {}, h("th", { scope: "row" }, name(at)), series.map((one) => h("td", { class: "number" }, show(one.values[at])))));
  return h("details", { class: "data", "data-key": `table ${title}` }, h("summary", {}, "Show as table"),
    h("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": title }, h("table", {}, h("thead", {}, head), h("tbody", {}, rows))));
}

function spoken(series, show) {
  return series.map((one) => {
    const known = one.values.filter((value) => value !== null && value !== undefined);
    return known.length ? `${one.name} up to ${show(Math.max(...known))}` : `${one.name} without figures`;
  }).join(", ");
}

function key(text, variable) {
  return h("span", { "--key": `var(${variable})` }, text);
}

function colour(variable) {
  return getComputedStyle(document.documentElement).getPropertyValue(variable).trim();
}

function fromZero(least) {
  return { range: (_, __, top) => [0, Math.max(top ?? 0, least, 1e-9) * 1.08 || 1] };
}

function seconds(time) {
  return new Date(time).getTime() / 1_000;
}
