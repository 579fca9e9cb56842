from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from evals.baseline import Accepted, Baseline, bless_run, load_baseline, name_engine, open_accepted, write_baseline
from evals.comparison import compare_scores
from evals.scoring import RunScore, score_records
from evals.tests.samples import make_coding, make_golden, make_item, make_record
from extract.errors import EvaluationError
from extract.store import RunStore, create_run
from extract.tests.samples import make_manifest

ITEMS = [make_item(f"c{n}", (n * 10, n * 10 + 9), summary="Wrote it with the printer") for n in range(10)]
GOLDENS = [make_golden(f"t{n}", make_coding(concerns=ITEMS)) for n in range(8)]


def make_run(folder: Path, hits: list[int | None]) -> tuple[RunStore, RunScore]:
    store = create_run(folder / "runs", make_manifest(engine="rules", model="rules"))
    with store:
        for number, k in enumerate(hits):
            store.append(make_record(f"t{number}", None if k is None else make_coding(concerns=ITEMS[:k])))
    return store, score_records(store.read_records(), GOLDENS)


def bless(tmp_path: Path, run: tuple[RunStore, RunScore], before: RunScore | None = None, **options: Any) -> Accepted:
    (tmp_path / "evals").mkdir(exist_ok=True)
    comparison = compare_scores(before, run[1]) if before else None
    places = {"path": tmp_path / "evals" / "baseline.toml", "kept": tmp_path / "runs" / "baseline"}
    return bless_run(*run, comparison, **{"why": "The first.", **options, **places})


def test_a_blessed_run_is_found_again_with_its_scores(tmp_path: Path) -> None:
    run = make_run(tmp_path, [5] * 8)
    accepted = bless(tmp_path, run, why="It is\n the first.")
    found = load_baseline(tmp_path / "evals" / "baseline.toml").find("rules", "rules")
    assert found == accepted
    assert (found.why, found.run) == ("It is the first.", "runs/baseline/rules")
    again = score_records(open_accepted(found, tmp_path).read_records(), GOLDENS)
    assert again.find_values() == run[1].find_values()


def test_what_is_kept_holds_no_words(tmp_path: Path) -> None:
    store, score = make_run(tmp_path, [5] * 8)
    with store:
        draft = {"tasks": "as the model said it to the printer"}
        store.append(make_record("t0", make_coding(concerns=ITEMS[:5]), 1, draft=draft, answer="The printer."))
    bless(tmp_path, (store, score))
    kept = (tmp_path / "runs" / "baseline" / "rules" / "records.jsonl").read_text()
    assert "printer" not in kept
    assert "words" not in kept


@pytest.mark.parametrize(
    ("hits", "options", "says"),
    [
        ([5] * 8, {"why": " "}, "needs a reason"),
        ([5] * 7 + [None], {}, "1 interviews failed"),
        ([5] * 7, {}, "1 goldens are not in this run, 't7' for one"),
        ([1, 2] * 4, {}, "worse than the accepted one in all"),
    ],
)
def test_a_doubtful_run_is_refused(tmp_path: Path, hits: list[int | None], options: dict[str, Any], says: str) -> None:
    before = make_run(tmp_path / "before", [8, 7] * 4)[1]
    with pytest.raises(EvaluationError, match=says):
        bless(tmp_path, make_run(tmp_path, hits), before, **options)
    assert not (tmp_path / "evals" / "baseline.toml").exists()


def test_force_accepts_a_worse_run_but_never_without_a_reason(tmp_path: Path) -> None:
    before = make_run(tmp_path / "before", [8] * 8)[1]
    with pytest.raises(EvaluationError, match="needs a reason"):
        bless(tmp_path, make_run(tmp_path, [1] * 8), before, force=True, why="")
    assert bless(tmp_path, make_run(tmp_path, [1] * 8), before, force=True).run == "runs/baseline/rules"


def test_engines_and_models_have_baselines_of_their_own_and_rules_are_the_floor(tmp_path: Path) -> None:
    rules, claude = (Accepted(run, "why", "when", {"all": 0.5}) for run in ("a", "b"))
    path = tmp_path / "baseline.toml"
    write_baseline(path, Baseline(0.02, {"rules": rules, "claude/claude-sonnet-5-5": claude}))
    found = load_baseline(path)
    assert found == Baseline(0.02, {"rules": rules, "claude/claude-sonnet-5-5": claude})
    assert found.find("claude", "claude-sonnet-5-5") == claude
    assert found.find("batches", "claude-sonnet-5-5") == claude
    assert found.find("claude", "another") == rules
    assert Baseline().find("rules", "rules") is None
    assert name_engine("provider", "openai/gpt-5") == "provider/openai/gpt-5"


@pytest.mark.parametrize(
    "text",
    ["margin = 2\n", "margin = 0\n", "margin = 1\n", "margin = 'wide'\n", "[accepted.rules]\nrun = 'x'\n", "margin ="],
)
def test_a_malformed_baseline_is_one_sentence(tmp_path: Path, text: str) -> None:
    path = tmp_path / "baseline.toml"
    path.write_text(text)
    with pytest.raises(EvaluationError, match=r"baseline\.toml"):
        load_baseline(path)


def test_the_reason_may_hold_anything(tmp_path: Path) -> None:
    path = tmp_path / "baseline.toml"
    accepted = Accepted("r", 'He said "why" \\ and – é', "now")
    write_baseline(path, replace(Baseline(), accepted={"rules": accepted}))
    assert load_baseline(path).accepted["rules"] == accepted
