"""The suite's last words."""

import re
from pathlib import Path

import pytest

from evals.goldens import GOLDENS
from evals.scoring import score_records
from evals.suite import Suite, SuiteOptions
from evals.summary import find_worst, render_markdown, summarise
from evals.tests.samples import make_coding, make_golden, make_item, make_record


@pytest.fixture
def suite(tmp_path: Path) -> Suite:
    """The rules on the authored interviews."""
    return Suite(SuiteOptions(runs=tmp_path, sets=("authored",), goldens=GOLDENS))


def test_the_page_holds_the_report_of_the_judge_and_nothing_in_it_is_markup(suite: Suite) -> None:
    page = render_markdown(suite, judged="Judge m\n\n  not: <script>x</script>\n</pre> | a & b")
    assert "## Judge" in page
    assert "<pre>Judge m\n\n  not: &lt;script&gt;x&lt;/script&gt;\n&lt;/pre&gt; | a &amp; b</pre>" in page
    assert "## Judge" not in render_markdown(suite)


def test_no_quote_is_longer_than_the_terminal_has_room_for(suite: Suite) -> None:
    wide, narrow = (summarise(suite, width) for width in (180, 140))
    rows = [line for line in narrow if "“" in line]
    assert rows
    assert max(map(len, rows)) <= 140
    assert max(len(line) for line in wide if "“" in line) > 140
    assert all(line.endswith("”") for line in rows)


def test_another_process_says_what_was_asked(suite: Suite) -> None:
    assert "7 asked" in "\n".join(summarise(suite, asked=["7 asked"]))
    assert re.search(r"^12 asked, 0 held already", "\n".join(summarise(suite)), re.MULTILINE)


def test_an_interview_where_nothing_differs_is_not_among_the_worst() -> None:
    coding = make_coding(concerns=[make_item("unreliability", (0, 9), timing="lived")])
    goldens = [make_golden(name, coding) for name in ("ada", "ben")]
    score = score_records([make_record("ada", coding), make_record("ben", make_coding())], goldens)
    assert [found.transcript_id for found in find_worst(score)] == ["ben"]
