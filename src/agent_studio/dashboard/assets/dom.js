// Elements from data. Every text becomes a text node and every attribute a plain value: nothing from a record is markup.

const NAMESPACE = "http://www.w3.org/2000/svg";

/** Return an element: `h("p", { class: "quiet" }, "text", child)`. Functions become listeners, null leaves out. */
export function h(tag, properties = {}, ...children) {
  return fill(document.createElement(tag), properties, children);
}

/** Return an element of an SVG drawing. */
export function svg(tag, properties = {}, ...children) {
  return fill(document.createElementNS(NAMESPACE, tag), properties, children);
}

/** Replace what an element holds. */
export function put(element, ...children) {
  element.replaceChildren(...children.flat(Infinity).filter(isShown));
  return element;
}

function fill(element, properties, children) {
  for (const [name, value] of Object.entries(properties)) {
    if (value === null || value === undefined || value === false) continue;
    if (typeof value === "function") element.addEventListener(name, value);
    else if (name.startsWith("--")) element.style.setProperty(name, value);
    else element.setAttribute(name, value === true ? "" : String(value));
  }
  element.append(...children.flat(Infinity).filter(isShown));
  return element;
}

function isShown(child) {
  return child !== null && child !== undefined && child !== false;
}
