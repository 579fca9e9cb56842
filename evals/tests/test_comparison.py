import numpy as np
import pytest

from evals.comparison import check_comparable, compare_scores, sum_effort
from evals.scoring import RunScore, score_records
from evals.suite import judge_row
from evals.tests.samples import make_coding, make_golden, make_item, make_record
from evals.uncertainty import find_mean_interval
from extract.errors import EvaluationError
from extract.tests.samples import make_manifest
from schemas.record import Failure, Usage

ITEMS = [make_item(f"c{n}", (n * 10, n * 10 + 9)) for n in range(10)]
GOLDENS = [make_golden(f"t{n}", make_coding(concerns=ITEMS)) for n in range(20)]


def make_score(hits: list[int], name: str = "run") -> RunScore:
    """A run that gets so many of the ten concerns right in each interview, and adds nothing wrong."""
    records = [make_record(f"t{n}", make_coding(concerns=ITEMS[:k])) for n, k in enumerate(hits)]
    return score_records(records, GOLDENS, name)


def test_a_run_against_itself_is_no_worse_and_nothing_moved() -> None:
    score = make_score([5, 6, 7, 8])
    found = compare_scores(score, score)
    assert found.rows["concerns"].verdict == "no worse"
    assert found.rows["concerns"].difference.interval.mean == 0
    assert (found.find_moved(), found.find_changes()) == ([], [])


def test_what_moved_most_comes_first() -> None:
    moved = compare_scores(make_score([5, 5, 5]), make_score([6, 1, 5])).find_moved()
    assert [transcript_id for transcript_id, _, _ in moved] == ["t1", "t0"]


def test_a_clear_gain_is_better_and_the_reverse_worse() -> None:
    low, high = make_score([3, 4, 3, 4, 3, 4, 3, 4] * 2), make_score([7, 8, 8, 7, 7, 8, 7, 8] * 2)
    assert compare_scores(low, high).rows["all"].verdict == "better"
    assert compare_scores(low, high).rows["concerns"].verdict == "better"
    assert compare_scores(high, low).rows["concerns"].verdict == "worse"
    assert compare_scores(high, low).rows["tasks"].verdict == "no worse"


def test_only_shared_interviews_are_compared() -> None:
    found = compare_scores(make_score([5, 5, 5, 5]), make_score([5, 5]))
    assert found.shared == ("t0", "t1")
    with pytest.raises(EvaluationError, match="share 1 scored interview. "):
        compare_scores(make_score([5]), make_score([5, 5]))


def test_gained_and_lost_items_are_named() -> None:
    a = make_score([2, 2])
    extra = make_item("wrong", (500, 509))
    first = make_record("t0", make_coding(concerns=ITEMS[1:3]))
    b = score_records([first, make_record("t1", make_coding(concerns=[*ITEMS[:2], extra]))], GOLDENS)
    changes = [(c.transcript_id, c.kind, c.item.code) for c in compare_scores(a, b).find_changes()]
    assert changes == [("t0", "lost", "c0"), ("t0", "gained", "c2"), ("t1", "new extra", "wrong")]
    assert [row[0] for row in compare_scores(a, make_score([2, 9])).find_moved()] == ["t1"]


def test_runs_over_different_codebooks_are_refused() -> None:
    one = make_manifest()
    with pytest.raises(EvaluationError, match="different codebooks"):
        check_comparable(one, one.model_copy(update={"codebook_sha256": "f" * 64}))
    check_comparable(one, one)


def test_the_gate_gives_at_most_5_false_alarms_in_100() -> None:
    """Two runs of one quality, six gates: the share of comparisons in which any of them fails."""
    rng, alarms, trials = np.random.default_rng(7), 0, 500
    for _ in range(trials):
        a, b = (_draw_run(rng) for _ in range(2))
        rows = compare_scores(a, b).rows.values()
        alarms += any(judge_row(row, row.b, 0.03, strict=False).failed for row in rows)
    assert alarms / trials <= 0.05


EVERY = make_score([1] * 20)


class _FakeScore(RunScore):
    """A run whose values are given: five independent sections and their mean."""

    def find_values(self, scope: str = "all", metric: str = "grounded") -> dict[str, float]:
        return self.values[scope]  # type: ignore[attr-defined, no-any-return]


def _draw_run(rng: np.random.Generator, n: int = 20) -> RunScore:
    sections = ("tasks", "collaboration_style", "workplace_culture", "concerns", "future_wishes")
    drawn = {s: rng.binomial(4, 0.55, size=n) / 4 for s in sections}
    drawn["all"] = np.mean(list(drawn.values()), axis=0)
    score = _FakeScore("drawn", EVERY.scores[:n])
    values = {scope: {f"t{k}": float(v) for k, v in enumerate(found)} for scope, found in drawn.items()}
    object.__setattr__(score, "values", values)
    return score


def test_a_drop_that_n_cannot_decide_warns_and_fails_when_strict() -> None:
    before, after = make_score([5, 9, 2, 8, 6, 5]), make_score([8, 5, 4, 4, 7, 2])
    row = compare_scores(before, after, margin=0.01).rows["concerns"]
    interval = find_mean_interval([0.5, 0.6])
    warned = judge_row(row, interval, 0.01, strict=False)
    assert not warned.failed
    assert warned.warning is not None
    assert "cannot tell" in warned.warning
    assert "interviews would decide" in warned.warning
    assert judge_row(row, interval, 0.01, strict=True).failed
    within = judge_row(row, interval, 0.9, strict=True)
    assert (within.failed, within.warning) == (False, None)


def test_effort_counts_failures_reasks_refusals_and_unknown_prices() -> None:
    usage = Usage(requests=1, input_tokens=100, output_tokens=10)
    failure = Failure(kind="refusal", message="No.")
    records = [
        make_record("t0", make_coding(), usage=usage, cost_usd=0.02, latency_s=1.0),
        make_record("t1", make_coding(), usage=usage.model_copy(update={"requests": 3}), cost_usd=0.04, latency_s=3.0),
        make_record("t2", None, usage=usage, cost_usd=0.0, latency_s=9.0, failure=failure),
    ]
    effort = sum_effort(score_records(records, GOLDENS))
    assert (effort.records, effort.failures, effort.refusals, effort.reasks) == (3, 1, 1, 2)
    assert effort.valid_at_once == pytest.approx(1 / 3)
    assert effort.cost_usd == pytest.approx(0.02)
    assert (effort.p50_s, effort.p95_s) == (3.0, 9.0)
    assert sum_effort(score_records(records[:2], GOLDENS)).p50_s == 1.0
    unknown = [record.model_copy(update={"cost_usd": None}) for record in records]
    assert sum_effort(score_records(unknown, GOLDENS)).cost_usd is None
