"""Agreement between two or more annotators: percent, Cohen's kappa, Gwet's AC1, Krippendorff's alpha.

Percent and kappa stand side by side with AC1, since 93% raw agreement can be a kappa of .34 when a
code is rare. Intervals are the analytic ones; alpha has none.
"""

import math
from collections import Counter
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from typing import Any

from evals.uncertainty import Interval, find_wilson_interval
from schemas.codebook import SECTIONS, Codebook, Section
from schemas.golden import Coding

Z = 1.959963984540054


@dataclass(frozen=True, slots=True)
class Agreement:
    """Two annotators on n units. `rate` is how often the first gave the value in question, if there is one."""

    name: str
    n: int
    percent: Interval
    kappa: Interval
    ac1: Interval
    alpha: float


def compare_annotators(name: str, a: Sequence[Hashable], b: Sequence[Hashable]) -> Agreement:
    """Everything about two annotators' values for the same units, in the same order."""
    same = sum(x == y for x, y in zip(a, b, strict=True))
    return Agreement(
        name=name,
        n=len(a),
        percent=find_wilson_interval(same, len(a)),
        kappa=find_cohen_kappa(a, b),
        ac1=find_gwet_ac1(a, b),
        alpha=find_krippendorff_alpha(list(zip(a, b, strict=True))),
    )


def find_cohen_kappa(a: Sequence[Hashable], b: Sequence[Hashable]) -> Interval:
    """Cohen's kappa (1960) with the large-sample interval of Fleiss, Cohen and Everitt (1969).

    NaN where both annotators gave one and the same value throughout: chance then explains all. Where one
    of them gave a single value throughout, kappa is 0 whatever the other did, and has no interval.
    """
    n = len(a)
    if n == 0:
        return _nothing(0)
    joint = Counter(zip(a, b, strict=True))
    left, right = Counter(a), Counter(b)
    observed = sum(count for (x, y), count in joint.items() if x == y) / n
    chance = sum(left[value] * right[value] for value in left) / n**2
    if chance >= 1:
        return _nothing(n)
    kappa = (observed - chance) / (1 - chance)
    if len(left) == 1 or len(right) == 1:
        return _around(kappa, math.nan, n)
    agreeing = sum(
        joint[v, v] / n * (1 - (left[v] + right[v]) / n * (1 - kappa)) ** 2 for v in left.keys() | right.keys()
    )
    differing = (1 - kappa) ** 2 * sum(
        count / n * ((right[x] + left[y]) / n) ** 2 for (x, y), count in joint.items() if x != y
    )
    variance = (agreeing + differing - (kappa - chance * (1 - kappa)) ** 2) / (n * (1 - chance) ** 2)
    return _around(kappa, variance, n)


def find_gwet_ac1(a: Sequence[Hashable], b: Sequence[Hashable]) -> Interval:
    """Gwet's AC1 (2008) of two annotators, with his variance over units (no finite population).

    The values that either annotator used are the categories; with one of them alone, AC1 is 1.
    """
    n = len(a)
    if n == 0:
        return _nothing(0)
    values = set(a) | set(b)
    q = len(values)
    if q < 2:
        return Interval(1.0, 1.0, 1.0, n)
    counts = Counter(a) + Counter(b)
    shares = {value: counts[value] / (2 * n) for value in values}
    chance = sum(share * (1 - share) for share in shares.values()) / (q - 1)
    observed = sum(x == y for x, y in zip(a, b, strict=True)) / n
    ac1 = (observed - chance) / (1 - chance)
    units = [
        ((x == y) - chance) / (1 - chance)
        - 2 * (1 - ac1) * (((1 - shares[x]) + (1 - shares[y])) / 2 / (q - 1) - chance) / (1 - chance)
        for x, y in zip(a, b, strict=True)
    ]
    variance = sum((unit - ac1) ** 2 for unit in units) / (n * (n - 1)) if n > 1 else math.nan
    return _around(ac1, variance, n)


Distance = Callable[[Any, Any], float]


def is_different(a: Hashable, b: Hashable) -> float:
    """The nominal distance: 0 for equal values, 1 for others."""
    return float(a != b)


def find_masi_distance(a: frozenset[Any], b: frozenset[Any]) -> float:
    """Passonneau's MASI distance (2006) of two sets: 1 - Jaccard * monotonicity; 0 for two empty sets.

    Monotonicity is 1 for equal sets, 2/3 where one holds the other, 1/3 where they overlap, 0 else.
    """
    if a == b:
        return 0.0
    shared = len(a & b)
    monotonicity = 0.0 if not shared else 2 / 3 if a <= b or b <= a else 1 / 3
    return 1.0 - shared / len(a | b) * monotonicity


def find_krippendorff_alpha(units: Sequence[Sequence[Any]], distance: Distance = is_different) -> float:
    """Krippendorff's alpha ("Content Analysis", 2004). One sequence of values per unit; None is missing.

    Any number of annotators. NaN where all values that can be paired are the same, or there are none.
    """
    pairable = [[v for v in unit if v is not None] for unit in units]
    pairable = [unit for unit in pairable if len(unit) > 1]
    totals = Counter(value for unit in pairable for value in unit)
    n = sum(totals.values())
    if n < 2:
        return math.nan
    observed = sum(_sum_distances(Counter(unit), distance) / (len(unit) - 1) for unit in pairable) / n
    expected = _sum_distances(totals, distance) / (n * (n - 1))
    return 1 - observed / expected if expected else math.nan


def _sum_distances(counts: Counter[Any], distance: Distance) -> float:
    """The distances of all ordered pairs of values."""
    return sum(m * k * distance(x, y) for x, m in counts.items() for y, k in counts.items() if x != y)


def _around(value: float, variance: float, n: int) -> Interval:
    if math.isnan(variance):
        return Interval(value, math.nan, math.nan, n)
    half = Z * math.sqrt(max(variance, 0.0))
    return Interval(value, value - half, min(1.0, value + half), n)


def _nothing(n: int) -> Interval:
    return Interval(math.nan, math.nan, math.nan, n)


# ---------------------------------------------------------------- codings


def compare_codes(pairs: Sequence[tuple[Coding, Coding]], codebook: Codebook) -> list[tuple[Section, Agreement]]:
    """For each code that either annotator gave: present or absent in each interview, A against B."""
    found = []
    for section in codebook.sections:
        for code in section.codes:
            a, b = (
                [code.id in _find_codes(coding, section.id) for coding in side] for side in zip(*pairs, strict=True)
            )
            if any(a) or any(b):
                found.append((section.id, compare_annotators(code.id, a, b)))
    return found


def compare_code_sets(pairs: Sequence[tuple[Coding, Coding]]) -> dict[Section, float]:
    """Krippendorff's alpha with the MASI distance over the set of codes of each interview, per section."""
    alphas = {}
    for section in SECTIONS:
        units = [tuple(_find_codes(coding, section) for coding in pair) for pair in pairs]
        alphas[section] = find_krippendorff_alpha(units, find_masi_distance)
    return alphas


def _find_codes(coding: Coding, section: Section) -> frozenset[str]:
    return frozenset(item.code for item in coding.sections[section].items)
