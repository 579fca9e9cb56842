"""The suite's last words: a table of scores, the worst interviews, as plain text and as Markdown."""

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


def summarise(suite: "Suite") -> list[str]:
    """What the terminal shows: a line each."""
    lines = [*_describe(suite), ""]
    lines += render_table([HEADINGS, *_list_rows(suite)])
    lines += ["", describe_rest(suite.score)]
    lines += [f"warning: {gate.warning}" for gate in suite.gates.values() if gate.warning and gate.row]
    if any(gate.row is None for gate in suite.gates.values()):
        lines.append(f"warning: {suite.gates['all'].warning}")
    for score in find_worst(suite.score):
        lines += ["", *_describe_transcript(score, suite.goldens.transcripts[score.transcript_id])]
    return lines


def render_markdown(suite: "Suite") -> str:
    """The same for a page that shows Markdown."""
    lines = ["## Goldens", "", *_describe(suite), ""]
    lines += _render_markdown_table(HEADINGS, _list_rows(suite))
    lines += ["", describe_rest(suite.score), ""]
    for score in find_worst(suite.score):
        transcript = suite.goldens.transcripts[score.transcript_id]
        lines += ["", f"**{_escape(score.transcript_id)}** {format_score(score.find_f1())}", ""]
        lines += _render_markdown_table(("", "golden", "got", "quote"), list_disagreements(score, transcript))
    return "\n".join(lines) + "\n"


def _describe(suite: "Suite") -> list[str]:
    sets: dict[str, int] = {}
    for name in suite.goldens.transcripts:
        sets[suite.goldens.files[name].set] = sets.get(suite.goldens.files[name].set, 0) + 1
    listed = ", ".join(f"{count} {name}" for name, count in sets.items())
    failed = len(suite.score.failures)
    lines = [
        f"{suite.score.name}: {len(suite.score.transcript_ids)} interviews scored ({listed}), {failed} records failed."
    ]
    if failed:
        lines[0] += " A failure counts as 0."
    if suite.plan:
        plan = suite.plan
        lines.append(
            f"{plan.answered} asked, {plan.held} held already, "
            f"{format_usage(plan.usage, plan.cost_usd if plan.cost_known else None)}. Run: {suite.store.path}"
        )
        if plan.stopped:
            lines.append(f"Stopped: {plan.stopped}.")
    if suite.score.missing:
        lines.append(f"{len(suite.score.missing)} goldens are not in this run, {suite.score.missing[0]} for one.")
    return lines


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
    """The interviews with the lowest grounded F1."""
    firsts = {s.transcript_id: s for s in reversed(score.scores)}
    return sorted(firsts.values(), key=lambda s: (s.find_f1(), s.transcript_id))[:most]


def _describe_transcript(score: TranscriptScore, transcript: Transcript) -> list[str]:
    counts = score.counts["all"]
    head = f"{make_visible(score.transcript_id)}  {format_score(score.find_f1())}  "
    head += f"golden {counts.golden}, got {counts.got}, agreed {counts.grounded}"
    if score.failure:
        return [f"{head}  failed: {make_visible(score.failure)}"]
    rows = [("", "golden", "got", "quote"), *list_disagreements(score, transcript)]
    return [head, *(f"  {line}" for line in render_table(rows, most=46))]


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
