// The findings: which interviews are counted, and the charts of the five sections.
const SIDE_BY_SIDE = "side by side";
let chosenGroup = groups[0];

const shownGroups = () => (chosenGroup === SIDE_BY_SIDE ? groups.slice(1) : [chosenGroup]);
const byShare = (cells) => (a, b) => d3.descending(order(cells[a.id]), order(cells[b.id]));
function order(row) {
  const cell = row[chosenGroup === SIDE_BY_SIDE ? groups[0] : chosenGroup];
  return cell ? shareOf(cell) : -1;
}

function startFindings() {
  const choice = find("#group-choice");
  const choices = groups.length > 1 ? [...groups, SIDE_BY_SIDE] : groups;
  for (const group of choices) {
    const input = make("input", { type: "radio", name: "group", value: group });
    input.checked = group === chosenGroup;
    choice.append(make("label", {}, input, make("span", {}, group)));
  }
  choice.hidden = groups.length < 2;
  choice.addEventListener("change", (event) => { chosenGroup = event.target.value; drawFindings(); });
  fillPairPickers();
}

function drawFindings() {
  for (const figure of findAll("#view-findings .chart[data-section]")) drawSection(figure);
  drawPairs();
}

function drawSection(figure) {
  const section = sections.find((one) => one.id === figure.dataset.section);
  const drawing = find(".drawing", figure);
  const open = (filters) => (group) => (withQuotes ? quotesAddress({ ...filters, cohort: cohortFilter(group) }) : null);
  if (figure.dataset.chart === "attribute") return drawAttribute(section, drawing, open);
  const chart = figure.dataset.chart === "style" ? section.styles.find((one) => one.id === figure.dataset.style) : null;
  const cells = (chart ?? section).cells;
  const rows = d3.sort(chart ? chart.values : section.codes, byShare(cells)).map((row) => ({
    label: row.label, cells: cells[row.id], about: row.definition,
    address: open(chart ? { section: section.id, attribute: `${chart.id}:${row.id}` } : { section: section.id, code: row.id }),
  }));
  const name = `${section.label}: ${chart ? chart.label : "codes"}, share of interviews`;
  drawGroups(drawing, shownGroups(), section.asked, (shown, width, head) => drawBars(rows, shown, width, head, name));
}

function drawAttribute(section, drawing, open) {
  const { values, cells, id, any } = section.attribute;
  const row = (label, filters, of) => ({
    label, parts: values.map((value) => ({ cells: of[value.id] })),
    address: (value, group) => open({ section: section.id, ...filters, attribute: `${id}:${value.id}` })(group),
  });
  const rows = d3.sort(section.codes, byShare(section.cells)).map((code) => row(code.label, { code: code.id }, cells[code.id]));
  const anyRows = values.map((value) => ({ label: value.label, cells: any[value.id], address: open({ section: section.id, attribute: `${id}:${value.id}` }) }));
  const name = `${section.label} by ${section.attribute.label.toLowerCase()}`;
  drawGroups(drawing, shownGroups(), section.asked, (shown, width, head) => {
    const whole = make("div", {}, make("h4", {}, "Any code"), drawBars(anyRows, shown, width, head, `${name}: any code`));
    whole.append(make("h4", {}, "Each code"), drawParts(rows, values, shown, width, head, `${name}: each code`));
    return whole;
  });
}

// ---------------------------------------------------------------- codes that go together
function fillPairPickers() {
  for (const [id, first] of [["pair-rows", "concerns"], ["pair-columns", "future_wishes"]]) {
    const select = find(`#${id}`);
    for (const section of sections) select.append(new Option(section.label, section.id, false, section.id === first));
    select.addEventListener("change", drawPairs);
  }
  find("#pair-table").addEventListener("toggle", drawPairTable);
}

let pairsShown = [];
function drawPairs() {
  const group = chosenGroup === SIDE_BY_SIDE ? groups[0] : chosenGroup, place = groups.indexOf(group);
  const [down, across] = ["pair-rows", "pair-columns"].map((id) => sections.find((one) => one.id === find(`#${id}`).value));
  const all = new Map(findings.pairs.map(([a, b, row]) => [`${a}-${b}`, row[place]]));
  const total = findings.groups[place].extracted ?? 0;
  const has = (section) => section.codes.filter((code) => section.cells[code.id][group]?.k);
  pairsShown = has(down).flatMap((a) => has(across).map((b) => {
    const [first, second] = [codeNumber.get(`${down.id}/${a.id}`), codeNumber.get(`${across.id}/${b.id}`)];
    const key = first < second ? `${first}-${second}` : `${second}-${first}`;
    const [ka, kb] = [down.cells[a.id][group].k, across.cells[b.id][group].k];
    const both = first === second ? ka : all.get(key) ?? (findings.least > 1 ? null : 0);
    const address = withQuotes ? quotesAddress({ section: down.id, code: a.id, also: `${across.id}/${b.id}`, cohort: cohortFilter(group) }) : null;
    return { row: a.label, column: b.label, same: first === second, twin: down === across && first > second, both, expected: (ka * kb) / total, ratio: ((both ?? 0) * total) / (ka * kb), few: (both ?? 0) < 5 && (ka * kb) / total < 5, address };
  }));
  const drawing = find("[data-chart=pairs] .drawing");
  const labels = (section) => has(section).map((code) => code.label);
  const cells = pairsShown.filter((pair) => !pair.same);
  drawing.replaceChildren(pairsShown.length ? drawMatrix(cells, labels(down), labels(across), widthOf(find("[data-chart=pairs]")), `${down.label} and ${across.label}: interviews with both codes`) : "No interviews here.");
  listStrongest(cells);
  drawPairTable();
}

function listStrongest(cells) {
  const strong = d3.sort(cells.filter((pair) => pair.both >= Math.max(5, findings.least) && pair.ratio > 1 && !pair.twin), (pair) => -pair.ratio * (1 - 1 / Math.sqrt(pair.both))).slice(0, 8);
  const line = (pair) => {
    const name = `${pair.row} and ${pair.column}`;
    return make("li", {}, pair.address ? make("a", { href: pair.address }, name) : name, " ", make("small", {}, `${plural(pair.both, "interview")}, ${pair.ratio.toFixed(1)} times expected`));
  };
  find("#pair-list").replaceChildren(...strong.map(line));
  find(".strong-title").hidden = !strong.length;
}

function drawPairTable() {
  const details = find("#pair-table");
  if (!details.open) return;
  const head = make("thead", {}, make("tr", {}, ...["Down", "Across", "Both", "Expected", "Ratio"].map((text) => make("th", { scope: "col" }, text))));
  const rows = pairsShown.filter((pair) => !pair.same).map((pair) => make("tr", {}, make("th", { scope: "row" }, pair.row), make("td", {}, pair.column), make("td", {}, pair.both === null ? underLeast : countText(pair.both)), make("td", {}, pair.expected.toFixed(1)), make("td", {}, pair.both === null ? "" : pair.ratio.toFixed(2))));
  find(".scroller", details).replaceChildren(make("table", {}, head, make("tbody", {}, ...rows)));
}
