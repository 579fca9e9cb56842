// What the page does at first, and what fills each of its views.
function fillView(view, { parts, query }, again) {
  if (view === "quotes") showQuotes(query);
  if (view === "interviews") listInterviews();
  if (view === "interview") showInterview(parts);
  else if (view === "findings" && parts[0]) find(`#section-${CSS.escape(parts[0])}`)?.scrollIntoView();
  else if (again) window.scrollTo(0, 0);
}

startFindings();
if (withQuotes) { startQuotes(); startInterviews(); }
startViews("findings", { interview: "interviews" }, { findings: drawFindings, run: drawRun, published: drawPublishedView }, fillView);
if (withQuotes) (window.requestIdleCallback ?? setTimeout)(() => holdQuotes());
document.documentElement.dataset.ready = Math.round(performance.now());
