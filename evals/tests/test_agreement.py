import math

import krippendorff
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from evals.agreement import (
    compare_annotators,
    compare_code_sets,
    compare_codes,
    find_cohen_kappa,
    find_gwet_ac1,
    find_krippendorff_alpha,
    find_masi_distance,
)
from evals.tests.samples import make_coding, make_item
from schemas.codebook import load_codebook

N = None
RELIABILITY_DATA = [  # Krippendorff, "Computing Krippendorff's Alpha-Reliability" (2011), four observers
    [1, 2, 3, 3, 2, 1, 4, 1, 2, N, N, N],
    [1, 2, 3, 3, 2, 2, 4, 1, 2, 5, N, 3],
    [N, 3, 3, 3, 2, 3, 4, 2, 2, 5, 1, N],
    [1, 2, 3, 3, 2, 4, 4, 1, 2, 5, 1, N],
]


def from_table(table: list[list[int]]) -> tuple[list[int], list[int]]:
    """The two annotators' values behind a cross table (rows: the first, columns: the second)."""
    cells = [(i, j) for i, row in enumerate(table) for j, count in enumerate(row) for _ in range(count)]
    return [i for i, _ in cells], [j for _, j in cells]


def test_alpha_of_the_published_example() -> None:
    assert find_krippendorff_alpha(list(zip(*RELIABILITY_DATA, strict=True))) == pytest.approx(0.743, abs=5e-4)


VALUES = st.lists(st.lists(st.sampled_from([0, 1, 2, None]), min_size=3, max_size=3), min_size=2, max_size=30)


@given(VALUES)
def test_alpha_is_that_of_the_krippendorff_package(units: list[list[int | None]]) -> None:
    ours = find_krippendorff_alpha(units)
    seen = [v for unit in units for v in unit if v is not None]
    if math.isnan(ours) or len(set(seen)) < 2:
        return
    data = np.array([[np.nan if v is None else v for v in unit] for unit in units], dtype=float).T
    assert ours == pytest.approx(krippendorff.alpha(reliability_data=data, level_of_measurement="nominal"))


def test_kappa_of_a_published_table() -> None:
    # Fleiss, Levin and Paik, "Statistical Methods for Rates and Proportions" (2003), table 18.1: kappa .676
    kappa = find_cohen_kappa(*from_table([[75, 1, 4], [5, 4, 1], [0, 0, 10]]))
    assert kappa.mean == pytest.approx(0.68, abs=0.005)
    assert (kappa.high - kappa.mean) / 1.959964 == pytest.approx(0.087, abs=0.001)


def test_kappa_and_ac1_of_a_rare_code_disagree_as_published() -> None:
    # Gwet 2008, table 2: 125 units, 94% raw agreement, kappa below 0, AC1 .941
    a, b = from_table([[118, 5], [2, 0]])
    found = compare_annotators("rare", a, b)
    assert found.percent.mean == pytest.approx(0.944)
    assert found.kappa.mean == pytest.approx(-0.0234, abs=1e-4)
    assert found.ac1.mean == pytest.approx(0.9408, abs=1e-4)


def test_full_agreement_on_one_value_has_no_kappa_but_an_ac1_of_1() -> None:
    assert math.isnan(find_cohen_kappa([1, 1], [1, 1]).mean)
    assert find_gwet_ac1([1, 1], [1, 1]).mean == 1
    assert find_cohen_kappa([], []).n == find_gwet_ac1([], []).n == 0


@given(st.lists(st.tuples(st.booleans(), st.booleans()), min_size=2, max_size=60))
def test_no_coefficient_depends_on_which_annotator_comes_first(pairs: list[tuple[bool, bool]]) -> None:
    a, b = zip(*pairs, strict=True)
    one, other = compare_annotators("x", a, b), compare_annotators("x", b, a)
    for name in ("kappa", "ac1", "percent"):
        assert getattr(one, name).mean == pytest.approx(getattr(other, name).mean, nan_ok=True)
        assert getattr(one, name).low == pytest.approx(getattr(other, name).low, nan_ok=True, abs=1e-9)
    assert one.alpha == pytest.approx(other.alpha, nan_ok=True)


def test_masi_of_equal_nested_overlapping_and_disjoint_sets() -> None:
    a, b, c, d = map(frozenset, ("ab", "abc", "bc", "xy"))
    assert find_masi_distance(a, a) == find_masi_distance(frozenset(), frozenset()) == 0
    assert find_masi_distance(a, b) == pytest.approx(1 - 2 / 3 * 2 / 3)
    assert find_masi_distance(a, c) == pytest.approx(1 - 1 / 3 * 1 / 3)
    assert find_masi_distance(a, d) == 1


def test_codings_agree_code_by_code_and_as_sets() -> None:
    one = make_coding(concerns=[make_item("unreliability", (0, 9), timing="lived")])
    none = make_coding()
    pairs = [(one, one), (none, none), (one, none)]
    codes = {(section, found.name): found for section, found in compare_codes(pairs, load_codebook())}
    assert list(codes) == [("concerns", "unreliability")]
    assert codes["concerns", "unreliability"].percent.mean == pytest.approx(2 / 3)
    assert compare_code_sets([(one, one), (none, none)])["concerns"] == 1


def test_kappa_ac1_and_alpha_of_three_values_are_those_of_other_libraries() -> None:
    a, b = "adbadcdccacdcddadcba", "cddacddccccdcddadddd"
    kappa, ac1 = find_cohen_kappa(a, b), find_gwet_ac1(a, b)
    # statsmodels 0.14, inter_rater.cohens_kappa; scikit-learn gives the same kappa
    assert (kappa.mean, kappa.low, kappa.high) == pytest.approx((0.4095941, 0.1204577, 0.6987305), abs=1e-6)
    # irrCAC, CAC.gwet: its standard error is 0.1468926
    assert (ac1.mean, ac1.low, ac1.high) == pytest.approx((0.4874533, 0.1995490, 0.7753576), abs=1e-6)
    assert find_krippendorff_alpha(list(zip(a, b, strict=True))) == pytest.approx(0.4079696, abs=1e-6)


def test_kappa_has_no_interval_where_one_annotator_gave_one_value_throughout() -> None:
    kappa = find_cohen_kappa("aaaaa", "aaaab")
    assert kappa.mean == 0
    assert math.isnan(kappa.low)
