// Which view is seen; each is drawn when it is first opened and again when the width changes.
const DRAW = { findings: drawFindings, run: drawRun, published: drawPublishedView };
const TABS = { interview: "interviews" };
const drawnAt = new Map();
let seen = null;

function show() {
  const { view: asked, parts, query } = parseAddress();
  const view = find(`#view-${CSS.escape(asked)}`) ? asked : "findings";
  for (const element of findAll(".view")) element.hidden = element.id !== `view-${view}`;
  for (const tab of findAll(".tabs a")) {
    if (tab.dataset.view === (TABS[view] ?? view)) tab.setAttribute("aria-current", "page");
    else tab.removeAttribute("aria-current");
  }
  draw(view);
  if (view === "quotes") showQuotes(query);
  if (view === "interviews") listInterviews();
  if (view === "interview") showInterview(parts);
  else if (view === "findings" && parts[0]) find(`#section-${CSS.escape(parts[0])}`)?.scrollIntoView();
  else if (seen !== null) window.scrollTo(0, 0);
  if (seen !== null && seen !== view) find(`#view-${view} h1`)?.focus({ preventScroll: true });
  seen = view;
}

function draw(view) {
  const width = document.documentElement.clientWidth;
  if (!DRAW[view] || drawnAt.get(view) === width) return;
  drawnAt.set(view, width);
  DRAW[view]();
}

startFindings();
if (withQuotes) { startQuotes(); startInterviews(); }
addEventListener("hashchange", show);
addEventListener("resize", () => draw(seen));
for (const [event, paper] of [["beforeprint", true], ["afterprint", false]]) {
  addEventListener(event, () => { printing = paper; drawnAt.clear(); draw(seen); });
}
show();
if (withQuotes) (window.requestIdleCallback ?? setTimeout)(() => holdQuotes());
document.documentElement.dataset.ready = Math.round(performance.now());
