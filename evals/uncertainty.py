"""Intervals, p values and what a sample can show. The unit is the interview, never the item."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy import special  # not stats: it takes half a second to import

EXACT_N = 16
DRAWS = 10_000
SEED = 20_260_901

Verdict = Literal["better", "no worse", "worse", "inconclusive"]


@dataclass(frozen=True, slots=True)
class Interval:
    """An estimate with its confidence limits, over `n` interviews. Limits are NaN where n is too small."""

    mean: float
    low: float
    high: float
    n: int


@dataclass(frozen=True, slots=True)
class Difference:
    """A against B on the same interviews: B - A with its interval, `p` by sign flips, and what n can show.

    `mde` is the minimum detectable effect at 80% power, `needed_n` how many interviews would
    give a verdict if difference and spread stayed as they are (None where the sample tells nothing).
    """

    interval: Interval
    p: float
    sd: float
    mde: float
    verdict: Verdict
    needed_n: int | None


def find_mean_interval(values: Sequence[float], confidence: float = 0.95) -> Interval:
    """Mean and t interval over interviews. One value per interview; NaN limits for fewer than two."""
    n = len(values)
    if n == 0:
        return Interval(math.nan, math.nan, math.nan, 0)
    mean = float(np.mean(values))
    if n < 2:
        return Interval(mean, math.nan, math.nan, n)
    half = find_t(confidence, n - 1) * float(np.std(values, ddof=1)) / math.sqrt(n)
    return Interval(mean, mean - half, mean + half, n)


def find_wilson_interval(hits: int, n: int, confidence: float = 0.95) -> Interval:
    """A rate with Wilson's score interval (1927). With 0 hits the upper limit is near 3/n for large n."""
    if n == 0:
        return Interval(math.nan, math.nan, math.nan, 0)
    rate, z = hits / n, float(special.ndtri(0.5 + confidence / 2))
    middle = (rate + z**2 / (2 * n)) / (1 + z**2 / n)
    half = z / (1 + z**2 / n) * math.sqrt(rate * (1 - rate) / n + z**2 / (4 * n**2))
    return Interval(rate, middle - half if hits else 0.0, middle + half if hits < n else 1.0, n)


def find_ratio_interval(hits: Sequence[float], totals: Sequence[float], confidence: float = 0.95) -> Interval:
    """A pooled rate sum(hits) / sum(totals) with its cluster-robust interval; one pair per interview.

    SE = sqrt(n / (n - 1) * sum((hits - p * totals)^2)) / sum(totals), t with n - 1 degrees of freedom
    (Miller, arXiv 2411.00640).
    """
    n, whole = len(hits), float(np.sum(totals))
    if n < 2 or whole == 0:
        return Interval(math.nan, math.nan, math.nan, n)
    p = float(np.sum(hits)) / whole
    residuals = np.asarray(hits) - p * np.asarray(totals)
    half = find_t(confidence, n - 1) * math.sqrt(n / (n - 1) * float(np.sum(residuals**2))) / whole
    return Interval(p, p - half, p + half, n)


def compare_paired(differences: Sequence[float], margin: float, confidence: float = 0.95) -> Difference:
    """The differences B - A, one per interview, with interval, p, detectable effect and verdict."""
    interval = find_mean_interval(differences, confidence)
    n = len(differences)
    sd = float(np.std(differences, ddof=1)) if n > 1 else math.nan
    return Difference(
        interval=interval,
        p=find_sign_flip_p(differences),
        sd=sd,
        mde=find_detectable_effect(sd, n),
        verdict=judge_difference(interval, margin),
        needed_n=find_needed_n(interval.mean, sd, margin),
    )


def judge_difference(interval: Interval, margin: float) -> Verdict:
    """`better`: all above 0. `worse`: all below 0. `no worse`: all above -margin. Else `inconclusive`.

    Where every interview has the same score in both, the interval is 0 wide and the verdict is `no worse`.
    """
    if math.isnan(interval.low):
        return "inconclusive"
    if interval.low > 0:
        return "better"
    if interval.high < 0:
        return "worse"
    return "no worse" if interval.low > -margin else "inconclusive"


def find_sign_flip_p(differences: Sequence[float]) -> float:
    """Two-sided p of the sign-flip permutation test over interviews.

    All 2^n flips for n <= 16, else 10,000 draws with a fixed seed (the observed one counts as a draw).
    """
    values = np.asarray([d for d in differences if d != 0], dtype=float)
    n = len(values)
    if n == 0:
        return 1.0
    observed = abs(values.sum()) - 1e-12
    if n <= EXACT_N:
        return float(np.mean(np.abs(_sum_all_flips(values)) >= observed))
    return float((np.sum(np.abs(_draw_signs(n) @ values) >= observed) + 1) / (DRAWS + 1))


def _sum_all_flips(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """The sums of the values under all 2^n ways to flip their signs."""
    sums = np.zeros(1)
    for value in values:
        sums = np.concatenate((sums + value, sums - value))
    return sums


@lru_cache(8)
def _draw_signs(n: int) -> NDArray[np.float64]:
    """Random signs for n interviews, the same every time."""
    flips = np.random.default_rng(SEED).integers(0, 2, size=(DRAWS, n))
    return np.where(flips == 1, -1.0, 1.0)


def find_mcnemar_p(only_a: int, only_b: int) -> float:
    """Exact two-sided McNemar test: `only_a` interviews right in A alone, `only_b` in B alone."""
    n = only_a + only_b
    return min(1.0, 2 * float(special.bdtr(min(only_a, only_b), n, 0.5))) if n else 1.0


def find_detectable_effect(sd: float, n: int, power: float = 0.8, confidence: float = 0.95) -> float:
    """The smallest true difference that n interviews show with this power: (t_conf + t_power) * sd / sqrt(n)."""
    if n < 2 or math.isnan(sd):
        return math.nan
    both = find_t(confidence, n - 1) + float(special.stdtrit(n - 1, power))
    return both * sd / math.sqrt(n)


def find_needed_n(mean: float, sd: float, margin: float, confidence: float = 0.95) -> int | None:
    """How many interviews would give a verdict if difference and spread stayed as they are.

    The interval must be narrow enough to lie above -margin or below 0. None where sd is unknown.
    """
    gap = max(mean + margin, -mean)
    if math.isnan(sd) or gap <= 0:
        return None
    z = float(special.ndtri(0.5 + confidence / 2))
    n = max(2, math.ceil((z * sd / gap) ** 2))  # a little too few, since t is wider
    while find_t(confidence, n - 1) * sd / math.sqrt(n) >= gap:
        n += 1
    return n


def adjust_holm(ps: Sequence[float]) -> list[float]:
    """Holm's adjusted p values (1979), in the order given: for gates over several sections."""
    adjusted, most = [0.0] * len(ps), 0.0
    for rank, index in enumerate(np.argsort(ps)):
        most = max(most, min(1.0, ps[index] * (len(ps) - rank)))
        adjusted[index] = most
    return adjusted


def adjust_benjamini_hochberg(ps: Sequence[float]) -> list[float]:
    """Benjamini and Hochberg's adjusted p values (1995), in the order given: for exploring many codes."""
    order = np.argsort(ps)[::-1]
    adjusted, least = [0.0] * len(ps), 1.0
    for position, index in enumerate(order):
        least = min(least, ps[index] * len(ps) / (len(ps) - position))
        adjusted[index] = least
    return adjusted


def find_t(confidence: float, df: int) -> float:
    """The quantile of Student's t that a two-sided interval of this confidence reaches to."""
    return float(special.stdtrit(df, 0.5 + confidence / 2))
