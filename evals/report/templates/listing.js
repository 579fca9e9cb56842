// The interviews as a table that is sorted by any of its columns.
const listed = { order: [], by: "", down: false, rows: new Map() };
const HEADS = [
  { id: "id", label: "Interview", value: (n) => interviews[n].id },
  { id: "set", label: "Set", value: (n) => `${interviews[n].set}, ${interviews[n].cohort}` },
  ...sides.map((side, k) => ({ id: `f1_${k}`, label: `F1 ${side.letter}`, number: true, value: (n, scope) => interviews[n].scores[scope][k] })),
  ...(two ? [{ id: "difference", label: "B − A", number: true, value: (n, scope) => difference(interviews[n], scope) }] : []),
  { id: "disagreements", label: "Disagreements", number: true, value: (n) => countDisagreements(n) },
  { id: "rows", label: "Rows that fit", number: true, value: (n) => listed.rows.get(n).length },
];

function startListing() {
  listed.by = two ? "difference" : "f1_0";
  const head = find("#listing thead tr");
  head.replaceChildren(...HEADS.map((column) => {
    const button = make("button", { type: "button", class: "sort" }, column.label);
    button.addEventListener("click", () => {
      listed.down = listed.by === column.id ? !listed.down : ["disagreements", "rows"].includes(column.id);
      listed.by = column.id;
      sortInterviews(readFilters());
      drawListing(readFilters());
    });
    return make("th", { scope: "col", class: column.number ? "number" : null, "data-column": column.id }, button);
  }));
}

function countDisagreements(n) {
  return sections.reduce((sum, section) => sum + interviews[n].sections[section.id].filter(disagrees).length, 0);
}

// The interviews with rows that fit, in the chosen order.
function sortInterviews(filters) {
  const column = HEADS.find((one) => one.id === listed.by), scope = filters.section || "all";
  listed.rows = new Map(interviews.map((_, n) => [n, findRows(n, filters)]));
  const value = new Map(interviews.map((_, n) => [n, column.value(n, scope)]));
  const compare = listed.down ? d3.descending : d3.ascending;
  const missing = (n) => (value.get(n) === null || value.get(n) === undefined ? 1 : 0);
  listed.order = interviews.map((_, n) => n).filter((n) => listed.rows.get(n).length)
    .sort((x, y) => missing(x) - missing(y) || compare(value.get(x), value.get(y)) || x - y);
}

function drawListing(filters) {
  const scope = filters.section || "all";
  for (const th of findAll("#listing th")) {
    if (th.dataset.column === listed.by) th.setAttribute("aria-sort", listed.down ? "descending" : "ascending");
    else th.removeAttribute("aria-sort");
  }
  find("#listing tbody").replaceChildren(...listed.order.map((n) => drawListed(n, scope, filters)));
  const rows = d3.sum(listed.order, (n) => listed.rows.get(n).length);
  find("#listing-count").textContent = listed.order.length ? `${plural(rows, "row")} in ${plural(listed.order.length, "interview")}` : "Nothing fits all of these. Take one away.";
  find("#listing").hidden = !listed.order.length;
}

function drawListed(n, scope, filters) {
  const one = interviews[n], values = one.scores[scope], change = difference(one, scope);
  const failed = one.failures.map((failure, k) => (failure ? `${columns[k + 1]} failed` : "")).filter(Boolean).join(", ");
  const cells = values.map((value, k) => make("td", { class: "number", "data-label": `F1 ${sides[k].letter}` }, one.absent[k] ? make("small", {}, "not in it") : scoreText(value)));
  if (two) cells.push(make("td", { class: "number change", "data-label": "B − A" }, make("span", {}, signedText(change)), makeBar(change)));
  return make("tr", {},
    make("th", { scope: "row" }, make("a", { href: sheetAddress("interview", [one.id], filters) }, make("bdi", {}, one.id)), failed ? make("small", { class: "failed" }, failed) : null),
    make("td", { "data-label": "Set" }, make("small", {}, `${one.set}, ${one.cohort}`)),
    ...cells,
    make("td", { class: "number", "data-label": "Disagreements" }, countText(countDisagreements(n))),
    make("td", { class: "number", "data-label": "Rows that fit" }, countText(listed.rows.get(n).length)));
}

// A difference as a bar to the left or the right of 0.
function makeBar(change) {
  const bar = make("i", { class: "bar", "aria-hidden": "true" });
  if (!change) return bar;
  const inner = make("i", { class: change < 0 ? "less" : "more" });
  inner.style.width = `${Math.min(50, Math.abs(change) * 100)}%`;
  bar.append(inner);
  return bar;
}
