from pathlib import Path
from typing import Any

import openpyxl
import pytest

from extract import workbook
from extract.errors import ExportError
from extract.rows import RowMaker, strip_controls
from extract.tests.export_samples import FORMULA, make_run
from extract.workbook import write_workbook
from schemas.codebook import SECTIONS, load_codebook
from schemas.record import Record


@pytest.fixture
def run(tmp_path: Path) -> tuple[RowMaker, list[Record], Path]:
    store, _ = make_run(tmp_path)
    return RowMaker(store.manifest), list(store.read_records()), tmp_path / "out.xlsx"


def read(path: Path) -> dict[str, list[dict[str, Any]]]:
    book = openpyxl.load_workbook(path)
    sheets = {}
    for sheet in book:
        header, *rows = sheet.iter_rows(values_only=True)
        sheets[sheet.title] = [dict(zip(header, row, strict=True)) for row in rows]
    return sheets


def test_there_is_a_sheet_for_each_section_and_for_quotes_records_codebook_and_run(
    run: tuple[RowMaker, list[Record], Path],
) -> None:
    maker, records, path = run
    counts = write_workbook(path, records, maker, load_codebook())
    sheets = read(path)
    assert list(sheets) == [*SECTIONS, "quotes", "records", "codebook", "run"]
    assert {name: len(rows) for name, rows in sheets.items()} == counts
    assert [row["outcome"] for row in sheets["records"]] == ["extracted"] * 3 + ["failed"] * 2
    assert sheets["records"][0]["cost_usd"] == 0.25
    assert {row["mode"] for row in sheets["collaboration_style"]} == {"task_iteration"}
    assert {row["disposition"] for row in sheets["tasks"]} == {"shared"}
    assert {"key": "run_id", "value": maker.manifest.run_id} in sheets["run"]


def test_every_quote_is_in_the_workbook_word_for_word(run: tuple[RowMaker, list[Record], Path]) -> None:
    maker, records, path = run
    write_workbook(path, records, maker, load_codebook())
    wanted = [row for record in records for row in maker.make_rows(record)["quotes"]]
    assert [row["quote"] for row in read(path)["quotes"]] == [strip_controls(row["quote"]) for row in wanted]
    assert [row["start"] for row in read(path)["quotes"]] == [row["start"] for row in wanted]


def test_a_text_that_begins_a_formula_is_a_text(run: tuple[RowMaker, list[Record], Path]) -> None:
    maker, records, path = run
    write_workbook(path, records, maker, load_codebook())
    cells = [cell for sheet in openpyxl.load_workbook(path) for row in sheet.iter_rows() for cell in row]
    assert not [cell for cell in cells if cell.data_type == "f" or cell.hyperlink]
    assert [cell for cell in cells if str(cell.value).startswith(FORMULA) and cell.data_type == "s"]


def test_headers_are_frozen_and_filtered_and_long_texts_wrap(run: tuple[RowMaker, list[Record], Path]) -> None:
    maker, records, path = run
    write_workbook(path, records, maker, load_codebook())
    for sheet in openpyxl.load_workbook(path):
        assert sheet.freeze_panes == "B2"
        assert sheet.auto_filter.ref.startswith("A1:")
        assert sheet["A1"].font.bold
    quotes = openpyxl.load_workbook(path)["quotes"]
    column = next(cell for cell in quotes[1] if cell.value == "quote").column_letter
    assert quotes.column_dimensions[column].width > 60
    assert quotes[f"{column}2"].alignment.wrap_text


def test_the_codebook_sheet_holds_every_definition(run: tuple[RowMaker, list[Record], Path]) -> None:
    maker, records, path = run
    codebook = load_codebook()
    write_workbook(path, records, maker, codebook)
    rows = read(path)["codebook"]
    for section in codebook.sections:
        for code in section.codes:
            assert {"section": section.id, "attribute": None, "code": code.id, "definition": code.definition} in rows


def test_a_text_longer_than_a_cell_is_cut_and_shows_it(run: tuple[RowMaker, list[Record], Path]) -> None:
    maker, records, path = run
    record = records[0].model_copy(update={"cohort": "🥐" * 20_000})
    write_workbook(path, [record], maker, load_codebook())
    cell = read(path)["records"][0]["cohort"]
    assert cell == "🥐" * 16_383 + "…"


def test_more_rows_than_excel_holds_is_one_sentence(
    run: tuple[RowMaker, list[Record], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    maker, records, path = run
    monkeypatch.setattr(workbook, "MAX_ROWS", 4)
    with pytest.raises(ExportError, match=r"limit of 4 rows\. Export with --to csv or parquet\.$"):
        write_workbook(path, records, maker, load_codebook())
