"""`python -m extract.tests.fuzz --seconds 300`: damaged input for all that reads files, until the time is over.

Transcripts, tables of them, codebooks, records and manifests are cut, doubled, exchanged and sprinkled with odd
bytes. Whatever comes, a reader gives a sound result or one sentence of its own error. Each round draws
anew; a failure is shown smallest first, with the line that makes it again.
"""

import argparse
import json
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from extract import index
from extract.errors import SourceError, StoreError, TranscriptError
from extract.store import create_run, open_run
from extract.tests.samples import (
    AUTHORED,
    BAKER,
    make_answered,
    make_manifest,
    make_prompt,
    make_record,
)
from extract.tests.test_turns import check_spans
from extract.transcripts import BadTranscript, Source, load_transcripts
from extract.turns import parse_transcript
from schemas.codebook import DEFAULT_CODEBOOK, CodebookError, load_codebook
from schemas.draft import DraftFormat
from schemas.record import Failure, Record

EXAMPLES = 100
ODD = [b"\x00", b"\xff\xfe", b"\xef\xbb\xbf", b"\r", b"\n", b"\xe2\x80\xa8", b"\xed\xa0\x80", b'"', b"{", b"[" * 5000]
ODD += [b"1e999", b"NaN", b"null", b"9" * 30, b"\\ud800", b"''' ", b"User: ", b"\nAI:", b"= [", b"\xf0\x9f\xa5\x90"]
Damage = list[tuple[str, int, int, bytes]]
DAMAGE = st.lists(
    st.tuples(
        st.sampled_from(["cut", "insert", "double", "replace", "truncate", "move"]),
        st.integers(0, 1 << 16),
        st.integers(0, 300),
        st.sampled_from(ODD) | st.binary(max_size=8),
    ),
    max_size=6,
)


def damage(data: bytes, changes: Damage) -> bytes:
    """The bytes with these changes, one after the other."""
    for kind, where, size, new in changes:
        at = where % (len(data) + 1)
        piece = data[at : at + size]
        if kind == "move":
            rest = data[:at] + data[at + size :]
            to = (where >> 3) % (len(rest) + 1)
            data = rest[:to] + piece + rest[to:]
        else:
            made = {"cut": b"", "insert": new + piece, "double": piece * 2, "replace": new, "truncate": b""}[kind]
            data = data[:at] + made + (b"" if kind == "truncate" else data[at + size :])
    return data


def check_sentence(error: Exception) -> None:
    """An error of ours says something, in one piece, and does not print half of its input."""
    text = str(error)
    assert text.strip()
    assert "Traceback" not in text
    assert len(text) < 2000


PROMPT = make_prompt()
TEXTS = [path.read_bytes() for path in sorted(AUTHORED.rglob("*.txt"))] + [BAKER.encode()]


@given(st.sampled_from(TEXTS), DAMAGE)
def fuzz_transcripts(text: bytes, changes: Damage) -> None:
    """Every sentence is its span, whatever the text."""
    try:
        transcript = parse_transcript(damage(text, changes).decode("utf-8", "surrogateescape"), id="t")
    except TranscriptError as error:
        check_sentence(error)
    else:
        check_spans(transcript)
        PROMPT.render(transcript, model="m", parameters={})


TABLES = {
    "t.jsonl": "".join(json.dumps({"transcript_id": f"t{n}", "text": BAKER}) + "\n" for n in range(3)).encode(),
    "t.csv": b'transcript_id,text\na,"Assistant: Hi\nUser: ""Yes"". No."\nb,"AI: Hi\nUser: So."\n',
    "t.tsv": b'transcript_id\ttext\na\t"Assistant: Hi\nUser: Yes."\n',
    "t.md": BAKER.encode(),
}


@given(st.sampled_from(sorted(TABLES)), DAMAGE)
def fuzz_tables(name: str, changes: Damage) -> None:
    """A row is a transcript or a reason; a table is rows or a SourceError."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / name
        path.write_bytes(damage(TABLES[name], changes))
        try:
            for found in load_transcripts(Source(str(path))):
                if isinstance(found, BadTranscript):
                    assert found.reason
                else:
                    check_spans(found)
        except SourceError as error:
            check_sentence(error)


CODEBOOK = DEFAULT_CODEBOOK.read_bytes()


@given(DAMAGE)
def fuzz_codebooks(changes: Damage) -> None:
    """A codebook that loads makes a schema."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "codebook.toml"
        path.write_bytes(damage(CODEBOOK, changes))
        try:
            codebook = load_codebook(path)
        except CodebookError as error:
            check_sentence(error)
        else:
            json.dumps(DraftFormat(codebook).json_schema)


def _make_lines() -> bytes:
    failed = make_record("b", "cd" * 32, failure=Failure(kind="refusal", message="No."))
    return b"".join(
        r.model_dump_json(exclude_none=True).encode() + b"\n" for r in (make_answered(), failed, make_record("c"))
    )


LINES = _make_lines()


@given(DAMAGE, st.integers(0, 1 << 16), st.binary(max_size=200), st.booleans())
def fuzz_runs(of_records: Damage, cut: int, tail: bytes, kept: bool) -> None:
    """What can be read is read, a new record is held, and reading again gives the same."""
    index.KEPT_FROM_BYTES = 1 if kept else 1 << 24
    with tempfile.TemporaryDirectory() as folder:
        path = create_run(Path(folder), make_manifest()).path
        (path / "records.jsonl").write_bytes(damage(LINES, of_records))
        with open_run(path) as store:
            store.append(make_record("new", "ef" * 32))
            assert store.holds("new", "ef" * 32)
        found = list(open_run(path).read_records())
        assert found[-1].transcript_id == "new"
        assert all(isinstance(record, Record) for record in found)
        if kept:
            (path / index.NAME).write_bytes((path / index.NAME).read_bytes()[:cut] + tail)
        else:
            (path / "records.jsonl").touch()
        again = open_run(path)
        assert list(again.read_records()) == found
        again.sum_up()


@given(DAMAGE)
def fuzz_manifests(changes: Damage) -> None:
    """A manifest is read, or refused in one sentence."""
    with tempfile.TemporaryDirectory() as folder:
        path = create_run(Path(folder), make_manifest()).path
        manifest = path / "manifest.json"
        manifest.write_bytes(damage(manifest.read_bytes(), changes))
        try:
            open_run(path)
        except StoreError as error:
            check_sentence(error)


TARGETS: dict[str, Callable[[], None]] = {
    "transcripts": fuzz_transcripts,
    "tables": fuzz_tables,
    "codebooks": fuzz_codebooks,
    "runs": fuzz_runs,
    "manifests": fuzz_manifests,
}


def fuzz(seconds: float, names: list[str]) -> dict[str, int]:
    """Rounds of examples for each target in turn, until the time is over; how many each got."""
    until, counts = time.monotonic() + seconds, dict.fromkeys(names, 0)
    quiet = settings(
        max_examples=EXAMPLES, deadline=None, database=None, derandomize=False, suppress_health_check=list(HealthCheck)
    )
    tests = {name: quiet(TARGETS[name]) for name in names}
    while time.monotonic() < until:
        for name, test in tests.items():
            if time.monotonic() < until:
                test()
                counts[name] += EXAMPLES
    return counts


def main() -> int:
    """Fuzz; an exception ends it."""
    parser = argparse.ArgumentParser(prog="python -m extract.tests.fuzz", description="damaged input for all readers")
    parser.add_argument("--seconds", type=float, default=30.0)
    parser.add_argument("targets", nargs="*", metavar="TARGET", help=f"of {', '.join(TARGETS)} (default: all)")
    options = parser.parse_args()
    counts = fuzz(options.seconds, [name for name in TARGETS if name in options.targets] or list(TARGETS))
    print("Nothing broke: " + ", ".join(f"{count:,} {name}" for name, count in counts.items()) + ".")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
