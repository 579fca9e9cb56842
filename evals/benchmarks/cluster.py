"""`python -m evals.benchmarks.cluster`: what the driver of a cluster can take, on local Ray (pip install '.[cluster]').

Interviews from a file through workers that drive `claude` against the loopback server in a process of its own. The
driver reads, renders, hands out and counts; its CPU a record bounds how many a second one driver can take,
whatever the number of workers. On one machine all share its cores, so `records_per_s` is no bound.
"""

import argparse
import contextlib
import json
import os
import tempfile
import time
from pathlib import Path

from evals.benchmarks.ten_million import find_corpus
from extract.engines import EngineOptions, open_engine
from extract.pipeline import Plan, describe_run, run_extraction
from extract.prompt import load_prompt
from extract.store import create_run
from extract.tests.loopback import LoopbackProcess
from extract.transcripts import BadTranscript, Source, load_transcripts
from schemas.codebook import load_codebook


def main() -> int:
    """Measure one run; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m evals.benchmarks.cluster", description=__doc__)
    parser.add_argument("--requests", type=int, default=2000)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--concurrency", type=int, default=250, help="of each worker")
    parser.add_argument("--latency", type=float, default=1.0, help="seconds of one response")
    options = parser.parse_args()
    os.environ["ANTHROPIC_API_KEY"] = "sk-loopback"
    with tempfile.TemporaryDirectory() as folder, LoopbackProcess(latency_s=options.latency) as server:
        source = Path(folder) / "interviews.jsonl"
        write_interviews(source, options.requests)
        known = EngineOptions(
            base_url=server.url,
            workers=options.workers,
            concurrency=options.concurrency,
            requests_per_minute=10**9,  # the server tells of limits, which would be learned and held
            tokens_per_minute=10**12,
            output_tokens_per_minute=10**12,
        )
        print(json.dumps(measure(source, Path(folder) / "runs", known), indent=1))
    return 0


def write_interviews(path: Path, count: int) -> None:
    """So many interviews of the corpus, over and over, each a text of its own."""
    texts = [t.text for t in load_transcripts(Source(find_corpus())) if not isinstance(t, BadTranscript)]
    with path.open("w", encoding="utf-8") as file:
        for n in range(count):
            turns = f"User: {n}.\n\nAssistant: Let us begin.\n\nUser: {texts[n % len(texts)]}"
            file.write(json.dumps({"id": f"t{n}", "text": turns}) + "\n")


def measure(source: Path, runs: Path, known: EngineOptions) -> dict[str, float]:
    """Records a second from the first answer on, and the driver's CPU a record."""
    prompt, engine = load_prompt("v1", load_codebook()), open_engine("cluster", known)
    store = create_run(runs, describe_run(prompt, engine, str(source), 1))
    with store:
        records = run_extraction(load_transcripts(Source(str(source))), prompt, engine, store, Plan())
        next(records)
        began, cpu, workers = time.monotonic(), time.process_time(), measure_workers()
        count = sum(1 for _ in records)
        took, used, busy = time.monotonic() - began, time.process_time() - cpu, measure_workers() - workers
    size = sum(path.stat().st_size for path in store.path.glob("records*.jsonl"))
    return {
        "records": count,
        "records_per_s": round(count / took, 1),
        "driver_cpu_ms_per_record": round(used / count * 1000, 3),
        "worker_cpu_ms_per_record": round(busy / count * 1000, 3),
        "driver_bound_per_s": round(count / used),
        "bytes_per_record": round(size / (count + 1)),
    }


def measure_workers() -> float:
    """Seconds of CPU that the workers on this machine have used."""
    ticks = 0
    for entry in Path("/proc").iterdir():
        with contextlib.suppress(OSError):
            if entry.name.isdigit() and (entry / "cmdline").read_bytes().startswith(b"ray::Worker"):
                ticks += sum(map(int, (entry / "stat").read_text().rpartition(")")[2].split()[11:13]))
    return ticks / os.sysconf("SC_CLK_TCK")


if __name__ == "__main__":
    raise SystemExit(main())
