"""Alignment: golden, A and B in rows, as the matcher paired each of the two with the golden."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from evals.matching import Pair, PairKind, find_attribute, match_section
from schemas.golden import GoldenItem

Change = Literal["", "gained", "lost", "extra_a", "extra_b", "differs"]


@dataclass(frozen=True, slots=True)
class Row:
    """What stands side by side: a golden item with what A and B have for it, or what is extra in A, B or both.

    `a` and `b` are None where that side has nothing to say: an extra of the other one, or no record at all.
    `between` says how two extras in one row go together, in the matcher's words.
    """

    golden: GoldenItem | None
    a: Pair | None
    b: Pair | None = None
    between: PairKind | None = None

    @property
    def change(self) -> Change:
        """What B has otherwise than A.

        `gained`, `lost`: only B, only A agrees with the golden on code and evidence; `extra_a`, `extra_b`:
        only A, only B has this extra; `differs`: some other difference between the two.
        """
        if self.golden is None:
            return self._compare_extras()
        if self.a is None or self.b is None:
            return ""
        if self.a.is_grounded != self.b.is_grounded:
            return "gained" if self.b.is_grounded else "lost"
        return "" if (self.a.kind, _tell(self.a.got)) == (self.b.kind, _tell(self.b.got)) else "differs"

    def _compare_extras(self) -> Change:
        if self.between is not None:
            return "" if self.between == "agreed" else "differs"
        return "extra_a" if self.a else "extra_b"


def _tell(item: GoldenItem | None) -> tuple[str, str | None] | None:
    return (item.code, find_attribute(item)) if item else None


def align_pairs(a: Sequence[Pair] | None, b: Sequence[Pair] | None = None) -> list[Row]:
    """The rows of one section: golden items in their order, then the extras of A, then those of B alone.

    Both lists come from `match_section` with the same golden; None is a side without a record. Extras of A
    and B are paired by the same matcher. Every item of the golden, of A and of B stands in one row.
    """
    left, right = _split(a), _split(b)
    first = [pair.golden for pair in (left if a is not None else right)[0]]
    mine: Sequence[Pair | None] = left[0] if a is not None else [None] * len(first)
    its: Sequence[Pair | None] = right[0] if b is not None else [None] * len(first)
    rows = [Row(golden, x, y) for golden, x, y in zip(first, mine, its, strict=True)]
    return rows + _align_extras(left[1], right[1])


def _split(pairs: Sequence[Pair] | None) -> tuple[list[Pair], list[Pair]]:
    pairs = pairs or ()
    return [pair for pair in pairs if pair.golden], [pair for pair in pairs if not pair.golden]


def _align_extras(a: Sequence[Pair], b: Sequence[Pair]) -> list[Row]:
    between = match_section([pair.got for pair in a if pair.got], [pair.got for pair in b if pair.got])
    return [
        Row(
            None,
            Pair("extra", None, pair.golden) if pair.golden else None,
            Pair("extra", None, pair.got) if pair.got else None,
            pair.kind if pair.golden and pair.got else None,
        )
        for pair in between
    ]
