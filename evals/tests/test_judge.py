import json
from pathlib import Path
from typing import Any

import pytest

from evals.cli import main
from evals.judge import FOLDER, estimate_judging, judge_run, open_judge
from evals.judge_report import JudgeReport, render_judge_report
from evals.pairs import PairSet, load_pairs
from evals.suite import Suite, SuiteOptions
from evals.tests.judges import FakeJudge, append_interview, know_the_labels, make_run, say_supported, toss_a_coin
from extract.engines import Engine, EngineOptions, open_engine
from extract.errors import EngineError, EvaluationError
from extract.store import RunStore, list_runs, open_run
from extract.terminal import open_console, print_overview
from extract.tests.loopback import Loopback
from extract.tests.loopback_faults import FaultKind, always, by_ordinal, first_attempts, random_faults
from schemas.codebook import load_codebook
from schemas.record import Failure

CODEBOOK = load_codebook()
PAIRS = load_pairs(CODEBOOK)
KEY = "sk-loopback-secret-0123456789"


@pytest.fixture(autouse=True)
def keys(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("ANTHROPIC_API_KEY", "OPENAI_API_KEY"):
        monkeypatch.setenv(name, KEY)


def take_pairs(count: int) -> PairSet:
    return PairSet(PAIRS.codebook_version, PAIRS.provenance, PAIRS.pairs[:count])


def open_to(server: Loopback, model: str = "claude-haiku-5-5", concurrency: int = 50) -> Engine:
    base = server.url + ("/v1" if "/" in model else "")
    return open_judge(model, EngineOptions(base_url=base, give_up_s=20.0, concurrency=concurrency))


def judge(store: RunStore, engine: Any, runs: Path, **more: Any) -> JudgeReport:
    return judge_run(store, engine, runs=runs, **more)


# ---------------------------------------------------------------- three judges


def test_a_perfect_judge_may_gate_and_its_rate_needs_no_correction(tmp_path: Path) -> None:
    report = judge(make_run(tmp_path), FakeJudge(know_the_labels()), tmp_path)
    assert report.calibration.kappa.mean == report.calibration.binary_kappa.mean == 1
    assert report.gates
    assert report.measured is not None
    assert report.corrected is not None
    assert report.measured.mean == report.corrected.mean == 1
    assert report.corrected.low < 1
    assert "This judge may gate." in render_judge_report(report)


def test_a_lazy_judge_that_finds_all_supported_does_not_gate(tmp_path: Path) -> None:
    report = judge(make_run(tmp_path), FakeJudge(say_supported), tmp_path)
    assert report.calibration.kappa.mean == 0
    assert not report.gates
    assert report.corrected is None
    text = render_judge_report(report)
    assert "does not gate: its kappa is 0.00, below 0.60" in text
    assert "no better than chance" in text


def test_a_coin_does_not_gate_whatever_the_floor(tmp_path: Path) -> None:
    report = judge(make_run(tmp_path, interviews=12), FakeJudge(toss_a_coin), tmp_path)
    assert abs(report.calibration.kappa.mean) < 0.25
    assert not report.gates
    assert not report.fails(floor=1.0)


def test_a_good_judge_that_finds_too_little_supported_fails_the_floor(tmp_path: Path) -> None:
    labels = know_the_labels()
    paired = {p.question.summary for p in PAIRS.pairs}
    strict = FakeJudge(lambda r: labels(r) if any(f">{s}<" in r.user for s in paired) else "not")
    report = judge(make_run(tmp_path, interviews=10), strict, tmp_path)
    assert report.gates
    assert report.fails(floor=0.8)
    assert not report.fails(floor=0.0)
    assert "Least supported (5 of 40)" in render_judge_report(report)


def test_few_pairs_never_gate_however_good_the_judge_is(tmp_path: Path) -> None:
    report = judge(make_run(tmp_path), FakeJudge(know_the_labels()), tmp_path, pairs=take_pairs(49))
    assert report.objection == "it has answered 49 labelled pairs, and 50 are needed"


# ---------------------------------------------------------------- nothing twice


@pytest.mark.parametrize("model", ["claude-haiku-5-5", "openai/gpt-5-mini"])
def test_a_second_judging_asks_for_nothing(tmp_path: Path, model: str) -> None:
    store = make_run(tmp_path)
    with Loopback() as server:
        first = judge(store, open_to(server, model), tmp_path, pairs=take_pairs(8))
        assert len(server.requests) == first.asked == 8 + 12
        again = judge(store, open_to(server, model), tmp_path, pairs=take_pairs(8))
        assert len(server.requests) == 20
    assert (again.asked, again.held) == (0, 20)
    assert again.items == first.items
    assert again.calibration == first.calibration
    assert first.missing == 0


def test_another_run_pays_for_its_own_items_only(tmp_path: Path) -> None:
    engine = FakeJudge(say_supported)
    judge(make_run(tmp_path, interviews=2), engine, tmp_path, pairs=take_pairs(8))
    report = judge(make_run(tmp_path, interviews=3), engine, tmp_path, pairs=take_pairs(8))
    assert report.asked == 4
    assert len(report.items) == 12


def test_only_the_named_transcripts_are_judged(tmp_path: Path) -> None:
    report = judge(make_run(tmp_path), FakeJudge(say_supported), tmp_path, pairs=take_pairs(0), only={"baker1"})
    assert report.asked == 4
    assert list(report.clusters) == ["baker1"]


def test_repeats_with_the_same_item_are_one_question_and_two_items(tmp_path: Path) -> None:
    store = make_run(tmp_path, interviews=1)
    with store:
        append_interview(store, 0, repeat=1, request_hash="cd" * 32)
    report = judge(open_run(store.path), FakeJudge(say_supported), tmp_path, pairs=take_pairs(0))
    assert report.asked == 4
    assert [item.repeat for item in report.items] == [0] * 4 + [1] * 4
    assert list(report.clusters) == ["baker0"]


def test_another_model_is_another_judge(tmp_path: Path) -> None:
    store = make_run(tmp_path)
    assert judge(store, FakeJudge(say_supported, model="one"), tmp_path).asked == 132
    assert judge(store, FakeJudge(say_supported, model="two"), tmp_path).asked == 132


def test_the_pairs_are_asked_first(tmp_path: Path) -> None:
    engine = FakeJudge(say_supported)
    judge(make_run(tmp_path), engine, tmp_path, pairs=take_pairs(5))
    assert all(paired.question.summary in asked for paired, asked in zip(PAIRS.pairs, engine.asked[:5], strict=False))


def test_verdicts_are_no_runs_among_the_runs(tmp_path: Path) -> None:
    store = make_run(tmp_path)
    judge(store, FakeJudge(say_supported), tmp_path)
    assert [s.path for s in list_runs(tmp_path)] == [store.path]
    assert open_run("last", tmp_path).path == store.path
    [verdicts] = list_runs(tmp_path / FOLDER)
    assert verdicts.manifest.prompt_version == "judge-v1"
    assert verdicts.manifest.status == "complete"
    assert verdicts.manifest.records == 132


def test_a_run_of_verdicts_can_be_looked_at_like_any_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    judge(make_run(tmp_path), FakeJudge(say_supported), tmp_path, pairs=take_pairs(2))
    [verdicts] = list_runs(tmp_path / FOLDER)
    records = list(verdicts.read_records())
    assert all(record.extraction is None and record.failure is None for record in records)
    assert records[0].draft == {"reason": "It says so.", "verdict": "supported"}
    print_overview(open_console(), verdicts.manifest, records)
    assert "authored_creative_01/" in capsys.readouterr().out


# ---------------------------------------------------------------- trouble


@pytest.mark.parametrize("kind", ["overloaded", "reset", "rate_limited"])
def test_passing_trouble_is_asked_again(tmp_path: Path, kind: FaultKind) -> None:
    with Loopback(plan=first_attempts(kind)) as server:
        report = judge(make_run(tmp_path, 1), open_to(server), tmp_path, pairs=take_pairs(2))
        assert list(server.answered.values()) == [1] * 6
    assert report.missing == 0


@pytest.mark.parametrize(
    ("kind", "told"),
    [
        ("missing_verdict", "verdict: Field required"),
        ("wrong_schema", "Input should be 'supported', 'partly' or 'not', got 'no_such_verdict'"),
        ("empty_reason", "reason is empty"),
        ("bad_json_answer", "Invalid JSON"),
    ],
)
@pytest.mark.parametrize("model", ["claude-haiku-5-5", "openai/gpt-5-mini"])
def test_an_answer_without_a_usable_verdict_is_asked_again(
    tmp_path: Path, model: str, kind: FaultKind, told: str
) -> None:
    with Loopback(plan=first_attempts(kind), keep_bodies=True) as server:
        report = judge(make_run(tmp_path, 1), open_to(server, model), tmp_path, pairs=take_pairs(0))
        assert len(server.requests) == 8
        bodies = [seen.body for seen in server.requests if seen.attempt == 1]
    assert report.missing == 0
    assert all(body and told in body["messages"][-1]["content"] for body in bodies)


def test_what_never_gets_a_verdict_is_reported_and_can_be_asked_again(tmp_path: Path) -> None:
    store = make_run(tmp_path, 1)
    with Loopback(plan=by_ordinal({0: "refusal", 3: "refusal"})) as server:
        report = judge(store, open_to(server, concurrency=1), tmp_path, pairs=take_pairs(2))
        assert report.calibration.unanswered == 1
        assert report.missing == 1
        assert report.objection == "1 of 4 items have no verdict"
        [silent] = [item for item in report.items if item.verdict is None]
        assert silent.reason == "refusal: The model refused to answer."
        assert sum(rate.of for rate in report.clusters.values()) == 3
        assert judge(store, open_to(server), tmp_path, pairs=take_pairs(2)).asked == 0
        mended = judge(store, open_to(server), tmp_path, pairs=take_pairs(2), retry_failed=True)
    assert (mended.asked, mended.missing, mended.calibration.unanswered) == (2, 0, 0)


def test_a_judge_whose_account_is_turned_away_is_one_sentence_and_loses_nothing(tmp_path: Path) -> None:
    store = make_run(tmp_path, 1)
    with Loopback(plan=by_ordinal({3: "unauthorised"})) as server:
        engine = open_to(server, concurrency=1)
        with pytest.raises(EngineError, match="refuses the key"):
            judge(store, engine, tmp_path, pairs=take_pairs(2))
        [verdicts] = list_runs(tmp_path / FOLDER)
        assert verdicts.manifest.status == "stopped"
        assert judge(store, engine, tmp_path, pairs=take_pairs(2)).held == 3


def test_random_faults_cost_no_verdict_and_no_answer_twice(tmp_path: Path) -> None:
    rates: dict[FaultKind, float] = {"overloaded": 0.1, "server_error": 0.05, "reset": 0.05}
    with Loopback(plan=random_faults(3, rates)) as server:
        report = judge(make_run(tmp_path, 10), open_to(server), tmp_path)
        assert list(server.answered.values()) == [1] * (len(PAIRS.pairs) + 40)
        assert {seen.fault for seen in server.requests} >= set(rates)
    assert report.missing == report.calibration.unanswered == 0


# ---------------------------------------------------------------- money


def test_the_money_limit_is_never_passed_and_the_rest_is_asked_later(tmp_path: Path) -> None:
    store, engine = make_run(tmp_path), FakeJudge(say_supported, cost_usd=0.01)
    report = judge(store, engine, tmp_path, max_cost_usd=0.5)
    assert report.cost_usd is not None
    assert 0.4 <= report.cost_usd <= 0.5
    assert report.stopped is not None
    assert "it was stopped (--max-cost 0.5" in render_judge_report(report)
    assert report.missing == len(report.items) == 12
    whole = judge(store, engine, tmp_path, max_cost_usd=10.0)
    assert whole.asked + report.asked == len(engine.asked) == 132
    assert whole.stopped is None


def test_a_limit_on_an_unknown_price_is_refused_before_anything_is_asked(tmp_path: Path) -> None:
    with Loopback() as server:
        engine = open_judge("claude-of-tomorrow", EngineOptions(base_url=server.url))
        with pytest.raises(EvaluationError, match="No price is known for 'claude-of-tomorrow'"):
            judge(make_run(tmp_path), engine, tmp_path, max_cost_usd=1.0)
        assert server.requests == []


def test_an_estimate_counts_what_is_missing_and_writes_nothing(tmp_path: Path) -> None:
    store, engine = make_run(tmp_path), FakeJudge(say_supported)
    count, usage, cost = estimate_judging(store, engine, runs=tmp_path)
    assert count == usage.requests == 132
    assert cost == pytest.approx(0.132)
    assert not (tmp_path / FOLDER).exists()
    judge(store, engine, tmp_path)
    assert estimate_judging(make_run(tmp_path, 4), engine, runs=tmp_path)[0] == 4


# ---------------------------------------------------------------- who and what may be judged


def test_the_rules_cannot_judge(tmp_path: Path) -> None:
    with pytest.raises(EngineError, match="cannot judge. Name a model"):
        open_judge("rules")
    with pytest.raises(EngineError, match="cannot judge. Name a model"):
        judge(make_run(tmp_path), open_engine("rules"), tmp_path)


def test_the_rules_engine_itself_refuses_what_is_no_interview(tmp_path: Path) -> None:
    engine = FakeJudge(say_supported)
    engine.name, engine.complete = "other", open_engine("rules").complete  # type: ignore[method-assign]
    with pytest.raises(EngineError, match="only codes interviews"):
        judge(make_run(tmp_path), engine, tmp_path)


@pytest.mark.parametrize(
    ("model", "engine"), [("claude-haiku-5-5", "claude"), ("openai/gpt-5-mini", "provider"), ("ollama/x", "provider")]
)
def test_the_name_of_a_model_says_which_engine_asks_it(model: str, engine: str) -> None:
    assert open_judge(model, EngineOptions(dry_run=True)).name == engine


def test_a_run_of_another_codebook_is_refused_in_one_sentence(tmp_path: Path) -> None:
    other = CODEBOOK.model_copy(update={"title": "Mine"})
    with pytest.raises(EvaluationError, match="was made with another codebook"):
        judge(make_run(tmp_path), FakeJudge(say_supported), tmp_path, codebook=other)


def test_failed_records_and_empty_runs_are_said(tmp_path: Path) -> None:
    store = make_run(tmp_path, 1)
    with store:
        failure = Failure(kind="refusal", message="No.")
        append_interview(store, 9, extraction=None, failure=failure)
    text = render_judge_report(judge(open_run(store.path), FakeJudge(say_supported), tmp_path))
    assert "4 items of 1 interviews; 1 failed records have none" in text
    empty = judge(make_run(tmp_path, 0), FakeJudge(know_the_labels()), tmp_path)
    assert empty.objection == "there is no item to judge"
    assert "none: nothing was judged" in render_judge_report(empty)


# ---------------------------------------------------------------- in pytest evals


def test_the_suite_judges_its_goldens_once(tmp_path: Path) -> None:
    with Loopback() as server:
        options: dict[str, Any] = {
            "sets": ("authored",),
            "runs": tmp_path,
            "judge": "claude-haiku-5-5",
            "judge_base_url": server.url,
        }
        first = Suite(SuiteOptions(**options)).judging
        assert len(server.requests) == first.asked == len(PAIRS.pairs) + len(first.items) > len(PAIRS.pairs)
        again = Suite(SuiteOptions(**options)).judging
        assert len(server.requests) == first.asked
    assert again.items == first.items


def test_a_suite_without_a_judge_says_how_to_name_one(tmp_path: Path) -> None:
    with pytest.raises(EvaluationError, match="Name one with --judge MODEL"):
        _ = Suite(SuiteOptions(runs=tmp_path)).judging


# ---------------------------------------------------------------- the command


def run_command(*words: str) -> int:
    return main(["judge", *words])


def test_the_command_judges_a_run_over_http_and_prints_the_report(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    store = make_run(tmp_path)
    with Loopback() as server:
        words = ("--judge", "claude-haiku-5-5", "--base-url", server.url, "--runs", str(tmp_path), "--max-cost", "5")
        assert run_command("last", *words) == 0
        assert run_command(store.manifest.run_id, *words, "--floor", "1") == 0
        assert len(server.requests) == 132
    out = capsys.readouterr().out
    assert "Calibration on 120 labelled pairs (0.35 (42 of 120) supported)" in out
    assert "not checked by a human yet" in out
    assert "132 asked, 0 held already" in out
    assert "The floor of 1 is not held against the run." in out


def test_the_command_stops_at_the_limit_with_its_own_status(tmp_path: Path) -> None:
    make_run(tmp_path)
    with Loopback() as server:
        words = ("--judge", "claude-haiku-5-5", "--base-url", server.url, "--runs", str(tmp_path))
        assert run_command("last", *words, "--max-cost", "0.0001") == 3
        assert server.requests == []


def test_the_command_estimates_without_a_key_or_a_request(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("ANTHROPIC_API_KEY")
    make_run(tmp_path)
    assert run_command("last", "--judge", "claude-haiku-5-5", "--runs", str(tmp_path), "--dry-run") == 0
    assert "132 requests to claude-haiku-5-5: about" in capsys.readouterr().out
    assert run_command("last", "--judge", "claude-haiku-5-5", "--runs", str(tmp_path)) == 1
    assert "Set ANTHROPIC_API_KEY, or name another judge" in capsys.readouterr().err


def test_the_command_prints_the_pairs_for_a_person_to_check(capsys: pytest.CaptureFixture[str]) -> None:
    assert run_command("--pairs") == 0
    out = capsys.readouterr().out
    assert "120 labelled pairs." in out
    assert "“not worried about my job.”" in out


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("--judge", "rules"), "The rules engine finds cue phrases and cannot judge."),
        (("--judge", "nobody/x"), "Cannot open 'nobody/x'"),
        (("no-such-run", "--judge", "claude-haiku-5-5"), "No run 'no-such-run'"),
    ],
)
def test_the_command_says_what_is_wrong_in_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], words: tuple[str, ...], says: str
) -> None:
    make_run(tmp_path)
    assert run_command(*words, "--runs", str(tmp_path)) == 1
    err = capsys.readouterr().err
    assert says in err
    assert err.count("\n") == 1


@pytest.mark.parametrize(
    ("option", "value"), [("--floor", "1.5"), ("--max-cost", "-1"), ("--max-cost", "nan"), ("--concurrency", "0")]
)
def test_a_number_out_of_range_is_a_usage_error(option: str, value: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        run_command("last", option, value)
    assert stopped.value.code == 2
    assert f"{value!r} is not a number" in capsys.readouterr().err


def test_the_command_wants_a_model(capsys: pytest.CaptureFixture[str]) -> None:
    assert run_command("last") == 2
    assert "name a model with --judge MODEL" in capsys.readouterr().err


def test_the_report_cannot_steer_a_terminal(tmp_path: Path) -> None:
    store = make_run(tmp_path, 1)
    lines = (store.path / "records.jsonl").read_text().replace("A recipe lacked salt", "\\u001b[2JGone")
    (store.path / "records.jsonl").write_text(lines)
    report = judge(open_run(store.path), FakeJudge(lambda request: "not"), tmp_path)
    assert "\x1b" not in render_judge_report(report)
    assert "[2JGone" in render_judge_report(report)


def test_the_store_of_a_judge_holds_no_key(tmp_path: Path) -> None:
    with Loopback(plan=always("bad_request")) as server:
        judge(make_run(tmp_path, 1), open_to(server), tmp_path, pairs=take_pairs(1))
    [verdicts] = list_runs(tmp_path / FOLDER)
    text = verdicts.records_path.read_text() + json.dumps(verdicts.manifest.model_dump())
    assert KEY not in text
