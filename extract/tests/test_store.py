import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from extract.errors import StoreError
from extract.store import RunStore, create_run, find_run, list_runs, open_run
from extract.tests.samples import make_manifest, make_record
from schemas.record import Failure, Record, Usage

FAILURE = Failure(kind="refusal", message="No.")


def fill(runs: Path, *records: Record) -> RunStore:
    store = create_run(runs, make_manifest())
    with store:
        for record in records:
            store.append(record)
    return open_run(store.path)


def test_what_was_appended_is_read_back(tmp_path: Path) -> None:
    records = [make_record("a"), make_record("b", failure=FAILURE, answer="🥐 “ok”\n")]
    assert list(fill(tmp_path, *records).read_records()) == records


def test_a_run_id_sorts_by_time_and_names_engine_and_prompt(tmp_path: Path) -> None:
    name = create_run(tmp_path, make_manifest()).path.name
    stamp, engine, prompt, tail = name.split("-")
    assert len(stamp) == 16
    assert (engine, prompt, len(tail)) == ("rules", "v1", 4)


def test_only_the_same_transcript_and_request_are_held(tmp_path: Path) -> None:
    store = fill(tmp_path, make_record("a", "ab" * 32), make_record("b", "cd" * 32, failure=FAILURE))
    with store:
        assert store.holds("a", "ab" * 32)
        assert not store.holds("a", "cd" * 32)
        assert not store.holds("c", "ab" * 32)
        assert store.holds("b", "cd" * 32)
        assert not store.holds("b", "cd" * 32, retry_failed=True)
        store.append(make_record("b", "cd" * 32))
        assert store.holds("b", "cd" * 32, retry_failed=True)


def test_an_answer_is_found_by_its_request_under_whatever_id(tmp_path: Path) -> None:
    store = fill(tmp_path, make_record("x", "ef" * 32), make_record("a", "ab" * 32))
    with store:
        store.append(make_record("late", "12" * 32))
        for name, request_hash in (("a", "ab" * 32), ("late", "12" * 32), ("x", "ef" * 32)):
            found = store.find_answer(request_hash)
            assert found is not None
            assert found.transcript_id == name
        assert store.find_answer("00" * 32) is None


def test_the_last_record_of_a_transcript_and_repeat_counts_but_all_that_was_paid_is_summed(tmp_path: Path) -> None:
    paid: dict[str, Any] = {"usage": Usage(requests=1, input_tokens=10), "cost_usd": 0.5}
    store = fill(
        tmp_path,
        make_record("a", failure=FAILURE, **paid),
        make_record("b", **paid),
        make_record("a", **paid),
        make_record("a", repeat=1, **paid),
    )
    assert [(r.transcript_id, r.repeat, r.failure) for r in store.read_records()] == [
        ("b", 0, None),
        ("a", 0, None),
        ("a", 1, None),
    ]
    assert store.sum_up() == {
        "records": 3,
        "failures": 0,
        "usage": Usage(requests=4, input_tokens=40),
        "cost_usd": 2.0,
    }


def test_an_unknown_price_makes_the_sum_unknown_not_smaller(tmp_path: Path) -> None:
    used = Usage(requests=1)
    store = fill(tmp_path, make_record("a", usage=used, cost_usd=1.0), make_record("b", usage=used))
    assert store.sum_up()["cost_usd"] is None


@given(st.integers(1, 10_000))
def test_a_torn_last_line_is_cut_and_nothing_else_is_lost(cut: int) -> None:
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        store = fill(Path(folder), make_record("a"), make_record("b", "cd" * 32))
        whole = store.records_path.read_bytes()
        torn = whole[: max(0, len(whole) - cut)]
        store.records_path.write_bytes(torn)
        kept = torn.count(b"\n")
        with open_run(store.path) as again:
            assert bool(again.notices) == (len(torn) > 0 and not torn.endswith(b"\n"))
            again.append(make_record("c", "12" * 32))
        assert [r.transcript_id for r in again.read_records()] == [*["a", "b"][:kept], "c"]


def test_a_damaged_line_is_said_passed_over_and_asked_again(tmp_path: Path) -> None:
    store = fill(tmp_path, make_record("a"), make_record("b", "cd" * 32), make_record("c", "12" * 32))
    lines = store.records_path.read_bytes().splitlines(keepends=True)
    store.records_path.write_bytes(lines[0] + lines[1].replace(b'"', b"\x00", 4) + lines[2])
    with open_run(store.path) as again:
        assert again.notices == ["1 damaged lines in records.jsonl are asked again."]
        assert not again.holds("b", "cd" * 32)
        assert again.holds("c", "12" * 32)
    assert [r.transcript_id for r in again.read_records()] == ["a", "c"]


def test_files_of_several_writers_are_one_run_and_the_later_begun_one_counts(tmp_path: Path) -> None:
    store = fill(tmp_path, make_record("a"))
    early, late = (store.path / f"records-{stamp}-worker.jsonl" for stamp in ("20260901T1", "20260901T2"))
    late.write_bytes(make_record("b", "cd" * 32).to_line() + make_record("torn").to_line()[:-9])
    early.write_bytes(make_record("b", "cd" * 32, failure=FAILURE).to_line() + make_record("c", "ef" * 32).to_line())
    with open_run(store.path) as again:
        assert again.holds("b", "cd" * 32, retry_failed=True)
        assert [again.holds(name, "ef" * 32) for name in ("c", "torn")] == [True, False]
        found = again.find_answer("ef" * 32)
        assert found is not None
        assert found.transcript_id == "c"
        again.append(make_record("d", "12" * 32))
    assert {r.transcript_id: r.failure for r in again.read_records()} == dict.fromkeys("abcd")
    assert again.sum_up()["records"] == 4


def test_a_record_that_another_process_wrote_is_held_and_found(tmp_path: Path) -> None:
    store = create_run(tmp_path, make_manifest())
    first, second = make_record("a"), make_record("b", "cd" * 32)
    with store:
        (store.path / "records-x.jsonl").write_bytes(first.to_line() + second.to_line())
        store.adopt(second.model_copy(update={"draft": None}), "records-x.jsonl", len(first.to_line()))
        assert store.holds("b", "cd" * 32)
        assert not store.holds("a", first.request_hash)
        assert store.find_answer("cd" * 32) == second


def test_two_writers_are_refused_and_the_first_is_named(tmp_path: Path) -> None:
    store = create_run(tmp_path, make_manifest())
    with store, pytest.raises(StoreError, match=f"being written by process {os.getpid()}"), open_run(store.path):
        pass


def test_the_lock_of_a_dead_process_is_said_and_taken_over(tmp_path: Path) -> None:
    store = create_run(tmp_path, make_manifest())
    code = f"from extract.store import open_run; import os; open_run({str(store.path)!r}).__enter__(); os._exit(9)"
    subprocess.run([sys.executable, "-c", code], check=False)
    pid = json.loads((store.path / "writer.json").read_text())["pid"]
    with open_run(store.path) as again:
        assert again.notices == [f"Taking over from process {pid}, which ended without a word."]
    with open_run(store.path) as later:
        assert later.notices == []


def test_records_reach_the_disk_within_a_second_of_being_appended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import time

    synced: list[float] = []
    real = os.fsync

    def sync(file: int) -> None:
        real(file)
        synced.append(time.monotonic())

    monkeypatch.setattr(os, "fsync", sync)
    store = create_run(tmp_path, make_manifest())
    with store:
        synced.clear()
        store.append(make_record("a"))
        appended = time.monotonic()
        while not synced and time.monotonic() - appended < 5:
            time.sleep(0.01)
    assert synced[0] - appended < 1.0


def test_the_newest_run_of_the_same_command_is_found(tmp_path: Path) -> None:
    create_run(tmp_path, make_manifest(model="other"))
    assert find_run(tmp_path, make_manifest()) is None
    mine = create_run(tmp_path, make_manifest())
    found = find_run(tmp_path, make_manifest(created_at="2027-01-01T00:00:00Z", repeats=3))
    assert found is not None
    assert found.path == mine.path


def test_a_run_made_otherwise_is_not_gone_on_with(tmp_path: Path) -> None:
    store = create_run(tmp_path, make_manifest())
    with pytest.raises(StoreError, match="another model: 'm', not 'n'"):
        store.check_identity(make_manifest(model="n"))


def test_runs_open_by_folder_id_and_last(tmp_path: Path) -> None:
    store = create_run(tmp_path, make_manifest())
    for name in (str(store.path), store.path.name, "last"):
        assert open_run(name, tmp_path).path == store.path
    with pytest.raises(StoreError, match="No run 'nope'"):
        open_run("nope", tmp_path)
    with pytest.raises(StoreError, match="No runs in"):
        open_run("last", tmp_path / "empty")


@pytest.mark.parametrize(
    ("text", "says"),
    [("{", "cannot be read"), ("[]", "cannot be read"), ('{"version": 2}', "written by a newer version")],
)
def test_a_manifest_that_cannot_be_read_is_one_sentence(tmp_path: Path, text: str, says: str) -> None:
    store = create_run(tmp_path, make_manifest())
    (store.path / "manifest.json").write_text(text)
    with pytest.raises(StoreError, match=says) as caught:
        open_run(store.path)
    assert "\n" not in str(caught.value)
    assert list_runs(tmp_path) == []


def test_a_run_of_the_same_command_that_cannot_be_read_is_not_paid_again(tmp_path: Path) -> None:
    store = create_run(tmp_path, make_manifest())
    path = store.path / "manifest.json"
    path.write_text(path.read_text().replace('"version": 1', '"version": 2'))
    with pytest.raises(StoreError, match="newer version.*begin another run with --new"):
        find_run(tmp_path, make_manifest())
    said: list[str] = []
    assert find_run(tmp_path, make_manifest(model="other"), said.append) is None
    assert said == [f"Run {store.path.name!r} was written by a newer version. Update, then open it."]


def test_a_folder_that_cannot_be_written_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match="Choose another with --runs"):
        create_run(tmp_path / "file", make_manifest())


@pytest.mark.parametrize("name", ["../../etc/passwd", "a/b", "C:\\x", "\x00", "x" * 5000, "ü🥐"])
def test_transcript_ids_never_become_file_names(tmp_path: Path, name: str) -> None:
    store = fill(tmp_path, make_record(name))
    assert sorted(p.name for p in store.path.iterdir() if p.name != "lock") == ["manifest.json", "records.jsonl"]
    assert [r.transcript_id for r in store.read_records()] == [name]
