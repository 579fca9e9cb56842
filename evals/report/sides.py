"""What a page sets side by side: one or two runs, or two annotators, each with scores and codings."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from evals.comparison import Comparison, compare_scores
from evals.goldens import GoldenSet
from evals.matching import to_coding
from evals.scoring import METRICS, Metric, RunScore, TranscriptScore, score_ceiling, score_coding
from extract.errors import GoldenError
from schemas.codebook import Codebook
from schemas.golden import Coding, Golden
from schemas.record import Manifest

LETTERS = ("A", "B")


@dataclass(frozen=True)
class Side:
    """A run or an annotator: its scores against the goldens, and its coding of each (with repeats, the first)."""

    score: RunScore
    codings: Mapping[str, Coding]
    manifest: Manifest | None = None

    @cached_property
    def firsts(self) -> dict[str, TranscriptScore]:
        """The score of each interview's first repeat."""
        return {score.transcript_id: score for score in sorted(self.score.scores, key=lambda s: -s.repeat)}


@dataclass(frozen=True)
class Sheet:
    """All that a page is made of. `settled` is what the golden's column is called."""

    goldens: GoldenSet
    sides: Sequence[Side]
    ceiling: RunScore
    codebook: Codebook
    margin: float
    settled: str = "Golden"

    @property
    def covered(self) -> list[Golden]:
        """The goldens that a side has a record of, in their order."""
        return [
            file.golden for name, file in self.goldens.files.items() if any(name in side.firsts for side in self.sides)
        ]

    @cached_property
    def comparisons(self) -> dict[Metric, Comparison]:
        """B against A by metric; empty for one side, or fewer than two shared interviews."""
        if len(self.sides) < 2:
            return {}
        a, b = (side.score for side in self.sides)
        if len(set(a.transcript_ids) & set(b.transcript_ids)) < 2:
            return {}
        return {metric: compare_scores(a, b, metric=metric, margin=self.margin) for metric in METRICS}


def make_run_side(score: RunScore, manifest: Manifest) -> Side:
    """The side of a run. Its score holds the records."""
    codings = {
        name: to_coding(record.extraction)
        for (name, _), record in sorted(score.records.items(), key=lambda entry: -entry[0][1])
        if record.extraction
    }
    return Side(score, codings, manifest)


def make_annotator_sides(goldens: Iterable[Golden], a: str, b: str) -> tuple[tuple[Side, Side], RunScore]:
    """Two annotators against the adjudicated coding, and their ceiling: B against A.

    Raises GoldenError where no golden was coded by both.
    """
    goldens = list(goldens)
    both = [golden for golden in goldens if a in golden.codings and b in golden.codings]
    if not both:
        known = sorted({name for golden in goldens for name in golden.codings})
        raise GoldenError(
            f"No golden was coded by both {a!r} and {b!r}. Annotators there: {', '.join(known) or 'none'}."
        )
    return (_make_annotator_side(both, a), _make_annotator_side(both, b)), score_ceiling(both, a, b)


def _make_annotator_side(goldens: Sequence[Golden], name: str) -> Side:
    scores = [
        score_coding(g.adjudicated, g.codings[name], transcript_id=g.transcript_id, cohort=g.cohort) for g in goldens
    ]
    return Side(RunScore(name, tuple(scores)), {g.transcript_id: g.codings[name] for g in goldens})
