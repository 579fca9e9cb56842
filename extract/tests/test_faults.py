"""A matrix of faults, each with 250 interviews over real HTTP: how many records are lost, repeated or wrong.

Lost: an interview without an extraction at the end. Repeated: one that was asked again although it was stored.
Wrong: one that holds another draft than the provider gave for that interview. All of them are to be 0, and what
is said about it is one sentence. The table is printed when the module is done.
"""

import ast
import hashlib
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from typing import Any

import pytest

from extract.engines import EngineOptions, open_engine
from extract.engines.limits import RetryPolicy
from extract.pipeline import Plan, describe_run, run_extraction
from extract.store import RunStore, create_run, open_run
from extract.tests.loopback import Loopback
from extract.tests.loopback_faults import Fault, FaultKind, random_faults
from extract.tests.samples import ROOT, load_interviews, make_prompt
from extract.tests.test_interruption import wait_for
from schemas.record import Record
from schemas.transcript import Transcript

Process = subprocess.Popen[str]
COUNT = 250
OUTAGE_S = 20.0
KILLS = 20
SOME: dict[FaultKind, float] = {"rate_limited": 0.2}


@dataclass
class Matrix:
    """The rows of the table, and what every scenario is checked against."""

    interviews: list[Transcript]
    digests: dict[str, str]
    drafts: dict[str, Any] = field(default_factory=dict)
    rows: list[str] = field(default_factory=list)

    def judge(self, name: str, store: RunStore, repeated: int = 0, said: str = "") -> None:
        """Add a row, and fail where it is not all zeros."""
        found = {r.transcript_id: r for r in store.read_records() if r.extraction}
        lost = len(self.digests.keys() - found.keys())
        wrong = sum(self.is_wrong(record) for record in found.values())
        self.rows.append(f"{name:34} {len(found):4} {lost:5} {repeated:9} {wrong:6}  {said}")
        assert (lost, repeated, wrong) == (0, 0, 0), self.rows[-1]

    def is_wrong(self, record: Record) -> bool:
        return bool(record.draft != self.drafts[record.transcript_id])

    def count_asked_again(self, stored: set[str], server: Loopback, since: int = 0) -> int:
        """How many of the stored interviews were asked for by the server's requests from `since` on."""
        asked = {seen.digest for seen in server.requests[since:]}
        return sum(self.digests[name] in asked for name in stored)


@pytest.fixture(scope="module")
def matrix(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Matrix]:
    interviews = load_interviews(COUNT)
    render = make_prompt().render
    digests = {t.id: find_digest(render(t, model="", parameters={}).user) for t in interviews}
    assert len(interviews) == len(digests) == len(set(digests.values())) == COUNT
    made = Matrix(interviews, digests)
    with pytest.MonkeyPatch.context() as patch, Loopback() as server:
        patch.setenv("ANTHROPIC_API_KEY", "sk-loopback")
        store = extract(made, server, tmp_path_factory.mktemp("reference"))
    made.drafts = {record.transcript_id: record.draft for record in store.read_records()}
    made.judge("none", store, count_paid_twice(server))
    yield made
    lines = ["", f"{'fault, ' + str(COUNT) + ' interviews':34} done  lost  repeated  wrong  said", *made.rows]
    with request.config.pluginmanager.getplugin("capturemanager").global_and_fixture_disabled():
        print("\n".join(lines))


@pytest.fixture(autouse=True)
def key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANTHROPIC_API_KEY", "sk-loopback")


@pytest.fixture(scope="module")
def source(matrix: Matrix, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The interviews as a file that the command line reads."""
    path = tmp_path_factory.mktemp("table") / "interviews.jsonl"
    rows = ({"transcript_id": t.id, "text": t.text} for t in matrix.interviews)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def complete(source: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with one complete run of the command line."""
    runs = tmp_path_factory.mktemp("complete")
    with Loopback() as server:
        done = command(source, server, runs)
    assert done.returncode == 0, done.stderr
    return runs


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    return tmp_path / "runs"


def find_digest(message: str) -> str:
    return hashlib.sha256(message.encode("utf-8", "replace")).hexdigest()


def count_paid_twice(server: Loopback) -> int:
    return sum(count - 1 for count in server.answered.values())


def extract(
    matrix: Matrix, server: Loopback, runs: Path, policy: RetryPolicy | None = None, **options: Any
) -> RunStore:
    """One run in this process; `policy` shortens the waits of the engine, `options` are its own."""
    engine: Any = open_engine("claude", EngineOptions(base_url=server.url, model="claude-sonnet-5-5", **options))
    engine._policy = policy or engine._policy
    prompt = make_prompt()
    with create_run(runs, describe_run(prompt, engine, "interviews", 1)) as store:
        for _ in run_extraction(matrix.interviews, prompt, engine, store, Plan()):
            pass
    return open_run(store.path)


def start(source: Path, server: Loopback, runs: Path, *, concurrency: int = 50, program: str = "") -> Process:
    """`run` as a process of its own; `program` runs it otherwise."""
    command = [sys.executable, *(["-c", program] if program else ["-m", "extract"]), "run", str(source)]
    command += ["--base-url", server.url, "--concurrency", str(concurrency), "--runs", str(runs)]
    environment = {**os.environ, "ANTHROPIC_API_KEY": "sk-loopback", "PYTHONPATH": str(ROOT)}
    pipe = subprocess.PIPE
    return subprocess.Popen(command, env=environment, stdin=pipe, stdout=pipe, stderr=pipe, text=True)


def command(source: Path, server: Loopback, runs: Path, *, program: str = "") -> subprocess.CompletedProcess[str]:
    """`run` to its end."""
    process = start(source, server, runs, program=program)
    _, said = process.communicate(timeout=120)
    return subprocess.CompletedProcess([], process.returncode, "", said)


def read_stored(runs: Path) -> set[str]:
    return {r.transcript_id for path in runs.glob("*/manifest.json") for r in open_run(path.parent).read_records()}


# ---------------------------------------------------------------- the provider and the network


def test_an_outage_of_20_seconds(matrix: Matrix, tmp_path: Path) -> None:
    began = time.monotonic()

    def plan(_ordinal: int, _digest: str, _attempt: int) -> Fault | None:
        return Fault("overloaded") if time.monotonic() - began < OUTAGE_S else None

    with Loopback(plan=plan) as server:
        store = extract(matrix, server, tmp_path)
    assert len(server.requests) < 2 * COUNT
    matrix.judge("529s for 20 s", store, count_paid_twice(server), f"{len(server.requests)} requests")


@pytest.mark.parametrize("seconds", ["1", "30", "3600"])
def test_429s_with_retry_after(matrix: Matrix, tmp_path: Path, seconds: str) -> None:
    policy = RetryPolicy(retry_after_cap_s=1.0)
    with Loopback(plan=random_faults(1, SOME, retry_after=seconds)) as server:
        store = extract(matrix, server, tmp_path, policy)
    assert any(seen.fault for seen in server.requests)
    first: dict[str, float] = {}
    for seen in server.requests:  # nobody comes back before the second is over
        if seen.digest in first:
            assert seen.at - first[seen.digest] > 0.9
        if seen.fault:
            first[seen.digest] = seen.at
    matrix.judge(f"429, retry-after {seconds}", store, count_paid_twice(server))


@pytest.mark.parametrize(
    ("name", "kind", "timeout_s"),
    [
        ("connections cut mid-body", "cut_mid_body", 60.0),
        ("connections reset", "reset", 60.0),
        ("answers that stall past the timeout", "stall", 2.0),
    ],
)
def test_a_bad_network(matrix: Matrix, tmp_path: Path, name: str, kind: FaultKind, timeout_s: float) -> None:
    with Loopback(plan=random_faults(2, {kind: 0.1})) as server:
        store = extract(matrix, server, tmp_path, timeout_s=timeout_s)
    assert any(seen.fault for seen in server.requests)
    matrix.judge(name, store, count_paid_twice(server))


def test_a_slow_drip_is_waited_for_and_not_asked_again(matrix: Matrix, tmp_path: Path) -> None:
    draw = random_faults(3, {"slow_drip": 0.1})
    with Loopback(plan=lambda *seen: Fault("slow_drip", seconds=3.0) if draw(*seen) else None) as server:
        store = extract(matrix, server, tmp_path, timeout_s=30.0)
    assert any(seen.fault for seen in server.requests)
    matrix.judge("slow drip", store, len(server.requests) - COUNT)


def test_a_clock_that_jumps(matrix: Matrix, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every look at the wall clock is days off; a retry-after may be a date of that clock."""
    draw, real = random.Random(6), time.time
    monkeypatch.setattr(time, "time", lambda: real() + draw.uniform(-9e5, 9e5))
    date = format_datetime(datetime.now(UTC) + timedelta(days=3))
    with Loopback(plan=random_faults(4, SOME, retry_after=date)) as server:
        store = extract(matrix, server, tmp_path, RetryPolicy(retry_after_cap_s=1.0))
    matrix.judge("a clock that jumps", store, count_paid_twice(server))
    assert all(0 <= record.latency_s < 60 for record in store.read_records())


def test_only_the_monotonic_clock_is_used_for_waiting() -> None:
    for name in ("engines/live", "engines/limits", "engines/claude", "engines/provider", "pipeline", "terminal"):
        tree = ast.parse((ROOT / "extract" / f"{name}.py").read_text(encoding="utf-8"))
        used = {ast.unparse(node) for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
        assert not used & {"time.time", "time.time_ns"}, name


# ---------------------------------------------------------------- the disk


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 512 kB; needs root and the right to mount."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=512k", "tmpfs", str(folder)], capture_output=True, check=False
    )
    if mounted.returncode:
        pytest.skip("needs the right to mount a small file system")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


def test_a_full_disk(matrix: Matrix, source: Path, small_disk: Path, runs: Path) -> None:
    runs.symlink_to(small_disk)
    with Loopback() as server:
        done = command(source, server, runs)
        asked, stored = len(server.requests), read_stored(small_disk)
        assert done.returncode == 1
        sentence = check_last_sentence(done.stderr, "No space left on device", "What was answered before is kept")
        assert 10 < len(stored) < COUNT
        subprocess.run(["mount", "-o", "remount,size=64m", str(small_disk)], check=True)
        again = command(source, server, runs)
        assert again.returncode == 0, again.stderr
        repeated = matrix.count_asked_again(stored, server, asked)
    matrix.judge("full disk, then room", open_run("last", small_disk), repeated, sentence)


LIMITED = """
import resource, sys
resource.setrlimit(resource.RLIMIT_FSIZE, (300_000, 300_000))
from extract.cli import main
sys.exit(main(sys.argv[1:]))
"""
"""Files may grow to 300 kB: what a quota does, and it needs no rights."""


def test_a_quota(matrix: Matrix, source: Path, runs: Path) -> None:
    with Loopback() as server:
        first = command(source, server, runs, program=LIMITED)
        asked, stored = len(server.requests), read_stored(runs)
        assert first.returncode == 1
        sentence = check_last_sentence(first.stderr, "What was answered before is kept; make room")
        assert 10 < len(stored) < COUNT
        again = command(source, server, runs)
        assert again.returncode == 0, again.stderr
        repeated = matrix.count_asked_again(stored, server, asked)
    matrix.judge("quota, then none", open_run("last", runs), repeated, sentence)


def test_a_runs_folder_that_is_read_only(matrix: Matrix, source: Path, runs: Path, complete: Path) -> None:
    shutil.copytree(complete, runs)
    with Loopback() as server:
        with make_read_only(runs):
            done = command(source, server, runs)
            assert done.returncode == 1
            sentence = check_last_sentence(done.stderr, "Cannot write in", "--runs")
            matrix.judge("read-only runs folder", open_run("last", runs), 0, sentence)
        assert command(source, server, runs).returncode == 0
        assert server.requests == []


class make_read_only:  # noqa: N801 - reads like a function
    """A folder that cannot be written, even by root; skips the test where that cannot be made."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __enter__(self) -> None:
        if os.geteuid() != 0:
            for path in (self.folder, *self.folder.rglob("*")):
                path.chmod(0o555 if path.is_dir() else 0o444)
            return
        bind = subprocess.run(["mount", "--bind", self.folder, self.folder], capture_output=True, check=False)
        if bind.returncode:
            pytest.skip("root may write anywhere, and here it may not mount a folder read-only")
        subprocess.run(["mount", "-o", "remount,ro,bind", self.folder], check=True)

    def __exit__(self, *error: object) -> None:
        if os.geteuid() == 0:
            subprocess.run(["umount", "-l", self.folder], check=True)
            return
        for path in (self.folder, *self.folder.rglob("*")):
            path.chmod(0o755 if path.is_dir() else 0o644)


def check_last_sentence(said: str, *parts: str) -> str:
    """The last line said: the error, with these parts in it, and no traceback before it."""
    assert "Traceback" not in said, said
    last = said.strip().splitlines()[-1]
    assert all(part in last for part in parts), said
    return last.removeprefix("python -m extract: ")


def test_a_torn_and_a_corrupted_line(matrix: Matrix, source: Path, runs: Path, complete: Path) -> None:
    shutil.copytree(complete, runs)
    with Loopback() as server:
        run = open_run("last", runs)
        lines = run.records_path.read_bytes().splitlines(keepends=True)
        damaged = {json.loads(line)["transcript_id"] for line in (lines[100], lines[-1])}
        lines[100] = lines[100][:50] + b"\x00\xff" + lines[100][52:]
        lines[-1] = lines[-1][: len(lines[-1]) // 2]
        run.records_path.write_bytes(b"".join(lines))
        done = command(source, server, runs)
        assert done.returncode == 0, done.stderr
        assert len(server.requests) == 2
        repeated = matrix.count_asked_again(matrix.digests.keys() - damaged, server)
    said = [line for line in done.stderr.splitlines() if "asked again" in line]
    assert len(said) == 2
    matrix.judge("a torn and a corrupted line", open_run(run.path), repeated, " ".join(said))


def test_a_manifest_from_a_newer_version(matrix: Matrix, source: Path, runs: Path, complete: Path) -> None:
    shutil.copytree(complete, runs)
    with Loopback() as server:
        run = open_run("last", runs)
        text = (run.path / "manifest.json").read_text()
        (run.path / "manifest.json").write_text(text.replace('"version": 1', '"version": 2', 1))
        done = command(source, server, runs)
        assert done.returncode == 1
        sentence = check_last_sentence(done.stderr, "was written by a newer version. Update, then open it.", "--new")
        assert len(done.stderr.splitlines()) == 1
        assert server.requests == []
        (run.path / "manifest.json").write_text(text)
    matrix.judge("a manifest from a newer version", open_run(run.path), 0, sentence)


# ---------------------------------------------------------------- processes

FORKS = """
import os, sys, anthropic
from extract.cli import main
for _ in sys.stdin:
    pid = os.fork() or os._exit(main(sys.argv[1:]))
    print(pid, flush=True)
    print(os.waitpid(pid, 0)[1], flush=True)
"""
"""A process that has imported everything and, for each line that it reads, forks one that runs the command."""


def test_killed_at_20_random_points(matrix: Matrix, source: Path, runs: Path) -> None:
    draw, repeated = random.Random(7), 0
    with Loopback(latency_s=0.2) as server:  # slow enough that 20 kills come before the end of the run
        with start(source, server, runs, concurrency=8, program=FORKS) as forks:
            assert forks.stdin is not None
            assert forks.stdout is not None
            for _ in range(KILLS):
                stored, asked = read_stored(runs), len(server.requests)
                print("another", file=forks.stdin, flush=True)
                pid = int(forks.stdout.readline())
                wait_for(server, sum(server.answered.values()) + draw.randint(1, 6))
                time.sleep(draw.random() * 0.1)
                os.kill(pid, signal.SIGKILL)
                assert forks.stdout.readline().strip() == str(signal.SIGKILL.value)
                assert stored <= read_stored(runs)
                repeated += matrix.count_asked_again(stored, server, asked)
        stored, asked = read_stored(runs), len(server.requests)
        assert len(stored) >= KILLS
        done = command(source, server, runs)
        assert done.returncode == 0, done.stderr
        repeated += matrix.count_asked_again(stored, server, asked)
    run = open_run("last", runs)
    lines = run.records_path.read_bytes().splitlines()
    assert Counter(json.loads(line)["transcript_id"] for line in lines) == dict.fromkeys(matrix.digests, 1)
    assert (run.manifest.status, run.manifest.records, run.manifest.failures) == ("complete", COUNT, 0)
    said = next(line for line in done.stderr.splitlines() if "Taking over" in line)
    matrix.judge(f"killed at {KILLS} random points", open_run("last", runs), repeated, said)


def test_two_processes_on_one_run(matrix: Matrix, source: Path, runs: Path) -> None:
    with Loopback(latency_s=0.5) as server:
        first = start(source, server, runs, concurrency=20)
        wait_for(server, 10)
        second = command(source, server, runs)
        assert second.returncode == 1
        sentence = check_last_sentence(second.stderr, f"is being written by process {first.pid}")
        _, said = first.communicate(timeout=120)
        assert first.returncode == 0, said
        repeated = count_paid_twice(server)
    matrix.judge("two processes on one run", open_run("last", runs), repeated, sentence)


def test_sigterm(matrix: Matrix, source: Path, runs: Path) -> None:
    with Loopback(latency_s=0.2) as server:
        process = start(source, server, runs, concurrency=10)
        wait_for(server, 50)
        process.send_signal(signal.SIGTERM)
        _, said = process.communicate(timeout=120)
        assert process.returncode == 130, said
        assert len(read_stored(runs)) == sum(server.answered.values()) < COUNT
        sentence = next(line for line in said.splitlines() if line.startswith("Stopped"))
        assert command(source, server, runs).returncode == 0
        repeated = count_paid_twice(server)
    matrix.judge("SIGTERM", open_run("last", runs), repeated, sentence)
