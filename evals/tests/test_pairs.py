import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from evals.pairs import PAIRS, load_pairs
from extract.errors import GoldenError
from schemas.codebook import load_codebook

CODEBOOK = load_codebook()


def write_pairs(tmp_path: Path, change: Any) -> Path:
    """The shipped file with one thing changed."""
    data = json.loads(PAIRS.read_text(encoding="utf-8"))
    change(data)
    path = tmp_path / "pairs.json"
    path.write_text(json.dumps(data), encoding="utf-8")
    return path


def test_the_pairs_that_ship_are_sound_and_about_a_third_of_each_label() -> None:
    pairs = load_pairs(CODEBOOK).pairs
    counts = Counter(paired.label for paired in pairs)
    assert len(pairs) >= 80
    assert all(0.28 <= count / len(pairs) <= 0.4 for count in counts.values())
    assert len({paired.question.transcript_id for paired in pairs}) == 12
    assert len({paired.question.section for paired in pairs}) == 5


def test_every_pair_says_why_and_no_two_ask_the_same() -> None:
    pairs = load_pairs(CODEBOOK).pairs
    assert all(paired.pair.reason.endswith(".") for paired in pairs)
    assert len({paired.question for paired in pairs}) == len(pairs)


def test_every_section_has_every_label() -> None:
    """So that neither a section nor the label alone gives the other away."""
    cells = Counter((paired.question.section, paired.label) for paired in load_pairs(CODEBOOK).pairs)
    assert len(cells) == 15


def test_the_words_of_a_pair_are_whole_sentences_of_the_interviewee() -> None:
    pair = next(p for p in load_pairs(CODEBOOK).pairs if p.pair.id == "work_01_04")
    assert pair.question.evidence == ("not worried about my job.",)
    assert pair.label == "not"


def test_the_file_says_that_no_person_has_checked_the_labels() -> None:
    assert "language model" in load_pairs(CODEBOOK).provenance
    assert "not checked by a human yet" in load_pairs(CODEBOOK).provenance


def test_labels_say_nothing_about_another_codebook() -> None:
    assert load_pairs(CODEBOOK.model_copy(update={"version": "mine"})).pairs == ()


def set_first(**changes: Any) -> Any:
    return lambda data: data["pairs"][0].update(changes)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (set_first(code="no_such_code"), r"pair 'creative_01_01': tasks has no code 'no_such_code'"),
        (set_first(attribute="lived"), "'lived' is no disposition of tasks"),
        (set_first(attribute=None), "None is no disposition of tasks"),
        (set_first(evidence=[[0, 20]]), r"\[0, 20\) is not the interviewee's"),
        (set_first(evidence=[[940, 99_999]]), r"\[940, 99999\) is not the interviewee's"),
        (set_first(evidence=[[941, 941]]), r"\[941, 941\) is not the interviewee's"),
        (set_first(evidence=[]), "no evidence"),
        (set_first(id="creative_01_02"), "'creative_01_02': the id stands there twice"),
        (set_first(transcript_id="authored_work_99"), "no hash for 'authored_work_99'"),
        (set_first(label="perhaps"), "pairs.0.label: Input should be 'supported', 'partly' or 'not'"),
        (lambda data: data["transcripts"].update(authored_work_01="0" * 64), "'authored_work_01' has changed"),
    ],
)
def test_a_bad_pair_is_one_sentence_that_names_it(tmp_path: Path, change: Any, says: str) -> None:
    with pytest.raises(GoldenError, match=says) as caught:
        load_pairs(CODEBOOK, write_pairs(tmp_path, change))
    assert "\n" not in str(caught.value)


def test_a_transcript_that_is_gone_is_named(tmp_path: Path) -> None:
    (tmp_path / "authored_work_01.txt").write_text("Assistant: Hi\n\nUser: no")
    with pytest.raises(GoldenError, match="authored_creative_01"):
        load_pairs(CODEBOOK, transcripts=tmp_path)


def test_a_file_that_is_not_there_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(GoldenError, match="Restore the file"):
        load_pairs(CODEBOOK, tmp_path / "none.json")
