"""How far a judge can be trusted, and what its rate becomes once its known errors are taken out.

Statistics of a judge count two outcomes: supported, or not. `partly` counts as not supported.
"""

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace

from evals.agreement import Z, find_cohen_kappa
from evals.uncertainty import Interval, find_t
from schemas.verdict import Verdict

MIN_PAIRS = 50
MIN_KAPPA = 0.6


@dataclass(frozen=True)
class Rate:
    """`count` of `of`."""

    count: int
    of: int

    @property
    def value(self) -> float:
        """The share; NaN of nothing."""
        return self.count / self.of if self.of else math.nan


@dataclass(frozen=True)
class Calibration:
    """A judge against labelled pairs: (label, verdict) of each pair that it answered.

    `unanswered` pairs got no verdict; they are in no figure, only in the report.
    """

    outcomes: tuple[tuple[Verdict, Verdict], ...]
    unanswered: int = 0

    @property
    def confusion(self) -> Counter[tuple[Verdict, Verdict]]:
        """How often each (label, verdict) occurred."""
        return Counter(self.outcomes)

    @property
    def agreement(self) -> Rate:
        """Pairs on which label and verdict are the same, of the three."""
        return Rate(sum(label == verdict for label, verdict in self.outcomes), len(self.outcomes))

    @property
    def base_rate(self) -> Rate:
        """Pairs that are labelled supported."""
        return Rate(sum(label == "supported" for label, _ in self.outcomes), len(self.outcomes))

    @property
    def kappa(self) -> Interval:
        """Cohen's kappa over the three labels."""
        return find_cohen_kappa([label for label, _ in self.outcomes], [verdict for _, verdict in self.outcomes])

    @property
    def binary_kappa(self) -> Interval:
        """Cohen's kappa of supported against the rest."""
        sides = [(label == "supported", verdict == "supported") for label, verdict in self.outcomes]
        return find_cohen_kappa([a for a, _ in sides], [b for _, b in sides])

    @property
    def sensitivity(self) -> Rate:
        """q1: of the pairs labelled supported, those that the judge calls supported."""
        verdicts = [verdict for label, verdict in self.outcomes if label == "supported"]
        return Rate(verdicts.count("supported"), len(verdicts))

    @property
    def specificity(self) -> Rate:
        """q0: of the pairs labelled partly or not, those that the judge does not call supported."""
        verdicts = [verdict for label, verdict in self.outcomes if label != "supported"]
        return Rate(len(verdicts) - verdicts.count("supported"), len(verdicts))

    @property
    def objection(self) -> str | None:
        """Why no decision may rest on this judge; None if one may."""
        pairs = len(self.outcomes)
        if pairs < MIN_PAIRS:
            return f"it has answered {pairs} labelled pairs, and {MIN_PAIRS} are needed"
        kappas = (self.kappa.mean, self.binary_kappa.mean)
        if any(math.isnan(kappa) for kappa in kappas):
            return "its kappa is undefined, since every label and verdict is the same"
        if min(kappas) < MIN_KAPPA:
            return f"its kappa is {min(kappas):.2f}, below {MIN_KAPPA:.2f}"
        return None


def measure_rate(clusters: Sequence[Rate]) -> Interval | None:
    """The pooled rate over interviews (a `Rate` each) with its 95% interval; None without items.

    Agresti-Coull on the effective number of items, with the t quantile of interviews - 1.
    """
    pooled = _pool(clusters)
    if not pooled.of:
        return None
    n, c = find_effective_size(clusters), find_t(0.95, max(1, len(clusters) - 1))
    middle = (n * pooled.value + c * c / 2) / (n + c * c)
    spread = c * math.sqrt(middle * (1 - middle) / (n + c * c))
    return Interval(pooled.value, max(0.0, middle - spread), min(1.0, middle + spread), len(clusters))


def correct_rate(clusters: Sequence[Rate], calibration: Calibration) -> Interval | None:
    """The rate over interviews without the judge's known errors; None where they cannot be taken out.

    See `adjust_rate`. Clustering enters through the effective number of items and the t quantile.
    """
    q1, q0 = calibration.sensitivity, calibration.specificity
    pooled = _pool(clusters)
    if not (pooled.of and q1.of and q0.of):
        return None
    n, c = find_effective_size(clusters), find_t(0.95, max(1, len(clusters) - 1))
    adjusted = adjust_rate(pooled.value, n, q1, q0, critical=c)
    return replace(adjusted, n=len(clusters)) if adjusted else None


def adjust_rate(rate: float, size: float, q1: Rate, q0: Rate, *, critical: float = Z) -> Interval | None:
    """The true rate behind a judge's `rate` over `size` items, with an interval; both within [0, 1].

    Value: (rate + q0 - 1) / (q0 + q1 - 1), Rogan and Gladen 1978 (Am J Epidemiol 107:71). Interval: Lang
    and Reiczigel 2014 (Prev Vet Med 113:13), which counts the uncertainty of q1 and q0 as well; Lee et al.
    (arXiv 2511.21140) give the same for a model that judges. None for a judge no better than chance.
    """
    value_gain = q0.value + q1.value - 1
    n, n1, n0 = size + critical**2, q1.of + 2, q0.of + 2
    p, s1, s0 = (rate * size + critical**2 / 2) / n, (q1.count + 1) / n1, (q0.count + 1) / n0
    gain = s0 + s1 - 1
    if value_gain <= 0 or gain <= 0:
        return None
    middle = (p + s0 - 1) / gain
    v1, v0 = s1 * (1 - s1) / n1, s0 * (1 - s0) / n0
    shift = 2 * critical**2 * (middle * v1 - (1 - middle) * v0)
    spread = critical * math.sqrt(p * (1 - p) / n + middle**2 * v1 + (1 - middle) ** 2 * v0) / gain
    value = _clip((rate + q0.value - 1) / value_gain)
    low, high = _clip(middle + shift - spread), _clip(middle + shift + spread)
    return Interval(value, min(low, value), max(high, value), round(size))


def _clip(value: float) -> float:
    return min(1.0, max(0.0, value))


def _pool(clusters: Sequence[Rate]) -> Rate:
    return Rate(sum(c.count for c in clusters), sum(c.of for c in clusters))


def find_effective_size(clusters: Sequence[Rate]) -> float:
    """How many independent items these are worth: items over the design effect, which is at least 1.

    The variance of the pooled rate is cluster-robust: n/(n-1) * sum((count - rate * of)^2) / items^2.
    Where all items are alike nothing shows how they hang together, and an interview counts once.
    """
    pooled, n = _pool(clusters), sum(c.of > 0 for c in clusters)
    p = pooled.value
    if n < 2 or p in (0.0, 1.0):
        return float(n)
    squares = sum((c.count - p * c.of) ** 2 for c in clusters)
    variance = n / (n - 1) * squares / pooled.of**2
    return pooled.of / max(1.0, variance / (p * (1 - p) / pooled.of))
