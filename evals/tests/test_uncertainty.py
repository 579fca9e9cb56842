import itertools
import math
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from evals.uncertainty import (
    Interval,
    adjust_benjamini_hochberg,
    adjust_holm,
    compare_paired,
    find_detectable_effect,
    find_mcnemar_p,
    find_mean_interval,
    find_needed_n,
    find_ratio_interval,
    find_sign_flip_p,
    find_t,
    find_wilson_interval,
    judge_difference,
)

TRIALS = 2000


def draw_scores(rng: np.random.Generator, n: int) -> tuple[np.ndarray, np.ndarray]:
    """F1 scores of our shape: interviews differ in difficulty, two runs share it, scores are fractions of few items."""
    difficulty = rng.beta(5, 4, size=n)
    items = rng.integers(9, 25, size=n)
    return tuple(rng.binomial(items, np.clip(difficulty + shift, 0, 1)) / items for shift in (0.0, 0.03))  # type: ignore[return-value]


def draw_true_difference() -> float:
    a, b = draw_scores(np.random.default_rng(0), 400_000)
    return float((b - a).mean())


@pytest.mark.parametrize("n", [8, 20, 50])
def test_paired_intervals_cover_93_to_97_of_100(n: int) -> None:
    rng, truth, covered = np.random.default_rng(n), draw_true_difference(), 0
    for _ in range(TRIALS):
        a, b = draw_scores(rng, n)
        interval = find_mean_interval(list(b - a))
        covered += interval.low <= truth <= interval.high
    assert 0.93 <= covered / TRIALS <= 0.97


def test_the_wilson_interval_of_a_published_example() -> None:
    # Newcombe 1998 (Statistics in Medicine 17), table I: 81 of 263 is .2553 to .3662, 0 of 20 is 0 to .1611
    found = find_wilson_interval(81, 263)
    assert (round(found.low, 4), round(found.high, 4)) == (0.2553, 0.3662)
    assert round(find_wilson_interval(0, 20).high, 4) == 0.1611


def test_a_drawn_p_is_never_0_since_the_observed_signs_count_as_a_draw() -> None:
    assert find_sign_flip_p([1.0] * 40) == pytest.approx(1 / 10_001)


def test_an_interval_of_known_numbers() -> None:
    # mean 3, sd sqrt(2.5), t(.975, 4) = 2.7764
    found = find_mean_interval([1, 2, 3, 4, 5])
    assert (found.mean, found.n) == (3, 5)
    assert found.high - 3 == pytest.approx(2.7764 * math.sqrt(2.5 / 5), abs=1e-3)
    assert math.isnan(find_mean_interval([1]).low)
    assert find_mean_interval([]).n == 0


def test_a_pooled_rate_is_wider_than_its_items_when_interviews_differ() -> None:
    found = find_ratio_interval([10, 0, 10, 0, 10, 0], [10] * 6)
    items = find_wilson_interval(30, 60)
    assert found.mean == 0.5
    assert found.high - found.low > 2 * (items.high - items.low)
    assert math.isnan(find_ratio_interval([1], [2]).low)


def test_sign_flips_are_exact_for_small_n() -> None:
    assert find_sign_flip_p([1, 1, 1, 1, 1]) == pytest.approx(2 / 32)  # only all + and all - reach it
    assert find_sign_flip_p([1, -1]) == 1
    assert find_sign_flip_p([0, 0, 0]) == 1
    assert find_sign_flip_p([]) == 1


def test_drawn_sign_flips_come_near_the_exact_p_and_are_the_same_every_time() -> None:
    differences = list(np.random.default_rng(3).normal(0.4, 1, size=16))
    exact = find_sign_flip_p(differences)
    drawn = find_sign_flip_p([*differences, 1e-15])  # one more interview: too many to enumerate
    assert drawn == pytest.approx(exact, abs=0.015)
    assert drawn == find_sign_flip_p([*differences, 1e-15])


@given(st.lists(st.floats(-1, 1), min_size=2, max_size=12))
def test_a_difference_mirrored_has_the_same_p(differences: list[float]) -> None:
    assert find_sign_flip_p(differences) == pytest.approx(find_sign_flip_p([-d for d in differences]))


@pytest.mark.parametrize(("n", "effect"), [(10, 0.149), (20, 0.099), (30, 0.079), (50, 0.061), (100, 0.042)])
def test_the_detectable_effect_at_sd_15(n: int, effect: float) -> None:
    assert find_detectable_effect(0.15, n) == pytest.approx(effect, abs=6e-4)


@given(st.floats(-0.2, 0.2), st.floats(0.01, 0.4))
def test_the_needed_n_gives_a_verdict_and_one_less_does_not(mean: float, sd: float) -> None:
    def judge(n: int) -> str:
        half = find_t(0.95, n - 1) * sd / math.sqrt(n)
        return judge_difference(Interval(mean, mean - half, mean + half, n), margin=0.03)

    n = find_needed_n(mean, sd, 0.03)
    assert n is not None
    assert judge(n) != "inconclusive"
    assert n == 2 or judge(n - 1) == "inconclusive"
    assert find_needed_n(mean, math.nan, 0.03) is None


@pytest.mark.parametrize(
    ("low", "high", "verdict"),
    [
        (0.01, 0.05, "better"),
        (-0.05, -0.01, "worse"),
        (-0.02, 0.04, "no worse"),
        (0.0, 0.0, "no worse"),
        (-0.04, 0.04, "inconclusive"),
        (math.nan, math.nan, "inconclusive"),
    ],
)
def test_the_verdict_follows_the_limits(low: float, high: float, verdict: str) -> None:
    assert judge_difference(Interval((low + high) / 2, low, high, 20), margin=0.03) == verdict


def test_equal_runs_are_no_worse() -> None:
    found = compare_paired([0.0] * 20, margin=0.03)
    assert (found.verdict, found.p, found.mde) == ("no worse", 1, 0)


def test_mcnemar_of_a_known_table() -> None:
    assert find_mcnemar_p(1, 9) == pytest.approx(2 * 11 / 1024)
    assert find_mcnemar_p(0, 0) == 1


def test_holm_and_benjamini_hochberg_of_known_values() -> None:
    ps = [0.01, 0.04, 0.03, 0.005]
    assert adjust_holm(ps) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert adjust_benjamini_hochberg(ps) == pytest.approx([0.02, 0.04, 0.04, 0.02])


@pytest.mark.parametrize("adjust", [adjust_holm, adjust_benjamini_hochberg])
@given(ps=st.lists(st.floats(0, 1), max_size=8))
def test_adjusting_never_lowers_a_p_nor_changes_the_order(adjust: Callable[..., list[float]], ps: list[float]) -> None:
    adjusted = adjust(ps)
    assert all(a >= p - 1e-12 and a <= 1 for a, p in zip(adjusted, ps, strict=True))
    order = np.argsort(ps, kind="stable")
    assert all(adjusted[i] <= adjusted[j] + 1e-12 for i, j in itertools.pairwise(order))
