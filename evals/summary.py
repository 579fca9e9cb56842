"""The suite's last words: a table of scores, the worst interviews, as plain text and as Markdown."""

import html
import textwrap
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from evals.matching import Pair
from evals.scoring import SCOPES, RunScore, Scope, TranscriptScore
from evals.tables import (
    describe_rest,
    format_limits,
    format_score,
    name_item,
    name_scope,
    render_table,
)
from evals.uncertainty import find_mean_interval
from extract.terminal import format_usage, make_visible
from schemas.transcript import Transcript

if TYPE_CHECKING:
    from evals.suite import Suite

WORST = 5
DISAGREEMENTS = 6
DISAGREEING = ("missed", "other_code", "extra", "other_evidence", "attribute")
HEADINGS = ("grounded F1", "score", "95% interval", "ceiling", "baseline", "difference", "verdict")


def summarise(suite: "Suite", width: int = 140, asked: Sequence[str] = ()) -> list[str]:
    """What the terminal shows: a line each. `asked` says what the run took, where another process asked."""
    lines = [*_describe(suite), *(asked or describe_asking(suite)), *_describe_missing(suite)]
    if not suite.score.scores:
        return lines
    lines += ["", *render_table([HEADINGS, *_list_rows(suite)])]
    lines += _explain_ceiling(suite)
    for line in describe_rest(suite.score).splitlines():
        lines += ["", *textwrap.wrap(line, width, subsequent_indent="  ", break_long_words=False)]
    lines += ["", *warnings] if (warnings := list_warnings(suite)) else []
    for score in find_worst(suite.score):
        lines += ["", *_describe_transcript(score, suite.goldens.transcripts[score.transcript_id], width)]
    return lines


def list_warnings(suite: "Suite") -> list[str]:
    """What did not fail but should be known, each once."""
    return [f"warning: {text}" for text in dict.fromkeys(gate.warning for gate in suite.gates.values()) if text]


def render_markdown(suite: "Suite", judged: str | None = None, asked: Sequence[str] = ()) -> str:
    """The same for a page that shows Markdown, with the report of the judge where there is one."""
    told = [*_describe(suite), *(asked or describe_asking(suite)), *_describe_missing(suite)]
    lines = ["## Goldens", "", *map(_escape, told), ""]
    lines += _render_markdown_table(HEADINGS, _list_rows(suite))
    lines += ["", *map(_escape, [*_explain_ceiling(suite), describe_rest(suite.score), *list_warnings(suite)]), ""]
    for score in find_worst(suite.score):
        transcript = suite.goldens.transcripts[score.transcript_id]
        lines += ["", f"**{_escape(score.transcript_id)}** {format_score(score.find_f1())}", ""]
        lines += _render_markdown_table(("", "golden", "got", "quote"), list_disagreements(score, transcript))
    if judged:
        lines += ["", "## Judge", "", f"<pre>{html.escape(judged, quote=False)}</pre>"]
    return "\n".join(lines) + "\n"


def _describe(suite: "Suite") -> list[str]:
    ids = suite.score.transcript_ids
    sets = Counter(suite.goldens.files[name].set for name in ids)
    listed = ", ".join(f"{count} {name}" for name, count in sets.items()) or "none"
    failed = len(suite.score.failures)
    interviews = "1 interview" if len(ids) == 1 else f"{len(ids)} interviews"
    records = "1 record" if failed == 1 else f"{failed} records"
    zero = " A failure counts as 0." if failed else ""
    spread = suite.score.find_spread()
    repeats = (
        [] if spread is None else [f"Repeats are averaged; their spread (SD) within an interview is {spread:.3f}."]
    )
    return [f"{suite.score.name}: {interviews} scored ({listed}), {records} failed.{zero}", *repeats]


def describe_asking(suite: "Suite") -> list[str]:
    """How many requests were asked and held, what they took, and where the run lies; what stopped it."""
    plan = suite.plan
    if plan is None:
        return []
    used = format_usage(plan.usage, plan.cost_usd if plan.cost_known else None)
    lines = [f"{plan.answered} asked, {plan.held} held already, {used}. Run: {suite.store.path}"]
    return [*lines, f"Stopped: {plan.stopped}."] if plan.stopped else lines


def _describe_missing(suite: "Suite") -> list[str]:
    missing = suite.score.missing
    return [f"{len(missing)} goldens are not in this run, {missing[0]} for one."] if missing else []


def _explain_ceiling(suite: "Suite") -> list[str]:
    both, whole = len(suite.ceiling.transcript_ids), len(suite.score.transcript_ids)
    if not both or both == whole:
        return []
    return [f"The ceiling is {suite.ceiling.name}, over the {both} of these interviews that both coded."]


def _list_rows(suite: "Suite") -> list[tuple[str, ...]]:
    return [_make_row(suite, scope) for scope in SCOPES]


def _make_row(suite: "Suite", scope: Scope) -> tuple[str, ...]:
    gate = suite.gates[scope]
    ceiling = find_mean_interval(list(suite.ceiling.find_values(scope).values()))
    row = gate.row
    compared = ("-", "-", "-")
    if row:
        difference = row.difference.interval
        compared = (
            format_score(row.a.mean),
            f"{difference.mean:+.3f} {format_limits(difference, signed=True)}",
            row.verdict,
        )
    return (
        name_scope(scope),
        format_score(gate.score.mean),
        format_limits(gate.score),
        format_score(ceiling.mean),
        *compared,
    )


def find_worst(score: RunScore, most: int = WORST) -> list[TranscriptScore]:
    """The interviews with the lowest grounded F1 (of the first repeat), where something differs."""
    firsts = {s.transcript_id: s for s in reversed(score.scores)}
    return sorted((s for s in firsts.values() if s.find_f1() < 1), key=lambda s: (s.find_f1(), s.transcript_id))[:most]


def _describe_transcript(score: TranscriptScore, transcript: Transcript, width: int) -> list[str]:
    counts = score.counts["all"]
    head = f"{make_visible(score.transcript_id)}  {format_score(score.find_f1())}  "
    head += f"golden {counts.golden}, got {counts.got}, agreed {counts.grounded}"
    if score.failure:
        return [f"{head}  failed: {make_visible(score.failure)}"]
    rows = [("", "golden", "got", "quote"), *list_disagreements(score, transcript)]
    taken = sum(max(len(row[column]) for row in rows) + 2 for column in range(3))
    most = max(24, width - taken - 2)
    rows = [(*row[:3], row[3] if len(row[3]) <= most else f"{row[3][: most - 2]}…”") for row in rows]
    return [head, *(f"  {line}" for line in render_table(rows, most=max(60, most)))]


def list_disagreements(
    score: TranscriptScore, transcript: Transcript, most: int | None = DISAGREEMENTS
) -> list[tuple[str, str, str, str]]:
    """How items differ: kind, golden, got, quote; the first of each kind, then the second."""
    kinds: dict[str, list[tuple[str, str, str, str]]] = {kind: [] for kind in DISAGREEING}
    for section, pairs in score.pairs.items():
        for pair in pairs:
            if pair.kind in kinds:
                cells = (name_item(section, pair.golden), name_item(section, pair.got), _find_quote(pair, transcript))
                kinds[pair.kind].append((pair.kind.replace("_", " "), *cells))
    ranked = [(rank, row) for rows in kinds.values() for rank, row in enumerate(rows)]
    return [row for _, row in sorted(ranked, key=lambda entry: entry[0])[:most]]


def _find_quote(pair: Pair, transcript: Transcript) -> str:
    item = pair.golden or pair.got
    start, end = item.evidence[0] if item and item.evidence else (0, 0)
    return f"“{' '.join(make_visible(transcript.text[start:end]).split())}”"


def _render_markdown_table(headings: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    lines = [headings, ["---"] * len(headings), *([_escape(cell) for cell in row] for row in rows)]
    return [f"| {' | '.join(line)} |" for line in lines]


def _escape(text: str) -> str:
    """Text that Markdown and HTML leave alone."""
    for sign, name in (("&", "&amp;"), ("<", "&lt;"), (">", "&gt;"), ("|", "&#124;"), ("`", "&#96;"), ("*", "&#42;")):
        text = text.replace(sign, name)
    return text.replace("_", "&#95;").replace("[", "&#91;")
