"""Rows -> csv, jsonl, parquet, and a folder for `datasets`. One pass; memory does not grow with the run.

A csv is UTF-8 with a byte order mark, so that Excel reads it right; a text that a spreadsheet would
run as a formula begins with an apostrophe (`rows.unguard_cell` takes it off); sentence ids are
joined by spaces. In jsonl and parquet texts stay as they are and sentence ids are lists.
"""

import csv
import json
from collections import Counter
from collections.abc import Callable, Iterable
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Protocol, TextIO

from extract.rows import TABLES, Column, Row, RowMaker, TableName, guard_cell
from schemas.record import Record

ROW_GROUP = 20_000
"""Rows that are held before they are written to a parquet file."""


class _Sheet(Protocol):
    """Where the rows of one table go."""

    def write(self, row: Row) -> None: ...
    def close(self) -> None: ...


def write_tables(folder: Path, format: str, records: Iterable[Record], maker: RowMaker) -> dict[str, int]:
    """Write the three tables and the manifest into an existing folder; returns how many rows each has.

    `format` is csv, jsonl, parquet, or datasets (parquet with the README that `load_dataset` reads).
    """
    suffix = "parquet" if format == "datasets" else format
    kinds: dict[str, Callable[[Path, tuple[Column, ...]], _Sheet]] = {
        "csv": _CsvSheet,
        "jsonl": _JsonlSheet,
        "parquet": _ParquetSheet,
    }
    open_sheet = kinds[suffix]
    counts: Counter[str] = Counter(dict.fromkeys(TABLES, 0))
    with ExitStack() as stack:
        sheets: dict[TableName, _Sheet] = {}
        for name, columns in TABLES.items():
            sheets[name] = open_sheet(folder / f"{name}.{suffix}", columns)
            stack.callback(sheets[name].close)
        for record in records:
            for name, rows in maker.make_rows(record).items():
                counts[name] += len(rows)
                for row in rows:
                    sheets[name].write(row)
    (folder / "manifest.json").write_text(maker.manifest.model_dump_json(indent=1) + "\n", encoding="utf-8")
    if format == "datasets":
        (folder / "README.md").write_text(_describe_folder(maker, counts), encoding="utf-8")
    return dict(counts)


class _CsvSheet:
    def __init__(self, path: Path, columns: tuple[Column, ...]) -> None:
        self.file: TextIO = path.open("w", encoding="utf-8-sig", errors="replace", newline="")
        self.writer = csv.writer(self.file)
        self.writer.writerow(column.name for column in columns)

    def write(self, row: Row) -> None:
        self.writer.writerow([_to_cell(value) for value in row.values()])

    def close(self) -> None:
        self.file.close()


def _to_cell(value: Any) -> Any:
    """A number as it is; a text guarded, and without the NUL that ends a csv for many readers."""
    if isinstance(value, list):
        value = " ".join(value)
    return guard_cell(value.replace("\0", "")) if isinstance(value, str) else value


class _JsonlSheet:
    def __init__(self, path: Path, _columns: tuple[Column, ...]) -> None:
        self.file: TextIO = path.open("w", encoding="utf-8", errors="replace", newline="\n")

    def write(self, row: Row) -> None:
        self.file.write(json.dumps(row, ensure_ascii=False) + "\n")

    def close(self) -> None:
        self.file.close()


class _ParquetSheet:
    def __init__(self, path: Path, columns: tuple[Column, ...]) -> None:
        import pyarrow as pa
        import pyarrow.parquet as pq

        types = {"text": pa.string(), "texts": pa.list_(pa.string()), "whole": pa.int64(), "number": pa.float64()}
        self.schema = pa.schema([(column.name, types[column.kind]) for column in columns])
        self.writer = pq.ParquetWriter(path, self.schema, compression="zstd")
        self.rows: list[Row] = []

    def write(self, row: Row) -> None:
        self.rows.append(row)
        if len(self.rows) >= ROW_GROUP:
            self._flush()

    def _flush(self) -> None:
        import pyarrow as pa

        if self.rows:
            self.writer.write_table(pa.Table.from_pylist(self.rows, schema=self.schema))
            self.rows.clear()

    def close(self) -> None:
        self._flush()
        self.writer.close()


def _describe_folder(maker: RowMaker, counts: dict[str, int]) -> str:
    """A README whose head tells `load_dataset` where the tables are, and whose body tells people."""
    manifest = maker.manifest
    lines = ["---", "configs:"]
    for name in TABLES:
        lines += [f"- config_name: {name}", "  data_files:", "  - split: train", f"    path: {name}.parquet"]
        lines += ["  default: true"] if name == "items" else []
    lines += ["---", "", f"# {manifest.run_id}", ""]
    lines += [
        f"Coded by {manifest.model} with prompt {manifest.prompt_version} and codebook {manifest.codebook_version}. "
        f"{manifest.records} records, {manifest.failures} of them failures; `records` lists them all."
    ]
    if maker.redact:
        lines += ["", "Summaries, quotes and failure messages are left out."]
    for name, columns in TABLES.items():
        lines += ["", f"## {name}", "", f"{counts[name]} rows.", "", "| column | holds |", "| --- | --- |"]
        lines += [f"| {column.name} | {column.meaning} |" for column in columns]
    return "\n".join(lines) + "\n"
