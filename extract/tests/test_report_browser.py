"""The report in Debian's Chromium: what people click, type and hear, on the real interviews where they are.

Screenshots go where `extract.tests.browser` says.
"""

import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect

from extract.cli import main
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
from extract.tests.report_samples import make_extraction, make_raw, make_run
from extract.tests.samples import AUTHORED

LIT = re.compile(r"\blit\b")


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The report of a run of `rules` over the real interviews, else over the authored ones."""
    data = Path(os.environ.get("VERBATIM_DATA") or "none") / "data" / "anthropic_interviewer"
    return make_report(tmp_path_factory.mktemp("report"), str(data if data.is_dir() else AUTHORED))


def make_report(folder: Path, source: str) -> Path:
    runs = ["--runs", str(folder / "runs")]
    assert main(["run", source, "--engine", "rules", *runs]) == 0
    assert main(["report", "last", *runs, "--out", str(folder / "report.html")]) == 0
    return folder / "report.html"


@pytest.fixture(scope="module")
def browser(report: Path) -> Iterator[Browser]:  # after the report, since commands may run a loop of their own
    with launch_browser() as browser:
        yield browser


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    with open_page(browser) as page:
        yield page


def test_a_bar_opens_the_quotes_behind_it(page: Page, report: Path) -> None:
    open_view(page, report)
    bar = page.locator("#section-concerns [data-chart=codes] svg a").first
    name = bar.get_attribute("aria-label")
    assert name is not None
    bar.click()
    code, _, rest = name.partition(": ")
    expect(page.get_by_role("heading", name="Quotes")).to_be_visible()
    assert set(page.locator("#quote-list .code").all_text_contents()) == {code}
    interviews = rest.split(", ", 1)[1].split(" of ")[0].split()[-1]
    expect(page.locator("#quote-count")).to_contain_text(f"from {interviews} interview")


def test_a_bar_is_opened_from_the_keyboard(page: Page, report: Path) -> None:
    open_view(page, report)
    page.locator("#group-choice input").first.focus()
    for _ in range(7):  # the links to the six parts, then the first bar
        page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="Quotes")).to_be_visible()
    expect(page.get_by_role("heading", name="Quotes")).to_be_focused()


def test_parts_of_bars_and_pairs_open_their_quotes(page: Page, report: Path) -> None:
    open_view(page, report)
    page.locator("#section-concerns [data-chart=attribute] svg a").last.click()
    assert "attribute=timing" in page.url
    open_view(page, report)
    page.locator("[data-chart=pairs] svg a").first.click()
    assert "also=future_wishes" in page.url
    expect(page.locator("#quote-list .card").first).to_be_visible()


def test_quotes_are_filtered_by_words_section_and_cohort(page: Page, report: Path) -> None:
    open_view(page, report, "#quotes")
    page.get_by_role("searchbox", name="Words").fill("The")
    cards = page.locator("#quote-list .card")
    assert all("the" in text.lower() for text in cards.all_text_contents())
    form = page.get_by_role("search", name="Filter the quotes")
    form.get_by_label("Section").select_option("concerns")
    form.get_by_label("Attribute").select_option("timing:lived")
    form.get_by_label("Cohort").select_option("scientists")
    expect(cards.first).to_be_visible()
    assert all(text.endswith("scientists") for text in page.locator("#quote-list .from").all_text_contents())
    assert set(page.locator("#quote-list .card .value").all_text_contents()) == {"lived", "Concerns"}
    page.reload()
    expect(page.get_by_role("searchbox", name="Words")).to_have_value("The")
    page.get_by_role("searchbox", name="Words").fill("no such words anywhere")
    expect(page.locator("#quote-count")).to_contain_text("Nothing fits")
    page.get_by_role("button", name="Clear all").click()
    expect(cards).to_have_count(30)
    page.get_by_role("button", name="Show 30 more").click()
    expect(cards).to_have_count(60)


def test_a_quote_opens_its_interview(page: Page, report: Path) -> None:
    open_view(page, report, "#quotes?section=concerns")
    words = page.locator("#quote-list blockquote").first.text_content()
    page.locator("#quote-list .from a").first.click()
    expect(page.locator("#transcript mark.lit").first).to_be_visible()
    lit = page.locator("#transcript mark.lit").evaluate_all("marks => marks.map(mark => mark.firstChild.data)")
    assert words in lit


def test_a_deep_link_shows_the_item_and_its_evidence(page: Page, report: Path) -> None:
    open_view(page, report, "#interviews")
    address = page.locator("#interview-list a").first.get_attribute("href")
    open_view(page, report, f"{address}/2")
    current = page.locator(".item[aria-current]")
    expect(current).to_have_attribute("data-key", "2")
    expect(page.locator('#transcript mark[data-keys*=" 2 "]').first).to_have_class(LIT)


def test_items_and_evidence_light_each_other(page: Page, report: Path) -> None:
    open_view(page, report, "#interviews")
    page.locator("#interview-list a").first.click()
    item = page.locator(".item").first
    key = item.get_attribute("data-key")
    item.hover()
    mark = page.locator(f'#transcript mark[data-keys*=" {key} "]').first
    expect(mark).to_have_class(LIT)
    page.mouse.move(0, 0)
    expect(page.locator("mark.lit")).to_have_count(0)
    mark.focus()
    expect(page.locator(f'.item[data-key="{key}"]')).to_have_class(LIT)


def test_the_cohort_is_switched(page: Page, report: Path) -> None:
    open_view(page, report)
    bar = page.locator("#section-tasks [data-chart=codes] svg a").first
    everyone = bar.get_attribute("aria-label")
    page.get_by_role("radio", name="scientists").check()
    scientists = bar.get_attribute("aria-label")
    assert scientists != everyone
    bar.click()
    assert "cohort=scientists" in page.url
    open_view(page, report)
    page.get_by_role("radio", name="side by side").check()
    heads = page.locator("#section-tasks [data-chart=codes] svg").text_content() or ""
    assert all(f"{cohort}, n = " in heads for cohort in ("workforce", "creatives", "scientists"))


@pytest.mark.parametrize(("scheme", "size"), [("light", WIDE), ("dark", NARROW)], ids=["light", "dark"])
def test_every_view_is_accessible(browser: Browser, report: Path, scheme: Any, size: Any) -> None:
    page = browser.new_context(viewport=size, color_scheme=scheme).new_page()
    for view in list_views(page, report):
        switch_view(page, view)
        page.wait_for_timeout(200)  # colours have settled
        assert find_violations(page) == [], view
    page.context.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", [WIDE, NARROW], ids=["wide", "narrow"])
def test_every_view_fits_its_width(browser: Browser, report: Path, scheme: Any, size: Any) -> None:
    page = browser.new_context(viewport=size, color_scheme=scheme).new_page()
    SCREENSHOTS.mkdir(parents=True, exist_ok=True)
    for view in list_views(page, report):
        switch_view(page, view)
        assert page.evaluate("document.documentElement.scrollWidth - innerWidth") <= 0, view
        name = view.strip("#").split("/")[0]
        page.screenshot(path=SCREENSHOTS / f"{name}-{size['width']}-{scheme}.png")
    page.context.close()


def list_views(page: Page, report: Path) -> list[str]:
    """The addresses of all views, an interview with its first item among them."""
    open_view(page, report, "#interviews")
    one = page.locator("#interview-list a").first.get_attribute("href")
    return [
        *(f"#{tab}" for tab in page.locator(".tabs a").evaluate_all("tabs => tabs.map(t => t.dataset.view)")),
        f"{one}/1",
    ]


def test_the_check_of_accessibility_sees_what_is_wrong(page: Page, report: Path) -> None:
    open_view(page, report, "#run")
    page.evaluate("document.querySelector('main').append(document.createElement('button'))")
    assert [found.split(":")[0] for found in find_violations(page)] == ["button-name"]


def test_hostile_text_is_shown_as_text(page: Page, tmp_path: Path) -> None:
    records = [
        make_raw(
            words if name != "long" else name,
            words[:40],
            make_extraction(("concerns", "unreliability", "lived"), words=words),
        )
        for name, words in HOSTILE.items()
    ]
    records.append(make_raw("failed", None, None))
    records[-1]["failure"]["message"] = HOSTILE["ends"]
    store = make_run(tmp_path, records, source=HOSTILE["script"], model=HOSTILE["image"])
    assert main(["report", str(store.path), "--source", str(tmp_path / "nowhere")]) == 0
    report = store.path / "report.html"
    for view in ("#findings", "#run", "#interviews", "#quotes?section=concerns"):
        page.set_viewport_size(NARROW)
        open_view(page, report, view)
        assert page.evaluate("document.documentElement.scrollWidth - innerWidth") <= 0, view
    shown = page.locator("#quote-list blockquote").all_text_contents()
    expected = {**HOSTILE, "turned": "good �dab� �isolated�"}
    assert sorted(shown) == sorted(expected.values())
    for link in page.locator("#quote-list .from a").all():
        assert (link.get_attribute("href") or "").startswith("#interview/")
    page.locator("#quote-list .from a").filter(has_text="<img").click()
    expect(page.locator("#interview-title")).to_have_text(HOSTILE["image"])
    assert page.locator("#transcript mark").first.evaluate("mark => mark.firstChild.data") == HOSTILE["image"]
    assert page.evaluate("window.hit") is None
    assert page.locator("img, iframe").count() == 0


def test_a_redacted_report_has_bars_but_no_quotes(
    page: Page, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    runs = ["--runs", str(tmp_path)]
    assert main(["run", str(AUTHORED), "--engine", "rules", *runs]) == 0
    assert main(["report", "last", *runs, "--redact", "--min-cell", "5"]) == 0
    report = Path(capsys.readouterr().out.split("Report: ")[1].split(" (")[0])
    open_view(page, report)
    expect(page.locator("#section-concerns svg").first).to_be_visible()
    assert page.locator("svg a").count() == 0
    expect(page.get_by_role("navigation", name="Views").get_by_role("link")).to_have_text(["Findings", "Run"])
    expect(page.locator("#section-concerns")).to_contain_text("under 5")
