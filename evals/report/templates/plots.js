// The plots above the tables of scores: means with intervals, and differences with theirs.
const LINE = 42;
const DOTS = [{ colour: "var(--a)", symbol: "circle" }, { colour: "var(--b)", symbol: "square" }];

function drawScores() {
  for (const figure of findAll("[data-plot]")) {
    const drawing = find(".drawing", figure), rows = scores[figure.dataset.metric];
    const draw = figure.dataset.plot === "means" ? drawMeans : drawDifferences;
    drawing.replaceChildren(draw(rows, widthOf(drawing), figure.dataset.metric === "code" ? "Code F1" : "Grounded F1"));
  }
}

function frame(rows, width) {
  const labels = rows.map((row) => row.label), narrow = width < 480;
  const left = narrow ? 4 : labelWidth(labels, width);
  return {
    narrow, dy: narrow ? 9 : 0,
    options: {
      width, height: rows.length * LINE + 26, marginLeft: left, marginRight: 18, marginTop: 4, marginBottom: 22,
      y: { domain: labels, label: null, tickSize: 0, axis: narrow ? null : "left" },
    },
    lines: [
      Plot.ruleY(labels, { stroke: "var(--line)", dy: narrow ? 9 : 0 }),
      ...(narrow ? [Plot.text(labels, { frameAnchor: "left", y: (d) => d, text: (d) => d, textAnchor: "start", dy: -12, fill: "var(--ink)" })] : []),
    ],
  };
}

function drawMeans(rows, width, name) {
  const { options, lines, dy } = frame(rows, width);
  const marks = sides.flatMap((side, n) => {
    const known = rows.filter((row) => row.sides[n]).map((row) => ({ label: row.label, ...row.sides[n] }));
    const at = dy + (two ? (n ? 6 : -6) : 0), { colour, symbol } = DOTS[n];
    return [
      Plot.ruleY(known.filter((d) => d.low !== null), { x1: (d) => Math.max(0, d.low), x2: (d) => Math.min(1, d.high), y: "label", stroke: colour, strokeWidth: 2.5, dy: at }),
      Plot.dot(known, { x: "mean", y: "label", r: 5, symbol, fill: colour, dy: at, title: (d) => `${d.label}, ${side.letter}: ${scoreText(d.mean)}, 95% interval ${scoreText(d.low)} to ${scoreText(d.high)}, n = ${d.n}` }),
    ];
  });
  const top = rows.filter((row) => row.ceiling);
  marks.push(Plot.dot(top, { x: (d) => d.ceiling.mean, y: "label", r: 6, symbol: "diamond", fill: "var(--paper)", stroke: "var(--ink)", strokeWidth: 1.75, dy, title: (d) => `${d.label}, ceiling: ${scoreText(d.ceiling.mean)}, n = ${d.ceiling.n}` }));
  return finish(Plot.plot({ ...options, x: { domain: [0, 1], ticks: 5, tickFormat: (tick) => String(tick).replace("0.", "."), tickSize: 0, label: null, grid: true }, marks: [...lines, ...marks] }), `${name} by section with 95% intervals; the numbers are in the table below`);
}

function drawDifferences(rows, width, name) {
  const { options, lines, dy } = frame(rows, width);
  const known = rows.filter((row) => row.difference?.interval).map((row) => ({ label: row.label, verdict: row.difference.verdict, ...row.difference.interval }));
  const reach = 1.12 * Math.max(margin * 1.6, ...known.flatMap((d) => [Math.abs(d.low ?? d.mean), Math.abs(d.high ?? d.mean)]));
  const colour = (d) => `var(--${d.verdict === "better" ? "good" : d.verdict === "worse" ? "bad" : "ink"})`;
  const tell = (d) => `${d.label}: ${signedText(d.mean)}, 95% interval ${signedText(d.low)} to ${signedText(d.high)}: ${d.verdict}`;
  return finish(Plot.plot({
    ...options,
    x: { domain: [-reach, reach], ticks: width < 480 ? 4 : 7, tickFormat: (tick) => (tick ? `${tick < 0 ? "−" : "+"}${String(Math.abs(tick)).replace("0.", ".")}` : "0"), tickSize: 0, label: null },
    marks: [
      Plot.rectX([0], { x1: -margin, x2: 0, fill: "var(--wash)" }),
      ...lines,
      Plot.ruleX([-margin], { stroke: "var(--soft)", strokeDasharray: "3 3" }),
      Plot.ruleX([0], { stroke: "var(--soft)" }),
      Plot.ruleY(known.filter((d) => d.low !== null), { x1: "low", x2: "high", y: "label", stroke: colour, strokeWidth: 1.75, marker: "tick", dy }),
      Plot.dot(known, { x: "mean", y: "label", r: 5.5, fill: colour, dy, title: tell }),
    ],
  }), `${name}, B minus A by section with 95% intervals; the numbers are in the table below`);
}
