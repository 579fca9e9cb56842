"""Scores, differences, effort and agreement as the page's tables and plots need them: plain data, None for NaN."""

import math
from collections.abc import Sequence
from typing import Any

from evals.agreement import Agreement, compare_annotators, compare_code_sets, compare_codes
from evals.comparison import Row, sum_effort
from evals.report.sides import Sheet, Side
from evals.scoring import JUDGEMENTS, METRICS, SCOPES, Metric, Scope
from evals.uncertainty import Interval, find_mean_interval
from extract.report.findings import name_code
from extract.report.safety import make_safe

MOST_CONFUSIONS = 20
MOST_MOVED = 8


def describe_scores(sheet: Sheet) -> dict[str, list[dict[str, Any]]]:
    """For each metric a row per scope: both sides, the ceiling, and the difference with its verdict.

    With a comparison both sides are means over the interviews that both have, else over their own.
    """
    return {metric: [_describe_scope(sheet, metric, scope) for scope in SCOPES] for metric in METRICS}


def _describe_scope(sheet: Sheet, metric: Metric, scope: Scope) -> dict[str, Any]:
    comparison = sheet.comparisons.get(metric)
    row = comparison.rows[scope] if comparison else None
    own = [find_mean_interval(list(side.score.find_values(scope, metric).values())) for side in sheet.sides]
    ceiling = find_mean_interval(list(sheet.ceiling.find_values(scope, metric).values()))
    return {
        "scope": scope,
        "label": name_scope(scope),
        "sides": [_describe_interval(interval) for interval in ((row.a, row.b) if row else own)],
        "ceiling": _describe_interval(ceiling),
        "difference": _describe_difference(row) if row else None,
    }


def name_scope(scope: str) -> str:
    """`Collaboration style`; all sections together are `All sections`."""
    return "All sections" if scope == "all" else name_code(scope)


def _describe_difference(row: Row) -> dict[str, Any]:
    found = row.difference
    needed = found.needed_n or 0
    return {
        "interval": _describe_interval(found.interval),
        "p": _describe_number(found.p),
        "holm": _describe_number(row.holm_p),
        "detectable": _describe_number(found.mde),
        "verdict": row.verdict,
        "needed": needed if row.verdict == "inconclusive" and needed > found.interval.n else None,
    }


def _describe_interval(interval: Interval) -> dict[str, Any] | None:
    if interval.n == 0:
        return None
    limits = {name: _describe_number(getattr(interval, name)) for name in ("mean", "low", "high")}
    return {**limits, "n": interval.n}


def _describe_number(value: float) -> float | None:
    return None if math.isnan(value) else round(value, 6)


def describe_counts(sheet: Sheet) -> list[dict[str, Any]]:
    """For each scope the items of all interviews together: how many there are and were got, precision, recall."""
    rows = []
    for scope in SCOPES:
        counts = [side.score.sum_counts(scope) for side in sheet.sides]
        sides = [
            {"golden": c.golden, "got": c.got, "precision": c.find_precision(), "recall": c.find_recall()}
            for c in counts
        ]
        rows.append({"label": name_scope(scope), "scope": scope, "sides": sides})
    return rows


def describe_summary(side: Side) -> dict[str, Any]:
    """One side's numbers that have no row elsewhere."""
    return {
        "macro": _describe_number(side.score.find_macro_f1()),
        "overlap": _describe_number(side.score.find_overlap()),
        "spread": side.score.find_spread(),
    }


def describe_codes(sheet: Sheet) -> list[dict[str, Any]]:
    """A row for each code that the goldens or a side have, in the codebook's order."""
    tables = [side.score.score_codes() for side in sheet.sides]
    found = {key for table in tables for key in table}
    order = {(s.id, code.id): n for n, s in enumerate(sheet.codebook.sections) for code in s.codes}
    rows = []
    for section, code in sorted(found, key=lambda key: (order.get(key, 5), key)):
        counts = [table.get((section, code)) for table in tables]
        sides = [{"got": c.got, "agreed": c.grounded, "f1": c.find_f1()} if c else None for c in counts]
        golden = max((c.golden for c in counts if c), default=0)
        rows.append({**_name_code(section, code), "golden": golden, "sides": sides})
    return rows


def _name_code(section: str, code: str) -> dict[str, str]:
    return {"section": section, "section_label": name_code(section), "code": code, "label": make_safe(name_code(code))}


def describe_confusions(sheet: Sheet) -> list[dict[str, Any]]:
    """Same evidence, other code: how often each side has which code for which, most frequent first."""
    tables = [side.score.count_confusions() for side in sheet.sides]
    ranked = sorted({key for table in tables for key in table}, key=lambda key: (-sum(t[key] for t in tables), key))
    return [
        {
            **_name_code(section, golden),
            "got": make_safe(name_code(got)),
            "times": [table[section, golden, got] for table in tables],
        }
        for section, golden, got in ranked[:MOST_CONFUSIONS]
    ]


def describe_judgements(sheet: Sheet) -> list[dict[str, Any]]:
    """Agreement with the golden on attributes (of matched items), mode, leader and status."""
    rows = []
    for name in JUDGEMENTS:
        pairs = [side.score.collect_judgements(name) for side in sheet.sides]
        if any(pairs):
            rows.append({"label": name_code(name), "sides": [_describe_agreement(name, found) for found in pairs]})
    return rows


def _describe_agreement(name: str, pairs: Sequence[tuple[str, str]]) -> dict[str, Any] | None:
    return _describe_annotators(compare_annotators(name, *zip(*pairs, strict=True))) if pairs else None


def _describe_annotators(found: Agreement) -> dict[str, Any]:
    values = {name: _describe_interval(getattr(found, name)) for name in ("percent", "kappa", "ac1")}
    return {**values, "n": found.n, "alpha": _describe_number(found.alpha)}


def describe_annotators(sheet: Sheet) -> dict[str, Any]:
    """How far the two annotators agree with each other: sets of codes per section, and each code."""
    a, b = (side.codings for side in sheet.sides)
    pairs = [(a[name], b[name]) for name in a]
    codes = [
        {**_name_code(section, found.name), **_describe_annotators(found)}
        for section, found in compare_codes(pairs, sheet.codebook)
    ]
    sets = [
        {"section": section, "label": name_code(section), "alpha": _describe_number(alpha)}
        for section, alpha in compare_code_sets(pairs).items()
    ]
    return {"sets": sets, "codes": codes}


def describe_moved(sheet: Sheet) -> list[tuple[str, list[float]]]:
    """The interviews whose score moved most from A to B; with one side, those with the lowest."""
    if comparison := sheet.comparisons.get("grounded"):
        return [(name, [a, b]) for name, a, b in comparison.find_moved(MOST_MOVED)]
    if len(sheet.sides) > 1:
        return []
    lowest = sorted(sheet.sides[0].score.find_values().items(), key=lambda entry: (entry[1], entry[0]))
    return [(name, [value]) for name, value in lowest[:MOST_MOVED]]


def describe_effort(side: Side) -> dict[str, Any] | None:
    """What a run took over its scored records; None for an annotator."""
    if side.manifest is None:
        return None
    effort = sum_effort(side.score)
    return {name: getattr(effort, name) for name in effort.__dataclass_fields__}
