"""The comparison as a page: what is in the file, what is not, and that hostile text stays text."""

import re
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from evals.cli import main
from evals.tests.report_samples import agree, cite, differ, find_span, make_interview, store_golden, store_run
from evals.tests.samples import make_coding, make_item
from extract.tests.browser import HOSTILE
from extract.tests.report_samples import Blocks, read_blocks
from schemas.codebook import SECTIONS
from schemas.golden import Coding

NAMES = ("ada", "ben", "cleo")


@pytest.fixture
def goldens(tmp_path: Path) -> Path:
    """Three goldens with their texts; annotator B misses what `differ` misses."""
    for name in NAMES:
        store_golden(tmp_path / "goldens", name, agree(name), A=agree(name), B=differ(name))
    return tmp_path / "goldens"


def write(
    goldens: Path, *codings: Mapping[str, Coding | None], options: tuple[str, ...] = (), **changes: Any
) -> Blocks:
    runs = goldens.parent / "runs"
    paths = [str(store_run(runs, coded, **changes).path) for coded in codings]
    out = goldens.parent / "page.html"
    assert main(["report", *paths, "--goldens", str(goldens), "--out", str(out), *options]) == 0
    return read_blocks(out)


def list_rows(interview: dict[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    """The rows of coded items, without those of status, mode and leader."""
    return [(s, row) for s in SECTIONS for row in interview["sections"][s] if row["key"].isdigit()]


def count_cells(interview: dict[str, Any], column: int) -> Counter[tuple[str, str]]:
    return Counter(
        (section, row["cells"][column]["code"]) for section, row in list_rows(interview) if row["cells"][column]
    )


def count_codes(coding: Coding) -> Counter[tuple[str, str]]:
    return Counter((section, item.code) for section, part in coding.sections.items() for item in part.items)


def test_every_item_of_golden_a_and_b_stands_in_the_file_once(goldens: Path) -> None:
    page = write(goldens, {name: agree(name) for name in NAMES}, {name: differ(name) for name in NAMES})
    assert [one["id"] for one in page.data["interviews"]] == list(NAMES)
    for one in page.data["interviews"]:
        for column, coding in enumerate((agree(one["id"]), agree(one["id"]), differ(one["id"]))):
            assert count_cells(one, column) == count_codes(coding)


def test_kinds_are_those_of_the_matcher(goldens: Path) -> None:
    page = write(goldens, {name: agree(name) for name in NAMES}, {name: differ(name) for name in NAMES})
    kinds = [(section, *row["kinds"], row["change"]) for section, row in list_rows(page.data["interviews"][0])]
    assert kinds == [
        ("tasks", "agreed", "other_code", "lost"),
        ("concerns", "agreed", "attribute", "differs"),
        ("concerns", "absent", "extra", "extra_b"),
        ("future_wishes", "agreed", "missed", "lost"),
    ]
    judged = {row["key"]: row for row in page.data["interviews"][0]["sections"]["collaboration_style"]}
    assert judged["mode"]["kinds"] == ["agreed", "other_value"]
    assert judged["mode"]["change"] == "lost"
    assert judged["leader"]["kinds"] == ["agreed", "agreed"]


def test_spans_of_the_page_point_at_the_quotes_past_other_signs(goldens: Path) -> None:
    page = write(goldens, {name: agree(name) for name in NAMES})
    one = page.data["interviews"][0]
    units = page.data["texts"][0].encode("utf-16-le")
    text = make_interview("ada")
    wishes = one["sections"]["future_wishes"]
    start, end = wishes[-1]["cells"][1]["spans"]
    first, last = find_span(text, "U3.2")
    assert units[2 * start : 2 * end].decode("utf-16-le") == text.text[first:last]


def test_scores_of_the_page_are_those_of_the_comparison(goldens: Path, capsys: pytest.CaptureFixture[str]) -> None:
    runs = []
    for coded in ({name: agree(name) for name in NAMES}, {name: differ(name) for name in NAMES}):
        runs.append(str(store_run(goldens.parent / "runs", coded).path))
    out = goldens.parent / "page.html"
    assert main(["report", *runs, "--goldens", str(goldens), "--out", str(out)]) == 0
    page = read_blocks(out)
    assert main(["compare", *runs, "--goldens", str(goldens)]) == 1
    shown = capsys.readouterr().out
    row = page.data["data"]["scores"]["grounded"][0]
    means = [f"{side['mean']:.3f}".replace("0.", ".") for side in row["sides"]]
    assert re.search(
        rf"^all +1\.00 +{re.escape(means[1])} +{row['difference']['interval']['mean']:+.3f}", shown, re.MULTILINE
    )
    assert row["difference"]["verdict"] in shown


def test_one_run_has_two_columns_and_no_verdict(goldens: Path) -> None:
    page = write(goldens, {name: differ(name) for name in NAMES})
    assert all(len(row["cells"]) == 2 for one in page.data["interviews"] for _, row in list_rows(one))
    assert page.data["data"]["scores"]["grounded"][0]["difference"] is None


def test_a_failure_and_an_interview_that_one_run_lacks_are_told(goldens: Path) -> None:
    first: dict[str, Coding | None] = {name: agree(name) for name in NAMES}
    page = write(goldens, first, {"ada": None, "ben": agree("ben")})
    ada, ben, cleo = page.data["interviews"]
    assert ada["failures"] == [None, "refusal: The model refused to answer."]
    assert {row["kinds"][1] for _, row in list_rows(ada)} == {"missed"}
    assert ben["absent"] == [False, False]
    assert cleo["absent"] == [False, True]
    assert {row["kinds"][1] for _, row in list_rows(cleo)} == {None}
    html = (goldens.parent / "page.html").read_text(encoding="utf-8")
    assert "1 record failed. A failure counts as 0." in html
    assert "also has 1 interview that the other has not" in html


def test_runs_that_share_one_interview_stand_side_by_side_without_a_difference(goldens: Path) -> None:
    page = write(goldens, {"ada": agree("ada")}, {"ada": differ("ada")})
    assert page.data["data"]["scores"]["grounded"][0]["difference"] is None
    assert page.data["interviews"][0]["scores"]["all"][0] == 1.0


def test_repeats_are_averaged_and_the_first_is_shown(goldens: Path) -> None:
    page = write(goldens, {name: agree(name) for name in NAMES}, repeats=2)
    assert [one["scores"]["all"] for one in page.data["interviews"]] == [[1.0]] * 3
    assert "the rows show the first of each interview" in (goldens.parent / "page.html").read_text(encoding="utf-8")


def test_goldens_without_texts_show_places_and_say_why(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("VERBATIM_DATA", raising=False)
    for name in NAMES:
        store_golden(tmp_path / "goldens", name, agree(name), with_text=False)
    page = write(tmp_path / "goldens", {name: agree(name) for name in NAMES})
    one = page.data["interviews"][0]
    assert (one["whole"], one["turns"], page.data["texts"]) == (False, [], ["", "", ""])
    assert tuple(one["sections"]["tasks"][-1]["cells"][0]["spans"]) == find_span(make_interview("ada"), "U1.2")
    html = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert "The texts of 3 of 3 interviews are not here" in html
    assert "their text, nowhere/at-all, is not here" in html


def test_a_redacted_page_holds_no_words_and_no_names(goldens: Path) -> None:
    codings: tuple[Mapping[str, Coding | None], ...]
    codings = ({name: agree(name) for name in NAMES}, {"ada": None, "ben": differ("ben"), "cleo": differ("cleo")})
    page = write(goldens, *codings, options=("--redact",))
    assert [one["id"] for one in page.data["interviews"]] == ["interview 1", "interview 2", "interview 3"]
    assert count_cells(page.data["interviews"][1], 2) == count_codes(differ("ben"))
    html = (goldens.parent / "page.html").read_text(encoding="utf-8")
    for words in ("bakery", "newsletter", "about write_draft", "cleo", "Invented for a test", "refused to answer"):
        assert words not in html
    assert write(goldens, *codings).data["interviews"][0]["id"] == "ada"  # the same page names them otherwise


def test_hostile_words_stay_words(tmp_path: Path) -> None:
    codes = {
        name: make_coding(concerns=[make_item(words[:60], (40, 60), summary=words, timing=words[:60])])
        for name, words in HOSTILE.items()
    }
    for name in codes:
        store_golden(tmp_path / "goldens", name, agree(name))
    page = write(tmp_path / "goldens", codes, codes, model=HOSTILE["ends"])
    html = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert html.count("<script") == 5
    assert not [tag for tag, _ in page.elements if tag in ("img", "iframe", "textarea")]
    shown = [
        row["cells"][1]["summary"] for one in page.data["interviews"] for _, row in list_rows(one) if row["cells"][1]
    ]
    assert sorted(shown) == sorted({**HOSTILE, "turned": "good �dab� �isolated�"}.values())
    links = [attrs["href"] or "" for tag, attrs in page.elements if tag == "a" and "href" in attrs]
    assert links
    assert all(link.startswith("#") for link in links)


def test_the_page_loads_nothing_and_lies_in_the_folder_of_the_last_run(
    goldens: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    runs = goldens.parent / "runs"
    first, last = (store_run(runs, {name: agree(name) for name in NAMES}).path for _ in range(2))
    assert main(["report", str(first), str(last), "--goldens", str(goldens)]) == 0
    assert f"Report: {last / 'comparison.html'} (" in capsys.readouterr().out
    assert not (first / "comparison.html").exists()
    page = read_blocks(last / "comparison.html")
    assert not [attrs for _, attrs in page.elements if {"src", "srcset", "action"} & set(attrs)]
    policy = next(attrs["content"] for _, attrs in page.elements if attrs.get("http-equiv"))
    assert (policy or "").startswith("default-src 'none'; script-src 'sha256-")


def test_a_page_that_cannot_be_written_names_the_way_out(goldens: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = store_run(goldens.parent / "runs", {name: agree(name) for name in NAMES}).path
    out = goldens.parent / "no" / "page.html"
    assert main(["report", str(run), "--goldens", str(goldens), "--out", str(out)]) == 1
    assert "Choose another file with --out." in capsys.readouterr().err


def test_runs_of_different_codebooks_are_not_compared(goldens: Path, capsys: pytest.CaptureFixture[str]) -> None:
    runs = goldens.parent / "runs"
    first = store_run(runs, {name: agree(name) for name in NAMES})
    other = store_run(runs, {name: agree(name) for name in NAMES}, codebook_sha256="f" * 64)
    assert main(["report", str(first.path), str(other.path), "--goldens", str(goldens)]) == 1
    assert "different codebooks" in capsys.readouterr().err


# ---------------------------------------------------------------- annotators


def test_two_annotators_stand_beside_the_adjudicated_coding(goldens: Path) -> None:
    out = goldens.parent / "annotators.html"
    assert main(["golden", "report", "--goldens", str(goldens), "--runs", str(goldens.parent), "--id", "ben"]) == 0
    page = read_blocks(out)
    (one,) = page.data["interviews"]
    assert one["id"] == "ben"
    assert page.data["data"]["settled"] == "Adjudicated"
    assert count_cells(one, 2) == count_codes(differ("ben"))
    assert page.data["data"]["scores"]["grounded"][0]["ceiling"]["n"] == 1


def test_all_goldens_that_both_annotators_coded_are_reported(goldens: Path) -> None:
    store_golden(goldens, "dora", agree("dora"), A=agree("dora"))
    assert main(["golden", "report", "B", "A", "--goldens", str(goldens), "--runs", str(goldens.parent)]) == 0
    page = read_blocks(goldens.parent / "annotators.html")
    assert [one["id"] for one in page.data["interviews"]] == list(NAMES)
    assert [side["name"] for side in page.data["data"]["sides"]] == ["Annotator B", "Annotator A"]


def test_unknown_annotators_are_named(goldens: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["golden", "report", "A", "Z", "--goldens", str(goldens), "--runs", str(goldens.parent)]) == 1
    assert "No golden was coded by both 'A' and 'Z'. Annotators there: A, B." in capsys.readouterr().err


def test_a_code_that_the_codebook_lacks_is_named_on_the_page(goldens: Path) -> None:
    coded = {name: make_coding(concerns=[cite(name, "made_up", "U2.1", timing="lived")]) for name in NAMES}
    page = write(goldens, coded)
    concerns = next(section for section in page.data["data"]["sections"] if section["id"] == "concerns")
    assert {"id": "made_up", "label": "Made up", "definition": ""} in concerns["codes"]
