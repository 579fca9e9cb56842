"""The main flow of the report: records -> findings, operation, sample -> texts -> page."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from extract.errors import VerbatimError
from extract.report.counting import count_interviews, parse_records
from extract.report.findings import describe_findings, describe_published
from extract.report.html import write_page
from extract.report.operation import Operation, describe_operation
from extract.report.page import Page, render_page
from extract.report.published import has_published_figures
from extract.report.quotes import Sample, describe_quotes, find_transcripts
from extract.store import RunStore
from extract.transcripts import BadTranscript, Source, load_transcripts
from schemas.codebook import Codebook
from schemas.transcript import Transcript


@dataclass(frozen=True)
class Wish:
    """How the report is wanted: the least interviews of a shown cell, without quotes or with so many interviews."""

    least: int = 1
    redact: bool = False
    sample: int = 2500


def write_report(
    store: RunStore,
    source: Source | None,
    codebook: Codebook,
    *,
    out: Path,
    wish: Wish,
    notify: Callable[[str], None],
) -> None:
    """Write the report of a run to `out`. `notify` gets a sentence about anything that is missing from it."""
    operation, sample = Operation(), Sample(0 if wish.redact else wish.sample)
    cohorts = count_interviews(_pass_on(parse_records(store.read_lines()), operation, sample))
    findings = describe_findings(cohorts, codebook, wish.least)
    notes = _describe_limits(store, codebook, wish, sample)
    quotes = None
    if not wish.redact:
        transcripts = _load_texts(source, sample.records, notify)
        extracted = [record["transcript_id"] for record in sample.records if "extraction" in record]
        if missing := sum(name not in transcripts for name in extracted):
            notes.append(_explain_missing(missing, len(extracted)))
        quotes = describe_quotes(sample.records, transcripts, findings)
    published = has_published_figures(store.manifest.source, cohorts)
    page = Page(
        title=store.manifest.run_id,
        findings=findings.data,
        operation=describe_operation(operation, store.manifest, wish.least, redact=wish.redact),
        published=describe_published(cohorts, wish.least) if published else [],
        notes=notes,
        quotes=quotes,
    )
    write_page(render_page(page), out)


def _pass_on(records: Iterator[dict[str, Any]], operation: Operation, sample: Sample) -> Iterator[dict[str, Any]]:
    for record in records:
        operation.add(record)
        sample.add(record)
        yield record


def _load_texts(
    source: Source | None, records: list[dict[str, Any]], notify: Callable[[str], None]
) -> dict[str, Transcript]:
    if source is None or not records:
        return {}
    rows: Iterator[Transcript | BadTranscript] = load_transcripts(source, notify, sentences=False)
    try:
        return find_transcripts(rows, records)
    except VerbatimError as error:
        notify(f"The interviews are shown by their quotes alone. {error} Name the source with --source.")
        return {}


def _explain_missing(missing: int, held: int) -> str:
    which = "The source" if missing == held else f"For {missing:,} of {held:,} interviews the source"
    return (
        f"{which} could not be read again, or its texts have changed since; quotes stand in the place of the whole "
        "interview there. Name the source with --source."
    )


def _describe_limits(store: RunStore, codebook: Codebook, wish: Wish, sample: Sample) -> list[str]:
    """What a reader must know about what the page leaves out."""
    manifest = store.manifest
    notes = []
    if manifest.status != "complete":
        notes.append(f"The run is {manifest.status}, not complete: interviews that are still missing are not counted.")
    if manifest.repeats > 1:
        notes.append(f"Every interview was asked {manifest.repeats} times; the findings count the first answer alone.")
    if codebook.hash != manifest.codebook_sha256:
        notes.append("The run's own codebook was not found; definitions are those of the codebook at hand.")
    if wish.least > 1:
        notes.append(
            f"Cells with fewer than {wish.least} interviews are left out, with their items, and so are cells "
            "that would give them away by subtraction."
        )
    if wish.redact:
        notes.append("Quotes, summaries and interviews are left out.")
    elif sample.seen > len(sample.records):
        notes.append(
            f"Findings count all {sample.seen:,} interviews. Quotes and interviews are a random sample of "
            f"{len(sample.records):,} of them (drawn with a fixed seed)."
        )
    return notes
