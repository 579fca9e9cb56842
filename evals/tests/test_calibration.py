import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evals.calibration import Calibration, Rate, adjust_rate, correct_rate, find_effective_size, measure_rate
from schemas.verdict import VERDICTS, Verdict

LABELS: list[Verdict] = ["supported", "partly", "not"]
rates = st.integers(1, 200).flatmap(lambda of: st.builds(Rate, st.integers(0, of), st.just(of)))


def calibrate(*cells: tuple[Verdict, Verdict, int]) -> Calibration:
    return Calibration(tuple((label, verdict) for label, verdict, n in cells for _ in range(n)))


def test_the_published_example_of_lang_and_reiczigel_comes_out() -> None:
    # Prev Vet Med 113:13-22, example 1: 4060 of 11284 test positive; 178 of 179 and 358 of 359 in validation.
    found = adjust_rate(4060 / 11284, 11284, Rate(178, 179), Rate(358, 359))
    assert found is not None
    assert found.mean == pytest.approx((4060 / 11284 + 358 / 359 - 1) / (178 / 179 + 358 / 359 - 1))
    assert (round(found.low, 3), round(found.high, 3)) == (0.349, 0.372)


def test_a_rate_is_corrected_as_rogan_and_gladen_do() -> None:
    # (.70 + .80 - 1) / (.80 + .90 - 1) = .50 / .70
    found = adjust_rate(0.70, 1000, Rate(90, 100), Rate(80, 100))
    assert found is not None
    assert found.mean == pytest.approx(0.714, abs=0.001)
    assert found.low < 0.714 < found.high


def test_a_perfect_judge_needs_no_correction() -> None:
    clusters = [Rate(8, 10), Rate(7, 10), Rate(9, 10)]
    found = correct_rate(clusters, calibrate(("supported", "supported", 40), ("not", "not", 40)))
    assert found is not None
    assert found.mean == pytest.approx(0.8)
    assert found.n == 3


def test_few_pairs_make_a_wider_interval_than_many() -> None:
    few = adjust_rate(0.8, 400, Rate(9, 10), Rate(9, 10))
    many = adjust_rate(0.8, 400, Rate(900, 1000), Rate(900, 1000))
    assert few is not None
    assert many is not None
    assert few.high - few.low > 2 * (many.high - many.low)


@pytest.mark.parametrize(("q1", "q0"), [(Rate(5, 10), Rate(5, 10)), (Rate(10, 10), Rate(0, 10))])
def test_a_judge_no_better_than_chance_corrects_nothing(q1: Rate, q0: Rate) -> None:
    assert adjust_rate(0.7, 100, q1, q0) is None


@given(st.floats(0, 1), st.integers(1, 500), rates, rates)
def test_a_corrected_rate_lies_in_its_interval_and_both_between_0_and_1(p: float, n: int, q1: Rate, q0: Rate) -> None:
    found = adjust_rate(p, n, q1, q0)
    assert found is None or 0 <= found.low <= found.mean <= found.high <= 1


def test_kappa_of_a_published_table_comes_out() -> None:
    # the textbook 2 x 2 table 20, 5, 10, 15: observed .70, expected .50
    two = calibrate(
        ("supported", "supported", 20), ("supported", "not", 5), ("not", "supported", 10), ("not", "not", 15)
    )
    assert two.kappa.mean == pytest.approx(0.4)
    assert two.binary_kappa.mean == pytest.approx(0.4)
    assert two.base_rate == Rate(25, 50)
    assert (two.sensitivity, two.specificity) == (Rate(20, 25), Rate(15, 25))


def test_partly_counts_as_not_supported() -> None:
    found = calibrate(("partly", "not", 30), ("partly", "supported", 10), ("supported", "partly", 5))
    assert found.specificity == Rate(30, 40)
    assert found.sensitivity == Rate(0, 5)
    assert found.agreement == Rate(0, 45)


def test_always_supported_has_a_kappa_of_0_however_often_it_agrees() -> None:
    lazy = calibrate(("supported", "supported", 90), ("not", "supported", 10))
    assert lazy.agreement.value == 0.9
    assert lazy.kappa.mean == 0
    assert lazy.objection == "its kappa is 0.00, below 0.60"


@pytest.mark.parametrize(("pairs", "objects"), [(49, True), (50, False)])
def test_fewer_than_50_pairs_do_not_suffice_however_good_they_are(pairs: int, objects: bool) -> None:
    half = pairs // 2
    found = calibrate(("supported", "supported", half), ("not", "not", pairs - half))
    assert bool(found.objection) == objects
    assert not objects or "50 are needed" in str(found.objection)


def test_the_worse_of_both_kappas_decides() -> None:
    # supported or not is always right; partly and not are mixed up: kappa 1 of two, .5 of three
    found = calibrate(("supported", "supported", 20), ("partly", "not", 20), ("not", "partly", 20))
    assert found.binary_kappa.mean == 1
    assert found.kappa.mean < 0.6
    assert found.objection is not None


def test_one_label_alone_calibrates_nothing() -> None:
    found = calibrate(("supported", "supported", 60))
    assert found.objection is not None
    assert "undefined" in found.objection
    assert correct_rate([Rate(1, 2)], found) is None


def test_no_pairs_are_no_figures_and_no_error() -> None:
    assert Calibration(()).objection == "it has answered 0 labelled pairs, and 50 are needed"
    assert math.isnan(Calibration(()).sensitivity.value)


def test_interviews_that_differ_are_worth_fewer_items_than_they_hold() -> None:
    alike = [Rate(8, 10)] * 10
    split = [Rate(10, 10)] * 8 + [Rate(0, 10)] * 2
    assert find_effective_size(alike) == 100
    assert find_effective_size(split) == pytest.approx(9)  # 10 interviews, each all or nothing: n - 1
    wide, narrow = measure_rate(split), measure_rate(alike)
    assert wide is not None
    assert narrow is not None
    assert wide.high - wide.low > 2 * (narrow.high - narrow.low)


def test_all_items_supported_is_not_certainty() -> None:
    found = measure_rate([Rate(12, 12)] * 10)
    assert found is not None
    assert found.mean == found.high == 1
    assert 0.5 < found.low < 0.8  # 10 interviews, not 120 items


@pytest.mark.parametrize("interviews", [1, 2])
def test_one_or_two_interviews_say_next_to_nothing(interviews: int) -> None:
    found = measure_rate([Rate(3, 4)] * interviews)
    assert found is not None
    assert found.high - found.low > 0.8
    assert measure_rate([]) is None


def test_the_corrected_interval_holds_the_truth_about_19_times_in_20() -> None:
    """Simulated: 20 interviews of 12 items, rates that differ among them, 120 pairs, q1 .9, q0 .85."""
    draw, truth, q1, q0 = random.Random(7), 0.8, 0.9, 0.85
    held, trials = 0, 600
    for _ in range(trials):
        clusters = []
        for _ in range(20):
            own = draw.betavariate(truth * 8, (1 - truth) * 8)
            verdicts = [draw.random() < (q1 if draw.random() < own else 1 - q0) for _ in range(12)]
            clusters.append(Rate(sum(verdicts), 12))
        calibration = calibrate(
            ("supported", "supported", k := sum(draw.random() < q1 for _ in range(42))),
            ("supported", "not", 42 - k),
            ("not", "not", m := sum(draw.random() < q0 for _ in range(78))),
            ("not", "supported", 78 - m),
        )
        found = correct_rate(clusters, calibration)
        assert found is not None
        held += found.low <= truth <= found.high
    assert 0.93 <= held / trials <= 0.99


def test_the_three_verdicts_are_those_of_the_format() -> None:
    assert list(VERDICTS) == LABELS
