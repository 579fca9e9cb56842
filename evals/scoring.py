"""Scores of a run against goldens: code F1, grounded F1, attributes, mode, leader, status, evidence.

The unit is the interview. A failure counts as 0 in every section and is listed; a golden that the run
does not cover is listed and not scored.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from statistics import fmean
from typing import Literal

from evals.matching import Pair, find_attribute, find_overlap, match_section, to_coding
from extract.errors import EvaluationError
from schemas.codebook import ITEM_ATTRIBUTES, SECTIONS, Section
from schemas.golden import Coding, Golden
from schemas.record import Record

Metric = Literal["grounded", "code"]
METRICS: tuple[Metric, ...] = ("grounded", "code")
Scope = Section | Literal["all"]
SCOPES: tuple[Scope, ...] = ("all", *SECTIONS)
JUDGEMENTS = (*ITEM_ATTRIBUTES.values(), "mode", "leader", "status")


@dataclass(frozen=True, slots=True)
class Counts:
    """Items of one or more sections: how many the golden holds, were got, and match."""

    golden: int = 0
    got: int = 0
    code: int = 0
    grounded: int = 0

    def __add__(self, other: "Counts") -> "Counts":
        return Counts(
            self.golden + other.golden, self.got + other.got, self.code + other.code, self.grounded + other.grounded
        )

    def find_precision(self, metric: Metric = "grounded") -> float:
        """Matches over what was got, 0 to 1; where nothing was got, 1 if there was nothing to get."""
        return getattr(self, metric) / self.got if self.got else float(not self.golden)

    def find_recall(self, metric: Metric = "grounded") -> float:
        """Matches over what the golden holds, 0 to 1; where that is nothing, 1 if nothing was got."""
        return getattr(self, metric) / self.golden if self.golden else float(not self.got)

    def find_f1(self, metric: Metric = "grounded") -> float:
        """Twice the matches over both lists, 0 to 1; 1 where both are empty."""
        both = self.golden + self.got
        return 2 * getattr(self, metric) / both if both else 1.0


@dataclass(frozen=True)
class TranscriptScore:
    """One record against its golden. `judgements` holds (golden, got) of attributes, mode, leader, status."""

    transcript_id: str
    cohort: str
    repeat: int
    counts: Mapping[Scope, Counts]
    pairs: Mapping[Section, Sequence[Pair]]
    judgements: Mapping[str, Sequence[tuple[str, str]]]
    failure: str | None = None

    def find_f1(self, scope: Scope = "all", metric: Metric = "grounded") -> float:
        """The F1 of one interview; 0 for a failure."""
        return 0.0 if self.failure else self.counts[scope].find_f1(metric)


@dataclass(frozen=True)
class RunScore:
    """A run against the goldens it shares with them. `missing` are goldens that the run does not cover."""

    name: str
    scores: tuple[TranscriptScore, ...]
    missing: tuple[str, ...] = ()
    records: Mapping[tuple[str, int], Record] = field(default_factory=dict, repr=False)

    @cached_property
    def transcript_ids(self) -> tuple[str, ...]:
        """The interviews that were scored, in order."""
        return tuple(dict.fromkeys(score.transcript_id for score in self.scores))

    @property
    def failures(self) -> tuple[TranscriptScore, ...]:
        """The scores of records that are failures: all 0."""
        return tuple(score for score in self.scores if score.failure)

    def find_values(self, scope: Scope = "all", metric: Metric = "grounded") -> dict[str, float]:
        """F1 by interview; repeats are averaged first, since they never replace interviews."""
        values: dict[str, list[float]] = defaultdict(list)
        for score in self.scores:
            values[score.transcript_id].append(score.find_f1(scope, metric))
        return {transcript_id: fmean(found) for transcript_id, found in values.items()}

    def find_spread(self, scope: Scope = "all", metric: Metric = "grounded") -> float | None:
        """The standard deviation between repeats of one interview, pooled; None without repeats."""
        values: dict[str, list[float]] = defaultdict(list)
        for score in self.scores:
            values[score.transcript_id].append(score.find_f1(scope, metric))
        squares = [(v - fmean(found)) ** 2 for found in values.values() for v in found]
        freedom = sum(len(found) - 1 for found in values.values())
        return (sum(squares) / freedom) ** 0.5 if freedom else None

    def sum_counts(self, scope: Scope = "all") -> Counts:
        """All items of all interviews together: for the pooled precision and recall."""
        total = Counts()
        for score in self.scores:
            total += score.counts[scope]
        return total

    def collect_judgements(self, name: str) -> list[tuple[str, str]]:
        """All (golden, got) of `disposition`, `timing`, `kind` (on matched items), `mode`, `leader` or `status`."""
        return [pair for score in self.scores for pair in score.judgements.get(name, ())]

    def find_overlap(self) -> float:
        """Mean character overlap (Jaccard) of the evidence of matched items; NaN without any."""
        overlaps = [
            find_overlap(pair.golden.evidence, pair.got.evidence)
            for score in self.scores
            for pairs in score.pairs.values()
            for pair in pairs
            if pair.is_grounded and pair.golden and pair.got
        ]
        return fmean(overlaps) if overlaps else float("nan")

    def score_codes(self) -> dict[tuple[Section, str], Counts]:
        """Counts for each code of each section that the goldens or the run have."""
        codes: dict[tuple[Section, str], Counts] = defaultdict(Counts)
        for score in self.scores:
            for section, pairs in score.pairs.items():
                for pair in pairs:
                    for key, counts in _count_pair(section, pair):
                        codes[key] += counts
        return dict(codes)

    def find_macro_f1(self, metric: Metric = "grounded") -> float:
        """The mean F1 over the codes that the goldens have: rare codes count like common ones."""
        found = [counts.find_f1(metric) for counts in self.score_codes().values() if counts.golden]
        return fmean(found) if found else float("nan")

    def count_confusions(self) -> Counter[tuple[Section, str, str]]:
        """Same evidence, other code: how often (section, golden code, code got)."""
        return Counter(
            (section, pair.golden.code, pair.got.code)
            for score in self.scores
            for section, pairs in score.pairs.items()
            for pair in pairs
            if pair.kind == "other_code" and pair.golden and pair.got
        )


def _count_pair(section: Section, pair: Pair) -> list[tuple[tuple[Section, str], Counts]]:
    if pair.golden and pair.got and pair.golden.code == pair.got.code:
        return [((section, pair.golden.code), Counts(1, 1, 1, int(pair.is_grounded)))]
    sides = ((pair.golden, Counts(golden=1)), (pair.got, Counts(got=1)))
    return [((section, item.code), counts) for item, counts in sides if item]


def score_records(records: Iterable[Record], goldens: Iterable[Golden], name: str = "run") -> RunScore:
    """Score records against the goldens of the same transcripts; records without a golden are left out.

    Raises EvaluationError where a record was made from another text than its golden.
    """
    by_id = {golden.transcript_id: golden for golden in goldens}
    scores, kept = [], {}
    for record in records:
        golden = by_id.get(record.transcript_id)
        if golden is None:
            continue
        kept[record.transcript_id, record.repeat] = record
        scores.append(score_record(record, golden))
    order = {transcript_id: number for number, transcript_id in enumerate(by_id)}
    scores.sort(key=lambda score: (order[score.transcript_id], score.repeat))
    seen = {score.transcript_id for score in scores}
    return RunScore(name, tuple(scores), tuple(i for i in by_id if i not in seen), kept)


def score_record(record: Record, golden: Golden) -> TranscriptScore:
    """Score one record. Raises EvaluationError where its text is not the golden's."""
    if record.text_sha256 is not None and record.text_sha256 != golden.text_sha256:
        raise EvaluationError(
            f"The run read another text of {record.transcript_id!r} than the golden was coded on. Extract it again."
        )
    failure = f"{record.failure.kind}: {record.failure.message}" if record.failure else None
    got = to_coding(record.extraction) if record.extraction else None
    return score_coding(
        golden.adjudicated, got, transcript_id=golden.transcript_id, cohort=golden.cohort, repeat=record.repeat,
        failure=failure if got is None else None,
    )  # fmt: skip


def score_coding(
    golden: Coding,
    got: Coding | None,
    *,
    transcript_id: str,
    cohort: str = "",
    repeat: int = 0,
    failure: str | None = None,
) -> TranscriptScore:
    """Score one coding against another of the same transcript; `got` None is a failure: all is missed."""
    theirs = got.sections if got else {}
    pairs = {
        section: match_section(part.items, theirs[section].items if got else ())
        for section, part in golden.sections.items()
    }
    counts: dict[Scope, Counts] = {section: _count(found) for section, found in pairs.items()}
    counts["all"] = sum((counts[section] for section in SECTIONS), Counts())
    judgements = _judge(golden, got, pairs) if got else {}
    return TranscriptScore(transcript_id, cohort, repeat, counts, pairs, judgements, failure)


def _count(pairs: Sequence[Pair]) -> Counts:
    return Counts(
        golden=sum(pair.golden is not None for pair in pairs),
        got=sum(pair.got is not None for pair in pairs),
        code=sum(pair.kind in ("agreed", "attribute", "other_evidence") for pair in pairs),
        grounded=sum(pair.is_grounded for pair in pairs),
    )


def _judge(golden: Coding, got: Coding, pairs: Mapping[Section, Sequence[Pair]]) -> dict[str, list[tuple[str, str]]]:
    judged: dict[str, list[tuple[str, str]]] = {
        "mode": [(golden.collaboration_style.mode, got.collaboration_style.mode)],
        "leader": [(golden.collaboration_style.leader, got.collaboration_style.leader)],
        "status": [(golden.sections[s].status, got.sections[s].status) for s in SECTIONS],
    }
    for section, name in ITEM_ATTRIBUTES.items():
        judged[name] = [
            (find_attribute(pair.golden) or "", find_attribute(pair.got) or "")
            for pair in pairs[section]  # type: ignore[index]
            if pair.is_grounded and pair.golden and pair.got
        ]
    return judged


def score_ceiling(goldens: Iterable[Golden], a: str = "A", b: str = "B") -> RunScore:
    """The ceiling: annotator `b` against annotator `a`, scored like a run, on goldens that have both."""
    both = [golden for golden in goldens if a in golden.codings and b in golden.codings]
    scores = [score_coding(g.codings[a], g.codings[b], transcript_id=g.transcript_id, cohort=g.cohort) for g in both]
    return RunScore(f"{a} against {b}", tuple(scores))
