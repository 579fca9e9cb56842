// Data and small helpers. Text from interviews reaches the page through text nodes and attributes only.
const read = (id) => JSON.parse(document.getElementById(id)?.textContent || "null");
const { findings, operation, published } = read("data");
const groups = findings.groups.map((group) => group.id);
const sections = findings.sections;
const withQuotes = document.getElementById("index") !== null;
const codes = sections.flatMap((section) => section.codes.map((code) => ({ ...code, section })));
const codeNumber = new Map(codes.map((code, n) => [`${code.section.id}/${code.id}`, n]));
const style = sections.find((section) => section.styles.length);
const underLeast = `under ${findings.least}`;

const find = (selector, from = document) => from.querySelector(selector);
const findAll = (selector, from = document) => [...from.querySelectorAll(selector)];
const countText = (n) => n.toLocaleString("en");
const plural = (n, word) => `${countText(n)} ${word}${n === 1 ? "" : "s"}`;
const percentText = (share) => (share === 0 || share >= 0.01 ? `${Math.round(100 * share)}%` : `${(100 * share).toFixed(1)}%`);
const sectionLabel = new Map(sections.map((section) => [section.id, section.label]));
const shareOf = (cell) => (cell && cell.n ? cell.k / cell.n : 0);

function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) if (value !== null && value !== undefined) element.setAttribute(name, value);
  element.append(...children.filter((child) => child !== null && child !== undefined));
  return element;
}

function cellText(cell) {
  if (!cell) return `${underLeast} interviews`;
  if (!cell.n) return "not asked";
  return `${percentText(shareOf(cell))}, ${countText(cell.k)} of ${plural(cell.n, "interview")}, 95% interval ${percentText(cell.low)} to ${percentText(cell.high)}`;
}

// Everything that quotes need is read when it is first asked for.
let held = null;
function holdQuotes() {
  if (held) return held;
  const { interviews, items } = read("index");
  const texts = read("texts");
  const ofInterview = interviews.map(() => []);
  for (const item of items) ofInterview[item[0]].push(item);
  const styled = interviews.flatMap((one, n) => (one[2] ? [[n, -1, -1, "", one[4]]] : []));
  const number = new Map(interviews.map((one, n) => [one[0], n]));
  held = { interviews, texts, ofInterview, number, items: items.concat(styled), words: null };
  return held;
}

const fold = (text) => text.toLowerCase().replace(/[‘’]/g, "'").replace(/\s+/g, " ");
function holdWords() {
  const { items, texts } = holdQuotes();
  return (held.words ??= items.map((item) => fold(`${item[3]}\n${quotesOf(item).map(([a, b]) => texts[item[0]].slice(a, b)).join("\n")}`)));
}

function quotesOf(item) {
  const spans = [];
  for (let n = 0; n < item[4].length; n += 2) spans.push([item[4][n], item[4][n + 1]]);
  return spans;
}

// An address says what is seen: #findings/concerns, #quotes?section=..., #interview/ID/3.
function parseAddress() {
  const [path, query = ""] = location.hash.slice(1).split("?");
  const parts = path.split("/").map((part) => { try { return decodeURIComponent(part); } catch { return part; } });
  return { view: parts[0] || "findings", parts: parts.slice(1), query: new URLSearchParams(query) };
}

function quotesAddress(filters) {
  const query = new URLSearchParams(Object.entries(filters).filter(([, value]) => value));
  return `#quotes${query.size ? `?${query}` : ""}`;
}

const cohortFilter = (group) => (group === groups[0] ? "" : group);
const interviewAddress = (id, item) => `#interview/${encodeURIComponent(id)}${item === undefined ? "" : `/${item}`}`;
