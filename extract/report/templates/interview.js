// The interviews: a list, and one of them with its transcript and items side by side.
const MANY = 120;
let interviewsFound = [], interviewsShown = 0, interviewOpen = -1;

function startInterviews() {
  const form = find("#interview-filters");
  fill(form.elements.cohort, "All", groups.slice(1).map((group) => [group, group]));
  form.addEventListener("input", listInterviews);
  form.addEventListener("submit", (event) => event.preventDefault());
  find("#interview-more").addEventListener("click", () => showMoreInterviews(true));
  for (const kind of ["pointerover", "pointerout", "focusin", "focusout"]) find(".reading").addEventListener(kind, (event) => showInPane(light(event), find(".items")));
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
  const open = (key, item) => ({ key, item, spans: quotesOf(item), ...describeItem(item) });
  const items = ofInterview[n].map((item, k) => open(String(k + 1), item));
  if (mode) items.push(open("mode", [n, -1, -1, "", modeSpans]));
  find("#interview-about").textContent = [groups.length > 1 ? cohort : "", failure ? `failed (${failure[0].replaceAll("_", " ")}): ${failure[1]}` : plural(ofInterview[n].length, "item")].filter(Boolean).join(", ");
  const note = find("#interview-note");
  note.hidden = Boolean(whole);
  note.textContent = "The whole interview could not be read again from its source. These are its quotes in the order they were said.";
  find("#items").replaceChildren(...listItems(items));
  find("#transcript").replaceChildren(...drawTurns(texts[n], turns, items, tagSections));
}

function listItems(items) {
  return sections.flatMap((section) => {
    const own = items.filter((one) => one.section === section);
    const links = own.map((one) => make("a", { class: "item", href: interviewAddress(holdQuotes().interviews[one.item[0]][0], one.key), "data-key": one.key },
      make("span", { class: "code" }, one.label), one.value ? make("span", { class: "value" }, `  ${one.value}`) : null, one.item[3] ? make("span", { class: "summary", dir: "auto" }, one.item[3]) : null));
    return [make("div", { class: `s-${section.id}` }, make("h3", {}, section.label), ...(links.length ? links : [make("p", { class: "status" }, "Nothing coded.")]))];
  });
}

// The initials of the sections that a stretch is evidence for.
function tagSections(about) {
  const cited = new Map(about.map((one) => [one.section.id, one.section])).values();
  return [...cited].map((section) => [`s-${section.id}`, section.label.split(" ").map((word) => word[0].toUpperCase()).join("")]);
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
  showInPane(current, find(".items"));
}
