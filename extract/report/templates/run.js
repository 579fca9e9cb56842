// How the run went, and the published figures.
function drawRun() {
  const figure = find("[data-chart=latency]");
  if (figure) find(".drawing", figure).replaceChildren(drawHistogram(operation.latency.bars, widthOf(figure), "Answers by their time in seconds"));
}

function drawPublishedView() {
  const figure = find("[data-chart=published]");
  if (figure) find(".drawing", figure).replaceChildren(drawPublished(published, widthOf(figure)));
}
