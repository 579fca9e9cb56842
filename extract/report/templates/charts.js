// Charts are drawn by Observable Plot; what can be chosen in them are links, with names that can be read out.
const LINE = 25;

// Draws one chart for each group that is asked for: side by side where there is room, else below each other.
function drawGroups(drawing, shown, asked, draw) {
  drawing.replaceChildren();
  const width = widthOf(drawing);
  const head = (group) => `${group}, n = ${asked[group] === null ? underLeast : countText(asked[group])}`;
  if (shown.length > 1 && shown.length <= 4 && width >= 700) {
    drawing.append(draw(shown, width, head));
  } else {
    for (const group of shown) drawing.append(...(group === groups[0] ? [] : [make("h4", {}, head(group))]), draw([group], width, head));
  }
}

// A few round shares that leave room for each other.
function makeTicks(end, room) {
  return d3.ticks(0, Math.min(1, end), room < 150 ? 1 : room < 300 ? 2 : 5).filter((tick) => room > 500 || tick < end * 0.94);
}

// Bars with intervals. Rows: {label, cells, address(group)}; the last is null where nothing can be opened.
function drawBars(rows, shown, width, head, name) {
  const data = rows.flatMap((row) => shown.map((group) => ({ row: row.label, group, cell: row.cells[group], about: row.about, address: row.address?.(group) })));
  const known = data.filter((d) => d.cell && d.cell.n);
  const left = labelWidth(rows.map((row) => row.label), width);
  const room = (width - left) / shown.length;
  const reach = Math.max(0.02, ...known.map((d) => d.cell.high));
  const end = reach * (1 + Math.min(1.2, 95 / Math.max(60, room - 95)));
  const tell = (d) => `${d.row}${shown.length > 1 ? `, ${d.group}` : ""}: ${cellText(d.cell)}`;
  const marks = [
    Plot.barX(known, { x: (d) => shareOf(d.cell), y: "row", fx: "group", fill: "var(--c)", insetTop: 5, insetBottom: 5, rx: 1.5 }),
    Plot.ruleY(known, { x1: (d) => d.cell.low, x2: (d) => d.cell.high, y: "row", fx: "group", stroke: "var(--ink)", strokeWidth: 1.25, marker: "tick" }),
    Plot.text(known, { x: (d) => d.cell.high, y: "row", fx: "group", text: (d) => `${percentText(shareOf(d.cell))}  ${countText(d.cell.k)}`, dx: 8, textAnchor: "start", fill: "var(--ink)" }),
    Plot.text(data.filter((d) => !d.cell || !d.cell.n), { x: 0, y: "row", fx: "group", text: (d) => (d.cell ? "not asked" : underLeast), dx: 4, textAnchor: "start", fill: "var(--soft)" }),
    Plot.barX(data, { x1: 0, x2: end, y: "row", fx: "group", fill: "transparent", href: (d) => (d.cell?.k ? d.address : null), title: (d) => [tell(d), d.about].filter(Boolean).join("\n\n"), ariaLabel: tell, rx: 3 }),
  ];
  return finish(Plot.plot({
    width, marginLeft: left, marginRight: 4, marginTop: shown.length > 1 ? 26 : 4, marginBottom: 22, height: rows.length * LINE + (shown.length > 1 ? 48 : 26),
    x: { domain: [0, end], ticks: makeTicks(reach, room), tickFormat: percentText, tickSize: 0, label: null, grid: true },
    y: { domain: rows.map((row) => row.label), label: null, tickSize: 0, tickFormat: (label) => shorten(label, left - 12) },
    fx: { domain: shown, label: null, padding: 0.06, axis: shown.length > 1 ? "top" : null, tickFormat: head },
    marks,
  }), name);
}

// Bars in parts. Rows: {label, parts: [{value, cells}], address(value, group)}.
function drawParts(rows, values, shown, width, head, name) {
  const data = rows.flatMap((row) => shown.flatMap((group) => row.parts.map((part, n) => ({
    row: row.label, group, value: values[n], order: n, cell: part.cells[group], address: row.address?.(values[n], group),
  }))));
  const known = data.filter((d) => d.cell && d.cell.k);
  const left = labelWidth(rows.map((row) => row.label), width);
  const tell = (d) => `${d.row}, ${d.value.label}${shown.length > 1 ? `, ${d.group}` : ""}: ${cellText(d.cell)}`;
  const sums = d3.rollups(known, (part) => d3.sum(part, (d) => shareOf(d.cell)), (d) => `${d.row}\u0000${d.group}`).map(([, sum]) => sum);
  const end = Math.max(0.02, ...sums) * 1.02;
  const room = ((width - left) / shown.length) / end;
  const stack = { x: (d) => shareOf(d.cell), y: "row", fx: "group", order: "order" };
  const wide = known.filter((d) => shareOf(d.cell) * room > String(d.cell.k).length * 7.5 + 8);
  const placed = placeParts(known);
  return finish(Plot.plot({
    width, marginLeft: left, marginRight: 6, marginTop: shown.length > 1 ? 26 : 4, marginBottom: 22, height: rows.length * LINE + (shown.length > 1 ? 48 : 26),
    x: { domain: [0, end], ticks: makeTicks(end, room * end), tickFormat: percentText, tickSize: 0, label: null, grid: true },
    y: { domain: rows.map((row) => row.label), label: null, tickSize: 0, tickFormat: (label) => shorten(label, left - 12) },
    fx: { domain: shown, label: null, padding: 0.06, axis: shown.length > 1 ? "top" : null, tickFormat: head },
    marks: [
      Plot.barX(known, Plot.stackX({ ...stack, fill: (d) => `var(--v${d.order + 1})`, className: "parts", insetTop: 4, insetBottom: 4, insetRight: 1.5, rx: 1.5, stroke: (d) => (d.order === 3 ? "var(--c)" : "none"), href: "address", title: tell, ariaLabel: tell })),
      Plot.text(wide, { x: (d) => placed.get(d), y: "row", fx: "group", text: (d) => countText(d.cell.k), fill: (d) => (d.order < 1 ? "var(--paper)" : "var(--ink)"), pointerEvents: "none", fontSize: 12 }),
    ],
  }), name);
}

function placeParts(known) {
  const ends = new Map(), places = new Map();
  for (const d of d3.sort(known, (d) => d.order)) {
    const key = `${d.row}\u0000${d.group}`, from = ends.get(key) ?? 0;
    places.set(d, from + shareOf(d.cell) / 2);
    ends.set(key, from + shareOf(d.cell));
  }
  return places;
}

// A matrix of pairs: {row, column, both, ratio, address}.
function drawMatrix(cells, rows, columns, width, name) {
  const left = labelWidth(rows, Math.max(width, 700)), top = Math.max(...columns.map((label) => label.length)) * 5 + 18;
  const wide = Math.max(width, left + columns.length * 34 + 60);
  const shade = (d) => {
    if (d.both === null || !d.both || d.few) return "var(--wash)";
    const strength = Math.min(45, Math.round(Math.abs(Math.log2(d.ratio)) * 30));
    return `color-mix(in oklab, var(--${d.ratio > 1 ? "more" : "fewer"}) ${strength}%, var(--wash))`;
  };
  const tell = (d) => `${d.row} and ${d.column}: ${d.both === null ? `${underLeast} interviews` : `${plural(d.both, "interview")}${d.both ? `, ${d.ratio.toFixed(2)} times what would be expected` : ""}`}`;
  const svg = finish(Plot.plot({
    width: wide, height: top + rows.length * 28 + 6, marginLeft: left, marginTop: top, marginRight: 60, marginBottom: 4,
    x: { domain: columns, axis: "top", label: null, tickSize: 0, tickRotate: -38, padding: 0.06 },
    y: { domain: rows, label: null, tickSize: 0, padding: 0.06 },
    marks: [
      Plot.cell(cells, { x: "column", y: "row", fill: shade, rx: 2 }),
      Plot.text(cells, { x: "column", y: "row", text: (d) => (d.both === null ? "·" : countText(d.both)), fill: "var(--ink)", fontSize: 12 }),
      Plot.cell(cells, { x: "column", y: "row", fill: "transparent", rx: 2, href: (d) => (d.both ? d.address : null), title: tell, ariaLabel: tell }),
    ],
  }), name);
  roam(svg, cells, columns);
  return svg;
}

// One stop for the tabulator in a matrix; arrow keys go from cell to cell.
function roam(svg, cells, columns) {
  const links = findAll("a", svg);
  links.forEach((link, n) => link.setAttribute("tabindex", n ? -1 : 0));
  svg.addEventListener("keydown", (event) => {
    const step = { ArrowRight: 1, ArrowLeft: -1, ArrowDown: columns.length, ArrowUp: -columns.length }[event.key];
    const at = links.indexOf(event.target);
    if (!step || at < 0) return;
    event.preventDefault();
    const next = links[Math.max(0, Math.min(links.length - 1, at + step))];
    links.forEach((link) => link.setAttribute("tabindex", link === next ? 0 : -1));
    next.focus();
  });
}

function drawHistogram(bars, width, name) {
  const tell = (d) => `${d[0].toFixed(2)} to ${d[1].toFixed(2)} seconds: ${d[2] === null ? underLeast : countText(d[2])} answers`;
  return finish(Plot.plot({
    width: Math.min(width, 760), height: 220, marginLeft: 44, marginBottom: 34,
    x: { label: "seconds", tickSize: 0, labelArrow: "none" }, y: { label: null, grid: true, tickSize: 0 },
    marks: [Plot.rectY(bars, { x1: (d) => d[0], x2: (d) => d[1], y: (d) => d[2] ?? 0, fill: "var(--tasks)", insetLeft: 0.5, insetRight: 0.5, title: tell }), Plot.ruleY([0], { stroke: "var(--soft)" })],
  }), name);
}

function drawPublished(figures, width) {
  const label = (d) => `${d.finding}${/^(Strict|Broad)/.test(d.derived) ? ` (${d.derived.split(":")[0].toLowerCase()})` : ""}, ${d.cohort}`;
  const shown = figures.filter((d) => d.own), narrow = width < 620;
  const left = narrow ? 8 : labelWidth(figures.map(label), width * 1.05);
  const line = narrow ? 50 : 30, dy = narrow ? 11 : 0;
  const tell = (d) => `${label(d)}: published ${d.text}; this run ${cellText(d.own)}`;
  const marks = [
    Plot.ruleY(figures.map(label), { stroke: "var(--line)", dy }),
    Plot.ruleY(figures.filter((d) => d.text.startsWith("under")), { x1: 0, x2: (d) => d.published / 100, y: label, stroke: "var(--concerns)", strokeWidth: 1.5, strokeDasharray: "3 3", dy }),
    Plot.ruleY(shown, { x1: (d) => d.own.low, x2: (d) => d.own.high, y: label, stroke: "var(--tasks)", strokeWidth: 3, dy }),
    Plot.dot(shown, { x: (d) => shareOf(d.own), y: label, r: 5, fill: "var(--tasks)", title: tell, dy }),
    Plot.dot(figures, { x: (d) => d.published / 100, y: label, r: 6, symbol: "diamond", fill: "var(--paper)", stroke: "var(--concerns)", strokeWidth: 2, title: tell, dy }),
  ];
  if (narrow) marks.push(Plot.text(figures, { x: 0, y: label, text: (d) => shorten(label(d), width - 16), textAnchor: "start", dy: -9, fill: "var(--ink)" }));
  return finish(Plot.plot({
    width, height: figures.length * line + 30, marginLeft: left, marginRight: 16, marginTop: 4,
    x: { domain: [0, 1], tickFormat: percentText, tickSize: 0, label: null, grid: true, ticks: narrow ? 4 : 10 },
    y: { domain: figures.map(label), label: null, tickSize: 0, axis: narrow ? null : "left" },
    marks,
  }), "Published figures and this run's own, with intervals");
}
