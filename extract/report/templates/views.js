// Which view is seen. What `drawings` holds for a view is drawn when it is first opened, and again when the width
// changes; `fill` is called with the view, its address, and whether another view was seen before.
function startViews(first, tabs, drawings, fill) {
  const drawnAt = new Map();
  let seen = null;

  function draw(view) {
    const width = document.documentElement.clientWidth;
    if (!drawings[view] || drawnAt.get(view) === width) return;
    drawnAt.set(view, width);
    drawings[view]();
  }

  function show() {
    const address = parseAddress();
    const view = find(`#view-${CSS.escape(address.view)}`) ? address.view : first;
    for (const element of findAll(".view")) element.hidden = element.id !== `view-${view}`;
    for (const tab of findAll(".tabs a")) {
      if (tab.dataset.view === (tabs[view] ?? view)) tab.setAttribute("aria-current", "page");
      else tab.removeAttribute("aria-current");
    }
    draw(view);
    fill(view, address, seen !== null);
    if (seen !== null && seen !== view) find(`#view-${view} h1`)?.focus({ preventScroll: true });
    seen = view;
  }

  addEventListener("hashchange", show);
  addEventListener("resize", () => draw(seen));
  for (const [event, paper] of [["beforeprint", true], ["afterprint", false]]) {
    addEventListener(event, () => { printing = paper; drawnAt.clear(); draw(seen); });
  }
  show();
}
