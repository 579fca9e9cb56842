"""Wilson intervals against published ones."""

import pytest

from extract.report.intervals import find_wilson_interval


@pytest.mark.parametrize(
    ("successes", "trials", "low", "high"),
    [(81, 263, 0.2553, 0.3662), (15, 148, 0.0624, 0.1605), (0, 20, 0.0, 0.1611), (1, 29, 0.0061, 0.1718)],
)
def test_intervals_are_those_of_newcombe_1998_table_1_method_3(
    successes: int, trials: int, low: float, high: float
) -> None:
    assert find_wilson_interval(successes, trials) == pytest.approx((low, high), abs=5e-5)


def test_all_of_n_mirrors_none_of_n() -> None:
    low, high = find_wilson_interval(0, 20)
    assert find_wilson_interval(20, 20) == pytest.approx((1 - high, 1 - low))


def test_nothing_is_known_of_no_trials() -> None:
    assert find_wilson_interval(0, 0) == (0.0, 1.0)


def test_more_successes_than_trials_are_refused() -> None:
    with pytest.raises(ValueError, match="3 of 2 is no rate"):
        find_wilson_interval(3, 2)
