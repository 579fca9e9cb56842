import json
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evals.golden_file import (
    extraction_to_draft,
    find_golden_path,
    load_existing,
    pack_golden,
    parse_golden,
    read_coding,
    render_golden,
    to_draft,
    write_golden,
)
from evals.goldens import find_golden_paths, load_goldens
from evals.matching import to_coding
from evals.tests.samples import make_coding, make_item, make_long_transcript
from extract.errors import GoldenError
from extract.grounding import ground_draft
from extract.tests.samples import ANSWER, make_transcript
from schemas.codebook import Section, load_codebook
from schemas.draft import DraftFormat
from schemas.golden import Coding, GoldenItem

CODEBOOK = load_codebook()
FORMAT = DraftFormat(CODEBOOK)
LONG = make_long_transcript()
SPANS = [(s.start, s.end) for s in LONG.evidence.values()]
EVIDENCE = st.lists(st.sampled_from(SPANS), min_size=1, max_size=4, unique=True)
SUMMARY = st.text(st.characters(codec="utf-8"), min_size=1, max_size=30).map(lambda s: " ".join(s.split())).filter(bool)


def pick(section: Section, attribute: str | None) -> st.SearchStrategy[list[GoldenItem]]:
    part = CODEBOOK.find_section(section)
    codes = st.sampled_from([code.id for code in part.codes])
    values = [v.id for v in part.find_attribute(attribute).values] if attribute else [None]
    item = st.builds(
        lambda code, value, spans, summary: make_item(
            code, *spans, summary=summary, **({attribute: value} if attribute else {})
        ),
        codes, st.sampled_from(values), EVIDENCE, SUMMARY,
    )  # fmt: skip
    return st.lists(item, max_size=4, unique_by=lambda i: i.code)


CODINGS = st.builds(
    make_coding,
    tasks=pick("tasks", "disposition"),
    concerns=pick("concerns", "timing"),
    future_wishes=pick("future_wishes", "kind"),
    workplace_culture=pick("workplace_culture", None),
    mode=st.just("unclear"),
)


def edit(coding: Coding | None, transcript: object = LONG, **changes: str) -> str:
    draft = to_draft(coding, LONG) if coding else None
    values = {"source": "talks.csv", "dataset": "", "annotator": "me", "provenance": "By me.", **changes}
    return render_golden(LONG, CODEBOOK, draft, **values)


@given(CODINGS)
def test_a_coding_comes_back_from_the_edited_file_as_it_was(coding: Coding) -> None:
    data = parse_golden(edit(coding), "f.toml")
    back = read_coding(data, LONG, FORMAT, "f.toml")
    shown = [(s, i.code, i.evidence) for s, p in back.sections.items() for i in p.items]
    assert shown == [(s, i.code, i.evidence) for s, p in coding.sections.items() for i in p.items]
    assert to_draft(back, LONG) == to_draft(parse_again(back), LONG)


def parse_again(coding: Coding) -> Coding:
    return read_coding(parse_golden(edit(coding), "f.toml"), LONG, FORMAT, "f.toml")


@given(st.text(max_size=60), st.text(max_size=40))
def test_whatever_people_say_the_file_can_be_read(words: str, provenance: str) -> None:
    transcript = make_transcript("odd", "User: " + "Well. " + words.replace(":", ""))
    text = render_golden(transcript, CODEBOOK, None, source="s", dataset="", annotator="", provenance=provenance)
    assert parse_golden(text, "f.toml")["transcript_id"] == "odd"


@given(CODINGS)
def test_what_is_stored_comes_back_the_same(coding: Coding) -> None:
    golden = pack_golden(parse_golden(edit(coding), "f"), coding, LONG, CODEBOOK, None)
    assert type(golden).model_validate_json(golden.model_dump_json(exclude_none=True)) == golden


def test_every_shipped_golden_comes_back_from_an_edited_file() -> None:
    goldens = load_goldens(find_golden_paths(["authored"]))
    for golden in goldens.goldens:
        transcript = goldens.transcripts[golden.transcript_id]
        draft = to_draft(golden.adjudicated, transcript)
        text = render_golden(transcript, CODEBOOK, draft, source="s", dataset="authored", annotator="x", provenance="y")
        assert read_coding(parse_golden(text, "f"), transcript, FORMAT, "f") == golden.adjudicated


def test_a_run_prefills_the_file() -> None:
    baker = make_transcript()
    extraction = ground_draft(FORMAT.parse(json.dumps(ANSWER), baker), baker)
    draft = extraction_to_draft(extraction)
    text = render_golden(baker, CODEBOOK, draft, source="s", dataset="", annotator="me", provenance="")
    assert read_coding(parse_golden(text, "f"), baker, FORMAT, "f") == to_coding(extraction)


def test_a_second_coding_joins_the_first_and_the_adjudicated_one_replaces_it(tmp_path: Path) -> None:
    first, second = make_coding(), make_coding(tasks=[make_item("write_draft", SPANS[0], disposition="shared")])
    path = find_golden_path(tmp_path, LONG.id)
    write_golden(path, pack_golden(parse_golden(edit(first), "f"), first, LONG, CODEBOOK, None))
    other = parse_golden(edit(second, annotator="you"), "f")
    write_golden(path, pack_golden(other, second, LONG, CODEBOOK, load_existing(path)))
    stored = load_existing(path)
    assert stored is not None
    assert (list(stored.codings), stored.adjudicated) == (["me", "you"], first)
    settled = parse_golden(edit(second, annotator="adjudicated"), "f")
    assert pack_golden(settled, second, LONG, CODEBOOK, stored).adjudicated == second


def test_no_words_of_the_interview_are_stored(tmp_path: Path) -> None:
    coding = make_coding(tasks=[make_item("write_draft", SPANS[0], disposition="shared")])
    golden = pack_golden(parse_golden(edit(coding), "f"), coding, LONG, CODEBOOK, None)
    assert "sentence number" not in golden.model_dump_json()


@pytest.mark.parametrize(
    ("before", "after", "says"),
    [
        ('status = "not_asked"', "status = not_asked", "not valid TOML"),
        ('annotator = "me"', "", "annotator is missing"),
        ("[concerns]\nstatus", "[worries]\nstatus", "worries"),
    ],
)
def test_an_edited_file_that_cannot_be_read_says_where(before: str, after: str, says: str) -> None:
    with pytest.raises(GoldenError, match=r"^my\.toml: ") as error:
        read_coding(parse_golden(edit(None).replace(before, after, 1), "my.toml"), LONG, FORMAT, "my.toml")
    assert says in str(error.value)


def test_every_mistake_in_a_coding_is_named() -> None:
    text = edit(make_coding(tasks=[make_item("write_draft", SPANS[0], disposition="shared")]))
    text = text.replace('["U1.1"]', '["U9.9", "I1"]')
    with pytest.raises(GoldenError) as error:
        read_coding(parse_golden(text, "my.toml"), LONG, FORMAT, "my.toml")
    lines = str(error.value).splitlines()
    assert len(lines) == 2
    assert "there is no sentence 'U9.9'" in lines[0]
    assert "'I1' is the interviewer's" in lines[1]


@pytest.mark.parametrize("name", ["../up", "a/b", "", ".hidden", "x" * 200, "a b"])
def test_an_id_that_is_no_safe_name_never_names_a_file(name: str) -> None:
    with pytest.raises(GoldenError, match="cannot name a file"):
        find_golden_path(Path("goldens"), name)


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"annotator": " "}, "annotator is empty"),
        ({"provenance": " "}, "provenance is ''. Say who"),
        ({"provenance": "Coded by ..."}, "provenance is 'Coded by ...'. Say who"),
    ],
)
def test_packing_needs_an_annotator_and_a_provenance(changes: dict[str, str], says: str) -> None:
    with pytest.raises(GoldenError, match=re.escape(says)):
        pack_golden(parse_golden(edit(None, **changes), "f"), make_coding(), LONG, CODEBOOK, None)


def test_a_file_of_another_codebook_is_not_packed() -> None:
    data = parse_golden(edit(None), "f") | {"codebook_version": "0"}
    with pytest.raises(GoldenError, match="codebook_version is '0', and the codebook's is '1'"):
        pack_golden(data, make_coding(), LONG, CODEBOOK, None)
