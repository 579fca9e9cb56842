"""Scores, comparisons and agreement as tables of plain text."""

import math
from collections.abc import Mapping, Sequence

from evals.agreement import Agreement, compare_annotators
from evals.comparison import Comparison, sum_effort
from evals.matching import find_attribute
from evals.scoring import JUDGEMENTS, METRICS, SCOPES, Metric, RunScore, Scope
from evals.uncertainty import Interval, find_mean_interval
from extract.terminal import make_visible
from schemas.codebook import Section
from schemas.golden import Coding, GoldenItem, GoldenStyle
from schemas.transcript import Transcript

EFFORT = ("run", "records", "failed", "refused", "valid at once", "re-asks", "tokens in", "out", "cost", "p50", "p95")
AGREEMENT = ("section", "code", "percent", "kappa", "95% interval", "AC1", "95% interval", "alpha")


def name_scope(scope: str) -> str:
    """`collaboration_style` as `collaboration style`."""
    return scope.replace("_", " ")


def format_score(value: float) -> str:
    """A score with three decimals and no leading zero; a dash where there is none."""
    if math.isnan(value):
        return "-"
    return f"{value:.3f}".replace("0.", ".", 1) if abs(value) < 1 else f"{value:.2f}"


def format_p(p: float) -> str:
    """A p value with three decimals; what is smaller is said to be smaller, never 0."""
    return "<.001" if p < 0.001 else f"{p:.3f}".replace("0.", ".", 1)


def format_limits(interval: Interval, *, signed: bool = False) -> str:
    """`[.45, .53]`, or a dash where n is too small."""
    if math.isnan(interval.low):
        return "-"
    if signed:
        return f"[{interval.low:+.3f}, {interval.high:+.3f}]"
    return f"[{format_score(interval.low)}, {format_score(interval.high)}]"


def render_table(rows: Sequence[Sequence[str]], most: int = 60) -> list[str]:
    """Rows of text in columns; a cell longer than `most` is cut."""
    cut = [[cell if len(cell) <= most else cell[: most - 1] + "…" for cell in row] for row in rows]
    widths = [max(len(row[column]) for row in cut) for column in range(len(cut[0]))]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in cut]


def describe_rest(score: RunScore) -> str:
    """Code F1, pooled precision and recall, macro F1, overlap, and agreement on attributes, in two lines."""
    counts = score.sum_counts()
    code = find_mean_interval(list(score.find_values("all", "code").values()))
    first = (
        f"code F1 {format_score(code.mean)} {format_limits(code)}; pooled grounded F1 {format_score(counts.find_f1())} "
        f"(precision {format_score(counts.find_precision())}, recall {format_score(counts.find_recall())}); "
        f"macro over codes {format_score(score.find_macro_f1())}; evidence overlap {format_score(score.find_overlap())}"
    )
    parts = []
    for name in JUDGEMENTS:
        pairs = score.collect_judgements(name)
        if pairs:
            found = compare_annotators(name, *zip(*pairs, strict=True))
            parts.append(
                f"{name} {format_score(found.percent.mean)} (kappa {format_score(found.kappa.mean)}, "
                f"AC1 {format_score(found.ac1.mean)}, n {found.n})"
            )
    return f"{first}\nagreement: {'; '.join(parts)}" if parts else first


def name_item(section: str, item: GoldenItem | None) -> str:
    """`concerns/unreliability (lived)`, or a dash."""
    if item is None:
        return "-"
    attribute = find_attribute(item)
    return f"{section}/{item.code}" + (f" ({attribute})" if attribute else "")


def render_scores(score: RunScore, ceiling: RunScore | None) -> list[str]:
    """Grounded and code F1 per section with intervals, pooled precision and recall, and the ceiling."""
    rows = [("", "grounded F1", "95% interval", "code F1", "95% interval", "precision", "recall", "ceiling")]
    for scope in SCOPES:
        grounded, code = (find_mean_interval(list(score.find_values(scope, m).values())) for m in METRICS)
        counts = score.sum_counts(scope)
        cells = (format_score(grounded.mean), format_limits(grounded), format_score(code.mean), format_limits(code))
        rates = (format_score(counts.find_precision()), format_score(counts.find_recall()))
        rows.append((name_scope(scope), *cells, *rates, format_score(_find_mean(ceiling, scope, "grounded"))))
    return render_table(rows if ceiling else [row[:-1] for row in rows])


def render_codes(score: RunScore) -> list[str]:
    """Grounded F1 and counts of every code."""
    rows: list[tuple[str, ...]] = [("section", "code", "grounded F1", "golden", "got", "agreed")]
    for (section, code), counts in sorted(score.score_codes().items()):
        numbers = (str(counts.golden), str(counts.got), str(counts.grounded))
        rows.append((name_scope(section), code, format_score(counts.find_f1()), *numbers))
    return render_table(rows)


def render_confusions(score: RunScore, most: int = 12) -> list[str]:
    """Which code stood on the evidence of which golden code, most frequent first."""
    rows: list[tuple[str, ...]] = [("section", "golden", "got", "times")]
    for (section, golden, got), times in score.count_confusions().most_common(most):
        rows.append((name_scope(section), golden, got, str(times)))
    return ["Same evidence, other code:", *render_table(rows)] if len(rows) > 1 else []


def render_comparison(
    comparison: Comparison, transcripts: Mapping[str, Transcript], changes: int, ceiling: RunScore | None = None
) -> list[str]:
    """Rows with verdicts and the ceiling, the interviews that moved most, items gained and lost with their quotes."""
    a, b, n = comparison.a.name, comparison.b.name, len(comparison.shared)
    lines = [
        f"{b} against {a}: {comparison.metric} F1 on {n} interviews that both have, margin {comparison.margin:g}.",
        *(f"{s.name} also has {len(s.transcript_ids) - n} that the other has not." for s in (comparison.a, comparison.b)
          if len(s.transcript_ids) > n),
        "",
    ]  # fmt: skip
    rows: list[tuple[str, ...]] = [
        ("", "A", "B", "ceiling", "B - A", "95% interval", "p", "Holm", "detectable", "verdict")
    ]
    for scope, row in comparison.rows.items():
        d = row.difference
        needed = f" (n {d.needed_n} would decide)" if row.verdict == "inconclusive" and d.needed_n else ""
        rows.append(
            (name_scope(scope), format_score(row.a.mean), format_score(row.b.mean),
             format_score(_find_mean(ceiling, scope, comparison.metric)), f"{d.interval.mean:+.3f}",
             format_limits(d.interval, signed=True), format_p(d.p), format_p(row.holm_p), format_score(d.mde),
             row.verdict + needed)
        )  # fmt: skip
    lines += render_table(rows)
    lines += [f"Fewer than 15 interviews show a direction only; {n} are too few for more."] if n < 15 else []
    spreads = [(s.name, s.find_spread("all", comparison.metric)) for s in (comparison.a, comparison.b)]
    lines += [f"Spread between repeats of {name}: {spread:.3f}." for name, spread in spreads if spread is not None]
    if moved := comparison.find_moved():
        lines += ["", "Moved most:", *render_table([(i, format_score(x), format_score(y)) for i, x, y in moved])]
    return lines + _list_changes(comparison, transcripts, changes)


def _find_mean(score: RunScore | None, scope: Scope, metric: Metric) -> float:
    return find_mean_interval(list(score.find_values(scope, metric).values())).mean if score else math.nan


def _list_changes(comparison: Comparison, transcripts: Mapping[str, Transcript], most: int) -> list[str]:
    lines: list[str] = []
    changes = comparison.find_changes()
    for kind in ("gained", "lost", "new extra", "extra gone"):
        found = [change for change in changes if change.kind == kind]
        if not found or not most:
            continue
        lines += ["", f"{kind} ({len(found)}):"]
        rows = []
        for change in found[:most]:
            start, end = change.item.evidence[0] if change.item.evidence else (0, 0)
            transcript = transcripts.get(change.transcript_id)
            words = " ".join(make_visible(transcript.text[start:end]).split()) if transcript else f"[{start}, {end}]"
            rows.append((make_visible(change.transcript_id), name_item(change.section, change.item), f"“{words}”"))
        lines += render_table(rows)
    return lines


def render_efforts(scores: Sequence[RunScore]) -> list[str]:
    """What each run took over the scored interviews: validity, re-asks, refusals, tokens, dollars, seconds."""
    headings = (
        "run",
        "records",
        "failed",
        "refused",
        "valid at once",
        "re-asks",
        "tokens in",
        "out",
        "cost",
        "p50",
        "p95",
    )
    rows: list[tuple[str, ...]] = [headings]
    for score in scores:
        e = sum_effort(score)
        cost = f"${e.cost_usd:.4f}" if e.cost_usd is not None else "unknown"
        counts = (str(e.records), str(e.failures), str(e.refusals), f"{e.valid_at_once:.0%}", str(e.reasks))
        rows.append(
            (
                score.name,
                *counts,
                f"{e.input_tokens:.0f}",
                f"{e.output_tokens:.0f}",
                cost,
                f"{e.p50_s:.2f}s",
                f"{e.p95_s:.2f}s",
            )
        )
    return ["Tokens and dollars are means per interview.", *render_table(rows)]


def render_agreement(codes: Sequence[tuple[str, Agreement]], sets: Mapping[Section, float]) -> list[str]:
    """Agreement per section (sets of codes) and per code (present or absent in each interview)."""
    lines = ["Sets of codes per interview, Krippendorff's alpha with MASI distance:"]
    lines += render_table([(name_scope(section), format_score(alpha)) for section, alpha in sets.items()])
    rows: list[tuple[str, ...]] = [AGREEMENT]
    for section, found in codes:
        kappa = (format_score(found.kappa.mean), format_limits(found.kappa))
        ac1 = (format_score(found.ac1.mean), format_limits(found.ac1))
        ends = (format_score(found.percent.mean), *kappa, *ac1, format_score(found.alpha))
        rows.append((name_scope(section), found.name, *ends))
    return [*lines, "", "Codes, present or absent in each interview:", *render_table(rows)]


def render_coding(coding: Coding, transcript: Transcript | None) -> list[str]:
    """A coding as people read it: items with their attributes, summaries and quotes."""
    lines = []
    for name, part in coding.sections.items():
        status = "" if part.status == "discussed" else f"  {name_scope(part.status)}"
        lines += ["", f"{name_scope(name).capitalize()}{status}"]
        if isinstance(part, GoldenStyle):
            lines.append(f"  mode {part.mode}, leader {part.leader}")
            lines += [f"      {quote_span(start, end, transcript)}" for start, end in part.mode_evidence]
        for item in part.items:
            attribute = find_attribute(item)
            label = f"{item.code} ({attribute})" if attribute else item.code
            lines.append(make_visible(f"  {label}  {item.summary}"))
            lines += [f"      {quote_span(start, end, transcript)}" for start, end in item.evidence]
    return lines


def quote_span(start: int, end: int, transcript: Transcript | None) -> str:
    """The words of a span in quotation marks; its numbers where the text is not here."""
    if transcript is None:
        return f"[{start}, {end}]"
    return f"“{' '.join(make_visible(transcript.text[start:end]).split())}”"
