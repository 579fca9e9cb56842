"""`python -m evals.benchmarks.outage`: how soon 250 interviews are answered when the provider is away for 20 s.

For the first seconds every request gets a 529. The ideal is the outage and then the answers at full
concurrency: 20 s + 250 x 1 s / 50 = 25 s. Prints a line for each repetition.
"""

import argparse
import statistics
import tempfile
import time
from pathlib import Path

from extract.engines import EngineOptions, open_engine
from extract.pipeline import Plan, describe_run, run_extraction
from extract.prompt import load_prompt
from extract.store import create_run
from extract.tests.loopback import Loopback
from extract.tests.loopback_faults import Fault
from extract.tests.samples import load_interviews
from schemas.codebook import load_codebook


def main() -> int:
    """Measure; the exit status is 1 where an interview was lost."""
    parser = argparse.ArgumentParser(prog="python -m evals.benchmarks.outage", description=__doc__)
    parser.add_argument("--interviews", type=int, default=250)
    parser.add_argument("--concurrency", type=int, default=50)
    parser.add_argument("--latency", type=float, default=1.0, help="seconds of one answer")
    parser.add_argument("--outage", type=float, default=20.0, help="seconds of 529s")
    parser.add_argument("--times", type=int, default=3)
    options = parser.parse_args()
    ideal = options.outage + options.interviews * options.latency / options.concurrency
    ratios, lost = [], 0
    for _ in range(options.times):
        seconds, answered, asked = measure(options)
        ratios.append(seconds / ideal)
        lost += options.interviews - answered
        print(f"{answered} of {options.interviews} in {seconds:.1f} s, {ratios[-1]:.2f} of the ideal {ideal:.1f} s; "
              f"{asked} requests")  # fmt: skip
    print(f"median {statistics.median(ratios):.2f} of the ideal, worst {max(ratios):.2f}")
    return int(lost > 0)


def measure(options: argparse.Namespace) -> tuple[float, int, int]:
    """Seconds, interviews answered and requests sent of one run through an outage."""
    interviews = load_interviews(options.interviews)
    prompt = load_prompt("v1", load_codebook())
    began = [0.0]

    def plan(_ordinal: int, _digest: str, _attempt: int) -> Fault | None:
        began[0] = began[0] or time.monotonic()
        return Fault("overloaded") if time.monotonic() - began[0] < options.outage else None

    with tempfile.TemporaryDirectory() as folder, Loopback(plan=plan, latency_s=options.latency) as server:
        choice = EngineOptions(base_url=server.url, concurrency=options.concurrency, model="claude-sonnet-5-5")
        engine = open_engine("claude", choice)
        done = 0
        with create_run(Path(folder), describe_run(prompt, engine, "outage", 1)) as store:
            for record in run_extraction(interviews, prompt, engine, store, Plan()):
                done += record.extraction is not None
            seconds = time.monotonic() - began[0]
        return seconds, done, len(server.requests)


if __name__ == "__main__":
    raise SystemExit(main())
