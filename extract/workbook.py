"""Rows -> an Excel workbook, row by row: memory does not grow with the run.

Sheets: one for each section, `quotes`, `records`, `codebook`, `run`. Every text is written as a text,
never as a formula or a link. Characters that XML cannot hold are left out, and a text beyond Excel's
32,767 characters for a cell ends in an ellipsis.
"""

import json
from collections.abc import Iterable, Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

from extract.errors import ExportError
from extract.rows import QUOTES, RECORDS, Row, RowMaker, strip_controls
from schemas.codebook import ITEM_ATTRIBUTES, SECTIONS, Codebook
from schemas.record import Manifest, Record

MAX_ROWS = 1_048_576
MAX_CHARACTERS = 32_767
WIDTHS = {
    "summary": 48, "quote": 80, "definition": 100, "failure_message": 60, "transcript_id": 22, "code": 22, "value": 90,
    "sentence_ids": 16, "model": 22, "run_id": 34, "section": 20, "created_at": 21, "text_sha256": 20,
}  # fmt: skip
_STYLE = ("mode", "leader")


def write_workbook(path: Path, records: Iterable[Record], maker: RowMaker, codebook: Codebook) -> dict[str, int]:
    """Write the workbook; returns how many rows (without the header) each sheet has.

    Raises ExportError where a sheet would pass Excel's 1,048,576 rows.
    """
    import xlsxwriter

    plain = {"strings_to_formulas": False, "strings_to_urls": False, "strings_to_numbers": False}
    book = xlsxwriter.Workbook(str(path), {"constant_memory": True, **plain})
    try:
        book.set_properties({"title": maker.manifest.run_id, "created": _parse_time(maker.manifest.created_at)})
        sheets = {name: _Sheet(book, name, columns) for name, columns in _list_sheets().items()}
        for record in records:
            for name, row in _iterate_rows(record, maker):
                sheets[name].write(row)
        for row in iterate_codebook(codebook):
            sheets["codebook"].write(row)
        for row in _iterate_manifest(maker.manifest):
            sheets["run"].write(row)
        for sheet in sheets.values():
            sheet.finish()
    finally:
        _close(book)
    return {name: sheet.next_row - 1 for name, sheet in sheets.items()}


def _close(book: Any) -> None:
    """Write the file; what the disk refuses is an OSError, as elsewhere."""
    from xlsxwriter.exceptions import XlsxFileError

    try:
        book.close()
    except XlsxFileError as error:
        raise error.__context__ if isinstance(error.__context__, OSError) else OSError(str(error)) from None


def _list_sheets() -> dict[str, list[str]]:
    """The columns of every sheet, in the order of the sheets."""
    whole = ["transcript_id", "repeat", "cohort", "item", "code"]
    rest = ["summary", "quote", "sentence_ids", "start", "end", "model", "prompt_version", "codebook_version", "run_id"]
    sheets: dict[str, list[str]] = {}
    for section in SECTIONS:
        own = [ITEM_ATTRIBUTES[section]] if section in ITEM_ATTRIBUTES else []
        own += _STYLE if section == "collaboration_style" else ()
        sheets[section] = [*whole, *own, *rest]
    sheets["quotes"] = [column.name for column in QUOTES]
    sheets["records"] = [column.name for column in RECORDS]
    sheets["codebook"] = ["section", "attribute", "code", "definition"]
    sheets["run"] = ["key", "value"]
    return sheets


def _iterate_rows(record: Record, maker: RowMaker) -> Iterator[tuple[str, Row]]:
    """The sheet and the row of everything in a record."""
    rows = maker.make_rows(record)
    style = {name: rows["records"][0][name] for name in _STYLE}
    for row in rows["items"]:
        yield row["section"], row | style | {row["attribute_name"]: row["attribute"]}
    for name in ("quotes", "records"):
        for row in rows[name]:
            yield name, row


def iterate_codebook(codebook: Codebook) -> Iterator[Row]:
    """The codebook as rows with section, attribute, code and definition: what `import-codebook` reads."""
    for section in codebook.sections:
        yield {"section": section.id, "definition": section.definition}
        yield {"section": section.id, "attribute": "granularity", "definition": section.granularity}
        for code in section.codes:
            yield {"section": section.id, "code": code.id, "definition": code.definition}
        for attribute in section.attributes:
            base = {"section": section.id, "attribute": attribute.id}
            yield base | {"definition": attribute.definition}
            for value in attribute.values:
                yield base | {"code": value.id, "definition": value.definition}


def _iterate_manifest(manifest: Manifest) -> Iterator[Row]:
    for key, value in manifest.model_dump(mode="json").items():
        nested = isinstance(value, dict | list)
        yield {"key": key, "value": json.dumps(value, ensure_ascii=False) if nested else value}


class _Sheet:
    """One sheet: a frozen header with filters, then rows in the order they are written."""

    def __init__(self, book: Any, name: str, columns: list[str]) -> None:
        self.name, self.columns, self.next_row = name, columns, 1
        self.sheet = book.add_worksheet(name)
        self.wrapped = book.add_format({"valign": "top", "text_wrap": True})
        self.plain = book.add_format({"valign": "top"})
        header = book.add_format({"bold": True, "bottom": 1, "bg_color": "#E8EDF2"})
        for number, column in enumerate(columns):
            self.sheet.set_column(number, number, WIDTHS.get(column, max(10, len(column) + 4)))
            self.sheet.write_string(0, number, column, header)
        self.sheet.freeze_panes(1, 1)

    def write(self, row: Row) -> None:
        if self.next_row >= MAX_ROWS:
            raise ExportError(
                f"Sheet {self.name!r} would pass Excel's limit of {MAX_ROWS:,} rows. Export with --to csv or parquet."
            )
        for number, column in enumerate(self.columns):
            self._write_cell(number, row.get(column), self.wrapped if WIDTHS.get(column, 0) > 40 else self.plain)
        self.next_row += 1

    def _write_cell(self, number: int, value: Any, style: Any) -> None:
        if isinstance(value, list):
            value = " ".join(value)
        if isinstance(value, int | float):
            self.sheet.write_number(self.next_row, number, value, style)
        elif value:
            self.sheet.write_string(self.next_row, number, _fit(value), style)

    def finish(self) -> None:
        """Filters over all rows; only now is it known how many there are."""
        self.sheet.autofilter(0, 0, max(1, self.next_row - 1), len(self.columns) - 1)


def _fit(text: str) -> str:
    text = strip_controls(text)
    if len(text.encode("utf-16-le")) // 2 <= MAX_CHARACTERS:
        return text
    cut = text.encode("utf-16-le")[: 2 * (MAX_CHARACTERS - 1)]
    return cut.decode("utf-16-le", "ignore") + "…"


def _parse_time(text: str) -> datetime:
    return datetime.strptime(text, "%Y-%m-%dT%H:%M:%SZ")
