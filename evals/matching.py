"""Matching: which item of one coding stands for which item of another.

An item matches when its code is the same and its evidence shares a sentence. Pairs come from an
optimal assignment, thresholded before it assigns, so that neither order nor greed decides.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from scipy.optimize import linear_sum_assignment

from schemas.extraction import Extraction, Quote, SectionExtraction
from schemas.golden import Coding, GoldenItem, StoredSpan

SHARE = 0.5
"""Two spans are one sentence when they share this part of the shorter one: splitters cut differently."""

PairKind = Literal["agreed", "attribute", "other_evidence", "other_code", "missed", "extra"]


@dataclass(frozen=True, slots=True)
class Pair:
    """A golden item and the item that stands for it, or one of them alone.

    `agreed`: same code and evidence; `attribute`: the same but for disposition, timing or kind;
    `other_evidence`: same code, other sentences; `other_code`: same sentences, other code;
    `missed`: in the golden only; `extra`: not in the golden.
    """

    kind: PairKind
    golden: GoldenItem | None
    got: GoldenItem | None

    @property
    def is_grounded(self) -> bool:
        """Whether code and evidence agree."""
        return self.kind in ("agreed", "attribute")


def match_section(golden: Sequence[GoldenItem], got: Sequence[GoldenItem]) -> list[Pair]:
    """Pair the items of one section: first code and evidence, then code alone, then evidence alone.

    Golden items keep their order; what is extra follows in its own order. Every item stands in one pair.
    """
    left, right = set(range(len(golden))), set(range(len(got)))
    found: dict[int, Pair] = {}
    for name, weigh in _STEPS:
        for i, j in _assign(golden, got, sorted(left), sorted(right), weigh):
            found[i] = Pair(_find_kind(golden[i], got[j]) if name == "agreed" else name, golden[i], got[j])
            left.discard(i)
            right.discard(j)
    pairs = [found.get(i, Pair("missed", item, None)) for i, item in enumerate(golden)]
    return pairs + [Pair("extra", None, got[j]) for j in sorted(right)]


def _find_kind(golden: GoldenItem, got: GoldenItem) -> PairKind:
    return "agreed" if find_attribute(golden) == find_attribute(got) else "attribute"


def find_attribute(item: GoldenItem) -> str | None:
    """The disposition, timing or kind of an item, whichever its section has."""
    return item.disposition or item.timing or item.kind


Weigh = Callable[[GoldenItem, GoldenItem], float]
"""How well two items go together: 0 means that they may not be paired."""


def _weigh_grounded(golden: GoldenItem, got: GoldenItem) -> float:
    if golden.code != got.code or not share_sentence(golden.evidence, got.evidence):
        return 0.0
    same = find_attribute(golden) == find_attribute(got)
    return 1.0 + 0.01 * same + 0.001 * find_overlap(golden.evidence, got.evidence)


def _weigh_code(golden: GoldenItem, got: GoldenItem) -> float:
    return float(golden.code == got.code)


def _weigh_evidence(golden: GoldenItem, got: GoldenItem) -> float:
    if not share_sentence(golden.evidence, got.evidence):
        return 0.0
    return 1.0 + 0.01 * find_overlap(golden.evidence, got.evidence)


_STEPS: tuple[tuple[PairKind, Weigh], ...] = (
    ("agreed", _weigh_grounded),
    ("other_evidence", _weigh_code),
    ("other_code", _weigh_evidence),
)


def _assign(
    golden: Sequence[GoldenItem], got: Sequence[GoldenItem], left: list[int], right: list[int], weigh: Weigh
) -> list[tuple[int, int]]:
    """The pairs of the heaviest assignment; what weighs 0 was never a pair."""
    allowed = [[weigh(golden[i], got[j]) for j in right] for i in left]
    if not any(map(any, allowed)):
        return []
    weights = np.array(allowed)
    rows, columns = linear_sum_assignment(weights, maximize=True)
    return [(left[r], right[c]) for r, c in zip(rows, columns, strict=True) if weights[r, c] > 0]


def share_sentence(a: Sequence[StoredSpan], b: Sequence[StoredSpan]) -> bool:
    """Whether two lists of spans have a sentence in common, by overlap of characters."""
    for start, end in a:
        for first, last in b:
            shared = min(end, last) - max(start, first)
            if shared > 0 and shared >= SHARE * min(end - start, last - first):
                return True
    return False


def find_overlap(a: Sequence[StoredSpan], b: Sequence[StoredSpan]) -> float:
    """Jaccard overlap of the characters of two lists of spans, 0 to 1; 0 where both are empty."""
    left, right = _merge(a), _merge(b)
    shared = sum(max(0, min(end, last) - max(start, first)) for start, end in left for first, last in right)
    whole = sum(end - start for start, end in (*left, *right)) - shared
    return shared / whole if whole else 0.0


def _merge(spans: Sequence[StoredSpan]) -> list[StoredSpan]:
    """The same characters as spans that do not overlap."""
    merged: list[StoredSpan] = []
    for start, end in sorted(spans):
        if merged and start <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(end, merged[-1][1]))
        else:
            merged.append((start, end))
    return merged


# ---------------------------------------------------------------- one form for both sides


def to_coding(extraction: Extraction) -> Coding:
    """An extraction in the form of a golden's coding: spans instead of quotes."""
    parts = {name: _to_section(part) for name, part in extraction.sections.items()}
    style = extraction.collaboration_style
    parts["collaboration_style"] |= {
        "mode": style.mode,
        "leader": style.leader,
        "mode_evidence": _to_spans(style.mode_quotes),
    }
    return Coding.model_validate(parts)


def _to_section(section: SectionExtraction) -> dict[str, object]:
    items = [{**item.model_dump(exclude={"quotes"}), "evidence": _to_spans(item.quotes)} for item in section.items]
    return {"status": section.status, "items": items}


def _to_spans(quotes: Sequence[Quote]) -> tuple[StoredSpan, ...]:
    return tuple((quote.start, quote.end) for quote in quotes)
