"""`python -m evals.benchmarks.batches`: time and peak memory of a run through Message Batches.

100,000 invented short interviews end to end: read from a file, rendered, sent in batches of at most
256 MB, collected unordered, validated, grounded, stored. The provider is the loopback server in a process
of its own, so that its memory and work are not counted.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from pathlib import Path

from extract.tests.loopback import LoopbackProcess
from extract.tests.samples import BAKER

PEAK_MB = 300


def main() -> int:
    """Measure one run; returns 0 where it kept its promises."""
    parser = argparse.ArgumentParser(prog="python -m evals.benchmarks.batches", description=__doc__)
    parser.add_argument("--requests", type=int, default=100_000)
    parser.add_argument("--child", nargs=3, metavar=("URL", "SOURCE", "RUNS"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        return measure(*options.child)
    with tempfile.TemporaryDirectory() as folder, LoopbackProcess() as server:
        source = Path(folder) / "interviews.jsonl"
        with source.open("w") as file:
            for n in range(options.requests):
                file.write(json.dumps({"id": f"t{n}", "text": f"{BAKER} Number {n}."}) + "\n")
        command = [sys.executable, "-m", "evals.benchmarks.batches", "--child", server.url, str(source), folder]
        done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
        result = json.loads(done.stdout)
        with urllib.request.urlopen(f"{server.url}/batch_stats") as answer:
            result |= {f"server_{name}": value for name, value in json.load(answer).items()}
    print(json.dumps(result, indent=1))
    kept = result["answered"] == options.requests and result["server_submitted_twice"] == 0
    return 0 if kept and result["peak_mb"] <= PEAK_MB else 1


def measure(url: str, source: str, runs: str) -> int:
    """The run itself; prints what it took as JSON."""
    from extract.engines import EngineOptions, open_engine
    from extract.pipeline import Plan, close_manifest, describe_run, run_extraction
    from extract.prompt import load_prompt
    from extract.store import create_run
    from extract.transcripts import Source, load_transcripts
    from schemas.codebook import load_codebook

    os.environ["ANTHROPIC_API_KEY"] = "x"
    started = time.monotonic()
    threading.Thread(target=_report, args=(started,), daemon=True).start()
    prompt = load_prompt("v1", load_codebook())
    engine = open_engine("batches", EngineOptions(base_url=url, poll_s=0.5, say=lambda m: print(m, file=sys.stderr)))
    plan = Plan()
    answered = 0
    with create_run(Path(runs), describe_run(prompt, engine, source, 1)) as store:
        for record in run_extraction(load_transcripts(Source(source)), prompt, engine, store, plan):
            answered += record.failure is None
        store.write_manifest(close_manifest(store, plan))
    used = resource.getrusage(resource.RUSAGE_SELF)
    seconds = time.monotonic() - started
    result = {
        "requests": plan.asked,
        "answered": answered,
        "seconds": round(seconds, 1),
        "cpu_ms_per_request": round((used.ru_utime + used.ru_stime) / max(plan.asked, 1) * 1000, 2),
        "peak_mb": round(used.ru_maxrss / 1024),
    }
    print(json.dumps(result))
    return 0


def _report(started: float) -> None:
    """Where the memory goes while it runs, on standard error."""
    while True:
        time.sleep(20)
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        print(f"{time.monotonic() - started:5.0f} s, peak {peak:.0f} MB", file=sys.stderr, flush=True)


if __name__ == "__main__":
    raise SystemExit(main())
