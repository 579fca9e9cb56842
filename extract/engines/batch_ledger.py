"""What a run has sent in batches, in one SQLite file of its folder, so that a killed process loses nothing.

`batches` holds one row for each submission, written before it is sent. `entries` holds one row for each
request that has no record yet: in a batch (`nonce` says which) or waiting for one. An entry is deleted
once its record is stored. `asked` lives as long as the process: what the pipeline wants answered now.
"""

import json
import re
import secrets
import sqlite3
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from extract.engines.batch_rows import Batch, Entry, Past, dump_past, dump_request, find_key, load_past, load_request
from extract.errors import StoreError
from extract.prompt import Request
from schemas.draft import AnswerFormat

FILE = "batches.sqlite"
VERSION = 1
_SCHEMA = """
CREATE TABLE IF NOT EXISTS batches (
    nonce TEXT PRIMARY KEY, id TEXT UNIQUE, state TEXT NOT NULL, requests INTEGER NOT NULL, bytes INTEGER NOT NULL,
    seen_id TEXT, seen_at TEXT, sent_at REAL NOT NULL, created_at TEXT, expires_at TEXT, ended_at TEXT,
    succeeded INTEGER NOT NULL DEFAULT 0, errored INTEGER NOT NULL DEFAULT 0, expired INTEGER NOT NULL DEFAULT 0,
    canceled INTEGER NOT NULL DEFAULT 0, collected INTEGER NOT NULL DEFAULT 0
);
CREATE TABLE IF NOT EXISTS entries (
    key TEXT PRIMARY KEY, nonce TEXT, attempt INTEGER NOT NULL, size INTEGER NOT NULL,
    request BLOB NOT NULL, past TEXT NOT NULL
);
CREATE INDEX IF NOT EXISTS entries_nonce ON entries (nonce);
CREATE TEMP TABLE asked (key TEXT NOT NULL, shape INTEGER NOT NULL, transcript TEXT NOT NULL);
CREATE INDEX temp.asked_key ON asked (key);
"""
_ANSWERED = re.compile(rb'"request_id":"[^"\\]*:([0-9a-f]{40})-([0-9a-f]{8})-\d"')


def read_batches(folder: Path) -> list[Batch]:
    """The batches of a run's folder, oldest first, without writing to it. Raises StoreError."""
    if not (folder / FILE).exists():
        return []
    try:
        connection = sqlite3.connect(f"{(folder / FILE).resolve().as_uri()}?mode=ro", uri=True, timeout=10)
        try:
            return _read_batches(connection)
        finally:
            connection.close()
    except sqlite3.Error as error:
        raise explain(folder / FILE, error) from None


def explain(path: Path, error: sqlite3.Error) -> StoreError:
    """The StoreError of trouble with the file."""
    return StoreError(
        f"Cannot use {str(path)!r}: {error}. It holds the batches that are on their way: keep it, mend the trouble, "
        "then run the same command again."
    )


class Ledger:
    """The file, open to write. Every method that matters after a crash has synced to the disk when it returns."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / FILE
        self._shapes: list[tuple[AnswerFormat, str]] = []
        self._open = sqlite3.connect(self.path, timeout=30)
        self._open.execute("PRAGMA journal_mode = WAL")
        self._open.execute("PRAGMA synchronous = FULL")
        found = self._open.execute("PRAGMA user_version").fetchone()[0]
        if found > VERSION:
            self._open.close()
            raise StoreError(f"{str(self.path)!r} was written by a newer version. Update, then open it.")
        self._open.executescript(_SCHEMA)
        self._open.execute(f"PRAGMA user_version = {VERSION}")
        self._open.commit()

    def close(self) -> None:
        """Let go of the file. What was not saved is as if it had not happened; the records make up for it."""
        self._open.close()

    # ------------------------------------------------------------ requests

    def drop_answered(self, records: Path) -> None:
        """Forget the entries whose record was stored just before the last process was killed."""
        if not self._open.execute("SELECT 1 FROM entries LIMIT 1").fetchone() or not records.exists():
            return
        with records.open("rb") as lines:
            for line in lines:
                if found := _ANSWERED.search(line):
                    key, nonce = found[1].decode(), found[2].decode()
                    done = self._open.execute("DELETE FROM entries WHERE key = ? AND nonce = ?", (key, nonce))
                    self._count_collected(nonce, done.rowcount)
        self._open.commit()

    def ask(self, request: Request, size: int) -> bool:
        """Want this request answered. Whether it has to wait for a batch; False where it is in one already."""
        key = find_key(request)
        again = self._open.execute("SELECT 1 FROM asked WHERE key = ?", (key,)).fetchone()
        who = json.dumps([request.transcript.id, request.transcript.cohort])
        shape = self._find_shape(request)
        self._open.execute("INSERT INTO asked VALUES (?, ?, ?)", (key, shape, who))
        entry = self._open.execute("SELECT nonce FROM entries WHERE key = ?", (key,)).fetchone()
        if entry is None:
            past = dump_past(Past(time.time()))
            row = (key, None, 0, size, dump_request(request), past)
            self._open.execute("INSERT INTO entries VALUES (?, ?, ?, ?, ?, ?)", row)
        return not again and (entry is None or entry[0] is None)

    def find(self, key: str, nonce: str) -> Entry | None:
        """The entry of this key in this batch, if it is wanted now."""
        query = "SELECT key, attempt, request, past FROM entries WHERE key = ? AND nonce = ?"
        row = self._open.execute(query, (key, nonce)).fetchone()
        entry = self._to_entry(*row) if row else None
        return entry if entry and entry.requests else None

    def find_entries(self, nonce: str) -> Iterator[Entry]:
        """The entries of one batch, in the order of their keys."""
        query = "SELECT key, attempt, request, past FROM entries WHERE nonce = ? ORDER BY key"
        for row in self._open.execute(query, (nonce,)):
            yield self._to_entry(*row)

    def find_wanted(self, nonce: str) -> list[Entry]:
        """The entries of one batch that are wanted now. Small after its results have been read."""
        query = "SELECT DISTINCT key FROM asked JOIN entries USING (key) WHERE nonce = ?"
        keys = self._open.execute(query, (nonce,)).fetchall()
        return [entry for (key,) in keys if (entry := self.find(key, nonce))]

    def ask_again(self, entry: Entry, past: Past, size: int) -> None:
        """The entry waits for a following batch, with a correction more."""
        change = "UPDATE entries SET nonce = NULL, attempt = attempt + 1, size = ?, past = ? WHERE key = ?"
        self._open.execute(change, (size, dump_past(past), entry.key))

    def finish(self, entry: Entry, nonce: str) -> None:
        """Its record is stored: forget the entry. Synced with the next change that matters."""
        self._open.execute("DELETE FROM entries WHERE key = ?", (entry.key,))
        self._open.execute("DELETE FROM asked WHERE key = ?", (entry.key,))
        self._count_collected(nonce, 1)

    def save(self) -> None:
        """Sync what `finish` and `ask_again` have marked."""
        self._open.commit()

    def tidy(self) -> None:
        """Sync, and once nothing is on its way shrink the file: it holds no text of interviews any more."""
        self._open.commit()
        if not self._open.execute("SELECT 1 FROM entries LIMIT 1").fetchone():
            self._open.execute("VACUUM")

    def _count_collected(self, nonce: str, count: int) -> None:
        self._open.execute("UPDATE batches SET collected = collected + ? WHERE nonce = ?", (count, nonce))

    def _find_shape(self, request: Request) -> int:
        """The number of the request's format and system part, which all requests of a run share."""
        for number, (draft_format, system) in enumerate(self._shapes):
            if request.format.hash == draft_format.hash and request.system == system:
                return number
        self._shapes.append((request.format, request.system))
        return len(self._shapes) - 1

    def _to_entry(self, key: str, attempt: int, request: bytes, past: str) -> Entry:
        asked = self._open.execute("SELECT shape, transcript FROM asked WHERE key = ? ORDER BY rowid", (key,))
        requests = [load_request(request, self._shapes[shape], json.loads(who)) for shape, who in asked]
        return Entry(key, attempt, load_past(past), requests)

    # ------------------------------------------------------------ batches

    def prepare(self, requests: int, size: int, seen: Mapping[str, Any] | None) -> Batch | None:
        """Put waiting entries, at most so many and so many bytes, into a batch that is about to be sent."""
        chosen: list[str] = []
        total = 0
        for key, one in self._open.execute(
            "SELECT DISTINCT key, size FROM asked JOIN entries USING (key) WHERE nonce IS NULL ORDER BY entries.rowid"
        ):
            if len(chosen) == requests or (chosen and total + one > size):
                break
            chosen.append(key)
            total += one
        if not chosen:
            return None
        batch = Batch(
            secrets.token_hex(4), None, "sending", len(chosen), total,
            seen["id"] if seen else None, seen["created_at"] if seen else None, time.time(),
        )  # fmt: skip
        self._open.execute(
            "INSERT INTO batches (nonce, state, requests, bytes, seen_id, seen_at, sent_at) "
            "VALUES (?, ?, ?, ?, ?, ?, ?)",
            (batch.nonce, batch.state, batch.requests, batch.bytes, batch.seen_id, batch.seen_at, batch.sent_at),
        )
        moved = ((batch.nonce, key) for key in chosen)
        self._open.executemany("UPDATE entries SET nonce = ? WHERE key = ?", moved)
        self._open.commit()
        return batch

    def note(self, nonce: str, fresh: Mapping[str, Any]) -> None:
        """Keep what the provider says of a batch; the first time, this is its id."""
        counts = fresh["request_counts"]
        self._open.execute(
            "UPDATE batches SET id = ?, state = ?, created_at = ?, expires_at = ?, ended_at = ?, succeeded = ?, "
            "errored = ?, expired = ?, canceled = ? WHERE nonce = ?",
            (
                fresh["id"], fresh["processing_status"], fresh["created_at"], fresh["expires_at"],
                fresh.get("ended_at"), counts["succeeded"], counts["errored"], counts["expired"],
                counts["canceled"], nonce,
            ),
        )  # fmt: skip
        self._open.commit()

    def touch(self, nonce: str) -> None:
        """The sending ended now, well or not: from here on it can be looked for."""
        self._open.execute("UPDATE batches SET sent_at = ? WHERE nonce = ?", (time.time(), nonce))
        self._open.commit()

    def settle(self, nonce: str, state: str) -> None:
        """The last state of a batch: `collected` where nothing of it is left, or `gone`."""
        left = self._open.execute("SELECT 1 FROM entries WHERE nonce = ? LIMIT 1", (nonce,)).fetchone()
        if not (state == "collected" and left):
            self._open.execute("UPDATE batches SET state = ? WHERE nonce = ?", (state, nonce))
        self._open.commit()

    def release(self, nonce: str) -> None:
        """The batch was never there: its entries wait for another one."""
        self._open.execute("UPDATE entries SET nonce = NULL WHERE nonce = ?", (nonce,))
        self._open.execute("DELETE FROM batches WHERE nonce = ?", (nonce,))
        self._open.commit()

    def find_open(self) -> list[Batch]:
        """The batches that hold entries which are wanted now, oldest first."""
        query = "SELECT DISTINCT nonce FROM asked JOIN entries USING (key) WHERE nonce IS NOT NULL"
        wanted = {nonce for (nonce,) in self._open.execute(query)}
        return [batch for batch in _read_batches(self._open) if batch.nonce in wanted]

    def find_ids(self) -> set[str]:
        """The provider's ids of all batches of the run."""
        return {batch.id for batch in _read_batches(self._open) if batch.id}

    def count_waiting(self) -> int:
        """How many wanted entries wait for a batch."""
        query = "SELECT count(DISTINCT key) FROM asked JOIN entries USING (key) WHERE nonce IS NULL"
        return int(self._open.execute(query).fetchone()[0])


def _read_batches(connection: sqlite3.Connection) -> list[Batch]:
    names = ", ".join(Batch.__dataclass_fields__)
    return [Batch(*row) for row in connection.execute(f"SELECT {names} FROM batches ORDER BY rowid")]  # noqa: S608 (own names)
