"""Transcripts from wherever people keep them: Hugging Face datasets, tables, text files, standard input.

A row that cannot be used is yielded as a BadTranscript; a source that cannot be read raises.
"""

import codecs
import csv
import json
import logging
import os
import re
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from extract.errors import SourceError, TranscriptError
from extract.turns import DEFAULT_LABELS, Labels, parse_transcript
from schemas.transcript import Transcript

TEXT_COLUMNS = ("text", "transcript", "content", "dialog", "interview")
ID_COLUMNS = ("transcript_id", "id", "interview_id", "participant_id")
COHORT_COLUMNS = ("cohort", "group", "split")
TABLES = (".csv", ".tsv", ".jsonl", ".ndjson", ".parquet")
TEXTS = (".txt", ".md", ".markdown")


@dataclass(frozen=True)
class BadTranscript:
    """A row that is not a usable interview. `where` is its file and row, `reason` one sentence."""

    id: str
    reason: str
    cohort: str | None = None


@dataclass(frozen=True)
class Row:
    """One interview as the source holds it. `where` names file and row for error messages."""

    where: str
    id: str | None
    text: Any
    cohort: str | None = None
    problem: str | None = None


@dataclass(frozen=True)
class Source:
    """What to read and how. `name` is a path, `-` for standard input, or a Hub dataset name."""

    name: str
    split: str | None = None
    limit: int | None = None
    ids: frozenset[str] = frozenset()
    labels: Labels = DEFAULT_LABELS
    text_column: str | None = None
    id_column: str | None = None


def load_transcripts(
    source: Source, notify: Callable[[str], None] | None = None, *, sentences: bool = True
) -> Iterator[Transcript | BadTranscript]:
    """Yield the interviews of a source one by one, in its order; memory does not grow with its size.

    Without `sentences` turns are not split into them, which takes a third of the time. `notify` gets
    a sentence when something takes time (asking the Hub). Raises SourceError where the source cannot
    be read at all, or ids were asked for that it does not hold.
    """
    seen: set[int] = set()
    missing = set(source.ids)
    count = 0
    for row in _read_rows(source, notify or _stay_silent):
        if source.limit is not None and count >= source.limit:
            break
        if source.ids and row.id not in source.ids:
            continue
        count += 1
        missing.discard(row.id or "")
        yield _to_transcript(row, source.labels, seen, sentences=sentences)
        if source.ids and not missing:
            break
    if missing and (source.limit is None or count < source.limit):
        raise SourceError(f"No transcript {sorted(missing)[0]!r} in {source.name!r}. Look at the ids there.")
    if not count:
        raise SourceError(f"No transcripts in {source.name!r}. Name a file or folder that holds some.")


def count_rows(source: Source) -> int | None:
    """How many interviews a source holds, where a quick look tells; None elsewhere."""
    if source.ids:
        return len(source.ids)
    path = Path(source.name)
    if path.is_file() and path.suffix.lower() in TEXTS:
        return 1
    if not path.exists() or path.suffix.lower() == ".parquet":
        return source.limit
    count = sum(1 for _ in _read_rows(source, _stay_silent))
    return min(count, source.limit or count)


def _stay_silent(message: str) -> None:
    pass


def _to_transcript(row: Row, labels: Labels, seen: set[int], *, sentences: bool) -> Transcript | BadTranscript:
    name = row.id or row.where
    if hash(name) in seen:  # hashes, so that a million ids stay small
        reason = f"{row.where}: id {name!r} was used before. Give every row an id of its own."
        return BadTranscript(f"{name} ({row.where})", reason, row.cohort)
    seen.add(hash(name))
    try:
        if row.problem or row.text is None:
            raise TranscriptError(row.problem or "the text is missing. Remove the row or fill it.")
        if not isinstance(row.text, str):
            raise TranscriptError(f"the text is {type(row.text).__name__}, not text.")
        return parse_transcript(row.text, id=name, cohort=row.cohort, labels=labels, sentences=sentences)
    except TranscriptError as error:
        return BadTranscript(name, f"{row.where}: {error}", row.cohort)


# ---------------------------------------------------------------- source -> rows


def _read_rows(source: Source, notify: Callable[[str], None]) -> Iterator[Row]:
    if source.name == "-":
        yield _to_text_row(_decode(sys.stdin.buffer.read(), "standard input"), "standard input", "stdin")
        return
    path = Path(source.name)
    if path.is_dir():
        yield from _read_folder(path, source)
    elif path.is_file():
        yield from _read_file(path, source)
    elif _could_be_on_hub(path, source.name):
        yield from _read_hub(source, notify)
    else:
        raise SourceError(f"No such file or folder: {source.name!r}. Name one that exists, or a Hub dataset.")


def _could_be_on_hub(path: Path, name: str) -> bool:
    named = re.fullmatch(r"[\w-][\w.-]*/[\w.-]+", name) and path.suffix.lower() not in (*TABLES, *TEXTS)
    return bool(named) and not path.parent.is_dir()


def _read_file(path: Path, source: Source) -> Iterator[Row]:
    suffix = path.suffix.lower()
    if suffix in (".csv", ".tsv"):
        yield from _read_csv(path, source, "\t" if suffix == ".tsv" else ",")
    elif suffix in (".jsonl", ".ndjson"):
        yield from _read_jsonl(path, source)
    elif suffix == ".parquet":
        yield from _read_parquet(path, source)
    elif suffix in TEXTS:
        yield _to_text_row(_decode(_read_bytes(path), path.name), path.name, path.stem)
    else:
        known = ", ".join((*TABLES, *TEXTS))
        raise SourceError(f"Cannot tell what {str(path)!r} is by its ending. Use one of: {known}.")


def _read_folder(folder: Path, source: Source) -> Iterator[Row]:
    """A folder in the Hub's layout, or of text files; there a sub-folder's name is the cohort."""
    files = sorted(p for p in folder.rglob("*") if p.is_file() and not p.name.startswith("."))
    if any(p.suffix.lower() in TABLES for p in files):
        yield from _read_dataset(str(folder), source)
        return
    texts = [p for p in files if p.suffix.lower() in TEXTS and p.stem.upper() != "README"]
    if not texts:
        raise SourceError(
            f"No transcripts in the folder {str(folder)!r}. It needs {', '.join((*TABLES, *TEXTS))} files."
        )
    for path in texts:
        cohort = path.parent.name if path.parent != folder else None
        if source.split in (None, cohort):
            name = str(path.relative_to(folder))
            try:
                yield _to_text_row(_decode(_read_bytes(path), name), name, path.stem, cohort)
            except SourceError as error:  # one file of many is one bad row
                yield Row(name, path.stem, None, cohort, problem=str(error))


def _to_text_row(text: str, where: str, stem: str, cohort: str | None = None) -> Row:
    found, text = _strip_markdown(text)
    return Row(where, found or stem, text, cohort)


def _strip_markdown(text: str) -> tuple[str | None, str]:
    """The id and the talk of the public markdown form; other texts come back as they are."""
    text = text.lstrip("\ufeff").replace("\r\n", "\n")
    head = re.match(r"\s*# [^\n]*\n(?P<head>.*?)^(?:-{3,}|\*{3,}|_{3,})[ \t]*$", text, re.DOTALL | re.MULTILINE)
    found = re.search(r"^\*\*Transcript ID:?\*\*:?[ \t]*(\S+)", head["head"], re.MULTILINE) if head else None
    if not head or not found:
        return None, text
    talk = re.sub(r"^\*\*([^*\n]{1,40}?)[ \t]*(?::\*\*|\*\*[ \t]*:)", r"\1:", text[head.end() :], flags=re.MULTILINE)
    return found[1].strip("`"), talk


def _read_bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise SourceError(f"Cannot read {str(path)!r}: {error.strerror}. Check the file.") from None


def _decode(data: bytes, name: str) -> str:
    """UTF-8, UTF-16 with a mark, else the Windows code page that most other text files are in."""
    if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return data.decode("utf-16", errors="replace")
    if b"\0" in data:
        raise SourceError(f"{name!r} is not text. Save the interview as plain text in UTF-8.")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        import ftfy.bad_codecs  # noqa: F401  registers the codec that has no undefined bytes

        return data.decode("sloppy-windows-1252")


def _find_encoding(path: Path) -> str:
    """The encoding of a table, found in one pass that holds a megabyte at a time."""
    decoder = codecs.getincrementaldecoder("utf-8")()
    try:
        with path.open("rb") as file:
            head = file.read(2)
            if head in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE):
                return "utf-16"
            decoder.decode(head)
            while chunk := file.read(1 << 20):
                if b"\0" in chunk:
                    raise SourceError(f"{str(path)!r} is not a text file. Save it as UTF-8.")
                decoder.decode(chunk)
            decoder.decode(b"", final=True)
    except UnicodeDecodeError:
        import ftfy.bad_codecs  # noqa: F401

        return "sloppy-windows-1252"
    except OSError as error:
        raise SourceError(f"Cannot read {str(path)!r}: {error.strerror}. Check the file.") from None
    return "utf-8-sig"


def _read_csv(path: Path, source: Source, delimiter: str) -> Iterator[Row]:
    csv.field_size_limit(2**31 - 1)
    with path.open(encoding=_find_encoding(path), errors="replace", newline="") as file:
        reader = csv.DictReader(file, delimiter=delimiter)
        try:
            columns = _find_columns(list(reader.fieldnames or []), source, path.name)
            for number, row in enumerate(reader, start=1):
                yield _to_row(row, columns, f"{path.name}, row {number}")
        except csv.Error as error:
            raise SourceError(f"Cannot read {str(path)!r} past line {reader.line_num}: {error}.") from None


def _read_jsonl(path: Path, source: Source) -> Iterator[Row]:
    columns = None
    with path.open(encoding=_find_encoding(path), errors="replace") as file:
        for number, line in enumerate(file, start=1):
            if not line.strip():
                continue
            where = f"{path.name}, row {number}"
            try:
                row = json.loads(line)
            except (ValueError, RecursionError):
                row = None
            if not isinstance(row, dict):
                yield Row(where, None, None, problem="this is no JSON object. Mend the line or remove it.")
                continue
            columns = columns or _find_columns(list(row), source, path.name)
            yield _to_row(row, columns, where)


def _read_parquet(path: Path, source: Source) -> Iterator[Row]:
    datasets = _import_datasets()
    try:
        rows = datasets.load_dataset("parquet", data_files=str(path), split="train", streaming=True)
        yield from _iterate_dataset(rows, source, path.name, cohort=None)
    except (OSError, ValueError, datasets.exceptions.DatasetsError) as error:
        raise SourceError(f"Cannot read {str(path)!r}: {_first_line(error)}.") from None


def _read_hub(source: Source, notify: Callable[[str], None]) -> Iterator[Row]:
    """A dataset of the Hugging Face Hub, streamed."""
    if not os.environ.get("HF_HUB_OFFLINE"):
        notify(f"Asking the Hugging Face Hub for {source.name!r} (half a minute where it cannot be reached) ...")
    yield from _read_dataset(source.name, source)


def _read_dataset(name: str, source: Source) -> Iterator[Row]:
    datasets = _import_datasets()
    try:
        splits = datasets.load_dataset(name, streaming=True)
    except Exception as error:  # the Hub's client raises many types, from several libraries
        local = "" if Path(name).is_dir() else ", or name a local folder that holds the data set"
        raise SourceError(f"Cannot read the data set {name!r}: {_first_line(error)}. Check the name{local}.") from None
    if source.split is not None and source.split not in splits:
        raise SourceError(f"No split {source.split!r} in {name!r}. Choose one of: {', '.join(splits)}.")
    for split, rows in splits.items():
        if source.split in (None, split):
            yield from _iterate_dataset(
                rows, source, split, cohort=None if len(splits) == 1 and split == "train" else split
            )


def _import_datasets() -> Any:
    """The library, told not to tell the Hub who reads what, nor to log what is said here in one sentence anyway."""
    os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
    os.environ.setdefault("HF_UPDATE_DOWNLOAD_COUNTS", "0")
    import datasets

    for name in ("datasets", "huggingface_hub"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
    return datasets


def _iterate_dataset(rows: Any, source: Source, name: str, cohort: str | None) -> Iterator[Row]:
    columns = None
    for number, row in enumerate(rows, start=1):
        columns = columns or _find_columns(list(row), source, name)
        yield _to_row(row, columns, f"{name}, row {number}", cohort)


@dataclass(frozen=True)
class _Columns:
    text: str
    id: str | None
    cohort: str | None


def _find_columns(names: list[str], source: Source, where: str) -> _Columns:
    def find(wanted: str | None, known: tuple[str, ...]) -> str | None:
        if wanted is not None and wanted not in names:
            raise SourceError(f"No column {wanted!r} in {where}. The columns are: {_list_names(names)}.")
        lower = {name.lower().strip(): name for name in reversed(names) if name}
        return wanted or next((lower[name] for name in known if name in lower), None)

    text = find(source.text_column, TEXT_COLUMNS)
    if text is None:
        seen = _list_names(names)
        raise SourceError(f"No text column in {where}. The columns are: {seen}. Name one with --text-column.")
    return _Columns(text, find(source.id_column, ID_COLUMNS), find(None, COHORT_COLUMNS))


def _list_names(names: list[str]) -> str:
    """The names for a message: twenty at most, since a file without a heading may have anything there."""
    short = [name if len(name) <= 40 else f"{name[:39]}…" for name in names]
    return ", ".join([*short[:20], *(["…"] if len(short) > 20 else [])]) or "none"


def _to_row(row: dict[str, Any], columns: _Columns, where: str, cohort: str | None = None) -> Row:
    found = row.get(columns.id) if columns.id else None
    group = row.get(columns.cohort) if columns.cohort else None
    name = str(found).strip().encode("utf-8", "replace").decode() if found is not None else ""
    return Row(where, name or None, row.get(columns.text), str(group) if group else cohort)


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0].rstrip(".")[:200]
