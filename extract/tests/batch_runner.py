"""Runs over the batches engine, in this process or in children that a test can kill.

As a process of its own it imports everything once, then forks a child for every job that it reads.
"""

import json
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Iterable
from hashlib import sha256
from pathlib import Path
from typing import Any, Self

from extract.engines import EngineOptions, open_engine
from extract.engines.batches import BatchesEngine
from extract.pipeline import Plan, close_manifest, describe_run, run_extraction
from extract.store import RunStore, create_run, open_run
from extract.tests.loopback import Loopback
from extract.tests.loopback_faults import Fault, FaultKind
from extract.tests.loopback_faults import Plan as FaultPlan
from extract.tests.samples import BAKER, make_prompt, make_transcript
from schemas.record import Record
from schemas.transcript import Transcript

POLL_S = 0.02
PROMPT = make_prompt()


def make_transcripts(count: int) -> list[Transcript]:
    return [make_transcript(f"t{n}", f"{BAKER} Number {n}.") for n in range(count)]


def open_batches(url: str, **options: Any) -> BatchesEngine:
    values: dict[str, Any] = {"base_url": url, "poll_s": POLL_S, "timeout_s": 10.0} | options
    engine = open_engine("batches", EngineOptions(**values))
    assert isinstance(engine, BatchesEngine)
    return engine


def start_run(runs: Path, url: str) -> RunStore:
    return create_run(runs, describe_run(PROMPT, open_batches(url), "here", 1))


def run_all(
    folder: Path, engine: BatchesEngine, transcripts: Iterable[Transcript], **plan: Any
) -> tuple[list[Record], Plan]:
    """One command over a run: what it stored, and its plan."""
    made = Plan(find_cost=engine.find_cost, **plan)
    with open_run(folder) as store:
        records = list(run_extraction(transcripts, PROMPT, engine, store, made))
        store.write_manifest(close_manifest(store, made))
    return records, made


def for_some(*numbers: int, fault: FaultKind, times: int = 1) -> FaultPlan:
    """A fault for these requests of `make_transcripts`, the first times that each is asked."""
    digests = set()
    for n in numbers:
        request = PROMPT.render(make_transcripts(n + 1)[n], model="m", parameters={})
        digests.add(sha256(request.user.encode()).hexdigest())
    return lambda ordinal, digest, attempt: Fault(fault) if digest in digests and attempt < times else None


def kinds(records: list[Record]) -> Counter[str]:
    return Counter(record.failure.kind if record.failure else "ok" for record in records)


def count_attempts(server: Loopback) -> Counter[str]:
    """Requests by the attempt that their custom_id names; fails where one was sent twice."""
    assert set(server.batches.submitted.values()) <= {1}
    return Counter(attempt for _, attempt in server.batches.submitted)


def interrupt(server: Loopback, store: RunStore, event: str, count: int = 4) -> None:
    """Send batches, then stop waiting at the first event of this kind."""
    engine = open_batches(server.url)
    server.batches.polls_to_end = 2
    server.batches.on_event = lambda name: engine.stop() if name == event else None
    assert run_all(store.path, engine, make_transcripts(count))[0] == []
    server.batches.on_event = lambda name: None


class Runner:
    """A process that forks a child for each job. `start` gives the child's number, `wait` its status."""

    def __enter__(self) -> Self:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "extract.tests.batch_runner"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        self._read()  # it has imported everything
        return self

    def __exit__(self, *error: object) -> None:
        self._process.communicate(timeout=60)

    def start(self, folder: Path, url: str, count: int, **options: Any) -> int:
        assert self._process.stdin is not None
        job = {"folder": str(folder), "url": url, "count": count, "options": options}
        self._process.stdin.write(json.dumps(job) + "\n")
        self._process.stdin.flush()
        return self._read()

    def wait(self) -> int:
        return self._read()

    def _read(self) -> int:
        assert self._process.stdout is not None
        return int(self._process.stdout.readline())


def main() -> None:
    import anthropic.resources.messages.batches  # noqa: F401 (once, for all children)
    import genai_prices.data  # noqa: F401

    print(0, flush=True)
    for line in sys.stdin:
        job = json.loads(line)
        child = os.fork()
        if child == 0:
            engine = open_batches(job["url"], **job["options"])
            run_all(Path(job["folder"]), engine, make_transcripts(job["count"]))
            os._exit(0)
        print(child, flush=True)
        print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)


if __name__ == "__main__":
    main()
