// Making and changing elements. Text is always text, never HTML, and nothing sets a style
// attribute: the page's Content-Security-Policy forbids both.

const SVG = "http://www.w3.org/2000/svg";

function fill(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) element[name] = value;
    else if (value === true) element.setAttribute(name, "");
    else if (value !== false && value !== null && value !== undefined) element.setAttribute(name, value);
  }
  element.append(...children.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== false));
  return element;
}

export function h(tag, attributes = {}, ...children) {
  return fill(document.createElement(tag), attributes, children);
}

export function svg(tag, attributes = {}, ...children) {
  return fill(document.createElementNS(SVG, tag), attributes, children);
}

// A number as text for people, with its exact value for programs.
export function data(field, value, text) {
  return h("data", { value: String(value), "data-field": field }, text);
}

function sameKind(a, b) {
  return a.nodeType === b.nodeType && a.nodeName === b.nodeName && a.id === b.id;
}

function syncAttributes(old, fresh) {
  for (const { name } of [...old.attributes]) {
    // What the reader has opened stays open.
    if (!fresh.hasAttribute(name) && !(name === "open" && old.nodeName === "DETAILS")) old.removeAttribute(name);
  }
  for (const { name, value } of fresh.attributes) {
    if (old.getAttribute(name) !== value) old.setAttribute(name, value);
  }
  for (const handler of ["onclick"]) old[handler] = fresh[handler];
}

function morph(old, fresh) {
  if (old.nodeType === Node.TEXT_NODE) {
    if (old.data !== fresh.data) old.data = fresh.data;
    return;
  }
  syncAttributes(old, fresh);
  show(old, ...fresh.childNodes);
}

// Makes `nodes` the content of `parent`, and keeps every element that is still right, so that
// focus, selection and scrolling survive.
export function show(parent, ...nodes) {
  nodes.forEach((fresh, i) => {
    const old = parent.childNodes[i];
    if (!old) parent.append(fresh);
    else if (sameKind(old, fresh)) morph(old, fresh);
    else old.replaceWith(fresh);
  });
  while (parent.childNodes.length > nodes.length) parent.lastChild.remove();
}
