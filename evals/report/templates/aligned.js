// One interview: golden, A and B in rows, and the transcript beside them with what is cited.
let interviewOpen = -1, drawnFor = "";

function startInterview() {
  const reading = find("#reading");
  for (const kind of ["pointerover", "pointerout", "focusin", "focusout"]) reading.addEventListener(kind, light);
  find("#aligned").addEventListener("click", (event) => {
    const row = event.target.closest(".row");
    if (row && !event.target.closest("a") && getSelection().isCollapsed) location.hash = find("a", row).getAttribute("href");
  });
  const transcript = find("#transcript");
  transcript?.addEventListener("click", (event) => openMark(event.target.closest("mark")));
  transcript?.addEventListener("keydown", (event) => {
    if (event.key !== "Enter" && event.key !== " ") return;
    event.preventDefault();
    openMark(event.target.closest("mark"));
  });
}

function showInterview([id, section, key], filters) {
  const n = numberOf.get(id);
  find("#interview-title").textContent = id ?? "";
  find("#interview-here").hidden = n === undefined;
  find("#interview-gone").hidden = n !== undefined;
  if (n === undefined) { interviewOpen = -1; return; }
  const wanted = JSON.stringify([n, filters]);
  if (drawnFor !== wanted) drawInterview(n, filters);
  [interviewOpen, drawnFor] = [n, wanted];
  markCurrent(section, key);
}

function drawInterview(n, filters) {
  const one = interviews[n], rows = listed.rows.get(n);
  find("#interview-about").textContent = [one.set, one.cohort].filter(Boolean).join(", ");
  find("#interview-source").textContent = one.about;
  find("#interview-scores").replaceChildren(...drawInterviewScores(one, filters.section || "all"));
  const note = find("#interview-note");
  const told = one.failures.map((failure, k) => (failure ? `${sides[k].name} failed: ${failure.replace(/\.$/, "")}. All of the golden counts as missed.` : one.absent[k] ? `${sides[k].name} has no record of this interview.` : "")).filter(Boolean);
  note.hidden = !told.length;
  note.textContent = told.join(" ");
  drawSteps(n, filters);
  find("#aligned-rows").replaceChildren(...drawSections(n, rows, filters));
  const whole = one.sections, all = sections.reduce((sum, section) => sum + whole[section.id].length, 0);
  find("#interview-count").textContent = rows.length ? (rows.length === all ? plural(all, "row") : `${countText(rows.length)} of ${plural(all, "row")}`) : "No row of this interview fits. Take a filter away.";
  find("#transcript")?.replaceChildren(...drawTranscript(n, rows));
  if (find(".transcript")) find(".transcript").scrollTop = 0;
}

function drawInterviewScores(one, scope) {
  const label = scope === "all" ? "Grounded F1" : `Grounded F1, ${sectionOf.get(scope).label.toLowerCase()}`;
  const pair = (name, value, kind) => make("div", {}, make("dt", {}, name), make("dd", { class: kind }, value));
  const facts = sides.map((side, k) => pair(`${label}, ${side.letter}`, scoreText(one.scores[scope][k])));
  return two ? [...facts, pair("B − A", signedText(difference(one, scope)))] : facts;
}

// The interviews before and after in the list, and all of them to jump to.
function drawSteps(n, filters) {
  const at = listed.order.indexOf(n);
  for (const [name, next] of [["before", at < 0 ? undefined : listed.order[at - 1]], ["after", listed.order[at + 1]]]) {
    const link = find(`#interview-${name}`);
    link.hidden = next === undefined;
    if (next !== undefined) link.href = sheetAddress("interview", [interviews[next].id], filters);
  }
  find("#all-interviews").href = sheetAddress("interviews", [], filters);
  const jump = find("#jump");
  jump.replaceChildren(...(at < 0 ? [n, ...listed.order] : listed.order).map((k) => new Option(`${interviews[k].id}  ${interviews[k].scores[filters.section || "all"].map(scoreText).join(" → ")}`, interviews[k].id, false, k === n)));
}

function drawSections(n, rows, filters) {
  return sections.flatMap((section) => {
    const own = rows.filter(([of]) => of === section).map(([, row]) => row);
    if (!own.length) return [];
    const title = make("h3", { id: `rows-${section.id}` }, section.label);
    const list = make("ol", { "aria-labelledby": `rows-${section.id}` }, ...own.map((row) => drawRow(n, section, row, filters)));
    return [make("section", { class: `s-${section.id}`, "aria-labelledby": `rows-${section.id}` }, title, list)];
  });
}

function drawRow(n, section, row, filters) {
  const address = sheetAddress("interview", [interviews[n].id, section.id, row.key], filters);
  const cells = row.cells.map((_, column) => drawCell(n, section, row, column, address));
  const between = row.between ? make("p", { class: "between" }, row.between === "agreed" ? "Both found the same extra." : `Both found an extra here: ${KINDS[row.between][1]}.`) : null;
  return make("li", { class: "row", "data-row": `${section.id}/${row.key}` }, ...cells, between);
}

function drawCell(n, section, row, column, address) {
  const cell = row.cells[column], kind = column ? row.kinds[column - 1] : "golden";
  const name = make("span", { class: "column" }, columns[column], make("span", { class: "hidden" }, ": "));
  const mark = column ? (KINDS[kind] ? makeChip(kind) : null) : make("span", { class: "what" }, VALUES[row.key] ?? row.key);
  if (!cell) return make("div", { class: `cell empty k-${kind ?? "none"}` }, name, mark, kind === "missed" ? null : make("span", { class: "nothing" }, emptyText(kind, column)));
  const head = make("p", { class: "head" }, make("a", { class: "code", href: address, title: codeOf.get(`${section.id}/${cell.code}`)?.definition || null }, labelOf(section.id, cell)), cell.value ? make("span", { class: "value" }, cell.value) : null);
  const summary = cell.summary ? make("p", { class: "summary", dir: "auto" }, cell.summary) : null;
  return make("div", { class: `cell item k-${kind}`, "data-key": `${section.id}/${row.key}/${column}` }, name, mark, head, summary, ...drawQuotes(n, row, column));
}

function emptyText(kind, column) {
  if (!column) return `Not in the ${settled.toLowerCase()}`;
  return kind === null ? "No record" : "Nothing here";
}

function makeChip(kind) {
  const [sign, label] = KINDS[kind];
  return make("span", { class: `chip k-${kind}` }, make("i", { "aria-hidden": "true" }, sign), label);
}

// Quotes are told once: where all are those of another column that is said, and one that the golden has too is short.
function drawQuotes(n, row, column) {
  const cell = row.cells[column], spans = spansOf(cell), whole = interviews[n].whole;
  const all = (other) => spansOf(other).map(String).sort().join();
  const first = row.cells.findIndex((other, k) => k < column && other && all(other) === all(cell));
  if (first >= 0 && spans.length) return [make("p", { class: "same" }, `Same ${whole ? "quotes" : "places"} as ${first ? columns[first] : settled.toLowerCase()}`)];
  const settledSpans = new Set(column && row.cells[0] ? spansOf(row.cells[0]).map(String) : []);
  const kind = (span) => [whole ? "" : "place", settledSpans.has(String(span)) ? "again" : ""].filter(Boolean).join(" ") || null;
  return spans.map((span) => make("blockquote", { dir: "auto", class: kind(span) }, quoteText(n, span)));
}

function drawTranscript(n, rows) {
  const one = interviews[n];
  if (!one.whole) return [make("p", { class: "note" }, "The text of this interview is not here. Quotes are given as their places in it.")];
  const items = rows.flatMap(([section, row]) => row.cells.flatMap((cell, column) => (cell?.spans.length ? [{
    key: `${section.id}/${row.key}/${column}`, column, section, spans: spansOf(cell), label: `${labelOf(section.id, cell)} (${columns[column]})`,
  }] : [])));
  return drawTurns(texts[n], one.turns, items, tagColumns);
}

// The letters of the columns that cite a stretch.
function tagColumns(about) {
  const cited = [...new Set(about.map((one) => one.column))].sort();
  return cited.map((column) => [`c${column}`, short[column]]);
}

function openMark(mark) {
  if (!mark) return;
  const cell = find(`.item[data-key="${CSS.escape(mark.dataset.keys.trim().split(" ")[0])}"]`);
  cell?.scrollIntoView({ block: "nearest" });
  find("a", cell)?.focus();
}

function markCurrent(section, key) {
  for (const row of findAll(".row[aria-current]")) row.removeAttribute("aria-current");
  for (const lit of findAll("#reading .lit")) lit.classList.remove("lit");
  const current = key ? find(`.row[data-row="${CSS.escape(`${section}/${key}`)}"]`) : null;
  if (!current) return window.scrollTo(0, 0);
  current.setAttribute("aria-current", "true");
  const marks = findAll(".item", current).flatMap((cell) => findAll(`mark[data-keys*=" ${CSS.escape(cell.dataset.key)} "]`));
  for (const mark of marks) mark.classList.add("lit");
  current.scrollIntoView({ block: "nearest" });
  if (marks.length) showInPane(d3.least(marks, (mark) => mark.offsetTop), find(".transcript"));
}
