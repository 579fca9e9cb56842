"""Real processes, stopped in the middle of a run: no answer is lost, none is paid twice. Kills are in `test_faults`."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from extract.store import open_run
from extract.tests.loopback import Loopback
from extract.tests.samples import BAKER, ROOT

ROWS = 150


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


def start(table: Path, server: Loopback, *, concurrency: int = 4) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "extract", "run", str(table)]
    command += ["--base-url", server.url, "--concurrency", str(concurrency), "--runs", str(table.parent / "runs")]
    environment = {**os.environ, "ANTHROPIC_API_KEY": "sk-loopback", "PYTHONPATH": str(ROOT)}
    return subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True)


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
