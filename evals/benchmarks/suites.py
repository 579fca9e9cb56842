"""`pytest evals` against the suites of other libraries: 40 cases whose answers take 0.25 s each.

Measured whole, and empty: the same command with no case. The peers' suites ask with the standard library, so
that they bear no SDK's import; ours bears one, and it is shown apart. The server's answers are made up, so
the gates, which such answers rightly fail, are left out of ours; its scores are counted all the same.
"""

import shutil
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from evals.benchmarks.environments import PEERS
from evals.benchmarks.processes import ROOT, Budget, run_program
from evals.goldens import find_golden_paths, load_goldens
from extract.tests.loopback import LoopbackProcess

LATENCY_S = 0.25
CASES = 40
"""As many as the larger set of goldens has."""

ENDS_WELL = (0, 5)
"""With 5 pytest ends when it ran no test."""


@dataclass(frozen=True)
class Suite:
    """One way to run one library's suite: programs of its environment, one after the other."""

    peer: str
    label: str
    commands: tuple[str, ...] = ()


PYTEST = "python -m pytest -q -p no:cacheprovider"
SUITES = (
    Suite("ours", "`pytest evals --engine claude`"),
    Suite("pytest_evals", "pytest-evals", (f"{PYTEST} --run-eval --run-eval-analysis test_peer.py",)),
    Suite(
        "pytest_evals",
        "pytest-evals, in parallel as it documents (`-n 8`, then the analysis)",
        (f"{PYTEST} --run-eval -n 8 test_peer.py", f"{PYTEST} --run-eval-analysis test_peer.py"),
    ),
    Suite("deepeval", "`deepeval test run`", ("deepeval test run test_peer.py",)),
    Suite("deepeval", "`deepeval test run -n 4`", ("deepeval test run -n 4 test_peer.py",)),
)


def find_set() -> tuple[str, int]:
    """The golden set to run (the real one, where its texts are) and how many of its goldens have their text."""
    for name in ("anthropic_interviewer", "authored"):
        if found := len(load_goldens(find_golden_paths([name])).transcripts):
            return name, found
    return "authored", 0


def measure_suite(
    suite: Suite, *, requests: Path, golden_set: str, cases: int, repeats: int, budget: Budget, folder: Path
) -> dict[str, Any]:
    """One row: the fewest seconds of the whole, of the empty start, of the SDK's import. Raises MeasurementError."""
    whole, empty, imports = [], [], []
    for _ in range(repeats):
        with LoopbackProcess(latency_s=LATENCY_S) as server:
            run = _OurRun(golden_set) if suite.peer == "ours" else _PeerRun(suite, requests)
            whole.append(run.time(server.url, cases, budget, _make_folder(folder)))
            empty.append(run.time(server.url, 0, budget, _make_folder(folder)))
        if suite.peer == "ours":
            imports.append(_time_import(budget, folder))
    row: dict[str, Any] = {"suite": suite.label, "cases": cases}
    row |= {"whole_s": min(whole), "empty_s": min(empty)}
    return row | ({"import_s": min(imports)} if imports else {})


def _make_folder(parent: Path) -> Path:
    folder = parent / f"suite-{len(list(parent.iterdir()))}"
    folder.mkdir()
    return folder


@dataclass(frozen=True)
class _OurRun:
    golden_set: str

    def time(self, url: str, cases: int, budget: Budget, folder: Path) -> float:
        words = [*PYTEST.split()[1:], "evals", "--engine", "claude", "--base-url", url, "--set", self.golden_set]
        words += ["--runs", str(folder), "-k", "not baseline" if cases else "no_such_case"]
        timeout = budget.bound(120)
        return run_program([sys.executable, *words], folder=ROOT, timeout_s=timeout, statuses=ENDS_WELL).seconds


@dataclass(frozen=True)
class _PeerRun:
    suite: Suite
    requests: Path

    def time(self, url: str, cases: int, budget: Budget, folder: Path) -> float:
        source = Path(__file__).parent / "peers" / f"suite_{self.suite.peer}.py"
        shutil.copy(source, folder / "test_peer.py")  # a name that the peers' runners accept
        variables = {"BENCH_URL": url, "BENCH_REQUESTS": str(self.requests), "BENCH_CASES": str(cases)}
        seconds = 0.0
        for command in self.suite.commands:
            program, *words = command.split()
            seconds += run_program(
                [PEERS[self.suite.peer].bin / program, *words],
                folder=folder,
                timeout_s=budget.bound(120),
                environment=variables,
                statuses=ENDS_WELL,
            ).seconds
        return seconds


def _time_import(budget: Budget, folder: Path) -> float:
    """Seconds that the SDK's import takes, without those of Python's own start."""
    with_sdk, without = (
        run_program([sys.executable, "-c", code], folder=folder, timeout_s=budget.bound(60)).seconds
        for code in ("import anthropic", "pass")
    )
    return with_sdk - without
