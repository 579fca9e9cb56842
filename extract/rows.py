"""Records -> rows: the columns of every table that is exported, the same in every format.

Three tables. `items` has one row for each coded statement, `quotes` one for each sentence that
proves one (and for each that proves the mode), `records` one for each transcript and repeat,
failures included, so that `records` is the denominator. `ITEMS`, `QUOTES` and `RECORDS` name the
columns in their order and say what they hold; `transcript_id`, `repeat` and `item` join the tables.
New columns are added behind the others; none is renamed.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

from schemas.codebook import ITEM_ATTRIBUTES, SECTIONS, Section
from schemas.extraction import Item, Quote
from schemas.record import Manifest, Record

Kind = Literal["text", "texts", "whole", "number"]
Row = dict[str, Any]
TableName = Literal["items", "quotes", "records"]


@dataclass(frozen=True)
class Column:
    """One column: its name, the kind of its values (any may be empty), and what they mean."""

    name: str
    meaning: str
    kind: Kind = "text"


_WHO = (
    Column("transcript_id", "the interview, as the data names it"),
    Column("repeat", "which of the repeated answers, from 0", "whole"),
    Column("cohort", "the group that the interview belongs to"),
)
_CODED = (
    Column("section", "one of the five sections"),
    Column("item", "number of the statement in its transcript and repeat, from 1", "whole"),
    Column("code", "the code's id in the codebook"),
    Column("attribute_name", "what `attribute` is: disposition (tasks), timing (concerns), kind (wishes)"),
    Column("attribute", "the attribute's value"),
    Column("summary", "what the interviewee said, in the coder's words"),
)
_MADE_BY = (
    Column("model", "which model answered"),
    Column("prompt_version", "the prompt that it was given"),
    Column("codebook_version", "the codebook that it was given"),
    Column("run_id", "the run that holds the record"),
)

ITEMS: tuple[Column, ...] = (
    *_WHO,
    *_CODED,
    Column("sentence_ids", "the sentences that prove it", "texts"),
    Column("start", "where the first of them begins, in characters of the transcript's text from 0", "whole"),
    Column("end", "where the last of them ends, exclusive", "whole"),
    Column("quote", "their words, joined by ' [...] '"),
    *_MADE_BY,
)
QUOTES: tuple[Column, ...] = (
    *_WHO,
    *_CODED,
    Column("sentence_id", "the sentence"),
    Column("start", "where it begins, in characters of the transcript's text from 0", "whole"),
    Column("end", "where it ends, exclusive", "whole"),
    Column("quote", "its words"),
    *_MADE_BY,
)
RECORDS: tuple[Column, ...] = (
    *_WHO,
    Column("outcome", "extracted or failed"),
    Column("failure_kind", "why it failed, to count by"),
    Column("failure_message", "why it failed, in one sentence"),
    Column("mode", "the usual way of working with AI"),
    Column("leader", "who drives the decisions"),
    *(Column(f"{section}_status", "discussed, asked_not_answered or not_asked") for section in SECTIONS),
    *(Column(f"{section}_items", "how many statements", "whole") for section in SECTIONS),
    Column("requests", "requests that were answered", "whole"),
    Column("input_tokens", "input tokens at the full price", "whole"),
    Column("cache_read_tokens", "input tokens read from the cache", "whole"),
    Column("cache_write_tokens", "input tokens written to the cache", "whole"),
    Column("output_tokens", "output tokens", "whole"),
    Column("cost_usd", "US dollars; empty where the price is unknown", "number"),
    Column("latency_s", "seconds from the first request to the last answer", "number"),
    Column("attempts", "requests that were sent", "whole"),
    Column("text_sha256", "SHA-256 of the transcript's text"),
    Column("created_at", "when it was answered, UTC"),
    *_MADE_BY,
)
TABLES: dict[TableName, tuple[Column, ...]] = {"items": ITEMS, "quotes": QUOTES, "records": RECORDS}
_WORDS = ("summary", "quote", "failure_message")
"""The columns that hold words of the interview, or words about it that a model chose."""

GAP = " [...] "


@dataclass(frozen=True)
class RowMaker:
    """Makes the rows of one run. `redact` leaves summaries, quotes and failure messages empty."""

    manifest: Manifest
    redact: bool = False

    def make_rows(self, record: Record) -> dict[TableName, list[Row]]:
        """The rows of one record in each table, with every column of it."""
        rows: dict[TableName, list[Row]] = {
            "items": [],
            "quotes": list(self._iterate_mode_quotes(record)),
            "records": [self._make_record_row(record)],
        }
        items = record.extraction.iterate_items() if record.extraction else ()
        for number, (section, item) in enumerate(items, start=1):
            base = self._describe(record) | _describe_item(section, number, item)
            rows["items"].append(base | _sum_up_quotes(item.quotes))
            rows["quotes"] += [base | _describe_quote(quote) for quote in item.quotes]
        return {name: [self._finish(name, row) for row in found] for name, found in rows.items()}

    def _describe(self, record: Record) -> Row:
        manifest = self.manifest
        return {
            "transcript_id": record.transcript_id,
            "repeat": record.repeat,
            "cohort": record.cohort,
            "model": record.model or manifest.model,
            "prompt_version": manifest.prompt_version,
            "codebook_version": manifest.codebook_version,
            "run_id": manifest.run_id,
        }

    def _iterate_mode_quotes(self, record: Record) -> Iterator[Row]:
        if record.extraction:
            style = record.extraction.collaboration_style
            mode = {"section": "collaboration_style", "attribute_name": "mode", "attribute": style.mode}
            for quote in style.mode_quotes:
                yield self._describe(record) | mode | _describe_quote(quote)

    def _make_record_row(self, record: Record) -> Row:
        row = self._describe(record) | record.model_dump(
            include={"cost_usd", "latency_s", "attempts", "text_sha256", "created_at"}
        )
        row |= record.usage.model_dump() | {"outcome": "extracted" if record.extraction else "failed"}
        if record.failure:
            row |= {"failure_kind": record.failure.kind, "failure_message": record.failure.message}
        if record.extraction:
            style = record.extraction.collaboration_style
            row |= {"mode": style.mode, "leader": style.leader}
            for section, part in record.extraction.sections.items():
                row |= {f"{section}_status": part.status, f"{section}_items": len(part.items)}
        return row

    def _finish(self, name: TableName, row: Row) -> Row:
        hidden = _WORDS if self.redact else ()
        return {c.name: None if c.name in hidden else row.get(c.name) for c in TABLES[name]}


def _describe_item(section: Section, number: int, item: Item) -> Row:
    return {
        "section": section,
        "item": number,
        "code": item.code,
        "attribute_name": ITEM_ATTRIBUTES.get(section),
        "attribute": item.attribute,
        "summary": item.summary,
    }


def _describe_quote(quote: Quote) -> Row:
    return {"sentence_id": quote.sentence_id, "start": quote.start, "end": quote.end, "quote": quote.text}


def _sum_up_quotes(quotes: tuple[Quote, ...]) -> Row:
    return {
        "sentence_ids": [quote.sentence_id for quote in quotes],
        "start": min((quote.start for quote in quotes), default=None),
        "end": max((quote.end for quote in quotes), default=None),
        "quote": GAP.join(quote.text for quote in quotes) or None,
    }


# ---------------------------------------------------------------- text in cells

_FORMULA = "=+\\-@\t\r\n＝＋－＠"
"""What a spreadsheet takes for the beginning of a formula; wide forms count in East Asian settings."""

_NOT_XML = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")


def guard_cell(text: str) -> str:
    """A text that no spreadsheet runs: an apostrophe goes before what would begin a formula.

    Texts that begin with apostrophes and then such a character get one more, so that `unguard_cell`
    gives every text back as it was.
    """
    return f"'{text}" if re.match(f"'*[{_FORMULA}]", text) else text


def unguard_cell(cell: str) -> str:
    """The text that `guard_cell` was given."""
    return cell[1:] if re.match(f"'+[{_FORMULA}]", cell) else cell


def strip_controls(text: str, replacement: str = "") -> str:
    """The text without the characters that XML (and so a workbook or a project) cannot hold."""
    return _NOT_XML.sub(replacement, text)
