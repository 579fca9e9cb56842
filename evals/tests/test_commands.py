"""`python -m evals` as people type it."""

import json
import re
from pathlib import Path

import pytest

from evals.baseline import load_baseline, open_accepted
from evals.cli import main
from extract.cli import main as extract
from extract.tests.samples import AUTHORED


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of the rules over the authored interviews."""
    runs = tmp_path_factory.mktemp("runs")
    assert extract(["run", str(AUTHORED), "--engine", "rules", "--runs", str(runs)]) == 0
    (path,) = (found.parent for found in runs.glob("*/manifest.json"))
    return path


def test_score_prints_sections_with_the_ceiling_and_what_is_missing(
    run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["score", str(run), "--codes"]) == 0
    shown = capsys.readouterr().out
    assert "12 interviews scored, 0 records failed." in shown
    assert "40 goldens are not in this run" in shown
    assert re.search(r"^all +\.\d{3} +\[\.\d{3}, \.\d{3}\]", shown, re.MULTILINE)
    assert re.search(r"^concerns +unreliability +\.\d{3}", shown, re.MULTILINE)
    assert "Same evidence, other code:" in shown


def test_a_run_compared_with_itself_is_no_worse(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["compare", str(run), str(run), "--set", "authored"]) == 0
    shown = capsys.readouterr().out
    assert re.search(r"^all .*\+0\.000 .*no worse$", shown, re.MULTILINE)
    assert "Fewer than 15 interviews show a direction only" in shown
    assert re.search(r"^rules v1 20\S+ +12 +0 ", shown, re.MULTILINE)


def test_a_worse_run_has_status_1_and_its_lost_items_are_quoted(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    worse = tmp_path / "worse"
    worse.mkdir()
    (worse / "manifest.json").write_text((run / "manifest.json").read_text())
    records = [json.loads(line) for line in (run / "records.jsonl").read_text().splitlines()]
    for record in records:
        record["extraction"]["tasks"] = {"status": "not_asked", "items": []}
    lines = map(json.dumps, records)
    (worse / "records.jsonl").write_text("\n".join(lines) + "\n")
    assert main(["compare", str(run), str(worse), "--set", "authored"]) == 1
    shown = capsys.readouterr().out
    assert re.search(r"^tasks .* worse$", shown, re.MULTILINE)
    assert "lost (" in shown
    assert "Moved most:" in shown
    assert "“" in shown


def test_the_accepted_run_scores_what_the_file_says(capsys: pytest.CaptureFixture[str]) -> None:
    accepted = load_baseline().accepted["rules"]
    assert main(["score", str(open_accepted(accepted).path)]) == 0
    assert f"{accepted.f1['all']:.3f}".lstrip("0") in capsys.readouterr().out


def test_bless_refuses_without_a_reason_and_when_goldens_are_missing(
    run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["bless", str(run)]) == 1
    assert "A baseline needs a reason" in capsys.readouterr().err
    assert main(["bless", str(run), "--why", "it is mine"]) == 1
    assert "40 goldens are not in this run" in capsys.readouterr().err


def test_bless_refuses_to_forget_interviews_of_the_accepted_run(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = load_baseline()
    assert main(["bless", str(run), "--why", "only mine", "--set", "authored"]) == 1
    assert "covers 40 interviews that would be lost, 'creativity_0006' for one" in capsys.readouterr().err
    assert load_baseline() == before


@pytest.mark.parametrize("wrong", [("--margin", "-1"), ("--margin", "2"), ("--changes", "-1")])
def test_a_number_outside_its_limits_is_a_usage_error(wrong: tuple[str, str], run: Path) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(["compare", str(run), str(run), *wrong])
    assert stopped.value.code == 2


def test_a_golden_is_made_checked_packed_shown_and_compared(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    file, goldens = tmp_path / "mine.toml", tmp_path / "goldens"
    goldens.mkdir()
    source, name = str(AUTHORED.resolve()), "authored_work_02"
    places = ["--goldens", str(goldens)]
    assert (
        main(["golden", "new", source, name, "--from", str(run), "--annotator", "me", "--out", str(file), *places]) == 0
    )
    assert "[U2.3] Then there's exit interviews" in file.read_text()
    assert main(["golden", "new", source, name, "--out", str(file), *places]) == 1
    assert "exists. Name another file with --out" in capsys.readouterr().err
    assert main(["golden", "check", str(file), *places]) == 1
    assert "then coded by ...'. Say who coded the interview" in capsys.readouterr().out
    file.write_text(file.read_text().replace("then coded by ...", "then coded by me."))
    assert main(["golden", "check", str(file), *places]) == 0
    assert main(["golden", "pack", str(file), *places]) == 0
    for name_of_set in ("../elsewhere", "judge"):
        assert main(["golden", "pack", str(file), *places, "--into", name_of_set]) == 1
        assert f"{name_of_set!r} cannot name a" in capsys.readouterr().err
    edited = file.read_text().replace('annotator = "me"', 'annotator = "you"')
    file.write_text(edited.replace('"U2.3"', '"U99.1"'))
    assert main(["golden", "check", str(file), *places]) == 1
    assert "there is no sentence 'U99.1'" in capsys.readouterr().out
    file.write_text(edited)
    assert main(["golden", "pack", str(file), *places]) == 0
    capsys.readouterr()
    assert main(["golden", "show", name, *places, "--texts", source]) == 0
    assert "“Then there's exit interviews" in capsys.readouterr().out
    assert main(["golden", "agree", "me", "you", *places]) == 0
    shown = capsys.readouterr().out
    assert re.search(r"^all +1\.00", shown, re.MULTILINE)
    assert main(["golden", "agree", "me", "nobody", *places]) == 1
    assert "No golden was coded by both 'me' and 'nobody'. Annotators there: me, you." in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "status", "says"),
    [
        (["score", "nowhere"], 1, "No run 'nowhere'"),
        (["compare", "one"], 1, "Name two runs or more"),
        (["golden", "show", "nobody"], 1, "No golden 'nobody'"),
        (["golden", "new", "goldens/authored/transcripts", "nobody"], 1, "No transcript 'nobody'"),
        (["golden", "pack", "nowhere.toml"], 1, "Cannot read 'nowhere.toml'"),
        (["golden", "check", "--set", "mine"], 1, "No golden set 'mine'"),
        (["golden", "check", "--goldens", "nowhere"], 1, "No folder 'nowhere'"),
    ],
)
def test_errors_are_one_line_with_a_way_out(
    arguments: list[str], status: int, says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments) == status
    error = capsys.readouterr().err
    assert says in error
    assert error.startswith("python -m evals: ")
    assert error.count("\n") == 1


def test_a_wrong_option_names_the_help(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(["score"])
    assert stopped.value.code == 2
    assert "See: python -m evals score --help" in capsys.readouterr().err


def test_all_stored_goldens_are_sound(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["golden", "check"]) == 0
    assert "52 checked, 0 problems." in capsys.readouterr().out
