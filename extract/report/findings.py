"""Counts -> what the page shows: cells with intervals, by cohort; what is too small to show is left out here."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import reduce
from operator import add
from typing import Any

from extract.report.counting import Counts, Key
from extract.report.intervals import find_wilson_interval
from extract.report.published import FIGURES, Figure
from extract.report.safety import make_safe
from extract.report.suppression import TOTAL, find_hidden
from schemas.codebook import ITEM_ATTRIBUTES, SECTION_ATTRIBUTES, SECTIONS, Attribute, Codebook, SectionCodes

MOST_COHORTS = 8
OTHERS = "others"
NO_COHORT = "no cohort"
EVERYONE = "all"
"""The group of all interviews, first of the groups; a cohort that is called so is named anew."""
Cells = dict[str, dict[str, Any] | None]
"""A cell for each group: `k` of `n` interviews with the interval `low` to `high`; None where it is hidden."""


@dataclass(frozen=True)
class Findings:
    """What the page shows of all interviews. `data` is JSON; the other two say what must not be shown elsewhere.

    `hidden_items` holds (group, section, code, value) of the items that stand in a hidden cell, with value ''
    for all values of the code; `hidden_styles` holds (group, 'mode' or 'leader', value).
    """

    data: dict[str, Any]
    group_of: dict[str, str]
    hidden_items: set[tuple[str, str, str, str]] = field(default_factory=set)
    hidden_styles: set[tuple[str, str, str]] = field(default_factory=set)

    def shows_item(self, group: str, section: str, code: str, value: str) -> bool:
        """Whether an item stands in a cell that is shown."""
        cells = ((group, section, code, ""), (group, section, code, value))
        return not any(cell in self.hidden_items for cell in cells)


def find_groups(cohorts: Mapping[str, Counts]) -> tuple[dict[str, Counts], dict[str, str]]:
    """The groups that are set side by side, all interviews first, and the group of each cohort.

    Beyond the largest cohorts the rest are one group.
    """
    ranked = sorted(cohorts, key=lambda name: (-cohorts[name].extracted - cohorts[name].failed, name))
    rest = set(ranked[MOST_COHORTS - 1 :]) if len(ranked) > MOST_COHORTS else set()
    group_of = {name: OTHERS if name in rest else _name_group(name) for name in ranked}
    groups = {EVERYONE: reduce(add, cohorts.values(), Counts())}
    if len(set(group_of.values())) > 1:
        for name, group in group_of.items():
            groups[group] = groups.get(group, Counts()) + cohorts[name]
    return groups, group_of


def describe_findings(cohorts: Mapping[str, Counts], codebook: Codebook, least: int = 1) -> Findings:
    """All that the page says about the interviews; cells with fewer than `least` of them are left out."""
    groups, group_of = find_groups(cohorts)
    findings = Findings({}, group_of)
    sections = [_describe_section(section, groups, codebook, least, findings) for section in SECTIONS]
    findings.data.update(
        groups=[_describe_group(name, counts, least) for name, counts in groups.items()],
        sections=sections,
        pairs=_describe_pairs(groups, sections, least),
        least=least,
    )
    return findings


def describe_published(cohorts: Mapping[str, Counts], least: int = 1) -> list[dict[str, Any]]:
    """The published figures, each with the run's own cell (None where it is hidden or nothing was asked)."""
    everyone = reduce(add, cohorts.values(), Counts())
    return [
        _describe_figure(figure, everyone if figure.cohort is None else cohorts.get(figure.cohort, Counts()), least)
        for figure in FIGURES
    ]


def _name_group(cohort: str) -> str:
    safe = make_safe(cohort) or NO_COHORT
    return f"{safe} (cohort)" if safe in (EVERYONE, TOTAL) else safe


def name_code(code: str) -> str:
    """`write_draft` as people read it: `Write draft`; `ai` is `AI`."""
    words = code.replace("_", " ").split()
    named = " ".join({"ai": "AI", "ip": "IP"}.get(word, word) for word in words)
    return named[:1].upper() + named[1:]


def _describe_figure(figure: Figure, counts: Counts, least: int) -> dict[str, Any]:
    k, n = counts.figures[figure.id], counts.bases[figure.id]
    shown = n > 0 and (least <= 1 or k >= least)
    return {
        "id": figure.id,
        "finding": figure.finding,
        "cohort": figure.cohort or EVERYONE,
        "published": figure.published,
        "text": figure.text,
        "derived": figure.derived,
        "own": _make_cell(k, n) if shown else None,
    }


def _describe_group(name: str, counts: Counts, least: int) -> dict[str, Any]:
    shown = least <= 1 or counts.extracted >= least
    failed = counts.failed if least <= 1 or counts.failed >= least else None
    return {"id": name, "extracted": counts.extracted if shown else None, "failed": failed}


def _describe_section(
    section: str, groups: Mapping[str, Counts], codebook: Codebook, least: int, findings: Findings
) -> dict[str, Any]:
    book = codebook.find_section(section)
    known = {code.id: code.definition for code in book.codes}
    used = {code for counts in groups.values() for part, code in counts.codes if part == section}
    codes = [*known, *sorted(used - known.keys())]
    asked = {name: counts.count_came_up(section) for name, counts in groups.items()}
    rule = _Rule(groups, asked, least)
    values = _name_values(book)
    by_code = {code: rule.make_cells(["", *values], _code_counter(section, code)) for code in codes}
    findings.hidden_items.update(
        (name, section, code, value) for code, rows in by_code.items() for value, name in _find_gaps(rows)
    )
    return {
        "id": section,
        "label": name_code(section),
        "definition": book.definition,
        "asked": {name: n if least <= 1 or n >= least else None for name, n in asked.items()},
        "codes": [{"id": code, "label": name_code(code), "definition": known.get(code, "")} for code in codes],
        "cells": {code: rows[""] for code, rows in by_code.items()},
        "attribute": _describe_attribute(book, by_code, rule) if values else None,
        "styles": [
            _describe_style(book.find_attribute(name), rule, findings) for name in SECTION_ATTRIBUTES.get(book.id, ())
        ],
    }


def _describe_attribute(book: SectionCodes, by_code: Mapping[str, dict[str, Cells]], rule: "_Rule") -> dict[str, Any]:
    attribute = book.find_attribute(ITEM_ATTRIBUTES[book.id])
    values = [value.id for value in attribute.values]
    return {
        **_describe_values(attribute),
        "any": rule.make_cells(values, lambda counts, value: counts.any_value[book.id, value]),
        "cells": {code: {value: rows[value] for value in values} for code, rows in by_code.items()},
    }


def _describe_style(attribute: Attribute, rule: "_Rule", findings: Findings) -> dict[str, Any]:
    def count(counts: Counts, value: str) -> int:
        return counts.styles[attribute.id, value] if value else counts.count_came_up("collaboration_style")

    rows = rule.make_cells(["", *(value.id for value in attribute.values)], count)
    del rows[""]
    findings.hidden_styles.update((name, attribute.id, value) for value, name in _find_gaps(rows))
    return {**_describe_values(attribute), "cells": rows}


def _describe_values(attribute: Attribute) -> dict[str, Any]:
    values = [{"id": v.id, "label": name_code(v.id), "definition": v.definition} for v in attribute.values]
    label = name_code(attribute.id)
    return {"id": attribute.id, "label": label, "definition": attribute.definition, "values": values}


def _name_values(book: SectionCodes) -> list[str]:
    name = ITEM_ATTRIBUTES.get(book.id)
    return [value.id for value in book.find_attribute(name).values] if name else []


def _code_counter(section: str, code: str) -> Callable[[Counts, str], int]:
    return lambda counts, value: counts.values[section, code, value] if value else counts.codes[section, code]


def _find_gaps(rows: Mapping[str, Cells]) -> set[tuple[str, str]]:
    """(row, group) of what is hidden."""
    return {(row, name) for row, cells in rows.items() for name, cell in cells.items() if cell is None}


@dataclass(frozen=True)
class _Rule:
    """How a section's cells are made: its groups, how many of each were asked, the least of a shown cell."""

    groups: Mapping[str, Counts]
    asked: Mapping[str, int]
    least: int

    def make_cells(self, rows: Iterable[str], count: Callable[[Counts, str], int]) -> dict[str, Cells]:
        """Cells by row and group, None where hidden; the row '' is the total of the others."""
        table = {
            (row or TOTAL, _name_column(name)): count(counts, row)
            for row in rows
            for name, counts in self.groups.items()
        }
        hidden = find_hidden(table, self.least)
        cells: dict[str, Cells] = {}
        for (row, column), k in table.items():
            name = EVERYONE if column == TOTAL else column
            shown = None if (row, column) in hidden else _make_cell(k, self.asked[name])
            cells.setdefault("" if row == TOTAL else row, {})[name] = shown
        return cells


def _describe_pairs(groups: Mapping[str, Counts], sections: list[dict[str, Any]], least: int) -> list[list[Any]]:
    """[code number, code number, interviews with both for each group]; pairs that nobody has are left out.

    Codes are numbered through all sections in their order. A hidden number is None.
    """
    keys: list[Key] = [(section["id"], code["id"]) for section in sections for code in section["codes"]]
    number = {key: n for n, key in enumerate(keys)}
    shown = {section["id"]: section["cells"] for section in sections}
    pairs = []
    for a, b in groups[EVERYONE].pairs:
        table = {
            ("", _name_column(name)): counts.pairs[a, b]
            for name, counts in groups.items()
            if all(shown[section][code][name] is not None for section, code in (a, b))
        }
        hidden = find_hidden(table, least)
        row = [None if ("", _name_column(name)) in hidden else table.get(("", _name_column(name))) for name in groups]
        if any(row):
            pairs.append([*sorted((number[a], number[b])), row])
    return sorted(pairs, key=lambda pair: pair[:2])


def _name_column(group: str) -> str:
    return TOTAL if group == EVERYONE else group


def _make_cell(k: int, n: int) -> dict[str, Any]:
    low, high = find_wilson_interval(k, n)
    return {"k": k, "n": n, "low": round(low, 4), "high": round(high, 4)}
