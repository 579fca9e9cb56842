"""The batches engine stopped and killed: another process goes on, sends nothing twice and loses nothing."""

import os
import signal
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from extract.cli import main
from extract.engines.batch_ledger import FILE, Ledger, read_batches
from extract.store import RunStore, open_run
from extract.tests.batch_runner import (
    PROMPT,
    Runner,
    count_attempts,
    for_some,
    interrupt,
    kinds,
    make_transcripts,
    open_batches,
    run_all,
    start_run,
)
from extract.tests.loopback import Loopback
from extract.tests.samples import AUTHORED

KEY = "sk-loopback-secret-0123456789"


@pytest.fixture(autouse=True)
def key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANTHROPIC_API_KEY", KEY)


@pytest.fixture
def server() -> Iterator[Loopback]:
    with Loopback(keep_bodies=True) as made:
        yield made


@pytest.fixture
def store(tmp_path: Path, server: Loopback) -> RunStore:
    return start_run(tmp_path / "runs", server.url)


@pytest.fixture(scope="module")
def runner() -> Iterator[Runner]:
    os.environ["ANTHROPIC_API_KEY"] = KEY
    with Runner() as made:
        yield made
    del os.environ["ANTHROPIC_API_KEY"]


def kill_at(server: Loopback, event: str, count: int) -> "Killer":
    killer = Killer(event, count)
    server.batches.on_event = killer
    return killer


class Killer:
    """Kills a process at the n-th event of a kind."""

    def __init__(self, event: str, count: int) -> None:
        self.event, self.left = event, count
        self.process: int | None = None
        self.known = threading.Event()

    def __call__(self, name: str) -> None:
        self.left -= name == self.event
        if name == self.event and self.left == 0:
            assert self.known.wait(60)
            assert self.process is not None
            os.kill(self.process, signal.SIGKILL)

    def aim(self, process: int) -> None:
        self.process = process
        self.known.set()


@pytest.mark.parametrize(
    ("event", "count", "taken"),
    [
        ("creating", 1, True), ("creating", 3, True), ("creating", 1, False), ("creating", 3, False),
        ("created", 1, True), ("created", 2, True), ("created", 4, True),
        ("retrieved", 1, True), ("retrieved", 5, True),
        ("result", 1, True), ("result", 5, True), ("result", 9, True), ("result", 13, True),
    ],
)  # fmt: skip
def test_a_run_killed_anywhere_goes_on_and_sends_nothing_twice(
    tmp_path: Path, runner: Runner, event: str, count: int, taken: bool
) -> None:
    with Loopback(plan=for_some(3, 7, fault="unknown_id")) as server:
        server.batches.polls_to_end = 2
        if not taken:
            server.batches.create_faults.extend([""] * (count - 1) + ["overloaded"])
        folder = start_run(tmp_path, server.url).path
        killer = kill_at(server, event, count)
        killer.aim(runner.start(folder, server.url, 12, batch_requests=5))
        assert runner.wait() == -signal.SIGKILL
        held = len(list(open_run(folder).read_records()))
        server.batches.on_event = lambda name: None
        runner.start(folder, server.url, 12, batch_requests=5)
        assert runner.wait() == 0
        records = list(open_run(folder).read_records())
        assert kinds(records) == {"ok": 12}
        assert held < 12
        assert count_attempts(server) == {"0": 12, "1": 2}
        lines = open_run(folder).records_path.read_text().splitlines()
        assert len(lines) == 12
        assert open_run(folder).manifest.usage.requests == 14
    with sqlite3.connect(folder / FILE) as ledger:
        assert ledger.execute("SELECT count(*) FROM entries").fetchone() == (0,)
    ledger.close()


def test_a_failure_stored_just_before_a_kill_is_asked_again_and_not_read_again(tmp_path: Path) -> None:
    with Loopback(plan=for_some(0, fault="batch_overloaded")) as server:
        folder = start_run(tmp_path, server.url).path
        run_all(folder, open_batches(server.url), make_transcripts(1))
        ledger = Ledger(folder)  # as it was when the record had been stored and the entry not yet forgotten
        prompt, engine = PROMPT, open_batches(server.url)
        request = prompt.render(make_transcripts(1)[0], model=engine.model, parameters=engine.parameters)
        ledger.ask(request, 10)
        ledger._open.execute("UPDATE entries SET nonce = (SELECT nonce FROM batches)")
        ledger.save()
        ledger.close()
        records, _ = run_all(folder, engine, make_transcripts(1), retry_failed=True)
        assert kinds(records) == {"ok": 1}
        assert len(server.batches.batches) == 2


def test_stopping_leaves_the_batch_at_the_provider_and_a_later_run_collects_it(
    server: Loopback, store: RunStore
) -> None:
    interrupt(server, store, "retrieved")
    assert [batch.state for batch in read_batches(store.path)] == ["in_progress"]
    records, _ = run_all(store.path, open_batches(server.url), make_transcripts(6))
    assert kinds(records) == {"ok": 6}
    assert count_attempts(server) == {"0": 6}


def test_ctrl_c_while_waiting_names_the_command_that_goes_on_and_it_does(tmp_path: Path, server: Loopback) -> None:
    server.batches.polls_to_end = 2
    command = [sys.executable, "-m", "extract", "run", str(AUTHORED), "--engine", "batches", "--limit", "3"]
    command += ["--base-url", server.url, "--runs", str(tmp_path)]
    created = threading.Event()
    server.batches.on_event = lambda name: created.set() if name == "retrieved" else None
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    assert created.wait(120)
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "What was sent goes on at the provider" in said
    assert "run --resume" in said
    assert "Traceback" not in said
    server.batches.polls_to_end = 1
    assert main(["run", "--resume", "last", "--runs", str(tmp_path)]) == 0
    assert kinds(list(open_run("last", tmp_path).read_records())) == {"ok": 3}
    assert count_attempts(server) == {"0": 3}
