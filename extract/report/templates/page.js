// Small helpers of every page. Text from interviews reaches the page through text nodes and attributes only.
const read = (id) => JSON.parse(document.getElementById(id)?.textContent || "null");
const find = (selector, from = document) => from.querySelector(selector);
const findAll = (selector, from = document) => [...from.querySelectorAll(selector)];
const countText = (n) => n.toLocaleString("en");
const plural = (n, word) => `${countText(n)} ${word}${n === 1 ? "" : "s"}`;
const percentText = (share) => (share === 0 || share >= 0.01 ? `${Math.round(100 * share)}%` : `${(100 * share).toFixed(1)}%`);

function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) if (value !== null && value !== undefined) element.setAttribute(name, value);
  element.append(...children.filter((child) => child !== null && child !== undefined));
  return element;
}

const fold = (text) => text.toLowerCase().replace(/[‘’]/g, "'").replace(/\s+/g, " ");

// An address says what is seen: #view/part/part?filter=...
function parseAddress() {
  const [path, query = ""] = location.hash.slice(1).split("?");
  const parts = path.split("/").map((part) => { try { return decodeURIComponent(part); } catch { return part; } });
  return { view: parts[0], parts: parts.slice(1), query: new URLSearchParams(query) };
}

function fill(select, first, options) {
  select.replaceChildren(new Option(first, ""), ...options.map(([label, value]) => new Option(label, value)));
}

function group(label, options) {
  const element = make("optgroup", { label });
  element.append(...options.map(([name, value]) => new Option(name, value)));
  return element;
}
