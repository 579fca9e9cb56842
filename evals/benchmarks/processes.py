"""Run one program of a benchmark: in a group of its own, bounded in time, its reason kept when it fails."""

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
QUIET = {
    "ANTHROPIC_API_KEY": "x",
    "OPENAI_API_KEY": "x",
    "DEEPEVAL_TELEMETRY_OPT_OUT": "YES",
    "HF_HUB_OFFLINE": "1",
    "TELEMETRY_ENABLED": "false",
}
"""No real key, no telemetry, nothing fetched."""


class MeasurementError(Exception):
    """What could not be measured; the message says why, in a line."""


@dataclass(frozen=True)
class Done:
    """A program that ended well: what it printed, and how long it took as a whole (seconds)."""

    stdout: str
    seconds: float


class Budget:
    """The time that all programs together may take, from now."""

    def __init__(self, seconds: float) -> None:
        self._ends = time.monotonic() + seconds

    def bound(self, timeout_s: float) -> float:
        """A timeout, or what is left of the budget if that is less. Raises MeasurementError when it is used up."""
        left = self._ends - time.monotonic()
        if left < 1:
            raise MeasurementError("the time for all of it was used up")
        return min(timeout_s, left)


def run_program(
    command: Sequence[object],
    *,
    folder: Path,
    timeout_s: float,
    environment: Mapping[str, str] | None = None,
    statuses: Sequence[int] = (0,),
) -> Done:
    """Run a program in `folder` and wait for it. Raises MeasurementError where it fails or is not done in time."""
    variables = {**os.environ, **QUIET, "PYTHONPATH": str(ROOT), **(environment or {})}
    started = time.monotonic()
    with subprocess.Popen(
        [str(word) for word in command],
        cwd=folder,
        env=variables,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as process:
        try:
            stdout, stderr = process.communicate(timeout=timeout_s)
            seconds = time.monotonic() - started
        except subprocess.TimeoutExpired:
            raise MeasurementError(f"not done in {timeout_s:.0f} s") from None
        finally:
            _end_group(process.pid)
    if process.returncode not in statuses:
        raise MeasurementError(_find_reason(stderr) or _find_reason(stdout) or f"exit status {process.returncode}")
    return Done(stdout, seconds)


def _end_group(leader: int) -> None:
    """End the program, and whatever it started and left running."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(leader, signal.SIGKILL)


def _find_reason(output: str) -> str:
    """The last line that speaks of an error, else the last one."""
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    errors = [line for line in lines if "error" in line.lower()]
    return (errors or lines or [""])[-1][:200].replace("|", "/")
