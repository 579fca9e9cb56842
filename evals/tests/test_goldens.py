import json
import os
from pathlib import Path
from typing import Any

import pytest

from evals.goldens import GOLDENS, check_golden, find_golden_paths, load_goldens
from evals.scoring import score_ceiling
from evals.uncertainty import find_mean_interval
from extract.errors import GoldenError
from schemas.codebook import load_codebook

AUTHORED = find_golden_paths(["authored"])
FIRST = AUTHORED[0]


def spoil(tmp_path: Path, change: Any) -> Path:
    """A copy of an authored golden with something changed, its transcripts beside it."""
    folder = tmp_path / "authored"
    folder.mkdir()
    (folder / "transcripts").symlink_to((GOLDENS / "authored" / "transcripts").resolve())
    data = json.loads(FIRST.read_text())
    change(data)
    path = folder / FIRST.name
    path.write_text(json.dumps(data))
    return path


def find_problems(path: Path) -> list[str]:
    found = load_goldens([path])
    problems = list(found.stale.values())
    for name, file in found.files.items():
        problems += check_golden(file, found.transcripts.get(name), load_codebook())
    return problems


def test_all_goldens_that_ship_are_sound(monkeypatch: pytest.MonkeyPatch) -> None:
    if not os.environ.get("VERBATIM_DATA"):
        print("VERBATIM_DATA is not set: spans of the real interviews are checked against their length only")
    goldens = load_goldens(find_golden_paths())
    assert len(goldens.files) == 52
    assert not goldens.stale
    codebook = load_codebook()
    problems = [check_golden(file, goldens.transcripts.get(name), codebook) for name, file in goldens.files.items()]
    assert not any(problems)


def test_the_ceiling_is_the_published_agreement_of_the_two_annotators() -> None:
    # the values that the README of the goldens gives
    goldens = load_goldens(find_golden_paths(["anthropic_interviewer"]))
    ceiling = score_ceiling(file.golden for file in goldens.files.values())
    assert round(ceiling.sum_counts().find_f1(), 2) == 0.94
    per_section = [round(ceiling.sum_counts(s).find_f1(), 2) for s in ("tasks", "collaboration_style", "concerns")]
    assert per_section == [0.94, 0.93, 0.96]
    assert round(find_mean_interval(list(ceiling.find_values().values())).mean, 3) == 0.939
    modes = ceiling.collect_judgements("mode")
    assert sum(a == b for a, b in modes) / len(modes) == 0.9


def change_task(**values: Any) -> Any:
    return lambda golden: golden["adjudicated"]["tasks"]["items"][0].update(values)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda g: g.update(text_sha256="0" * 64), "text has changed since it was coded. Code it again."),
        (change_task(code="weaving"), "tasks.items.0: the codebook has no code 'weaving'"),
        (change_task(disposition="sold"), "tasks.items.0: disposition is 'sold'"),
        (change_task(evidence=[[0, 30]]), "tasks.items.0: the span [0, 30] is not in the interviewee's words"),
        (change_task(evidence=[[15, 30]]), "tasks.items.0: the span [15, 30] is not in the interviewee's words"),
        (lambda g: change_task(evidence=[[9, g["text_chars"] + 1]])(g), "is not in the text of"),
        (change_task(evidence=[[9000, 9999]]), "the span [9000, 9999] is not in the text of"),
        (change_task(evidence=[]), "adjudicated, tasks.items.0: there is no evidence"),
        (lambda g: g["adjudicated"]["tasks"].update(items=[]), "tasks: status is 'discussed' with 0 items"),
        (lambda g: g["adjudicated"]["collaboration_style"].update(mode="sleepy"), "style.mode is 'sleepy'"),
        (lambda g: g.update(codebook_version="0"), "coded with codebook '0', not '1'"),
        (lambda g: g.update(transcript_id="someone"), "not the file's name"),
        (lambda g: g.pop("provenance"), "provenance: Field required"),
    ],
)
def test_a_stale_golden_is_one_sentence_that_names_file_and_item(tmp_path: Path, change: Any, says: str) -> None:
    path = spoil(tmp_path, change)
    problems = find_problems(path)
    assert len(problems) == 1
    assert problems[0].startswith(str(path))
    assert says in problems[0]


def test_a_golden_whose_text_has_changed_is_not_scored(tmp_path: Path) -> None:
    assert load_goldens([spoil(tmp_path, lambda g: g.update(text_sha256="0" * 64))]).goldens == []


def test_one_transcript_in_two_sets_is_said(tmp_path: Path) -> None:
    path = spoil(tmp_path, lambda g: None)
    assert "'authored' has" in load_goldens([FIRST, path]).stale[FIRST.stem]


@pytest.mark.parametrize(
    ("data", "says"), [(None, "Set VERBATIM_DATA"), ("/nowhere", "VERBATIM_DATA='/nowhere' does not hold")]
)
def test_texts_that_cannot_be_had_are_counted_with_the_way_out(
    monkeypatch: pytest.MonkeyPatch, data: str | None, says: str
) -> None:
    monkeypatch.delenv("VERBATIM_DATA", raising=False)
    if data:
        monkeypatch.setenv("VERBATIM_DATA", data)
    goldens = load_goldens(find_golden_paths())
    assert len(goldens.transcripts) == 12
    (sentence,) = goldens.explain_missing()
    assert sentence.startswith("40 of 52 goldens are left out: ")
    assert says in sentence
    assert "--texts" in sentence


def test_texts_are_found_in_a_folder_that_a_user_names(tmp_path: Path) -> None:
    path = spoil(tmp_path, lambda g: g.update(dataset="somewhere/else"))
    (path.parent / "transcripts").unlink()
    assert load_goldens([path]).transcripts == {}
    assert list(load_goldens([path], str(GOLDENS / "authored" / "transcripts")).transcripts) == [FIRST.stem]


def test_an_unknown_set_names_the_known_ones() -> None:
    with pytest.raises(GoldenError, match=r"No golden set 'mine' in .*: anthropic_interviewer, authored\."):
        find_golden_paths(["mine"])
