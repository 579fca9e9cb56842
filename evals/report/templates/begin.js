// What the page does at first, and what fills each of its views.
function fillView(view, { parts, query }, again) {
  find("#filters").hidden = view === "scores";
  if (view === "scores") { if (again) window.scrollTo(0, 0); return; }
  setFilters(query);
  const filters = readFilters();
  sortInterviews(filters);
  if (view === "interview") return showInterview(parts, filters);
  drawListing(filters);
  if (again) window.scrollTo(0, 0);
}

// A changed filter is kept in the address, without a step in the history.
function keepFilters() {
  const { view, parts } = parseAddress(), filters = readFilters(), started = performance.now();
  history.replaceState(null, "", sheetAddress(view, parts, filters));
  sortInterviews(filters);
  if (view === "interview") showInterview(parts, filters);
  else drawListing(filters);
  document.documentElement.dataset.filterMs = (performance.now() - started).toFixed(1);
}

startFilters(keepFilters);
startListing();
startInterview();
find("#jump").addEventListener("change", (event) => { location.hash = sheetAddress("interview", [event.target.value], readFilters()); });
startViews("scores", { interview: "interviews" }, { scores: drawScores }, fillView);
(window.requestIdleCallback ?? setTimeout)(() => holdWords());
document.documentElement.dataset.ready = Math.round(performance.now());
