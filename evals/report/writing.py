"""The main flow of the comparison as a page: sides -> scores, rows, texts -> one file."""

from pathlib import Path
from typing import Any

from evals.report.interviews import describe_interviews, name_interviews
from evals.report.scores import (
    describe_annotators,
    describe_codes,
    describe_confusions,
    describe_counts,
    describe_effort,
    describe_judgements,
    describe_moved,
    describe_scores,
    describe_summary,
)
from evals.report.sides import LETTERS, Sheet, Side
from evals.tables import format_score
from extract.report.findings import name_code
from extract.report.html import TEMPLATES, render_html, write_page
from extract.report.safety import make_safe
from schemas.codebook import ITEM_ATTRIBUTES, SECTIONS
from schemas.record import Manifest

OWN = Path(__file__).parent / "templates"
SCRIPTS = (
    TEMPLATES / "page.js",
    TEMPLATES / "views.js",
    TEMPLATES / "drawing.js",
    TEMPLATES / "transcript.js",
    OWN / "sheet.js",
    OWN / "plots.js",
    OWN / "filters.js",
    OWN / "listing.js",
    OWN / "aligned.js",
    OWN / "begin.js",
)
FEW = 15
"""Fewer interviews than this show a direction only."""


def write_comparison(sheet: Sheet, out: Path, *, redact: bool = False) -> None:
    """Write the page to `out`, whole or not at all. With `redact` no quote, summary, text or name of an interview."""
    interviews, texts = describe_interviews(sheet, redact=redact)
    names = name_interviews(sheet, redact=redact)
    scores = describe_scores(sheet)
    sides = [_describe_side(side, letter) for side, letter in zip(sheet.sides, LETTERS, strict=False)]
    data = {
        "settled": sheet.settled,
        "sides": [{"letter": side["letter"], "name": side["name"]} for side in sides],
        "sections": _describe_sections(sheet),
        "scores": scores,
        "margin": sheet.margin,
        "redacted": redact,
    }
    html = render_html(
        "comparison.html",
        scripts=SCRIPTS,
        styles=[TEMPLATES / "page.css", OWN / "comparison.css"],
        data={"data": data, "interviews": interviews, "texts": texts},
        filters={"score": _format_score, "signed": _format_signed, "limits": _format_limits},
        title=" against ".join(side["name"] for side in reversed(sides)),
        settled=sheet.settled,
        sides=sides,
        scores=scores,
        counts=describe_counts(sheet),
        judgements=describe_judgements(sheet),
        codes=describe_codes(sheet),
        confusions=describe_confusions(sheet),
        moved=[(names[name], values) for name, values in describe_moved(sheet)],
        annotators=None if sheet.sides[0].manifest else describe_annotators(sheet),
        shared=len(sheet.comparisons["grounded"].shared) if sheet.comparisons else None,
        ceiling=sheet.ceiling,
        interviews=len(interviews),
        margin=sheet.margin,
        notes=describe_limits(sheet, names, redact=redact),
        redact=redact,
    )
    write_page(html, out)


def _describe_side(side: Side, letter: str) -> dict[str, Any]:
    return {
        "letter": letter,
        "name": make_safe(side.score.name) if side.manifest else f"Annotator {make_safe(side.score.name)}",
        "facts": _describe_manifest(side.manifest) if side.manifest else {},
        "interviews": len(side.score.transcript_ids),
        "records": len(side.score.scores),
        "failures": len(side.score.failures),
        "effort": describe_effort(side),
        "summary": describe_summary(side),
    }


def _describe_manifest(manifest: Manifest) -> dict[str, str]:
    facts = {
        "Run": manifest.run_id,
        "Engine": manifest.engine,
        "Model": manifest.model,
        "Prompt": f"{manifest.prompt_version} ({manifest.prompt_sha256[:8]})",
        "Codebook": f"{manifest.codebook_version} ({manifest.codebook_sha256[:8]})",
        "Made": manifest.created_at.replace("T", " ").replace("Z", " UTC"),
        "Code": (manifest.code_commit or "unknown")[:12],
    }
    return {name: make_safe(value) for name, value in facts.items()}


def _describe_sections(sheet: Sheet) -> list[dict[str, Any]]:
    """Sections with their codes; a code that the codebook lacks is named where a side used it."""
    used = {(code["section"], code["code"]) for code in describe_codes(sheet)}
    sections = []
    for section in SECTIONS:
        book = sheet.codebook.find_section(section)
        known = {code.id: code.definition for code in book.codes}
        ids = [*known, *sorted(code for part, code in used if part == section and code not in known)]
        attribute = ITEM_ATTRIBUTES.get(section)
        sections.append(
            {
                "id": section,
                "label": name_code(section),
                "definition": book.definition,
                "attribute": name_code(attribute).lower() if attribute else None,
                "codes": [
                    {"id": make_safe(i), "label": make_safe(name_code(i)), "definition": known.get(i, "")} for i in ids
                ],
            }
        )
    return sections


# ---------------------------------------------------------------- what a reader must know


def describe_limits(sheet: Sheet, names: dict[str, str], *, redact: bool = False) -> list[str]:
    """What the page leaves out or rests on, one sentence or two each."""
    notes = [note for side in sheet.sides for note in _describe_side_limits(side, sheet)]
    if sheet.comparisons:
        n = len(sheet.comparisons["grounded"].shared)
        notes += [f"Fewer than {FEW} interviews show a direction only; {n} are too few for more."] if n < FEW else []
        notes += [
            f"{side.score.name} also has {_count(more, 'interview')} that the other has not, in no difference."
            for side in sheet.sides
            if (more := len(side.score.transcript_ids) - n)
        ]
    elif len(sheet.sides) > 1:
        notes.append("Both have fewer than two interviews in common, too few to compare; each stands on its own.")
    without = [name for name in names if name not in sheet.goldens.transcripts]
    if redact:
        notes.append("Quotes, summaries, texts and names of interviews are left out.")
    elif without:
        reasons = [reason for reason, ids in sheet.goldens.missing.items() if set(ids) & set(without)]
        notes.append(
            f"The texts of {len(without)} of {len(names)} interviews are not here, so the places of their quotes "
            f"stand as numbers (characters of the text). {' '.join(reasons)}"
        )
    if any(sheet.codebook.hash != side.manifest.codebook_sha256 for side in sheet.sides if side.manifest):
        notes.append("The definitions are those of the codebook at hand, not of the one that was used.")
    return [make_safe(note) for note in notes]


def _describe_side_limits(side: Side, sheet: Sheet) -> list[str]:
    score = side.score
    notes = []
    if score.failures:
        notes.append(f"{score.name}: {_count(len(score.failures), 'record')} failed. A failure counts as 0.")
    if score.missing:
        whole = len(sheet.goldens.files)
        notes.append(f"{score.name}: {len(score.missing)} of {whole} goldens are not in it and not scored.")
    if any(s.repeat for s in score.scores):
        notes.append(f"{score.name}: repeats are averaged in the scores; the rows show the first of each interview.")
    if side.manifest and side.manifest.status != "complete":
        notes.append(f"{score.name}: the run is {side.manifest.status}, not complete.")
    return notes


def _count(number: int, word: str) -> str:
    return f"{number} {word}" if number == 1 else f"{number} {word}s"


# ---------------------------------------------------------------- numbers in tables


def _format_score(value: float | None) -> str:
    return "–" if value is None else format_score(value)


def _format_signed(value: float | None) -> str:
    return "–" if value is None else f"{value:+.3f}".replace("-", "−")


def _format_limits(interval: dict[str, float | None] | None, signed: bool = False) -> str:
    if interval is None or interval["low"] is None:
        return "–"
    show = _format_signed if signed else _format_score
    return f"{show(interval['low'])} to {show(interval['high'])}"
