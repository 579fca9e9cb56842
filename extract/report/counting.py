"""One pass over the records of a run: how many interviews have what, by cohort. Memory does not grow with the run.

Lines are read as plain data, not validated again: a million records would take ten times as long.
"""

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import combinations
from typing import Any

from pydantic_core import from_json

from extract.report.published import FIGURES
from schemas.codebook import ITEM_ATTRIBUTES, SECTIONS

Key = tuple[str, str]
"""(section, code)."""


@dataclass(frozen=True, slots=True)
class Coded:
    """What is counted of one interview: its sections' statuses, its codes with their values, its style.

    `codes` maps each code to the values (disposition, timing, kind) that its items have; no values in a
    section without an attribute. `styles` holds mode and leader.
    """

    statuses: dict[str, str]
    codes: dict[Key, frozenset[str]]
    styles: dict[str, str]

    def came_up(self, section: str) -> bool:
        """Whether the section was asked about or raised: the interviews that a rate is taken over."""
        return self.statuses[section] != "not_asked"


@dataclass
class Counts:
    """How many interviews have what. An interview counts once, however often it has it."""

    extracted: int = 0
    failed: int = 0
    statuses: Counter[tuple[str, str]] = field(default_factory=Counter)
    codes: Counter[Key] = field(default_factory=Counter)
    values: Counter[tuple[str, str, str]] = field(default_factory=Counter)
    any_value: Counter[tuple[str, str]] = field(default_factory=Counter)
    styles: Counter[tuple[str, str]] = field(default_factory=Counter)
    pairs: Counter[tuple[Key, Key]] = field(default_factory=Counter)
    figures: Counter[str] = field(default_factory=Counter)
    bases: Counter[str] = field(default_factory=Counter)

    def add(self, coded: Coded) -> None:
        """Count one interview."""
        self.extracted += 1
        self.statuses.update(coded.statuses.items())
        self.codes.update(coded.codes.keys())
        self.values.update((*key, value) for key, values in coded.codes.items() for value in values)
        self.any_value.update({(key[0], value) for key, values in coded.codes.items() for value in values})
        self.pairs.update(combinations(sorted(coded.codes), 2))
        if coded.came_up("collaboration_style"):
            self.styles.update(coded.styles.items())
        for figure in FIGURES:
            if figure.is_base(coded):
                self.bases[figure.id] += 1
                self.figures[figure.id] += figure.holds(coded)

    def __add__(self, other: "Counts") -> "Counts":
        return Counts(**{name: getattr(self, name) + getattr(other, name) for name in self.__dataclass_fields__})

    def count_came_up(self, section: str) -> int:
        """Extracted interviews where the section was asked about or raised."""
        return self.extracted - self.statuses[section, "not_asked"]


def count_interviews(records: Iterable[dict[str, Any]]) -> dict[str, Counts]:
    """Counts for each cohort ('' where there is none). Of several repeats the first, number 0, is counted."""
    cohorts: dict[str, Counts] = {}
    for record in records:
        if record["repeat"]:
            continue
        counts = cohorts.setdefault(record.get("cohort") or "", Counts())
        if "extraction" in record:
            counts.add(read_coded(record["extraction"]))
        else:
            counts.failed += 1
    return cohorts


def read_coded(extraction: dict[str, Any]) -> Coded:
    """What is counted of an extraction as it stands in a record. KeyError or TypeError if it is none."""
    codes: dict[Key, set[str]] = {}
    for section in SECTIONS:
        attribute = ITEM_ATTRIBUTES.get(section, "")
        for item in extraction[section]["items"]:
            values = codes.setdefault((section, item["code"]), set())
            if attribute in item:
                values.add(item[attribute])
    style = extraction["collaboration_style"]
    return Coded(
        statuses={section: extraction[section]["status"] for section in SECTIONS},
        codes={key: frozenset(values) for key, values in codes.items()},
        styles={"mode": style["mode"], "leader": style["leader"]},
    )


def parse_records(lines: Iterable[bytes]) -> Iterator[dict[str, Any]]:
    """Records as plain data; what is no record is left out, as the store does."""
    for line in lines:
        try:
            record = from_json(line)
            if "extraction" in record:
                read_coded(record["extraction"])
            elif "kind" not in record["failure"]:
                continue
        except (ValueError, KeyError, TypeError):
            continue
        yield record
