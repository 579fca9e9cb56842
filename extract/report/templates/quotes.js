// The quotes: one list, filtered in memory, a page of it at a time.
const PAGE = 30;
let quotesFound = [], quotesShown = 0;

function startQuotes() {
  const form = find("#quote-filters");
  fill(form.elements.section, "All", sections.map((section) => [section.label, section.id]));
  fill(form.elements.cohort, "All", groups.slice(1).map((group) => [group, group]));
  const also = form.elements.also;
  also.append(new Option("Any", ""));
  for (const section of sections) also.append(group(section.label, section.codes.map((code) => [code.label, `${section.id}/${code.id}`])));
  form.addEventListener("input", () => { fitFilters(form); keepFilters(form); applyFilters(form); });
  form.addEventListener("submit", (event) => event.preventDefault());
  form.addEventListener("reset", () => setTimeout(() => { fitFilters(form); keepFilters(form); applyFilters(form); }));
  find("#quote-more").addEventListener("click", () => {
    const first = quotesShown;
    showMoreQuotes();
    find("a", find("#quote-list").children[first])?.focus();
  });
  fitFilters(form);
}

// Codes and attributes on offer are those of the chosen section.
function fitFilters(form) {
  const chosen = form.elements.section.value, { code, attribute } = form.elements;
  const [oldCode, oldAttribute] = [code.value, attribute.value];
  const open = sections.filter((section) => !chosen || section.id === chosen);
  fill(code, "All", chosen ? open[0].codes.map((one) => [one.label, one.id]) : []);
  code.disabled = !chosen;
  const lists = open.flatMap((section) => [...(section.attribute ? [section.attribute] : []), ...section.styles]);
  attribute.replaceChildren(new Option("All", ""), ...lists.map((list) => group(list.label, list.values.map((value) => [value.label, `${list.id}:${value.id}`]))));
  for (const [select, value] of [[code, oldCode], [attribute, oldAttribute]]) select.value = [...select.options].some((option) => option.value === value) ? value : "";
}

function readFilters(form) {
  return Object.fromEntries(["section", "code", "attribute", "cohort", "also", "text"].map((name) => [name, form.elements[name].value.trim()]));
}

function keepFilters(form) {
  history.replaceState(null, "", quotesAddress(readFilters(form)));
}

function showQuotes(query) {
  const form = find("#quote-filters");
  for (const name of ["section", "cohort", "also", "text"]) form.elements[name].value = query.get(name) ?? "";
  fitFilters(form);
  for (const name of ["code", "attribute"]) form.elements[name].value = query.get(name) ?? "";
  for (const select of findAll("select", form)) if (select.selectedIndex < 0) select.value = "";
  applyFilters(form);
  (window.requestIdleCallback ?? setTimeout)(() => holdWords());
}

function applyFilters(form) {
  const started = performance.now();
  quotesFound = findQuotes(readFilters(form));
  quotesShown = 0;
  find("#quote-list").replaceChildren();
  showMoreQuotes();
  const { items } = holdQuotes(), voices = new Set(quotesFound.map((n) => items[n][0])).size;
  find("#quote-count").textContent = quotesFound.length ? `${plural(quotesFound.length, "statement")} from ${plural(voices, "interview")}` : "Nothing fits all of these. Take one away.";
  describeFilters(form);
  document.documentElement.dataset.filterMs = (performance.now() - started).toFixed(1);
}

function describeFilters(form) {
  const { section, code } = readFilters(form), line = find("#quote-definition");
  const definition = section && (code ? codes[codeNumber.get(`${section}/${code}`)] : sections.find((one) => one.id === section)).definition;
  line.textContent = definition || "";
  line.className = `definition s-${section}`;
  line.hidden = !definition;
}

// The numbers of the items that fit.
function findQuotes(filters) {
  const { items, interviews, ofInterview } = holdQuotes();
  const [name, value] = filters.attribute.split(":");
  const styled = { mode: 2, leader: 3 }[name];
  const words = filters.text ? holdWords() : null, wanted = fold(filters.text);
  const also = filters.also ? codeNumber.get(filters.also) : null;
  const has = also === null ? null : ofInterview.map((own) => own.some((item) => item[1] === also));
  const code = filters.code ? codeNumber.get(`${filters.section}/${filters.code}`) : null;
  const found = [];
  for (let n = 0; n < items.length; n++) {
    const item = items[n], one = interviews[item[0]], of = item[1] < 0 ? style : codes[item[1]].section;
    if (filters.section && of.id !== filters.section) continue;
    if (code !== null && item[1] !== code) continue;
    if (filters.cohort && one[1] !== filters.cohort) continue;
    if (has && !has[item[0]]) continue;
    if (styled ? item[1] >= 0 || one[styled] !== value : name && (of.attribute?.id !== name || of.attribute.values[item[2]]?.id !== value)) continue;
    if (words && !words[n].includes(wanted)) continue;
    found.push(n);
  }
  return found;
}

function showMoreQuotes() {
  const { items } = holdQuotes();
  const next = quotesFound.slice(quotesShown, quotesShown + PAGE);
  find("#quote-list").append(...next.map((n) => makeCard(items[n])));
  quotesShown += next.length;
  const rest = quotesFound.length - quotesShown;
  find("#quote-more").hidden = !rest;
  find("#quote-more").textContent = `Show ${Math.min(PAGE, rest)} more of ${countText(rest)}`;
}

function describeItem(item) {
  const one = holdQuotes().interviews[item[0]];
  if (item[1] < 0) {
    const [mode, leader] = style.styles.map((list, n) => list.values.find((value) => value.id === one[2 + n])?.label ?? one[2 + n]);
    return { section: style, label: `Mode: ${mode}`, value: leader ? `leader: ${leader.toLowerCase()}` : "" };
  }
  const code = codes[item[1]];
  return { section: code.section, label: code.label, value: code.section.attribute?.values[item[2]]?.label.toLowerCase() ?? "" };
}

function makeCard(item) {
  const { interviews, texts, ofInterview } = holdQuotes();
  const [id, cohort] = interviews[item[0]];
  const { section, label, value } = describeItem(item);
  const address = interviewAddress(id, item[1] < 0 ? "mode" : ofInterview[item[0]].indexOf(item) + 1);
  const from = make("span", { class: "from" }, make("a", { href: address }, make("bdi", {}, id)), groups.length > 1 ? ` ${cohort}` : "");
  const head = make("header", {}, make("span", { class: "code" }, label), value ? make("span", { class: "value" }, value) : null, make("span", { class: "value" }, section.label), from);
  const quotes = quotesOf(item).map(([a, b]) => make("blockquote", { dir: "auto" }, texts[item[0]].slice(a, b)));
  return make("li", { class: `card s-${section.id}` }, head, item[3] ? make("p", { class: "summary", dir: "auto" }, item[3]) : null, ...quotes);
}
