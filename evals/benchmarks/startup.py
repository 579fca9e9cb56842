"""How long a command line takes to say its help: the median of several starts, all files warm."""

import statistics
from pathlib import Path
from typing import Any

from evals.benchmarks.environments import PEERS
from evals.benchmarks.processes import Budget, run_program

COMMANDS = (
    ("ours", "python -c pass"),
    ("ours", "python -m extract --help"),
    ("ours", "python -m evals --help"),
    ("pydantic_ai", "pai --help"),
    ("inspect", "inspect --help"),
    ("deepeval", "deepeval --help"),
)


def measure_startup(peer: str, command: str, *, repeats: int, budget: Budget, folder: Path) -> dict[str, Any]:
    """One row: median seconds after one start that is not counted. Raises MeasurementError."""
    program, *words = command.split()
    full = [PEERS[peer].bin / program, *words]
    taken = [run_program(full, folder=folder, timeout_s=budget.bound(60)).seconds for _ in range(repeats + 1)]
    return {"command": command, "seconds": statistics.median(taken[1:])}
