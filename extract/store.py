"""The run store: `runs/<run_id>/manifest.json` and an append-only `records.jsonl`, a line per record.

Where several write at once, each has a file of its own, `records-*.jsonl`; all of them are one run.
"""

import hashlib
import json
import os
import secrets
import shutil
import threading
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Any

from filelock import FileLock, Timeout
from pydantic import ValidationError

from extract.errors import StoreError
from schemas.record import Manifest, Record, Usage

RUNS = Path("runs")
SYNC_EVERY_S = 0.5
_OFFSET_BITS = 40
_IDENTITY = ("engine", "model", "parameters", "prompt_sha256", "schema_sha256", "codebook_sha256", "source")


class RunStore:
    """One run on disk. Open it to write with `with`; read it without.

    A record is one line, appended with one write and synced to the disk at least once a second and
    at the end. A last line that a crash tore is cut when the run is opened to write; `notices` says so.
    """

    def __init__(self, path: Path, manifest: Manifest) -> None:
        self.path = path
        self.manifest = manifest
        self.notices: list[str] = []
        self._held: set[bytes] = set()
        self._failed: set[bytes] = set()
        self._answers: dict[bytes, int] = {}
        self._files: list[Path] = [self.records_path]
        self._failure_kinds: Counter[str] = Counter()
        self._end = 0
        self._file = -1
        self._dirty = False
        self._closing = threading.Event()
        self._lock = FileLock(path / "lock")

    @property
    def records_path(self) -> Path:
        """The file that `append` writes."""
        return self.path / "records.jsonl"

    # ------------------------------------------------------------ reading

    def read_records(self) -> Iterator[Record]:
        """The records of the run, the last one of each transcript and repeat, in the file's order."""
        for line in self.read_lines():
            try:
                yield Record.model_validate_json(line)
            except ValidationError:
                continue

    def read_lines(self) -> Iterator[bytes]:
        """The lines of those records as they stand in the file, for a pass over very many."""
        last: dict[tuple[str, int], int] = {}
        for offset, line in self._read_lines():
            if key := _read_key(line):
                last[key[0], key[1]] = offset
        wanted = set(last.values())
        for offset, line in self._read_lines():
            if offset in wanted:
                yield line

    def sum_up(self) -> dict[str, Any]:
        """Counts over the last record of each transcript and repeat; usage and dollars over all of them,
        since an answer that was asked again was paid as well. The keys are the manifest's.
        """
        failures: dict[tuple[str, int], str] = {}
        keys = set()
        usage: Counter[str] = Counter()
        cost: float | None = 0.0
        for _, line in self._read_lines():
            if key := _read_key(line):
                data = json.loads(line)
                keys.add(key[:2])
                failures.pop(key[:2], None)
                if key[3]:
                    failures[key[:2]] = data["failure"]["kind"]
                usage.update(data["usage"])
                paid = data.get("cost_usd", 0.0 if not data["usage"]["requests"] else None)
                cost = None if cost is None or paid is None else cost + paid
        self._failure_kinds = Counter(failures.values())
        counts = {"records": len(keys), "failures": len(failures)}
        return {**counts, "usage": Usage.model_validate(usage), "cost_usd": cost}

    def count_failures(self) -> dict[str, int]:
        """How many transcripts and repeats failed, by kind, when the run was last summed up."""
        return dict(self._failure_kinds)

    def find_answer(self, request_hash: str) -> Record | None:
        """The extraction that this run holds for exactly this request, under whatever transcript id."""
        place = self._answers.get(bytes.fromhex(request_hash)[:16])
        if place is None:
            return None
        with self._files[place >> _OFFSET_BITS].open("rb") as file:
            file.seek(place & ((1 << _OFFSET_BITS) - 1))
            return Record.model_validate_json(file.readline())

    def _read_lines(self) -> Iterator[tuple[int, bytes]]:
        """The whole lines of all files, those of an earlier begun file first; each with its place."""
        for path in find_record_files(self.path):
            offset = 0
            with path.open("rb") as file:
                for line in file:
                    if line.endswith(b"\n"):
                        yield self._find_place(path, offset), line
                    offset += len(line)

    def _find_place(self, path: Path, offset: int) -> int:
        """The number of a file and an offset in it, as one number."""
        if path not in self._files:
            self._files.append(path)
        return self._files.index(path) << _OFFSET_BITS | offset

    # ------------------------------------------------------------ writing

    def __enter__(self) -> "RunStore":
        self._take_lock()
        self._cut_torn_line()
        self._file = os.open(self.records_path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
        self.load_index()
        self._syncer = threading.Thread(target=self._sync_often, daemon=True)
        self._syncer.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._closing.set()
        self._syncer.join()
        self._sync()
        os.close(self._file)
        self._file = -1
        (self.path / "writer.json").unlink(missing_ok=True)
        if error is not None and self._end == 0 and self._holds_nothing_else():
            shutil.rmtree(self.path, ignore_errors=True)  # it failed before it began: nobody will go on with it
        self._lock.release()

    def _holds_nothing_else(self) -> bool:
        """Whether no engine keeps anything in the run's folder, such as what it has sent and not collected."""
        return {path.name for path in self.path.iterdir()} <= {"manifest.json", "records.jsonl", "lock"}

    def holds(self, transcript_id: str, request_hash: str, *, retry_failed: bool = False) -> bool:
        """Whether the run has a record for this transcript and exactly this request."""
        key = _digest(transcript_id, request_hash)
        return key in self._held and not (retry_failed and key in self._failed)

    def append(self, record: Record) -> None:
        """Write one record: a whole line in one write, to a store opened with `with`.

        Raises StoreError when the disk refuses it.
        """
        line = record.to_line()
        try:
            written = os.write(self._file, line)
            if written < len(line):
                raise OSError(28, "No space left on device")
        except OSError as error:
            self._cut_torn_line()
            raise StoreError(
                f"Cannot write to {str(self.records_path)!r}: {error.strerror}. "
                "What was answered before is kept; make room, then run the same command again."
            ) from None
        self._dirty = True
        self._mark(record.transcript_id, record.request_hash, self._end, failed=record.failure is not None)
        self._end += len(line)

    def adopt(self, record: Record, file: str, offset: int) -> None:
        """Count a record as held that another process has written: into this file of the run, from this byte on.

        It may lack what was extracted; that is in the file.
        """
        place = self._find_place(self.path / file, offset)
        self._mark(record.transcript_id, record.request_hash, place, failed=record.failure is not None)

    def check_identity(self, manifest: Manifest) -> None:
        """Raises StoreError where a run to go on with was made otherwise than `manifest` says."""
        for name in _IDENTITY:
            mine, its = getattr(self.manifest, name), getattr(manifest, name)
            if mine != its:
                short = name.removesuffix("_sha256")
                raise StoreError(
                    f"Run {self.path.name!r} was made with another {short}: {mine!r}, not {its!r}. "
                    "Leave --resume out to begin a new run."
                )

    def write_manifest(self, manifest: Manifest) -> None:
        """Replace the manifest, whole or not at all."""
        self.manifest = manifest
        _write_manifest(self.path, manifest)

    def _mark(self, transcript_id: str, request_hash: str, place: int, *, failed: bool) -> None:
        key = _digest(transcript_id, request_hash)
        self._held.add(key)
        (self._failed.add if failed else self._failed.discard)(key)
        if not failed:
            self._answers[bytes.fromhex(request_hash)[:16]] = place

    def load_index(self) -> None:
        """Read which requests the run holds; `with` does it, `holds` without writing needs it."""
        corrupt = 0
        for place, line in self._read_lines():
            if place >> _OFFSET_BITS == 0:  # the file that `append` writes
                self._end = place + len(line)
            if key := _read_key(line):
                self._mark(key[0], key[2], place, failed=key[3])
            else:
                corrupt += 1
        if corrupt:
            self.notices.append(f"{corrupt} damaged lines in {self.records_path.name} are asked again.")

    def _cut_torn_line(self) -> None:
        """Drop what follows the last line end: the start of a record that was never finished."""
        if not self.records_path.exists():
            return
        with self.records_path.open("rb+") as file:
            end = file.seek(0, os.SEEK_END)
            keep = _find_last_line_end(file, end)
            if keep < end:
                file.truncate(keep)
                self.notices.append("The last record was cut off while it was written; it is asked again.")

    def _take_lock(self) -> None:
        writer = self.path / "writer.json"
        try:
            self._lock.acquire(timeout=0)
        except Timeout:
            raise StoreError(
                f"Run {self.path.name!r} is being written by process {_read_pid(writer)}. "
                "Wait until it is done, or stop it."
            ) from None
        except OSError as error:
            raise StoreError(
                f"Cannot write in {str(self.path)!r}: {error.strerror}. Choose another folder with --runs."
            ) from None
        if writer.exists():
            self.notices.append(f"Taking over from process {_read_pid(writer)}, which ended without a word.")
        writer.write_text(json.dumps({"pid": os.getpid(), "since": now()}))

    def _sync_often(self) -> None:
        while not self._closing.wait(SYNC_EVERY_S):
            self._sync()

    def _sync(self) -> None:
        if self._dirty:
            self._dirty = False
            os.fsync(self._file)


def now() -> str:
    """The time as `2026-09-01T10:15:00Z`."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def find_record_files(folder: Path) -> list[Path]:
    """The files that hold the records of a run: `records.jsonl`, then `records-*.jsonl`, whose names sort by time."""
    first = folder / "records.jsonl"
    return [*([first] if first.exists() else []), *sorted(folder.glob("records-*.jsonl"))]


def create_run(runs: Path, manifest: Manifest) -> RunStore:
    """Make the folder of a new run; its id sorts by time. The manifest's own run_id is ignored."""
    while True:
        stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ")
        run_id = f"{stamp}-{manifest.engine}-{manifest.prompt_version}-{secrets.token_hex(2)}"
        try:
            (runs / run_id).mkdir(parents=True)
            break
        except FileExistsError:
            continue
        except OSError as error:
            raise StoreError(f"Cannot write in {str(runs)!r}: {error.strerror}. Choose another with --runs.") from None
    store = RunStore(runs / run_id, manifest.model_copy(update={"run_id": run_id}))
    store.write_manifest(store.manifest)
    return store


def find_run(runs: Path, manifest: Manifest) -> RunStore | None:
    """The newest run that the same command began, or None."""
    wanted = manifest.model_dump(include=set(_IDENTITY))
    for store in reversed(list_runs(runs)):
        if store.manifest.model_dump(include=set(_IDENTITY)) == wanted:
            return store
    return None


def list_runs(runs: Path = RUNS) -> list[RunStore]:
    """All readable runs of a folder, oldest first."""
    found = []
    for path in sorted(runs.glob("*/manifest.json"), key=_find_age):
        try:
            found.append(open_run(path.parent))
        except StoreError:
            continue
    return found


def _find_age(manifest: Path) -> tuple[str, int]:
    """The second in which a run was made; within one, the moment its manifest was written."""
    return manifest.parent.name[:16], manifest.stat().st_mtime_ns


def open_run(run: str | Path, runs: Path = RUNS) -> RunStore:
    """Open a run to read, by its folder, its id, or `last`. Raises StoreError if there is none."""
    if str(run) == "last":
        stores = list_runs(runs)
        if not stores:
            raise StoreError(f"No runs in {str(runs)!r} yet. Make one with: python -m extract run SOURCE.")
        return stores[-1]
    path = next((p for p in (Path(run), runs / str(run)) if (p / "manifest.json").is_file()), None)
    if path is None:
        raise StoreError(f"No run {str(run)!r}. List them with: python -m extract runs.")
    try:
        data: Any = json.loads((path / "manifest.json").read_text(encoding="utf-8"))
        if isinstance(data, dict) and isinstance(data.get("version"), int) and data["version"] > 1:
            raise StoreError(f"Run {path.name!r} was written by a newer version. Update, then open it.")
        return RunStore(path, Manifest.model_validate(data))
    except (OSError, ValueError) as error:
        reason = str(error).splitlines()[0]
        raise StoreError(f"The manifest of run {path.name!r} cannot be read: {reason}.") from None


def _write_manifest(path: Path, manifest: Manifest) -> None:
    fresh = path / "manifest.json.new"
    try:
        with fresh.open("w", encoding="utf-8") as file:
            file.write(manifest.model_dump_json(indent=1) + "\n")
            file.flush()
            os.fsync(file.fileno())
        fresh.replace(path / "manifest.json")
    except OSError as error:
        raise StoreError(
            f"Cannot write in {str(path)!r}: {error.strerror}. Make room or check its permissions."
        ) from None


def _find_last_line_end(file: Any, end: int) -> int:
    """The offset behind the last line end before `end`, or 0."""
    while end > 0:
        start = max(0, end - (1 << 16))
        file.seek(start)
        found = file.read(end - start).rfind(b"\n")
        if found >= 0:
            return int(start + found + 1)
        end = start
    return 0


def _read_key(line: bytes) -> tuple[str, int, str, bool] | None:
    """(transcript id, repeat, request hash, failed) of a line; None where it is no record."""
    try:
        data = json.loads(line)
        if "usage" not in data or len(bytes.fromhex(data["request_hash"])) != 32:
            return None
        return data["transcript_id"], data["repeat"], data["request_hash"], "failure" in data
    except (ValueError, KeyError, TypeError):
        return None


def _digest(transcript_id: str, request_hash: str) -> bytes:
    key = f"{request_hash}\0{transcript_id}".encode("utf-8", "surrogatepass")
    return hashlib.blake2b(key, digest_size=16).digest()


def _read_pid(writer: Path) -> str:
    try:
        return str(json.loads(writer.read_text())["pid"])
    except (OSError, ValueError, KeyError, TypeError):
        return "of unknown number"
