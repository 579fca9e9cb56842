"""The run store: `runs/<run_id>/manifest.json` and an append-only `records.jsonl`, a line per record.

Where several write at once, each has a file of its own, `records-*.jsonl`; all of them are one run.
A large run also has `records.index`, which only saves time and is made again where it is missing; see `index.py`.
"""

import contextlib
import json
import os
import secrets
import shutil
import threading
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime
from itertools import groupby
from operator import attrgetter
from pathlib import Path
from types import TracebackType
from typing import Any

from filelock import FileLock, Timeout
from pydantic import ValidationError

from extract.errors import StoreError
from extract.index import Place, RecordIndex, find_record_files
from schemas.record import Manifest, Record

__all__ = ["RUNS", "RunStore", "create_run", "find_record_files", "find_run", "list_runs", "now", "open_run"]
RUNS = Path("runs")
SYNC_EVERY_S = 0.5
INDEX_EVERY = 1000
"""Records between two times that the index is brought up to date."""
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
        self._index = RecordIndex(path)
        self._fresh: dict[tuple[str, str], bool] = {}  # (transcript, request) -> failed: not in the index yet
        self._answers: dict[str, Place] = {}  # request -> where its answer lies: not in the index yet
        self._end = 0
        self._file = -1
        self._dirty = False
        self._trouble: StoreError | None = None
        self._closing = threading.Event()
        self._lock = FileLock(path / "lock")

    @property
    def records_path(self) -> Path:
        """The file that `append` writes."""
        return self.path / "records.jsonl"

    # ------------------------------------------------------------ reading

    @property
    def index(self) -> RecordIndex:
        """Where the records lie, read as far as the files go now."""
        self._index.catch_up()
        self._fresh.clear()
        self._answers.clear()
        return self._index

    def read_records(self, ids: Iterable[str] | None = None) -> Iterator[Record]:
        """The records of the run, the last one of each transcript and repeat, in the files' order.

        With `ids`, of these transcripts only: nothing else is read. One record at a time is in memory.
        """
        for line in self.read_lines(ids):
            try:
                yield Record.model_validate_json(line)
            except ValidationError:
                continue

    def read_lines(self, ids: Iterable[str] | None = None) -> Iterator[bytes]:
        """The lines of those records as they stand in the files, for a pass over very many."""
        for path, places in groupby(self.index.find_latest(ids), attrgetter("file")):
            with path.open("rb") as file:
                for place in places:
                    file.seek(place.offset)
                    yield file.readline()

    def count_records(self) -> int:
        """How many transcripts and repeats the run has a record of."""
        return self.index.count_latest()

    def sum_up(self) -> dict[str, Any]:
        """Counts over the last record of each transcript and repeat; usage and dollars over all of them,
        since an answer that was asked again was paid as well. The keys are the manifest's.
        """
        index = self.index
        usage, cost = index.sum_usage()
        failures = sum(index.count_failures().values())
        return {"records": index.count_latest(), "failures": failures, "usage": usage, "cost_usd": cost}

    def count_failures(self) -> dict[str, int]:
        """How many transcripts and repeats failed, by kind."""
        return self.index.count_failures()

    def find_answer(self, request_hash: str) -> Record | None:
        """The extraction that this run holds for exactly this request, under whatever transcript id."""
        place = self._answers.get(request_hash) or self._index.find_answer(request_hash)
        if place is None:
            return None
        with place.file.open("rb") as file:
            file.seek(place.offset)
            return Record.model_validate_json(file.readline())

    # ------------------------------------------------------------ writing

    def __enter__(self) -> "RunStore":
        self._take_lock()
        self._cut_torn_line()
        try:
            self._file = os.open(self.records_path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
        except OSError as error:
            self._lock.release()
            raise self._explain(error) from None
        self._end = os.fstat(self._file).st_size
        if damaged := self.index.damaged:
            self.notices.append(f"{damaged} damaged lines in {self.records_path.name} are asked again.")
        self._syncer = threading.Thread(target=self._sync_often, daemon=True)
        self._syncer.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._closing.set()
        self._syncer.join()
        self._sync()
        self.load_index()
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
        failed = self._fresh.get((transcript_id, request_hash))
        if failed is None:
            failed = self._index.find_failed(transcript_id, request_hash)
        return failed is not None and not (retry_failed and failed)

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
            raise self._explain(error) from None
        if self._trouble:
            raise self._trouble
        self._dirty = True
        self._note(record, Place(self.records_path, self._end))
        self._end += len(line)

    def adopt(self, record: Record, file: str, offset: int) -> None:
        """Count a record as held that another process has written: into this file of the run, from this byte on.

        It may lack what was extracted; that is in the file.
        """
        self._note(record, Place(self.path / file, offset))

    def _note(self, record: Record, place: Place) -> None:
        self._fresh[record.transcript_id, record.request_hash] = record.failure is not None
        if record.failure is None:
            self._answers[record.request_hash] = place
        if len(self._fresh) >= INDEX_EVERY:
            self._sync()  # the index may not know of a record that a power cut can still take
            self.load_index()

    def _explain(self, error: OSError) -> StoreError:
        return StoreError(
            f"Cannot write to {str(self.records_path)!r}: {error.strerror}. "
            "What was answered before is kept; make room, then run the same command again."
        )

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

    def load_index(self) -> None:
        """Read which requests the run holds; `with` does it, `holds` without writing needs it."""
        _ = self.index

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
        with contextlib.suppress(OSError):  # on a full disk nobody learns the number, but the lock holds
            writer.write_text(json.dumps({"pid": os.getpid(), "since": now()}))

    def _sync_often(self) -> None:
        while not self._closing.wait(SYNC_EVERY_S):
            try:
                self._sync()
            except StoreError as error:
                self._trouble = error  # the next append says it

    def _sync(self) -> None:
        """Raises StoreError where the disk refuses it."""
        if self._dirty:
            self._dirty = False
            try:
                os.fsync(self._file)
            except OSError as error:
                raise self._explain(error) from None


def now() -> str:
    """The time as `2026-09-01T10:15:00Z`."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


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


def _say_nothing(_sentence: str) -> None:
    pass


def find_run(runs: Path, manifest: Manifest, notice: Callable[[str], None] = _say_nothing) -> RunStore | None:
    """The newest run that the same command began, or None. `notice` is told of runs that cannot be read.

    Raises StoreError where that command's run is there but cannot be read: another one would be paid again.
    """
    wanted = manifest.model_dump(include=set(_IDENTITY))
    for path in reversed(_find_manifests(runs)):
        try:
            store = open_run(path.parent)
        except StoreError as error:
            if _begins_alike(path, wanted):
                raise StoreError(f"{error} To pay for everything again, begin another run with --new.") from None
            notice(str(error))
            continue
        if store.manifest.model_dump(include=set(_IDENTITY)) == wanted:
            return store
    return None


def _begins_alike(path: Path, wanted: dict[str, Any]) -> bool:
    """Whether a manifest that this version cannot open is of the same command, as far as it can be told."""
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
        return all(data.get(name) == value for name, value in wanted.items())
    except (OSError, ValueError, RecursionError, AttributeError):
        return False


def list_runs(runs: Path = RUNS, notice: Callable[[str], None] = _say_nothing) -> list[RunStore]:
    """All readable runs of a folder, oldest first. `notice` is told of those that cannot be read."""
    found = []
    for path in _find_manifests(runs):
        try:
            found.append(open_run(path.parent))
        except StoreError as error:
            notice(str(error))
    return found


def _find_manifests(runs: Path) -> list[Path]:
    return sorted(runs.glob("*/manifest.json"), key=_find_age)


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
    except (OSError, ValueError, RecursionError) as error:
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
        with contextlib.suppress(OSError):
            fresh.unlink(missing_ok=True)
        raise StoreError(
            f"Cannot write in {str(path)!r}: {error.strerror}. What was answered before is kept; "
            "make room or check its permissions, then run the same command again."
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


def _read_pid(writer: Path) -> str:
    try:
        return str(json.loads(writer.read_text())["pid"])
    except (OSError, ValueError, RecursionError, KeyError, TypeError):
        return "of unknown number"
