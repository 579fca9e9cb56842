import json
from pathlib import Path
from typing import Any

import pyarrow.csv
import pyarrow.parquet
import pytest

from extract import tables
from extract.rows import ITEMS, TABLES, RowMaker, unguard_cell
from extract.tables import write_tables
from extract.tests.export_samples import FORMULA, make_run
from schemas.record import Record


@pytest.fixture
def run(tmp_path: Path) -> tuple[RowMaker, list[Record], Path]:
    store, _ = make_run(tmp_path)
    folder = tmp_path / "out"
    folder.mkdir()
    return RowMaker(store.manifest), list(store.read_records()), folder


def make_rows(maker: RowMaker, records: list[Record], name: Any) -> list[dict[str, Any]]:
    return [row for record in records for row in maker.make_rows(record)[name]]


@pytest.mark.parametrize("name", TABLES)
def test_parquet_holds_every_row_as_it_is(run: tuple[RowMaker, list[Record], Path], name: str) -> None:
    maker, records, folder = run
    counts = write_tables(folder, "parquet", records, maker)
    read = pyarrow.parquet.read_table(folder / f"{name}.parquet").to_pylist()
    assert read == make_rows(maker, records, name)
    assert len(read) == counts[name] > 0


@pytest.mark.parametrize("name", TABLES)
def test_jsonl_holds_every_row_as_it_is(run: tuple[RowMaker, list[Record], Path], name: str) -> None:
    maker, records, folder = run
    write_tables(folder, "jsonl", records, maker)
    lines = (folder / f"{name}.jsonl").read_bytes().split(b"\n")
    assert [json.loads(line) for line in lines[:-1]] == make_rows(maker, records, name)


@pytest.mark.parametrize("name", TABLES)
def test_pyarrow_reads_back_every_text_of_the_csv(run: tuple[RowMaker, list[Record], Path], name: str) -> None:
    maker, records, folder = run
    write_tables(folder, "csv", records, maker)
    options = pyarrow.csv.ParseOptions(newlines_in_values=True)
    columns = {column.name: pyarrow.string() for column in TABLES[name]}  # type: ignore[index]
    convert = pyarrow.csv.ConvertOptions(column_types=columns, strings_can_be_null=False)
    read = pyarrow.csv.read_csv(folder / f"{name}.csv", parse_options=options, convert_options=convert).to_pylist()
    wanted = make_rows(maker, records, name)
    assert len(read) == len(wanted)
    for cells, row in zip(read, wanted, strict=True):
        for key, value in row.items():
            text = " ".join(value) if isinstance(value, list) else "" if value is None else str(value)
            assert unguard_cell(cells[key]) == text


def test_no_cell_of_the_csv_begins_a_formula_and_excel_knows_the_encoding(
    run: tuple[RowMaker, list[Record], Path],
) -> None:
    import pandas

    maker, records, folder = run
    write_tables(folder, "csv", records, maker)
    assert (folder / "items.csv").read_bytes().startswith(b"\xef\xbb\xbftranscript_id,")
    found = False
    for name in TABLES:
        for cell in pandas.read_csv(folder / f"{name}.csv", dtype=str, keep_default_na=False).to_numpy().ravel():
            assert not cell.startswith(("=", "+", "-", "@", "\t", "\r"))
            found = found or cell.startswith(f"'{FORMULA}")
    assert found


def test_a_nul_does_not_end_a_csv(run: tuple[RowMaker, list[Record], Path]) -> None:
    maker, records, folder = run
    write_tables(folder, "csv", [records[0].model_copy(update={"transcript_id": "a\0b"})], maker)
    assert b"\0" not in (folder / "items.csv").read_bytes()


@pytest.mark.parametrize("size", [1, 2, 3, 1000])
def test_row_groups_neither_lose_nor_repeat_a_row(
    run: tuple[RowMaker, list[Record], Path], monkeypatch: pytest.MonkeyPatch, size: int
) -> None:
    monkeypatch.setattr(tables, "ROW_GROUP", size)
    maker, records, folder = run
    write_tables(folder, "parquet", records, maker)
    file = pyarrow.parquet.ParquetFile(folder / "items.parquet")
    rows = make_rows(maker, records, "items")
    assert file.read().to_pylist() == rows
    assert file.metadata.row_group(0).num_rows == min(size, len(rows))


def test_load_dataset_reads_the_three_tables_with_their_types(run: tuple[RowMaker, list[Record], Path]) -> None:
    import datasets

    maker, records, folder = run
    write_tables(folder, "datasets", records, maker)
    for name in TABLES:
        loaded = datasets.load_dataset(str(folder), name, split="train", cache_dir=str(folder.parent / "cache"))
        assert loaded.to_list() == make_rows(maker, records, name)
    first = datasets.load_dataset(str(folder), split="train", cache_dir=str(folder.parent / "cache"))
    assert first.column_names == [column.name for column in ITEMS]
    assert first.features["sentence_ids"].feature.dtype == "string"


def test_tables_without_a_row_keep_their_columns_and_types(run: tuple[RowMaker, list[Record], Path]) -> None:
    import datasets

    maker, _, folder = run
    assert write_tables(folder, "datasets", [], maker) == {"items": 0, "quotes": 0, "records": 0}
    loaded = datasets.load_dataset(str(folder), "items", split="train", streaming=True)
    assert list(loaded) == []
    schema = pyarrow.parquet.read_schema(folder / "items.parquet")
    assert schema.names == [column.name for column in ITEMS]
    assert str(schema.field("start").type) == "int64"


def test_the_manifest_stands_beside_the_tables(run: tuple[RowMaker, list[Record], Path]) -> None:
    maker, records, folder = run
    write_tables(folder, "csv", records, maker)
    assert json.loads((folder / "manifest.json").read_text())["run_id"] == maker.manifest.run_id
