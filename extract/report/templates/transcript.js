// A transcript with its evidence marked, and items that light their evidence. An item is {key, label, section, spans}.
const SPEAKERS = ["Interviewer", "Interviewee", "Quote"];

// Each stretch of text that is evidence for the same items becomes one mark.
// `tagsOf` gives the classes and letters of the small marks at its end.
function drawTurns(text, turns, items, tagsOf) {
  const drawn = [];
  for (let n = 0; n < turns.length; n += 3) {
    const [speaker, start, end] = turns.slice(n, n + 3);
    const inside = items.flatMap((one) => one.spans.filter(([a, b]) => a < end && b > start).map(([a, b]) => ({ one, a: Math.max(a, start), b: Math.min(b, end) })));
    const cuts = [...new Set([start, end, ...inside.flatMap(({ a, b }) => [a, b])])].sort((a, b) => a - b);
    const pieces = cuts.slice(1).map((to, k) => {
      const from = cuts[k], about = inside.filter(({ a, b }) => a <= from && b >= to).map(({ one }) => one);
      return about.length ? makeMark(text.slice(from, to), about, tagsOf(about)) : text.slice(from, to);
    });
    drawn.push(make("div", { class: `turn ${speaker ? "says" : "asks"}`, dir: "auto" }, make("span", { class: "who" }, SPEAKERS[speaker]), ...pieces));
  }
  return drawn.length ? drawn : [make("p", {}, "There is no text.")];
}

function makeMark(text, about, letters) {
  const labels = [...new Set(about.map((one) => one.label))];
  const tags = make("span", { class: "tags", "aria-hidden": "true" }, ...letters.map(([name, letter]) => make("i", { class: name }, letter)));
  return make("mark", { class: `s-${about[0].section.id}`, tabindex: 0, role: "button", "data-keys": ` ${about.map((one) => one.key).join(" ")} `, title: labels.join(", "), "aria-description": `coded as ${labels.join(", ")}` }, text, tags);
}

// Light an item and its evidence, from either of them; gives the item that a mark stands for.
function light(event) {
  const on = event.type === "pointerover" || event.type === "focusin";
  const item = event.target.closest?.(".item"), mark = event.target.closest?.("mark");
  const keys = item ? [item.dataset.key] : mark ? mark.dataset.keys.trim().split(" ") : [];
  for (const key of keys) {
    find(`.item[data-key="${key}"]`)?.classList.toggle("lit", on);
    for (const one of findAll(`mark[data-keys*=" ${key} "]`)) one.classList.toggle("lit", on);
  }
  return mark && on ? find(`.item[data-key="${keys[0]}"]`) : null;
}

// Bring something into its own scrolling column, without moving the page.
function showInPane(item, pane) {
  if (!item || pane.scrollHeight <= pane.clientHeight) return;
  const [box, around] = [item.getBoundingClientRect(), pane.getBoundingClientRect()];
  if (box.top < around.top || box.bottom > around.bottom) pane.scrollTop += box.top - around.top - around.height / 3;
}
