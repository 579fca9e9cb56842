// The data of a run.
const { findings, operation, published } = read("data");
const groups = findings.groups.map((group) => group.id);
const sections = findings.sections;
const withQuotes = document.getElementById("index") !== null;
const codes = sections.flatMap((section) => section.codes.map((code) => ({ ...code, section })));
const codeNumber = new Map(codes.map((code, n) => [`${code.section.id}/${code.id}`, n]));
const style = sections.find((section) => section.styles.length);
const underLeast = `under ${findings.least}`;

const sectionLabel = new Map(sections.map((section) => [section.id, section.label]));
const shareOf = (cell) => (cell && cell.n ? cell.k / cell.n : 0);

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

function holdWords() {
  const { items, texts } = holdQuotes();
  return (held.words ??= items.map((item) => fold(`${item[3]}\n${quotesOf(item).map(([a, b]) => texts[item[0]].slice(a, b)).join("\n")}`)));
}

function quotesOf(item) {
  const spans = [];
  for (let n = 0; n < item[4].length; n += 2) spans.push([item[4][n], item[4][n + 1]]);
  return spans;
}

// For one: #findings/concerns, #quotes?section=..., #interview/ID/3.
function quotesAddress(filters) {
  const query = new URLSearchParams(Object.entries(filters).filter(([, value]) => value));
  return `#quotes${query.size ? `?${query}` : ""}`;
}

const cohortFilter = (group) => (group === groups[0] ? "" : group);
const interviewAddress = (id, item) => `#interview/${encodeURIComponent(id)}${item === undefined ? "" : `/${item}`}`;
