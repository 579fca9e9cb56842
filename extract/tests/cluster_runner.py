"""What the cluster does on two local nodes, as JSON on the last line: python -m extract.tests.cluster_runner FOLDER

A process of its own, since Ray leaves threads and warnings behind that no test wants.
"""

import contextlib
import json
import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

os.environ |= {"RAY_USAGE_STATS_ENABLED": "0", "ANTHROPIC_API_KEY": "sk-loopback"}

from extract.engines import Engine, EngineOptions, open_engine
from extract.engines.cluster import ClusterEngine
from extract.errors import EngineError
from extract.pipeline import Plan, describe_run, run_extraction
from extract.store import RunStore, create_run, find_record_files
from extract.tests.loopback import Loopback
from extract.tests.loopback_faults import always, random_faults
from extract.tests.samples import BAKER, make_prompt, make_transcript
from schemas.record import Record
from schemas.transcript import Transcript

PROMPT = make_prompt()
MEMORY = 100_000_000


def make_transcripts(count: int, first: int = 0) -> list[Transcript]:
    return [make_transcript(f"t{n}", f"{BAKER} Number {n}.") for n in range(first, first + count)]


def open_workers(server: Loopback, concurrency: int = 20, **limits: Any) -> Engine:
    return open_engine("cluster", EngineOptions(base_url=server.url, workers=2, concurrency=concurrency, **limits))


def extract(
    engine: Engine, folder: Path, transcripts: list[Transcript], store: RunStore | None = None
) -> Iterator[tuple[RunStore, Record]]:
    store = store or create_run(folder, describe_run(PROMPT, engine, "here", 1))
    with store:
        for record in run_extraction(transcripts, PROMPT, engine, store, Plan()):
            yield store, record


def finish(engine: Engine, *rest: Any) -> RunStore:
    stores = [store for store, _ in extract(engine, *rest)]
    if isinstance(engine, ClusterEngine):
        engine.close()
    return stores[-1]


def read_lines(store: RunStore) -> list[str]:
    """The records as they lie on the disk, without what depends on the moment; sorted."""
    lines = []
    for path in find_record_files(store.path):
        for line in path.read_bytes().splitlines():
            record = json.loads(line)
            lines.append(json.dumps({k: v for k, v in record.items() if k not in PASSING}))
    return sorted(lines)


PASSING = ("latency_s", "request_id", "created_at")


def compare(folder: Path) -> dict[str, Any]:
    """The same interviews on one machine and on two nodes, with faults; then again, and with more."""
    plan = random_faults(3, {"refusal": 0.05, "unknown_id": 0.15, "overloaded": 0.1, "max_tokens": 0.05})
    transcripts = make_transcripts(60)
    runs, requests = [], []
    for number in range(2):
        with Loopback(plan=plan, latency_s=0.05) as server:
            finish(open_engine("claude", EngineOptions(base_url=server.url)), folder / "warm", make_transcripts(1, 999))
            before = len(server.requests)
            alone = open_engine("claude", EngineOptions(base_url=server.url))
            runs.append(finish(open_workers(server) if number else alone, folder / str(number), transcripts))
            requests.append(len(server.requests) - before)
            if number:
                before = len(server.requests)
                store = RunStore(runs[1].path, runs[1].manifest)
                finish(open_workers(server), folder, transcripts + make_transcripts(5, 60), store)
                asked = {seen.digest for seen in server.requests[before:]}
    one, two = (read_lines(store) for store in runs)
    failed = sum("failure" in json.loads(line) for line in one)
    return {
        "same": one
        == [line for line in two if json.loads(line)["transcript_id"] not in {f"t{n}" for n in range(60, 65)}],
        "failed": failed,
        "requests": requests,
        "files": sum(path.stat().st_size > 0 for path in find_record_files(runs[1].path)),
        "read_as_one": sorted(r.transcript_id for r in store.read_records()) == sorted(f"t{n}" for n in range(65)),
        "asked_again": len(asked),
    }


def hold_limits(folder: Path) -> dict[str, Any]:
    """Requests a second, and tokens, as the server saw them: under limits that were given, and one that it told of."""
    facts: dict[str, Any] = {}
    with Loopback(latency_s=0.05) as server:
        finish(open_workers(server, 50, requests_per_minute=2400), folder / "requests", make_transcripts(200))
        facts["given"] = measure(server)
    with Loopback(latency_s=0.05) as server:
        store = finish(open_workers(server, 50, tokens_per_minute=300_000), folder / "tokens", make_transcripts(120))
        tokens = [r.usage.input_tokens + r.usage.cache_write_tokens for r in store.read_records()]
        took = server.requests[-1].at - server.requests[0].at
        facts["tokens"] = {"rate": (sum(tokens) - sum(tokens) / len(tokens)) / took * 60, "limit": 300_000}
    with Loopback(latency_s=0.05, remaining=2400) as server:
        finish(open_workers(server, 50), folder / "learned", make_transcripts(180))
        facts["learned"] = measure(server, after_s=1.0)
    return facts


def measure(server: Loopback, after_s: float = 0.0) -> dict[str, float]:
    """Requests a second from first to last, and in the busiest second."""
    times = [seen.at for seen in server.requests if seen.at >= server.requests[0].at + after_s]
    busiest = max(sum(1 for other in times if at <= other < at + 1) for at in times)
    return {"rate": (len(times) - 1) / (times[-1] - times[0]), "busiest": busiest}


def refuse(folder: Path) -> str:
    """What a refused key looks like."""
    with Loopback(plan=always("unauthorised")) as server:
        try:
            finish(open_workers(server), folder / "refused", make_transcripts(30))
        except EngineError as error:
            return str(error)
    return "nothing"


def answer_without_folder() -> int:
    """How many drafts come back through the driver when the workers have no run's folder to write in."""
    with Loopback() as server:
        engine = open_workers(server)
        requests = [PROMPT.render(t, model=engine.model, parameters=engine.parameters) for t in make_transcripts(20)]
        done = list(engine.complete(requests))
        assert isinstance(engine, ClusterEngine)
        engine.close()
    return sum(c.draft is not None and c.stored_at is None for c in done)


def kill_node(folder: Path, cluster: Any, node: Any) -> dict[str, Any]:
    """One of two nodes dies at half: what is lost, what was asked twice."""
    transcripts = make_transcripts(240)
    with Loopback(latency_s=0.5) as server:
        engine = open_workers(server)
        for count, (_store, _record) in enumerate(extract(engine, folder / "killed", transcripts), start=1):
            store = _store
            if count == 120:
                kill_workers(node.all_processes["raylet"][0].process.pid)
                cluster.remove_node(node, allow_graceful=False)
        answered = sum(server.answered.values())
    assert isinstance(engine, ClusterEngine)
    engine.close()
    return {
        "lines": len(read_lines(store)),
        "records": sum(r.extraction is not None for r in store.read_records()),
        "asked_twice": answered - len(server.answered),
        "in_flight": 25,  # what a worker with a concurrency of 20 has at most
    }


def kill_workers(raylet: int | None = None) -> None:
    """Kill the workers of a node, or all, as a power cut would; else they would notice, and finish a little."""
    for entry in Path("/proc").iterdir():
        with contextlib.suppress(OSError):
            if entry.name.isdigit() and (entry / "cmdline").read_bytes().startswith(b"ray::Worker"):
                parent = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
                if raylet in (None, parent):
                    os.kill(int(entry.name), signal.SIGKILL)


def die_always(folder: Path) -> dict[str, Any]:
    """What becomes of requests whose workers die whenever they are asked."""
    with Loopback(latency_s=60.0) as server:

        def kill_often() -> None:
            for _ in range(3):
                while server.in_flight < 3:  # all of them have arrived
                    time.sleep(0.05)
                kill_workers()
                while server.in_flight:
                    time.sleep(0.05)

        threading.Thread(target=kill_often, daemon=True).start()
        engine = open_engine("cluster", EngineOptions(base_url=server.url, workers=1))
        store = finish(engine, folder / "dying", make_transcripts(3))
        failures = {str(r.failure and r.failure.message) for r in store.read_records()}
    return {"failures": sorted(failures), "records": len(read_lines(store)), "asked": len(server.requests)}


def main() -> None:
    import ray
    from ray.cluster_utils import Cluster

    folder = Path(sys.argv[1])
    head = {"num_cpus": 1, "include_dashboard": False, "object_store_memory": MEMORY}
    cluster = Cluster(initialize_head=True, head_node_args=head)
    try:
        node = cluster.add_node(num_cpus=1, object_store_memory=MEMORY)
        ray.init(address=cluster.address, log_to_driver=False, logging_level="ERROR")
        facts: dict[str, Any] = {}
        for name, act in (
            ("compared", lambda: compare(folder)),
            ("limits", lambda: hold_limits(folder)),
            ("refused", lambda: refuse(folder)),
            ("without_folder", answer_without_folder),
            ("dying", lambda: die_always(folder)),
            ("killed", lambda: kill_node(folder, cluster, node)),
        ):
            began = time.monotonic()
            facts[name] = act()
            print(f"{name}: {time.monotonic() - began:.1f} s", file=sys.stderr)
    finally:
        ray.shutdown()
        cluster.shutdown()
    print(json.dumps(facts))


if __name__ == "__main__":
    main()
