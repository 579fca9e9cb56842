"""`make bench`, or `python -m evals.benchmarks`: us against our peers, on this machine, in one run.

Each peer is installed into an environment of its own; one that does not install is left out with the reason in
its row. Then, one after the other and each in a process of its own: throughput against a loopback server,
`pytest evals` against other suites, start-up. Writes `results/benchmarks.md` and `.json`.
"""

import argparse
import signal
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from evals.benchmarks.answers import compute_answers
from evals.benchmarks.environments import PEERS, install
from evals.benchmarks.processes import Budget, MeasurementError
from evals.benchmarks.results import describe_machine, render_results, store_results
from evals.benchmarks.startup import COMMANDS, measure_startup
from evals.benchmarks.suites import CASES, SUITES, find_set, measure_suite
from evals.benchmarks.throughput import SCRIPTS, find_rounds, measure_throughput, write_inputs

RESULTS = Path(__file__).parent / "results"
QUICK_REQUESTS = 200


def main(words: Sequence[str] | None = None) -> int:
    """Measure, print the tables and write them; returns the exit status."""
    options = _build_parser().parse_args(words)
    if options.quick:
        options.requests = min(options.requests, QUICK_REQUESTS)
    results: dict[str, Any] = {"machine": describe_machine(), "quick": options.quick}
    bench = Bench(options)
    results["left_out"] = bench.install()
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        bench.folder = Path(folder)
        bench.inputs = write_inputs(bench.folder, max(options.requests, CASES))
        bench.budget = Budget(options.budget)
        results["answers"] = compute_answers()
        results["startup"] = bench.measure_startups()
        results["suites"] = bench.measure_suites()
        results["throughput"] = list(bench.iterate_rounds())
    page = store_results(results, options.results, "quick" if options.quick else "benchmarks")
    print(render_results(results))
    print(f"Written to {page} and {page.with_suffix('.json').name}.", file=sys.stderr)
    return 0


def _build_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m evals.benchmarks", description="us against our peers")
    parser.add_argument("--requests", type=int, default=1250, help="interviews at the highest concurrency")
    parser.add_argument("--concurrency", type=int, nargs="+", default=[50, 250], metavar="N")
    parser.add_argument("--latency", type=float, default=1.0, help="seconds of one answer (default: 1)")
    parser.add_argument("--only", type=_split, metavar="PEER,...", default=list(PEERS), help=", ".join(PEERS))
    parser.add_argument("--quick", action="store_true", help=f"{QUICK_REQUESTS} interviews, once, to see that it works")
    parser.add_argument("--timeout", type=float, default=180.0, help="seconds that one measurement may take")
    parser.add_argument("--budget", type=float, default=720.0, help="seconds for all of them, installing aside")
    parser.add_argument("--results", type=Path, default=RESULTS, metavar="DIR", help="where the tables go")
    return parser


def _split(value: str) -> list[str]:
    names = value.split(",")
    for name in names:
        if name not in PEERS:
            raise argparse.ArgumentTypeError(f"unknown peer {name!r}. Choose from: {', '.join(PEERS)}.")
    return names


class Bench:
    """One run: what was asked for, what installs, and the rows."""

    folder: Path
    inputs: tuple[Path, Path]
    budget: Budget

    def __init__(self, options: argparse.Namespace) -> None:
        self.options = options
        self.repeats = 1 if options.quick else 3
        self.missing: dict[str, str] = {}

    def install(self) -> dict[str, str]:
        """Install what was asked for; returns why some are left out."""
        for name in self.options.only:
            try:
                install(PEERS[name])
            except MeasurementError as reason:
                self.missing[name] = str(reason)
                _say(f"{name}: left out, it {reason}")
        return self.missing

    def iterate_rounds(self) -> Iterator[dict[str, Any]]:
        """Throughput at each concurrency."""
        options = self.options
        for requests, concurrency in find_rounds(options.requests, options.concurrency):
            ideal = max(requests / concurrency, 1.0) * options.latency
            rows = []
            for peer in (name for name in SCRIPTS if name in options.only):
                measure = partial(
                    measure_throughput,
                    peer,
                    inputs=self.inputs,
                    requests=requests,
                    concurrency=concurrency,
                    latency=options.latency,
                    timeout_s=options.timeout,
                    budget=self.budget,
                    folder=self.folder,
                )
                rows.append({"ideal_s": ideal, **self._try(peer, f"{peer}, {concurrency} at once", measure)})
            about = {"requests": requests, "concurrency": concurrency, "latency_s": options.latency, "ideal_s": ideal}
            yield {**about, "rows": rows}

    def measure_suites(self) -> list[dict[str, Any]]:
        """The suites, on as many cases as there are goldens with a text."""
        golden_set, cases = find_set()
        wanted = [suite for suite in SUITES if suite.peer in self.options.only]
        rows = []
        for suite in wanted:
            measure = partial(
                measure_suite,
                suite,
                requests=self.inputs[1],
                golden_set=golden_set,
                cases=cases,
                repeats=min(self.repeats, 2),
                budget=self.budget,
                folder=self.folder,
            )
            rows.append(self._try(suite.peer, suite.label, measure))
        return rows

    def measure_startups(self) -> list[dict[str, Any]]:
        """The help of each command line."""
        rows = []
        for peer, command in ((peer, command) for peer, command in COMMANDS if peer in self.options.only):
            measure = partial(
                measure_startup, peer, command, repeats=self.repeats, budget=self.budget, folder=self.folder
            )
            rows.append(self._try(peer, f"`{command}`", measure))
        return rows

    def _try(self, peer: str, label: str, measure: Callable[[], dict[str, Any]]) -> dict[str, Any]:
        """The row, or why there is none: one failure stops nothing."""
        if peer in self.missing:
            return {"name": label, "left_out": self.missing[peer]}
        _say(label)
        try:
            return {"name": label, **measure()}
        except MeasurementError as reason:
            _say(f"{label}: left out, {reason}")
            return {"name": label, "left_out": str(reason)}


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def _stop(*_: object) -> None:
    raise SystemExit(143)


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, _stop)  # so that what was started is ended as well
    raise SystemExit(main())
