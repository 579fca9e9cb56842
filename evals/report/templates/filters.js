// What is shown of the rows: one form for the list and for the interview that is open.
const NAMES = ["show", "kind", "section", "code", "text"];
const AGREED = new Set(["agreed", "absent", null]);
let words = null;

function startFilters(changed) {
  const form = find("#filters"), { show, kind, section } = form.elements;
  const g = settled.toLowerCase();
  fill(show, "All rows", [
    ["Disagreements", "disagreements"],
    ...(two ? [["A and B differ", "differ"], [`Only B agrees with the ${g}`, "gained"], [`Only A agrees with the ${g}`, "lost"], ["Extra in A only", "extra_a"], ["Extra in B only", "extra_b"]] : []),
  ]);
  fill(kind, "Any", Object.entries(KINDS).flatMap(([id, [, label]]) => [
    [capital(label), id], ...(two ? sides.map((side, n) => [`${capital(label)} in ${side.letter}`, `${id}.${n}`]) : []),
  ]));
  fill(section, "All", sections.map((one) => [one.label, one.id]));
  form.addEventListener("input", () => { fitCodes(); changed(); });
  form.addEventListener("submit", (event) => event.preventDefault());
  form.addEventListener("reset", () => setTimeout(() => { fitCodes(); changed(); }));
  fitCodes();
}

const capital = (text) => text[0].toUpperCase() + text.slice(1);

// Codes on offer are those of the chosen section.
function fitCodes() {
  const { section, code } = find("#filters").elements, old = code.value;
  fill(code, "All", (sectionOf.get(section.value)?.codes ?? []).map((one) => [one.label, one.id]));
  code.disabled = !section.value;
  code.value = [...code.options].some((option) => option.value === old) ? old : "";
}

function readFilters() {
  const { elements } = find("#filters");
  return Object.fromEntries(NAMES.map((name) => [name, elements[name].value.trim()]));
}

// Set the form as an address says.
function setFilters(query) {
  const { elements } = find("#filters");
  for (const name of NAMES) {
    elements[name].value = query.get(name) ?? "";
    if (elements[name].selectedIndex < 0) elements[name].value = "";
    if (name === "section") fitCodes();
  }
}

// The rows of an interview that fit: [section, row].
function findRows(n, filters) {
  const [kind, side] = filters.kind.split("."), wanted = fold(filters.text), folded = filters.text ? holdWords()[n] : null;
  const kindFits = (row) => !kind || (side === undefined ? row.kinds.includes(kind) : row.kinds[side] === kind);
  const found = [];
  for (const section of sections) {
    if (filters.section && section.id !== filters.section) continue;
    for (const row of interviews[n].sections[section.id]) {
      if (showFits(row, filters.show) && kindFits(row) && (!filters.code || row.cells.some((cell) => cell?.code === filters.code)) && (!folded || folded.get(row).includes(wanted))) found.push([section, row]);
    }
  }
  return found;
}

function showFits(row, show) {
  if (!show) return true;
  if (show === "disagreements") return disagrees(row);
  return show === "differ" ? row.change !== "" : row.change === show;
}

const disagrees = (row) => row.kinds.some((kind) => !AGREED.has(kind));

// The words of every row, folded, when they are first searched.
function holdWords() {
  return (words ??= interviews.map((one, n) => new Map(sections.flatMap((section) => one.sections[section.id].map((row) => [row, fold(row.cells.filter(Boolean).map((cell) => [labelOf(section.id, cell), cell.code ?? "", cell.value, cell.summary, ...spansOf(cell).map((span) => quoteText(n, span))].join("\n")).join("\n"))])))));
}
