"""Comparisons: one run's scores against another's, paired over the interviews that both have."""

from collections.abc import Mapping
from dataclasses import dataclass
from statistics import fmean

from evals.matching import Pair
from evals.scoring import SCOPES, Metric, RunScore, Scope
from evals.uncertainty import Difference, Interval, adjust_holm, compare_paired, find_mean_interval
from extract.errors import EvaluationError
from schemas.codebook import SECTIONS, Section
from schemas.golden import GoldenItem
from schemas.record import Manifest

MARGIN = 0.03
ALPHA = 0.05


@dataclass(frozen=True)
class Row:
    """One scope (a section, or all): A, B, and B - A over the shared interviews.

    `holm_p` is adjusted over the five sections; for `all`, the primary one, it is the p itself. A
    section's verdict needs it below .05 to be better or worse.
    """

    scope: Scope
    a: Interval
    b: Interval
    difference: Difference
    holm_p: float

    @property
    def verdict(self) -> str:
        """`better`, `no worse`, `worse` or `inconclusive`."""
        found = self.difference.verdict
        if found in ("better", "worse") and self.holm_p >= ALPHA and self.scope != "all":
            return "no worse" if found == "better" else "inconclusive"
        return found


@dataclass(frozen=True)
class Change:
    """What one of two runs has and the other has not: `gained` and `lost` golden items, `new extra`, `extra gone`."""

    transcript_id: str
    section: Section
    kind: str
    item: GoldenItem


@dataclass(frozen=True)
class Comparison:
    """A against B: `shared` interviews, a row for each scope, and what changed."""

    a: RunScore
    b: RunScore
    metric: Metric
    margin: float
    shared: tuple[str, ...]
    rows: Mapping[Scope, Row]

    def find_moved(self, most: int = 5) -> list[tuple[str, float, float]]:
        """The interviews whose score moved most: id, A, B."""
        a, b = self.a.find_values("all", self.metric), self.b.find_values("all", self.metric)
        moved = [(i, a[i], b[i]) for i in self.shared if a[i] != b[i]]
        return sorted(moved, key=lambda row: (-abs(row[2] - row[1]), row[0]))[:most]

    def find_changes(self) -> list[Change]:
        """Items gained and lost from A to B; with repeats, those of the first one."""
        a, b = _index_pairs(self.a), _index_pairs(self.b)
        changes = []
        for transcript_id in self.shared:
            for section in SECTIONS:
                mine, its = a.get((transcript_id, section), []), b.get((transcript_id, section), [])
                changes.extend(_find_changes(transcript_id, section, mine, its))
        return changes


def _index_pairs(score: RunScore) -> dict[tuple[str, Section], list[Pair]]:
    return {
        (s.transcript_id, section): list(pairs)
        for s in score.scores
        if s.repeat == min(r.repeat for r in score.scores if r.transcript_id == s.transcript_id)
        for section, pairs in s.pairs.items()
    }


def _find_changes(transcript_id: str, section: Section, mine: list[Pair], its: list[Pair]) -> list[Change]:
    """Golden items stand in the same order on both sides, so they are compared by place."""
    left, right = ([pair for pair in side if pair.golden] for side in (mine, its))
    found = []
    for before, after in zip(left, right, strict=True):
        if after.is_grounded and not before.is_grounded and after.got:
            found.append(Change(transcript_id, section, "gained", after.got))
        if before.is_grounded and not after.is_grounded and before.got:
            found.append(Change(transcript_id, section, "lost", before.got))
    extra_a, extra_b = (
        {(p.got.code, p.got.evidence): p.got for p in side if p.kind == "extra" and p.got} for side in (mine, its)
    )
    found += [Change(transcript_id, section, "new extra", item) for key, item in extra_b.items() if key not in extra_a]
    return found + [
        Change(transcript_id, section, "extra gone", item) for key, item in extra_a.items() if key not in extra_b
    ]


def compare_scores(a: RunScore, b: RunScore, *, metric: Metric = "grounded", margin: float = MARGIN) -> Comparison:
    """Compare two runs over the goldens that both cover.

    Raises EvaluationError where they share fewer than two interviews.
    """
    shared = tuple(i for i in a.transcript_ids if i in set(b.transcript_ids))
    if len(shared) < 2:
        raise EvaluationError(
            f"{a.name} and {b.name} share {len(shared) or 'no'} scored interview. Extract the same goldens with both."
        )
    found = {}
    for scope in SCOPES:
        mine, its = a.find_values(scope, metric), b.find_values(scope, metric)
        differences = [its[i] - mine[i] for i in shared]
        left, right = (find_mean_interval([values[i] for i in shared]) for values in (mine, its))
        found[scope] = (left, right, compare_paired(differences, margin))
    holm = adjust_holm([found[section][2].p for section in SECTIONS])
    adjusted: dict[Scope, float] = {"all": found["all"][2].p, **dict(zip(SECTIONS, holm, strict=True))}
    rows = {scope: Row(scope, *found[scope], adjusted[scope]) for scope in SCOPES}
    return Comparison(a, b, metric, margin, shared, rows)


def check_comparable(a: Manifest, b: Manifest) -> None:
    """Raises EvaluationError where two runs were coded with different codebooks."""
    if a.codebook_sha256 != b.codebook_sha256:
        raise EvaluationError(
            f"{a.run_id!r} and {b.run_id!r} were made with different codebooks "
            f"({a.codebook_sha256[:8]}, {b.codebook_sha256[:8]}). Extract both with the same one."
        )


# ---------------------------------------------------------------- what a run took


@dataclass(frozen=True)
class Effort:
    """What a run took over its scored records: rates 0 to 1, tokens and dollars per interview, seconds."""

    records: int
    failures: int
    refusals: int
    valid_at_once: float
    reasks: int
    input_tokens: float
    output_tokens: float
    cost_usd: float | None
    p50_s: float
    p95_s: float


def sum_effort(score: RunScore) -> Effort:
    """What the scored records took; `valid_at_once` needs no re-ask and no failure."""
    records = list(score.records.values())
    latencies = sorted(record.latency_s for record in records) or [0.0]
    paid = [record.cost_usd for record in records if record.usage.requests]
    reasks = sum(max(0, record.usage.requests - 1) for record in records)
    at_once = [record.failure is None and record.usage.requests <= 1 for record in records]
    return Effort(
        records=len(records),
        failures=sum(record.failure is not None for record in records),
        refusals=sum(record.failure is not None and record.failure.kind == "refusal" for record in records),
        valid_at_once=fmean(at_once) if at_once else 0.0,
        reasks=reasks,
        input_tokens=fmean([record.usage.whole_input_tokens for record in records] or [0]),
        output_tokens=fmean([record.usage.output_tokens for record in records] or [0]),
        cost_usd=None if any(cost is None for cost in paid) else fmean([cost or 0.0 for cost in paid] or [0.0]),
        p50_s=_find_percentile(latencies, 0.5),
        p95_s=_find_percentile(latencies, 0.95),
    )


def _find_percentile(values: list[float], share: float) -> float:
    """The smallest value that at least this share of the sorted values do not pass."""
    return values[min(len(values) - 1, max(0, -int(-share * len(values) // 1) - 1))]
