"""The comparison's page in Debian's Chromium, on the authored interviews: what people click, type and hear.

Screenshots go where `extract.tests.browser` says.
"""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect

from evals.cli import main
from evals.tests.report_samples import agree, store_golden, store_run
from evals.tests.samples import make_coding, make_item
from extract.cli import main as extract
from extract.store import create_run, open_run
from extract.tests.browser import (
    HOSTILE,
    NARROW,
    SCREENSHOTS,
    WIDE,
    find_violations,
    launch_browser,
    open_page,
    open_view,
    switch_view,
)
from extract.tests.samples import AUTHORED
from schemas.record import Record

LIT = re.compile(r"\blit\b")


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of the rules over the authored interviews, and another that lost concerns and one interview."""
    folder = tmp_path_factory.mktemp("comparison")
    assert extract(["run", str(AUTHORED), "--engine", "rules", "--runs", str(folder / "runs")]) == 0
    first = open_run("last", folder / "runs")
    second = create_run(folder / "runs", first.manifest.model_copy(update={"prompt_version": "v2"}))
    with second:
        for number, record in enumerate(first.read_records()):
            second.append(spoil(record, number))
    out = folder / "comparison.html"
    assert main(["report", str(first.path), str(second.path), "--set", "authored", "--out", str(out)]) == 0
    return out


def spoil(record: Record, number: int) -> Record:
    raw = record.model_dump(mode="json", exclude_none=True)
    if number == 3:
        del raw["extraction"]
        raw["failure"] = {"kind": "refusal", "message": "It said no."}
    elif number % 2:
        raw["extraction"]["concerns"] |= {"status": "not_asked", "items": []}
    else:
        for item in raw["extraction"]["tasks"]["items"]:
            item["disposition"] = "tried"
    return Record.model_validate(raw)


@pytest.fixture(scope="module")
def browser(report: Path) -> Iterator[Browser]:  # after the report, since commands may run a loop of their own
    with launch_browser() as browser:
        yield browser


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    with open_page(browser) as page:
        yield page


def read_data(page: Page, name: str = "interviews") -> Any:
    return json.loads(page.locator(f"script#{name}").text_content() or "")


def test_the_verdict_leads_and_a_section_opens_its_rows(page: Page, report: Path) -> None:
    open_view(page, report)
    verdict = read_data(page, "data")["scores"]["grounded"][0]["difference"]["verdict"]
    expect(page.locator(".lede .chip")).to_contain_text(verdict)
    expect(page.locator("[data-plot=differences] svg")).to_have_count(2)
    page.locator("#table-grounded").get_by_role("link", name="Concerns").click()
    expect(page.get_by_role("heading", name="Interviews")).to_be_focused()
    expect(page.locator("#filters [name=section]")).to_have_value("concerns")
    expect(page.locator("#filters [name=show]")).to_have_value("differ")


def test_rows_are_filtered_to_disagreements(page: Page, report: Path) -> None:
    open_view(page, report, "#interview/authored_work_01")
    rows = page.locator(".row")
    everything = rows.count()
    page.get_by_label("Show").select_option("disagreements")
    assert 0 < rows.count() < everything
    assert all(
        re.search("other|missed|extra", " ".join(row.locator(".chip").all_text_contents())) for row in rows.all()
    )
    assert "show=disagreements" in page.url
    page.reload()
    expect(page.get_by_label("Show")).to_have_value("disagreements")
    page.get_by_role("button", name="Clear all").click()
    expect(rows).to_have_count(everything)


def test_rows_are_filtered_by_kind_section_code_and_words(page: Page, report: Path) -> None:
    open_view(page, report, "#interviews")
    form = page.get_by_role("search", name="Filter the rows")
    form.get_by_label("Kind").select_option("attribute.1")
    form.get_by_label("Section").select_option("tasks")
    page.locator("#listing a").first.click()
    expect(page.locator(".row").first).to_be_visible()
    chips = page.locator(".row .cell:nth-child(3) .chip").all_text_contents()
    assert chips
    assert all("other attribute" in chip for chip in chips)
    code = page.locator(".row .code").first.text_content() or ""
    form.locator("[name=code]").select_option(label=code)
    assert all(code in (row.text_content() or "") for row in page.locator(".row").all())
    form.get_by_label("Words").fill("no such words anywhere")
    expect(page.locator("#interview-count")).to_contain_text("No row of this interview fits")
    page.get_by_role("link", name="All interviews").click()
    expect(page.locator("#listing-count")).to_contain_text("Nothing fits")


def test_the_list_is_sorted_by_any_column(page: Page, report: Path) -> None:
    open_view(page, report, "#interviews")
    changes = page.locator("#listing td.change span")
    signed = [float(text.replace("−", "-")) for text in changes.all_text_contents()]
    assert signed == sorted(signed)
    page.get_by_role("button", name="Interview").click()
    names = page.locator("#listing tbody th a").all_text_contents()
    assert names == sorted(names)
    expect(page.locator("#listing th[aria-sort=ascending]")).to_have_text("Interview")
    page.get_by_role("button", name="Interview").click()
    assert page.locator("#listing tbody th a").all_text_contents() == sorted(names, reverse=True)


def test_every_row_of_the_data_is_drawn(page: Page, report: Path) -> None:
    open_view(page, report, "#interviews")
    for one in read_data(page)[:4]:
        switch_view(page, f"#interview/{one['id']}")
        expect(page.locator("#interview-title")).to_have_text(one["id"])
        rows = [row for section in one["sections"].values() for row in section]
        expect(page.locator(".row")).to_have_count(len(rows))
        cells = sum(cell is not None for row in rows for cell in row["cells"])
        expect(page.locator(".cell.item")).to_have_count(cells)


def test_a_deep_link_shows_the_row_and_its_evidence(page: Page, report: Path) -> None:
    open_view(page, report, "#interview/authored_work_01/tasks/2")
    current = page.locator(".row[aria-current]")
    expect(current).to_have_attribute("data-row", "tasks/2")
    expect(current).to_be_in_viewport()
    lit = page.locator("#transcript mark.lit")
    expect(lit.first).to_be_in_viewport()
    quote = current.locator("blockquote").first.text_content()
    assert quote in lit.evaluate_all("marks => marks.map(mark => mark.firstChild.data)")


def test_cells_and_evidence_light_each_other_and_keys_do(page: Page, report: Path) -> None:
    open_view(page, report, "#interview/authored_work_01")
    cell = page.locator(".cell.item:has(blockquote)").first
    key = cell.get_attribute("data-key")
    cell.hover()
    mark = page.locator(f'#transcript mark[data-keys*=" {key} "]').first
    expect(mark).to_have_class(LIT)
    page.mouse.move(0, 0)
    expect(page.locator("mark.lit")).to_have_count(0)
    mark.focus()
    expect(page.locator(f'.item[data-key="{key}"]')).to_have_class(LIT)
    page.keyboard.press("Enter")
    expect(page.locator(".cell a:focus")).to_have_count(1)
    page.keyboard.press("Enter")
    expect(page.locator(".row[aria-current]")).to_have_count(1)


def test_interviews_are_walked_in_the_order_of_the_list(page: Page, report: Path) -> None:
    open_view(page, report, "#interviews?show=differ")
    names = page.locator("#listing tbody th a").all_text_contents()
    page.locator("#listing tbody th a").first.click()
    page.get_by_role("link", name="Next").click()
    expect(page.locator("#interview-title")).to_have_text(names[1])
    assert "show=differ" in page.url
    page.locator("#jump").select_option(names[2])
    expect(page.locator("#interview-title")).to_have_text(names[2])
    failed = next(one["id"] for one in read_data(page) if one["failures"][1])
    switch_view(page, f"#interview/{failed}")
    expect(page.locator("#interview-note")).to_contain_text("failed: refusal: It said no.")


VIEWS = {
    "scores": "#scores",
    "listing": "#interviews?show=disagreements",
    "comparison": "#interview/authored_work_01/tasks/2",
}


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", [WIDE, NARROW], ids=["wide", "narrow"])
def test_every_view_is_accessible_and_fits_its_width(browser: Browser, report: Path, scheme: Any, size: Any) -> None:
    page = browser.new_context(viewport=size, color_scheme=scheme).new_page()
    SCREENSHOTS.mkdir(parents=True, exist_ok=True)
    open_view(page, report)
    for name, address in VIEWS.items():
        page.evaluate("address => { location.hash = address; }", address)
        page.wait_for_timeout(250)  # colours have settled
        assert page.evaluate("document.documentElement.scrollWidth - innerWidth") <= 0, name
        assert find_violations(page) == [], name
        page.screenshot(path=SCREENSHOTS / f"evals-{name}-{size['width']}-{scheme}.png")
    page.context.close()


def test_hostile_words_are_shown_as_words(page: Page, tmp_path: Path) -> None:
    coded = {}
    for name, words in HOSTILE.items():
        store_golden(tmp_path / "goldens", name, agree(name))
        coded[name] = make_coding(concerns=[make_item(words[:200], (40, 60), summary=words, timing=words[:200])])
    run = str(store_run(tmp_path / "runs", coded, model=HOSTILE["image"]).path)
    out = tmp_path / "page.html"
    assert main(["report", run, run, "--goldens", str(tmp_path / "goldens"), "--out", str(out)]) == 0
    page.set_viewport_size(NARROW)
    open_view(page, out)
    for name in HOSTILE:
        switch_view(page, f"#interview/{name}")
        expect(page.locator("#interview-title")).to_have_text(name)
        assert page.evaluate("document.documentElement.scrollWidth - innerWidth") <= 0, name
        expected = "good �dab� �isolated�" if name == "turned" else HOSTILE[name]
        assert expected in page.locator(".row .summary").all_text_contents()
    assert page.evaluate("window.hit") is None
    assert page.locator("img, iframe").count() == 0


def test_annotators_are_adjudicated_side_by_side(page: Page, tmp_path: Path) -> None:
    for name in ("ada", "ben"):
        other = make_coding(tasks=agree(name).tasks.items)
        store_golden(tmp_path / "goldens", name, agree(name), A=agree(name), B=other)
    assert main(["golden", "report", "--goldens", str(tmp_path / "goldens"), "--runs", str(tmp_path)]) == 0
    open_view(page, tmp_path / "annotators.html")
    page.get_by_role("link", name="See where they differ").click()
    page.locator("#listing a").first.click()
    heads = page.locator(".heads b").all_text_contents()
    assert [" ".join(head.split()) for head in heads] == ["Adjudicated", "A Annotator A", "B Annotator B"]
    shown = page.locator(".row").evaluate_all("rows => rows.map(row => row.dataset.row)")
    assert shown == ["concerns/status", "concerns/1", "future_wishes/status", "future_wishes/1"]
    assert find_violations(page) == []


def test_a_redacted_page_has_rows_but_no_transcript(page: Page, tmp_path: Path) -> None:
    store_golden(tmp_path / "goldens", "ada", agree("ada"))
    run = str(store_run(tmp_path / "runs", {"ada": agree("ada")}).path)
    out = tmp_path / "page.html"
    assert main(["report", run, "--redact", "--goldens", str(tmp_path / "goldens"), "--out", str(out)]) == 0
    open_view(page, out, "#interviews")
    page.get_by_role("link", name="interview 1").click()
    expect(page.locator(".row .code").first).to_be_visible()
    assert page.locator("blockquote, .transcript, .summary").count() == 0
