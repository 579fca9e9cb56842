// The interviews: a list, and one of them with its transcript and items side by side.
const MANY = 120;
const SPEAKERS = ["Interviewer", "Interviewee", "Quote"];
let interviewsFound = [], interviewsShown = 0, interviewOpen = -1;

function startInterviews() {
  const form = find("#interview-filters");
  fill(form.elements.cohort, "All", groups.slice(1).map((group) => [group, group]));
  form.addEventListener("input", listInterviews);
  form.addEventListener("submit", (event) => event.preventDefault());
  find("#interview-more").addEventListener("click", () => showMoreInterviews(true));
  for (const kind of ["pointerover", "pointerout", "focusin", "focusout"]) find(".reading").addEventListener(kind, light);
  find("#transcript").addEventListener("click", (event) => openMark(event.target.closest("mark")));
  find("#transcript").addEventListener("keydown", (event) => {
    if (event.key !== "Enter" && event.key !== " ") return;
    event.preventDefault();
    openMark(event.target.closest("mark"));
  });
}

function listInterviews() {
  const { interviews } = holdQuotes(), { id, cohort } = find("#interview-filters").elements;
  const wanted = id.value.trim().toLowerCase();
  interviewsFound = interviews.map((_, n) => n).filter((n) => (!cohort.value || interviews[n][1] === cohort.value) && interviews[n][0].toLowerCase().includes(wanted));
  interviewsShown = 0;
  find("#interview-list").replaceChildren();
  find("#interview-count").textContent = plural(interviewsFound.length, "interview");
  showMoreInterviews(false);
}

function showMoreInterviews(focus) {
  const { interviews, ofInterview } = holdQuotes(), first = interviewsShown;
  const next = interviewsFound.slice(first, first + MANY);
  find("#interview-list").append(...next.map((n) => {
    const [id, cohort, , , , , , failure] = interviews[n];
    const about = failure ? `failed: ${failure[0].replaceAll("_", " ")}` : `${groups.length > 1 ? `${cohort}, ` : ""}${plural(ofInterview[n].length, "item")}`;
    return make("li", {}, make("a", { href: interviewAddress(id) }, make("bdi", {}, id)), make("small", {}, about));
  }));
  interviewsShown += next.length;
  find("#interview-more").hidden = interviewsShown >= interviewsFound.length;
  if (focus) find("a", find("#interview-list").children[first])?.focus();
}

function showInterview([id, item]) {
  const { number, interviews } = holdQuotes(), n = number.get(id);
  find("#interview-title").textContent = id ?? "";
  if (n === undefined) {
    find("#interview-about").textContent = "This interview is not on the page.";
    find("#transcript").replaceChildren();
    find("#items").replaceChildren();
    interviewOpen = -1;
    return;
  }
  if (interviewOpen !== n) drawInterview(n);
  interviewOpen = n;
  for (const [name, at] of [["before", n - 1], ["after", n + 1]]) {
    const link = find(`#interview-${name}`);
    link.hidden = !interviews[at];
    if (interviews[at]) link.href = interviewAddress(interviews[at][0]);
  }
  markCurrent(item);
}

function drawInterview(n) {
  const { interviews, texts, ofInterview } = holdQuotes();
  const [, cohort, mode, , modeSpans, turns, whole, failure] = interviews[n];
  const items = ofInterview[n].map((item, k) => ({ key: String(k + 1), item, ...describeItem(item) }));
  if (mode) items.push({ key: "mode", item: [n, -1, -1, "", modeSpans], ...describeItem([n, -1, -1, "", modeSpans]) });
  find("#interview-about").textContent = [groups.length > 1 ? cohort : "", failure ? `failed (${failure[0].replaceAll("_", " ")}): ${failure[1]}` : plural(ofInterview[n].length, "item")].filter(Boolean).join(", ");
  const note = find("#interview-note");
  note.hidden = Boolean(whole);
  note.textContent = "The whole interview could not be read again from its source. These are its quotes in the order they were said.";
  find("#items").replaceChildren(...listItems(items));
  find("#transcript").replaceChildren(...drawTurns(texts[n], turns, items));
}

function listItems(items) {
  return sections.flatMap((section) => {
    const own = items.filter((one) => one.section === section);
    const links = own.map((one) => make("a", { class: "item", href: interviewAddress(holdQuotes().interviews[one.item[0]][0], one.key), "data-key": one.key },
      make("span", { class: "code" }, one.label), one.value ? make("span", { class: "value" }, `  ${one.value}`) : null, one.item[3] ? make("span", { class: "summary", dir: "auto" }, one.item[3]) : null));
    return [make("div", { class: `s-${section.id}` }, make("h3", {}, section.label), ...(links.length ? links : [make("p", { class: "status" }, "Nothing coded.")]))];
  });
}

// Each stretch of text that is evidence for the same items becomes one mark.
function drawTurns(text, turns, items) {
  const drawn = [];
  for (let n = 0; n < turns.length; n += 3) {
    const [speaker, start, end] = turns.slice(n, n + 3);
    const inside = items.flatMap((one) => quotesOf(one.item).filter(([a, b]) => a < end && b > start).map(([a, b]) => ({ one, a: Math.max(a, start), b: Math.min(b, end) })));
    const cuts = [...new Set([start, end, ...inside.flatMap(({ a, b }) => [a, b])])].sort((a, b) => a - b);
    const pieces = cuts.slice(1).map((to, k) => {
      const from = cuts[k], about = inside.filter(({ a, b }) => a <= from && b >= to).map(({ one }) => one);
      return about.length ? makeMark(text.slice(from, to), about) : text.slice(from, to);
    });
    drawn.push(make("div", { class: `turn ${speaker ? "says" : "asks"}`, dir: "auto" }, make("span", { class: "who" }, SPEAKERS[speaker]), ...pieces));
  }
  return drawn.length ? drawn : [make("p", {}, "There is no text.")];
}

function makeMark(text, about) {
  const labels = [...new Set(about.map((one) => one.label))];
  const tags = make("span", { class: "tags", "aria-hidden": "true" }, ...[...new Map(about.map((one) => [one.section.id, one.section])).values()].map((section) => make("i", { class: `s-${section.id}` }, section.label.split(" ").map((word) => word[0].toUpperCase()).join(""))));
  return make("mark", { class: `s-${about[0].section.id}`, tabindex: 0, role: "button", "data-keys": ` ${about.map((one) => one.key).join(" ")} `, title: labels.join(", "), "aria-description": `coded as ${labels.join(", ")}` }, text, tags);
}

function light(event) {
  const on = event.type === "pointerover" || event.type === "focusin";
  const item = event.target.closest?.(".item"), mark = event.target.closest?.("mark");
  const keys = item ? [item.dataset.key] : mark ? mark.dataset.keys.trim().split(" ") : [];
  for (const key of keys) {
    find(`.item[data-key="${key}"]`)?.classList.toggle("lit", on);
    for (const one of findAll(`mark[data-keys*=" ${key} "]`)) one.classList.toggle("lit", on);
  }
  if (mark && on) showInPane(find(`.item[data-key="${keys[0]}"]`));
}

// Bring an item into its own scrolling column, without moving the page.
function showInPane(item) {
  const pane = find(".items");
  if (!item || pane.scrollHeight <= pane.clientHeight) return;
  const [box, around] = [item.getBoundingClientRect(), pane.getBoundingClientRect()];
  if (box.top < around.top || box.bottom > around.bottom) pane.scrollTop += box.top - around.top - around.height / 3;
}

function openMark(mark) {
  if (!mark) return;
  const item = find(`.item[data-key="${mark.dataset.keys.trim().split(" ")[0]}"]`);
  item?.scrollIntoView({ block: "nearest" });
  item?.focus();
}

function markCurrent(key) {
  for (const item of findAll(".item")) item.toggleAttribute("aria-current", item.dataset.key === key);
  for (const mark of findAll("mark.lit")) mark.classList.remove("lit");
  const current = find(`.item[aria-current]`);
  if (!key || !current) return window.scrollTo(0, 0);
  current.setAttribute("aria-current", "true");
  const marks = findAll(`mark[data-keys*=" ${CSS.escape(key)} "]`);
  for (const mark of marks) mark.classList.add("lit");
  marks[0]?.scrollIntoView({ block: "center" });
  showInPane(current);
}
