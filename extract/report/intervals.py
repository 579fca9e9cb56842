"""The interval of a rate: how many of n interviews."""

from math import sqrt
from statistics import NormalDist


def find_wilson_interval(successes: int, trials: int, confidence: float = 0.95) -> tuple[float, float]:
    """The Wilson score interval of a proportion, without continuity correction, as (low, high) in 0 to 1.

    Wilson, "Probable inference, the law of succession, and statistical inference", JASA 22 (1927),
    209-212. Nothing is known of no trials: (0, 1).
    """
    if not 0 <= successes <= trials:
        raise ValueError(f"{successes} of {trials} is no rate. Give 0 <= successes <= trials.")
    if trials == 0:
        return 0.0, 1.0
    z = NormalDist().inv_cdf((1 + confidence) / 2)
    rate = successes / trials
    scale = 1 + z * z / trials
    centre = (rate + z * z / (2 * trials)) / scale
    half = z / scale * sqrt(rate * (1 - rate) / trials + z * z / (4 * trials * trials))
    low = 0.0 if successes == 0 else centre - half
    high = 1.0 if successes == trials else centre + half
    return low, high
