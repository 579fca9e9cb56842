"""The index says what the records say, whatever happens to it or to them."""

import os
import sqlite3
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from extract import index
from extract.index import NAME, RecordIndex
from extract.store import RunStore, create_run, open_run
from extract.tests.samples import make_manifest, make_record
from schemas.record import Failure, Record, Usage

FAILURE = Failure(kind="refusal", message="No.")


@pytest.fixture(autouse=True)
def _always_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    """Small runs keep an index too, in this module."""
    monkeypatch.setattr(index, "KEPT_FROM_BYTES", 1)


def make_hash(n: int) -> str:
    return f"{n:032x}" * 2


def make_records(count: int, start: int = 0) -> list[Record]:
    return [make_record(f"t{n}", make_hash(n)) for n in range(start, start + count)]


def fill(runs: Path, *records: Record) -> RunStore:
    with create_run(runs, make_manifest()) as store:
        for record in records:
            store.append(record)
    return open_run(store.path)


def read_ids(store: RunStore) -> list[str]:
    return [record.transcript_id for record in store.read_records()]


def count_rows(store: RunStore) -> int:
    with sqlite3.connect(store.path / NAME) as database:
        rows = int(database.execute("SELECT count(*) FROM records").fetchone()[0])
    database.close()
    return rows


def test_a_large_run_keeps_its_index_and_a_small_one_has_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kept = fill(tmp_path, *make_records(3))
    assert count_rows(kept) == 3
    monkeypatch.setattr(index, "KEPT_FROM_BYTES", 1 << 24)
    assert not (fill(tmp_path, *make_records(3)).path / NAME).exists()


def test_a_kept_index_is_used_and_not_made_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = fill(tmp_path, *make_records(3))
    monkeypatch.setattr(index, "_read_row", lambda line: pytest.fail("a line was read again"))
    assert open_run(store.path).index.find_failed("t1", make_hash(1)) is False
    assert open_run(store.path).count_records() == 3


def test_only_what_was_added_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = fill(tmp_path, *make_records(3))
    with store.records_path.open("ab") as file:
        file.write(make_record("late", make_hash(9)).model_dump_json(exclude_none=True).encode() + b"\n")
    read: list[bytes] = []
    real = index._read_row

    def note(line: bytes) -> Any:
        read.append(line)
        return real(line)

    monkeypatch.setattr(index, "_read_row", note)
    assert read_ids(open_run(store.path)) == ["t0", "t1", "t2", "late"]
    assert len(read) == 1


@pytest.mark.parametrize("how", ["gone", "empty", "garbage", "cut", "other_version", "a_folder", "foreign_tables"])
def test_a_missing_or_damaged_index_is_made_again(tmp_path: Path, how: str) -> None:
    store = fill(tmp_path, *make_records(50))
    path = store.path / NAME
    whole = path.read_bytes()
    path.unlink()
    if how == "a_folder":
        path.mkdir()
    elif how in ("other_version", "foreign_tables"):
        with sqlite3.connect(path) as database:
            database.execute("CREATE TABLE records (a)")
            database.execute(f"PRAGMA user_version = {99 if how == 'other_version' else index.VERSION}")
        database.close()
    elif how != "gone":
        path.write_bytes({"empty": b"", "garbage": b"\x01" * 9000, "cut": whole[: len(whole) // 2]}[how])
    with open_run(store.path) as again:
        assert [again.holds(f"t{n}", make_hash(n)) for n in (0, 49, 50)] == [True, True, False]
        again.append(make_record("late", make_hash(99)))
    assert read_ids(open_run(store.path)) == [*(f"t{n}" for n in range(50)), "late"]
    if how != "a_folder":
        assert count_rows(store) == 51


def test_the_index_never_claims_a_record_that_the_file_has_lost(tmp_path: Path) -> None:
    store = fill(tmp_path, *make_records(3))
    lines = store.records_path.read_bytes().splitlines(keepends=True)
    store.records_path.write_bytes(lines[0] + lines[1])  # as after a power cut
    with open_run(store.path) as again:
        assert [again.holds(f"t{n}", make_hash(n)) for n in range(3)] == [True, True, False]
        again.append(make_record("other", make_hash(7)))
        assert not again.holds("t2", make_hash(2))
    assert count_rows(store) == 3


def test_records_that_were_changed_in_place_are_read_again(tmp_path: Path) -> None:
    store = fill(tmp_path, *make_records(3))
    data = store.records_path.read_bytes().replace(b'"t1"', b'"u1"')
    store.records_path.write_bytes(data)
    os.utime(store.records_path, ns=(1, 1))
    with open_run(store.path) as again:
        assert (again.holds("t1", make_hash(1)), again.holds("u1", make_hash(1))) == (False, True)


def test_another_last_line_of_the_same_length_is_noticed_even_with_an_old_date(tmp_path: Path) -> None:
    store = fill(tmp_path, *make_records(3))
    date = store.records_path.stat().st_mtime_ns
    store.records_path.write_bytes(store.records_path.read_bytes().replace(b'"t2"', b'"u2"'))
    os.utime(store.records_path, ns=(date, date))
    assert read_ids(open_run(store.path)) == ["t0", "t1", "u2"]


def test_a_torn_line_is_indexed_only_once_it_is_whole(tmp_path: Path) -> None:
    store = fill(tmp_path, *make_records(2))
    line = make_record("t2", make_hash(2)).model_dump_json(exclude_none=True).encode() + b"\n"
    reader = open_run(store.path)
    with store.records_path.open("ab") as file:
        file.write(line[:40])
        file.flush()
        assert read_ids(reader) == ["t0", "t1"]
        file.write(line[40:])
    assert read_ids(reader) == ["t0", "t1", "t2"]


def test_who_reads_while_another_writes_sees_what_is_whole(tmp_path: Path) -> None:
    reader = open_run(fill(tmp_path, *make_records(2)).path)
    with open_run(reader.path) as writer:
        for record in make_records(3, start=2):
            writer.append(record)
            assert read_ids(reader)[-1] == record.transcript_id
            assert writer.holds(record.transcript_id, record.request_hash)
    assert count_rows(reader) == 5


def test_a_run_outgrows_memory_while_it_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(index, "KEPT_FROM_BYTES", 5000)
    monkeypatch.setattr("extract.store.INDEX_EVERY", 10)
    with create_run(tmp_path, make_manifest()) as store:
        for record in make_records(10):
            store.append(record)
        assert not (store.path / NAME).exists()
        for record in make_records(30, start=10):
            store.append(record)
        assert count_rows(store) == 40
        assert all(store.holds(f"t{n}", make_hash(n)) for n in range(40))


def test_several_record_files_are_one_run_and_the_later_record_counts(tmp_path: Path) -> None:
    store = fill(tmp_path, make_record("a", make_hash(1), failure=FAILURE, created_at="2026-09-01T10:00:09Z"))
    early = make_record("b", make_hash(2), failure=FAILURE, created_at="2026-09-01T10:00:00Z")
    late = [
        make_record("a", make_hash(1), created_at="2026-09-01T11:00:00Z"),
        make_record("b", make_hash(2), created_at="2026-09-01T09:00:00Z"),
    ]
    for name, records in (("records-0.jsonl", [early]), ("records-1.jsonl", late)):
        text = "".join(record.model_dump_json(exclude_none=True) + "\n" for record in records)
        (store.path / name).write_text(text)
    again = open_run(store.path)
    found = {record.transcript_id: record.failure is None for record in again.read_records()}
    assert found == {"a": True, "b": False}
    assert again.sum_up()["records"] == 2
    with again:
        assert again.holds("a", make_hash(1), retry_failed=True)
        answer = again.find_answer(make_hash(1))
        assert answer is not None
        assert answer.created_at == "2026-09-01T11:00:00Z"
    (store.path / "records-1.jsonl").unlink()
    assert {r.transcript_id: r.failure is None for r in open_run(store.path).read_records()} == {"a": False, "b": False}


def test_a_record_that_another_process_wrote_is_held_and_found(tmp_path: Path) -> None:
    theirs = make_record("theirs", make_hash(5))
    with create_run(tmp_path, make_manifest()) as store:
        store.append(make_record("mine", make_hash(1)))
        line = theirs.model_dump_json(exclude_none=True).encode() + b"\n"
        (store.path / "records-1.jsonl").write_bytes(line)
        store.adopt(theirs.model_copy(update={"extraction": None}), "records-1.jsonl", 0)
        for _ in range(2):
            assert store.holds("theirs", make_hash(5))
            assert store.find_answer(make_hash(5)) == theirs
            store.load_index()  # now it is the index that knows it
    assert read_ids(open_run(store.path)) == ["mine", "theirs"]


def test_only_the_records_of_the_asked_transcripts_are_read(tmp_path: Path) -> None:
    store = fill(tmp_path, *make_records(5), make_record("t3", make_hash(33), repeat=1))
    found = [(r.transcript_id, r.repeat) for r in store.read_records(["t3", "none", "t1", "t3"])]
    assert found == [("t1", 0), ("t3", 0), ("t3", 1)]


LINES = st.sampled_from(
    [
        b"{}",
        b"null",
        b"[1]",
        b"{",
        b"\xff",
        b'{"transcript_id":"t","repeat":0,"request_hash":"ab","usage":{},"created_at":""}',
        b'{"transcript_id":"t","repeat":-1,"request_hash":"' + b"a" * 64 + b'","usage":{},"created_at":""}',
        b'{"transcript_id":"t","repeat":1e400,"request_hash":"' + b"a" * 64 + b'","usage":{},"created_at":""}',
    ]
)


@given(st.lists(st.integers(0, 5) | LINES, max_size=30))
def test_whatever_lines_there_are_the_records_among_them_are_found(lines: list[int | bytes]) -> None:
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder)
        good = {n: make_record(f"t{n}", make_hash(n), usage=Usage(requests=1)) for n in range(6)}
        texts = [x if isinstance(x, bytes) else good[x].model_dump_json(exclude_none=True).encode() for x in lines]
        (path / "records.jsonl").write_bytes(b"".join(text + b"\n" for text in texts))
        found = RecordIndex(path)
        found.catch_up()
        numbers = [x for x in lines if isinstance(x, int)]
        assert found.damaged == len(lines) - len(numbers)
        assert found.count_latest() == len(set(numbers))
        assert found.sum_usage()[0].requests == len(numbers)
        assert found.sum_usage()[1] == (None if numbers else 0.0)
        for n in range(6):
            assert found.find_failed(f"t{n}", make_hash(n)) == (False if n in numbers else None)
        found.close()
