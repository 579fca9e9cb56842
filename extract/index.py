"""Where each record of a run lies: an SQLite table that is read from the record files and never the only copy.

A run of less than `KEPT_FROM_BYTES` is indexed in memory when it is opened. A larger one keeps its index
beside the records, so that a million of them need not be read again. Rows come only from whole lines that
are in the files; where a file shrank, changed or lost its last line since, the index is made anew.
"""

import hashlib
import sqlite3
import weakref
from array import array
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Annotated, Any, NamedTuple

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from schemas.record import FailureKind, Usage

NAME = "records.index"
KEPT_FROM_BYTES = 1 << 24
VERSION = 1
_OFFSET_BITS = 40
_ROWS_AT_ONCE = 10_000
_BUSY_S = 60.0
_TABLES = """
CREATE TABLE files (
    number INTEGER PRIMARY KEY, name TEXT UNIQUE NOT NULL, end INTEGER NOT NULL, size INTEGER NOT NULL,
    changed INTEGER NOT NULL, last INTEGER NOT NULL, digest BLOB NOT NULL, damaged INTEGER NOT NULL
);
CREATE TABLE records (
    place INTEGER PRIMARY KEY, transcript_id TEXT NOT NULL, repeat INTEGER NOT NULL, request BLOB NOT NULL,
    failure TEXT, created_at TEXT NOT NULL, requests INTEGER NOT NULL, input_tokens INTEGER NOT NULL,
    cache_read_tokens INTEGER NOT NULL, cache_write_tokens INTEGER NOT NULL, output_tokens INTEGER NOT NULL,
    cost_usd REAL
);
"""
_LOOKUPS = """
CREATE INDEX by_transcript ON records (transcript_id, repeat);
CREATE INDEX by_request ON records (request);
"""


class Place(NamedTuple):
    """Where a record begins: a file of the run, and an offset in bytes."""

    file: Path
    offset: int


_Count = Annotated[int, Field(ge=0, lt=1 << 40)]


class _Part(BaseModel):
    model_config = ConfigDict(extra="ignore")


class _Failed(_Part):
    kind: FailureKind


class _Used(_Part):
    requests: _Count = 0
    input_tokens: _Count = 0
    cache_read_tokens: _Count = 0
    cache_write_tokens: _Count = 0
    output_tokens: _Count = 0


class _Head(_Part):
    """What the index keeps of a record. The whole line must be JSON, but the rest of it is not looked at."""

    transcript_id: str
    repeat: _Count = 0
    request_hash: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
    failure: _Failed | None = None
    created_at: str = ""
    usage: _Used
    cost_usd: float | None = None


class _File(NamedTuple):
    """How far a file is indexed: up to `end`, when it had `size` bytes and was `changed` (mtime in ns).
    `last` and `digest` tell the last line that was read.
    """

    number: int
    name: str
    end: int = 0
    size: int = 0
    changed: int = 0
    last: int = 0
    digest: bytes = b""
    damaged: int = 0


class _StaleError(Exception):
    """The files are not those that the index was read from."""


class RecordIndex:
    """Finds records of the run in `folder`, as far as the files went when `catch_up` was last called."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._kept = False
        self._connect(":memory:")

    # ------------------------------------------------------------ asking

    @property
    def damaged(self) -> int:
        """How many lines are no records."""
        return int(self._ask("SELECT coalesce(sum(damaged), 0) FROM files")[0][0])

    def find_failed(self, transcript_id: str, request_hash: str) -> bool | None:
        """Whether this transcript and request have failed only; None where they have no record."""
        sql = "SELECT min(failure IS NOT NULL) FROM records WHERE request = ? AND transcript_id = ?"
        [[failed]] = self._ask(sql, _shorten(request_hash), transcript_id)
        return None if failed is None else bool(failed)

    def find_answer(self, request_hash: str) -> Place | None:
        """The last record of exactly this request that is no failure."""
        sql = "SELECT max(place) FROM records WHERE request = ? AND failure IS NULL"
        [[place]] = self._ask(sql, _shorten(request_hash))
        return None if place is None else next(self._unpack([place]))

    def find_latest(self, ids: Iterable[str] | None = None) -> Iterator[Place]:
        """The last record of each transcript and repeat, in the files' order; of these transcripts only."""
        if ids is None:
            sql = f"{self._latest()} GROUP BY transcript_id, repeat ORDER BY 1"
            return self._unpack(self._ask(sql, gather=_gather_places))
        sql = f"{self._latest()} WHERE transcript_id = ? GROUP BY repeat"
        return self._unpack(sorted(place for name in set(ids) for [place] in self._ask(sql, name)))

    def count_latest(self) -> int:
        """How many transcripts and repeats there are."""
        sql = "SELECT count(*) FROM (SELECT 1 FROM records GROUP BY transcript_id, repeat)"
        return int(self._ask(sql)[0][0])

    def count_failures(self) -> dict[str, int]:
        """How many of the last records failed, by kind."""
        sql = (
            "SELECT failure, count(*) FROM records WHERE failure IS NOT NULL AND place IN "
            f"({self._latest()} GROUP BY transcript_id, repeat) GROUP BY failure"
        )
        return dict(self._ask(sql))

    def sum_usage(self) -> tuple[Usage, float | None]:
        """Tokens and US dollars of all records, those that a later one replaced too; None where a price is unknown."""
        names = list(Usage.model_fields)
        sums = ", ".join(f"coalesce(sum({name}), 0)" for name in names)
        unknown = "coalesce(max(cost_usd IS NULL AND requests > 0), 0)"
        [[*used, cost, is_unknown]] = self._ask(f"SELECT {sums}, coalesce(sum(cost_usd), 0.0), {unknown} FROM records")
        return Usage(**dict(zip(names, used, strict=True))), None if is_unknown else float(cost)

    def _latest(self) -> str:
        """In one file the later line counts; between files, which are written side by side, the later time."""
        [[files]] = self._ask("SELECT count(*) FROM files WHERE end > 0")
        if files < 2:
            return "SELECT max(place) FROM records"
        return "SELECT CAST(substr(max(printf('%-20.20s%019d', created_at, place)), 21) AS INTEGER) FROM records"

    def _unpack(self, places: Iterable[int]) -> Iterator[Place]:
        files = {number: self.folder / name for number, name in self._ask("SELECT number, name FROM files")}
        for place in places:
            yield Place(files[place >> _OFFSET_BITS], place & ((1 << _OFFSET_BITS) - 1))

    def _ask(self, sql: str, *values: Any, gather: Callable[[Iterable[Any]], Any] = list) -> Any:
        try:
            return gather(self._database.execute(sql, values))
        except sqlite3.DatabaseError:  # the index was damaged or taken away: the files have it all
            self._start_anew()
            return gather(self._database.execute(sql, values))

    # ------------------------------------------------------------ reading the files

    def catch_up(self) -> None:
        """Read what the files have that the index has not."""
        try:
            if not self._kept and sum(map(_find_size, find_record_files(self.folder))) >= KEPT_FROM_BYTES:
                self._kept = True
                self._connect(self.folder / NAME)
            self._read_files()
        except (_StaleError, sqlite3.DatabaseError):
            self._start_anew()

    def close(self) -> None:
        """Close the database."""
        self._database.close()

    def _start_anew(self) -> None:
        """Make the index again; beside the records if that can be, else where the system keeps passing files."""
        self.close()
        if self._kept:
            try:
                for name in (NAME, f"{NAME}-journal"):  # a journal left behind would be played into the new one
                    (self.folder / name).unlink(missing_ok=True)
                self._connect(self.folder / NAME)
                self._read_files()
                return
            except (OSError, sqlite3.DatabaseError):
                self.close()
        self._connect("" if self._kept else ":memory:")
        self._read_files()

    def _connect(self, name: str | Path) -> None:
        database = sqlite3.connect(name, timeout=_BUSY_S, isolation_level=None, check_same_thread=False)
        self._database = database
        self._finalizer = weakref.finalize(self, database.close)
        database.execute("PRAGMA cache_size = -65536")
        [[version]] = database.execute("PRAGMA user_version").fetchall()
        if version not in (0, VERSION):
            raise sqlite3.DatabaseError("written by another version")

    def _read_files(self) -> None:
        """One transaction: all that is new, or nothing."""
        if self._is_current():
            return
        database = self._database
        database.execute("BEGIN IMMEDIATE")
        try:
            [[version]] = database.execute("PRAGMA user_version").fetchall()
            if not version:
                _execute_all(database, _TABLES)
            for path in find_record_files(self.folder):
                self._read_file(path)
            if not version:  # sorted once, which is much faster than row by row
                _execute_all(database, _LOOKUPS)
                database.execute(f"PRAGMA user_version = {VERSION}")
        except BaseException:
            if database.in_transaction:
                database.execute("ROLLBACK")
            raise
        database.execute("COMMIT")

    def _is_current(self) -> bool:
        """Whether nothing was written since. Raises _StaleError where something was changed or taken away."""
        if not self._database.execute("PRAGMA user_version").fetchall()[0][0]:
            return False
        known = {file.name: file for file in map(_File._make, self._database.execute("SELECT * FROM files"))}
        paths = find_record_files(self.folder)
        if known.keys() - {path.name for path in paths}:
            raise _StaleError
        checked = [path.name in known and _check_file(path, known[path.name]) for path in paths]  # all, for _StaleError
        return all(checked)

    def _read_file(self, path: Path) -> None:
        row = self._database.execute("SELECT * FROM files WHERE name = ?", [path.name]).fetchone()
        [[number]] = self._database.execute("SELECT coalesce(max(number) + 1, 0) FROM files").fetchall()
        before = _File._make(row) if row else _File(number, path.name)
        if row and _check_file(path, before):
            return
        reader = _Reader(path, before)
        while rows := reader.read_rows():
            marks = ", ".join("?" * len(rows[0]))
            self._database.executemany(f"INSERT OR REPLACE INTO records VALUES ({marks})", rows)
        self._database.execute("INSERT OR REPLACE INTO files VALUES (?, ?, ?, ?, ?, ?, ?, ?)", reader.file)


class _Reader:
    """Reads the whole lines that a file has got since `before`; `file` says how far that is."""

    def __init__(self, path: Path, before: _File) -> None:
        self.path = path
        found = path.stat()
        self._until = found.st_size
        self.file = before._replace(size=found.st_size, changed=found.st_mtime_ns)

    def read_rows(self) -> list[tuple[Any, ...]]:
        """The next rows; none at the end of the file, or of what it was when this began."""
        rows: list[tuple[Any, ...]] = []
        with self.path.open("rb") as lines:
            lines.seek(self.file.end)
            last = b""
            number, _, end, _, _, start, digest, damaged = self.file
            for line in lines:
                if not line.endswith(b"\n") or end + len(line) > self._until or len(rows) == _ROWS_AT_ONCE:
                    break
                start, last, end = end, line, end + len(line)
                row = _read_row(line)
                if row is None:
                    damaged += 1
                else:
                    rows.append((number << _OFFSET_BITS | start, *row))
            if last:
                digest = _hash(last)
        self.file = self.file._replace(end=end, last=start, digest=digest, damaged=damaged)
        return rows


def find_record_files(folder: Path) -> list[Path]:
    """The files that hold the records of a run: `records.jsonl`, and `records-*.jsonl` of several writers."""
    first = folder / "records.jsonl"
    return [*([first] if first.exists() else []), *sorted(folder.glob("records-*.jsonl"))]


def _check_file(path: Path, known: _File) -> bool:
    """Whether a file is wholly indexed. Raises _StaleError where it is not the file that was read."""
    found = path.stat()
    if found.st_size < known.end:
        raise _StaleError
    if found.st_size == known.size and found.st_mtime_ns != known.changed:
        raise _StaleError
    if known.end:
        with path.open("rb") as file:
            file.seek(known.last)
            if _hash(file.read(known.end - known.last)) != known.digest:
                raise _StaleError
    return found.st_size == known.size


def _read_row(line: bytes) -> tuple[Any, ...] | None:
    """The columns of a line but its place; None where it is no record."""
    try:
        head = _Head.model_validate_json(line)
    except ValidationError:
        return None
    used = head.usage
    return (
        head.transcript_id, head.repeat, _shorten(head.request_hash), head.failure and head.failure.kind,
        head.created_at, used.requests, used.input_tokens, used.cache_read_tokens, used.cache_write_tokens,
        used.output_tokens, head.cost_usd,
    )  # fmt: skip


def _gather_places(rows: Iterable[Any]) -> "array[int]":
    """Eight bytes for each place, since there may be millions."""
    return array("q", (place for [place] in rows))


def _execute_all(database: sqlite3.Connection, script: str) -> None:
    """Like executescript, which would end the transaction."""
    for statement in script.split(";")[:-1]:
        database.execute(statement)


def _shorten(request_hash: str) -> bytes:
    return bytes.fromhex(request_hash)[:16]


def _hash(line: bytes) -> bytes:
    return hashlib.blake2b(line, digest_size=16).digest()


def _find_size(path: Path) -> int:
    return path.stat().st_size
