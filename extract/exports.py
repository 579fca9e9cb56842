"""A stored run -> files that other programs open: where they go, what they need, that none is lost."""

import os
import shutil
import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from extract.errors import ExportError
from extract.rows import TABLES, RowMaker
from extract.store import RunStore
from extract.transcripts import BadTranscript
from schemas.codebook import Codebook
from schemas.record import Manifest, Record
from schemas.transcript import Transcript

if TYPE_CHECKING:
    from extract.refi_qda import Source

FOLDERS = ("csv", "jsonl", "parquet", "datasets")
FILES = ("xlsx", "qdpx", "qdc")
FORMATS = (*FOLDERS, *FILES)
WITH_CODEBOOK = FILES
"""The formats that also hold the codebook."""


@dataclass(frozen=True)
class ExportPlan:
    """What is asked for. `redact` leaves summaries and quotes out; `all_repeats` and `crlf` are qdpx's."""

    format: str
    out: Path | None = None
    force: bool = False
    redact: bool = False
    all_repeats: bool = False
    crlf: bool = False

    def __post_init__(self) -> None:
        if self.redact and self.format == "qdpx":
            raise ExportError(
                "A qdpx holds whole interviews, so --redact cannot hold. Use --to xlsx, or another table."
            )

    def find_target(self, store: RunStore) -> Path:
        """Where the export goes: `--out`, or `exports/<run id>.<format>` in the run's folder."""
        joint = "-" if self.format in FOLDERS else "."
        return self.out or store.path / "exports" / f"{store.path.name}{joint}{self.format}"


def export_tables(store: RunStore, plan: ExportPlan) -> tuple[Path, dict[str, int]]:
    """Write csv, jsonl, parquet or datasets; returns the folder and how many rows each table has."""
    from extract.tables import write_tables

    with writing(plan, store) as fresh:
        fresh.mkdir()
        counts = write_tables(fresh, plan.format, store.read_records(), _make_rows(store, plan))
    return plan.find_target(store), counts


def export_workbook(store: RunStore, plan: ExportPlan, codebook: Codebook) -> tuple[Path, dict[str, int]]:
    """Write an Excel workbook; returns its path and how many rows each sheet has."""
    from extract.workbook import write_workbook

    with writing(plan, store) as fresh:
        counts = write_workbook(fresh, store.read_records(), _make_rows(store, plan), codebook)
    return plan.find_target(store), counts


def export_codebook(store: RunStore, plan: ExportPlan, codebook: Codebook) -> tuple[Path, dict[str, int]]:
    """Write the codebook as .qdc; returns its path and how many codes it holds."""
    from extract.code_tree import write_codebook

    with writing(plan, store) as fresh:
        counts = {"codes": write_codebook(fresh, codebook)}
    return plan.find_target(store), counts


def export_project(
    store: RunStore, plan: ExportPlan, codebook: Codebook, transcripts: Iterable[Transcript | BadTranscript]
) -> tuple[Path, dict[str, int]]:
    """Write a .qdpx with the codings on their texts; returns its path and how much it holds.

    Only the first answer of a repeated run is written, unless `all_repeats` asks for all: each is then
    a coder of its own. Raises ExportError where `transcripts` lack one, or hold another text of it.
    """
    from extract.refi_qda import Project, write_project

    manifest = store.manifest
    project = Project(
        name=store.path.name,
        codebook=codebook,
        note=manifest.model_dump_json(indent=1),
        created_at=manifest.created_at,
        crlf=plan.crlf,
    )
    with writing(plan, store) as fresh, closing(_Shelf()) as shelf:
        for record in store.read_records():
            if record.text_sha256 is not None and (plan.all_repeats or record.repeat == 0):
                shelf.put(record)
        counts = write_project(fresh, project, _join_sources(shelf, transcripts, plan, manifest))
    return plan.find_target(store), counts


def _make_rows(store: RunStore, plan: ExportPlan) -> RowMaker:
    return RowMaker(store.manifest, redact=plan.redact)


# ---------------------------------------------------------------- records and their texts


class _Shelf:
    """Records by transcript, in a scratch file that is gone afterwards: they come in another order than the texts."""

    def __init__(self) -> None:
        self.rows = sqlite3.connect("")  # a private file on disk
        self.rows.execute("CREATE TABLE records (id TEXT, repeat INTEGER, line TEXT, PRIMARY KEY (id, repeat))")

    def put(self, record: Record) -> None:
        line = record.model_dump_json(exclude={"draft", "answer"}, exclude_none=True)
        self.rows.execute(
            "INSERT OR REPLACE INTO records VALUES (?, ?, ?)", (record.transcript_id, record.repeat, line)
        )

    def take(self, transcript_id: str) -> list[Record]:
        """The records of a transcript by repeat; they leave the shelf."""
        found = self.rows.execute("SELECT line FROM records WHERE id = ? ORDER BY repeat", (transcript_id,)).fetchall()
        self.rows.execute("DELETE FROM records WHERE id = ?", (transcript_id,))
        return [Record.model_validate_json(line) for (line,) in found]

    def find_left(self) -> str | None:
        """A transcript that was not taken."""
        found = self.rows.execute("SELECT id FROM records ORDER BY id LIMIT 1").fetchone()
        return found[0] if found else None

    def close(self) -> None:
        self.rows.close()


def _join_sources(
    shelf: _Shelf, transcripts: Iterable[Transcript | BadTranscript], plan: ExportPlan, manifest: Manifest
) -> Iterator["Source"]:
    """Each transcript of the run with its codings, in the order of the source."""
    from extract.refi_qda import Source, to_coding

    for transcript in transcripts:
        records = shelf.take(transcript.id)
        if isinstance(transcript, BadTranscript) or not records:
            continue
        if any(record.text_sha256 != transcript.text_sha256 for record in records):
            raise ExportError(
                f"Transcript {transcript.id!r} is not the text that the run read: it was changed since. "
                "Name where the text of then lies with --source."
            )
        coder = f"{manifest.model}, prompt {manifest.prompt_version}"
        codings = (to_coding(r, f"{coder}, repeat {r.repeat}" if plan.all_repeats else coder) for r in records)
        failures = [f"Not extracted ({r.failure.kind}): {r.failure.message}" for r in records if r.failure]
        yield Source(
            replace(transcript, cohort=records[0].cohort),
            tuple(coding for coding in codings if coding is not None),
            "\n".join(failures) or None,
        )
    if (left := shelf.find_left()) is not None:
        raise ExportError(
            f"The text of transcript {left!r} is not in the source any more. Name where it lies with --source."
        )


# ---------------------------------------------------------------- where it goes


@contextmanager
def writing(plan: ExportPlan, store: RunStore) -> Iterator[Path]:
    """A path beside the target to write to; it becomes the target only when all is written.

    Raises ExportError where something lies at the target that must not be lost.
    """
    target = plan.find_target(store)
    fresh = target.with_name(f".{target.name}.{os.getpid()}.new")
    try:
        check_target(target, force=plan.force, own_files=_list_files(plan.format))
        if plan.out is None:
            target.parent.mkdir(exist_ok=True)
        with _removing(fresh):
            yield fresh
            if target.is_dir():
                shutil.rmtree(target)
            fresh.replace(target)
    except OSError as error:
        raise ExportError(
            f"Cannot write {str(target)!r}: {error.strerror or error}. Make room, or name another place with --out."
        ) from None


@contextmanager
def _removing(path: Path) -> Iterator[None]:
    """Leaves nothing at a path, whatever was written there."""
    try:
        yield
    finally:
        if path.is_dir():
            shutil.rmtree(path)
        path.unlink(missing_ok=True)


def check_target(target: Path, *, force: bool, own_files: frozenset[str] = frozenset()) -> None:
    """Raises ExportError where `target` cannot be written, or something lies there that must not be lost.

    `own_files` are the files of an export that is a folder: `force` replaces a folder only if it
    holds nothing else. Without them the target is a file.
    """
    name = str(target)
    if not target.parent.is_dir() and not (target.parent.name == "exports" and target.parent.parent.is_dir()):
        raise ExportError(f"There is no folder {str(target.parent)!r}. Make it, or name another place with --out.")
    if not target.exists():
        return
    if target.is_dir() != bool(own_files):
        kind, wanted = ("file", "folder") if own_files else ("folder", "file")
        raise ExportError(f"{name!r} is a {kind}, and this export is a {wanted}. Name another with --out.")
    others = sorted(path.name for path in target.iterdir() if path.name not in own_files) if own_files else []
    if others:
        raise ExportError(f"The folder {name!r} holds other files, {others[0]!r} for one. Name another with --out.")
    if not force and not (target.is_dir() and not any(target.iterdir())):
        raise ExportError(f"{name!r} is there already. Replace it with --force, or name another with --out.")


def _list_files(format: str) -> frozenset[str]:
    if format not in FOLDERS:
        return frozenset()
    suffix = "parquet" if format == "datasets" else format
    more = ("manifest.json", "README.md") if format == "datasets" else ("manifest.json",)
    return frozenset((*(f"{name}.{suffix}" for name in TABLES), *more))
