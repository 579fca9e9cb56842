// The data of a comparison. Column 0 is the golden's, 1 and 2 are A's and B's.
const { settled, sides, sections, scores, margin, redacted } = read("data");
const interviews = read("interviews"), texts = read("texts");
const numberOf = new Map(interviews.map((one, n) => [one.id, n]));
const sectionOf = new Map(sections.map((section) => [section.id, section]));
const codeOf = new Map(sections.flatMap((section) => section.codes.map((code) => [`${section.id}/${code.id}`, code])));
const two = sides.length > 1;
const columns = [settled, ...sides.map((side) => side.letter)];
const short = [settled === "Golden" ? "G" : "adj", ...sides.map((side) => side.letter)];
const KINDS = {
  agreed: ["✓", "agreed"], attribute: ["≈", "other attribute"], other_evidence: ["¶", "other evidence"], other_code: ["≠", "other code"],
  other_value: ["≠", "other value"], missed: ["○", "missed"], extra: ["+", "extra"],
};
const VALUES = { status: "Status", mode: "Mode", leader: "Leader" };

const scoreText = (value) => (value === null || value === undefined ? "–" : Math.abs(value) < 1 ? value.toFixed(3).replace("0.", ".") : value.toFixed(2));
const signedText = (value) => (value === null || value === undefined ? "–" : `${value < 0 ? "−" : "+"}${Math.abs(value).toFixed(3)}`);

// The name of what stands in a cell: a code, or the value of a status, mode or leader.
function labelOf(section, cell) {
  return cell.label ?? codeOf.get(`${section}/${cell.code}`)?.label ?? cell.code;
}

function spansOf(cell) {
  const spans = [];
  for (let n = 0; n < cell.spans.length; n += 2) spans.push([cell.spans[n], cell.spans[n + 1]]);
  return spans;
}

// The words of a span; its place where the text is not here.
function quoteText(n, [start, end]) {
  return interviews[n].whole ? texts[n].slice(start, end) : `characters ${countText(start)} to ${countText(end)}`;
}

function difference(one, scope) {
  const [a, b] = one.scores[scope];
  return a === null || b === null || b === undefined ? null : b - a;
}

function sheetAddress(view, parts, filters) {
  const query = new URLSearchParams(Object.entries(filters).filter(([, value]) => value));
  return `#${[view, ...parts.map(encodeURIComponent)].join("/")}${query.size ? `?${query}` : ""}`;
}
