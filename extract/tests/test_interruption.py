"""Real processes, stopped and killed in the middle of a run: no answer is lost, none is paid twice."""

import hashlib
import json
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from extract.store import open_run
from extract.tests.loopback import Loopback
from extract.tests.samples import BAKER, ROOT, make_prompt, make_transcript

ROWS = 150
RENDER = make_prompt().render
KILLS = 20


@pytest.fixture
def table(tmp_path: Path) -> Path:
    rows = [{"transcript_id": f"t{n}", "text": f"{BAKER} Number {n}."} for n in range(ROWS)]
    path = tmp_path / "interviews.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


@pytest.fixture
def server() -> Iterator[Loopback]:
    with Loopback(latency_s=0.1) as running:
        yield running


FORKS = """
import os, sys, anthropic
from extract.cli import main
for _ in sys.stdin:
    pid = os.fork() or os._exit(main(sys.argv[1:]))
    print(pid, flush=True)
    print(os.waitpid(pid, 0)[1], flush=True)
"""
"""A process that has imported everything and, for each line that it reads, forks one that runs the command."""


def start(
    table: Path, server: Loopback, *, concurrency: int = 4, program: str = "", **streams: Any
) -> subprocess.Popen[str]:
    command = [sys.executable, *(["-c", program] if program else ["-m", "extract"]), "run", str(table)]
    command += ["--base-url", server.url, "--concurrency", str(concurrency), "--runs", str(table.parent / "runs")]
    environment = {**os.environ, "ANTHROPIC_API_KEY": "sk-loopback", "PYTHONPATH": str(ROOT)}
    error = None if program else subprocess.PIPE
    return subprocess.Popen(command, env=environment, stderr=error, text=True, **streams)


def wait_for(server: Loopback, answered: int) -> None:
    """Until so many requests were answered, or ten seconds are over."""
    until = time.monotonic() + 10
    while sum(server.answered.values()) < answered and time.monotonic() < until:
        time.sleep(0.005)


def read_stored(table: Path) -> list[str]:
    """The ids of the whole lines in the only run."""
    stored = []
    for path in (table.parent / "runs").glob("*/records.jsonl"):
        stored += [json.loads(line)["transcript_id"] for line in path.read_bytes().split(b"\n")[:-1]]
    return stored


def find_digest(name: str) -> str:
    """What the server calls the message of one interview."""
    transcript = make_transcript(name, f"{BAKER} Number {name[1:]}.")
    return hashlib.sha256(RENDER(transcript, model="", parameters={}).user.encode()).hexdigest()


def test_killed_20_times_no_stored_answer_is_lost_or_asked_again(table: Path, server: Loopback) -> None:
    draw = random.Random(5)
    forks = start(table, server, program=FORKS, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert forks.stdin is not None
    assert forks.stdout is not None
    asked_after_stored: list[str] = []
    for _ in range(KILLS):
        stored = set(read_stored(table))
        before = len(server.requests)
        forks.stdin.write("another\n")
        forks.stdin.flush()
        pid = int(forks.stdout.readline())
        wait_for(server, sum(server.answered.values()) + draw.randint(1, 6))
        time.sleep(draw.random() * 0.1)
        os.kill(pid, signal.SIGKILL)
        assert forks.stdout.readline().strip() == str(signal.SIGKILL.value)
        assert stored <= set(read_stored(table))
        asked = {seen.digest for seen in server.requests[before:]}
        asked_after_stored += [name for name in stored if find_digest(name) in asked]
    forks.communicate()
    assert len(read_stored(table)) >= KILLS
    assert asked_after_stored == []
    final = start(table, server, concurrency=50)
    _, said = final.communicate(timeout=60)
    assert final.returncode == 0, said
    assert "Taking over from process" in said
    assert Counter(read_stored(table)) == {f"t{n}": 1 for n in range(ROWS)}
    run = open_run("last", table.parent / "runs")
    assert (run.manifest.status, run.manifest.records, run.manifest.failures) == ("complete", ROWS, 0)
    assert len(list((table.parent / "runs").iterdir())) == 1


def test_ctrl_c_finishes_what_is_in_flight_and_prints_the_command_that_goes_on(table: Path, server: Loopback) -> None:
    process = start(table, server)
    wait_for(server, 8)
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=20)
    assert process.returncode == 130
    run = open_run("last", table.parent / "runs")
    assert "requests in flight; Ctrl-C again stops at once." in said
    assert f"Stopped (Ctrl-C). Go on with: python -m extract run --resume {run.path}" in said
    assert "Traceback" not in said
    assert len(server.requests) == sum(server.answered.values()) == run.manifest.records
    assert (run.manifest.status, run.manifest.failures) == ("stopped", 0)


def test_a_second_ctrl_c_stops_at_once(table: Path) -> None:
    with Loopback(latency_s=30.0) as server:
        process = start(table, server)
        until = time.monotonic() + 10
        while server.in_flight < 4 and time.monotonic() < until:
            time.sleep(0.01)
        began = time.monotonic()
        process.send_signal(signal.SIGINT)
        assert process.stderr is not None
        while "in flight" not in process.stderr.readline():
            pass
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=20)
    assert process.returncode == 130
    assert time.monotonic() - began < 10
    assert "Traceback" not in said
    assert "Stopped." in said


def test_a_run_that_is_being_written_is_not_written_by_another(table: Path, server: Loopback) -> None:
    first = start(table, server)
    wait_for(server, 4)
    second = start(table, server)
    _, said = second.communicate(timeout=20)
    assert second.returncode == 1
    assert f"is being written by process {first.pid}. Wait until it is done, or stop it." in said
    assert len(said.splitlines()) == 1
    first.kill()
    first.communicate()
    assert read_stored(table)
