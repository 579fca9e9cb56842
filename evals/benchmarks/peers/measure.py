"""What every peer's program shares: the requests, the clock and the line of JSON that it prints."""

import json
import re
import resource
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any


def load_requests(path: str) -> list[dict[str, Any]]:
    """The requests: `system`, `user` and the interview's bare `text`; the first has `schema` and `examples` as well."""
    return [json.loads(line) for line in Path(path).read_text(encoding="utf-8").splitlines()]


def measure(work: Callable[[], int], library: str, settings: str) -> None:
    """Run the work, whose imports are done, and print seconds, CPU and memory; it returns how many were answered.

    `settings` says how the library was asked: the API, how the answer is held to its form, retries.
    """
    cpu, started = time.process_time(), time.monotonic()
    answered = work()
    seconds = time.monotonic() - started
    used = time.process_time() - cpu
    result = {"library": library, "settings": settings, "answered": answered, "seconds": seconds, "cpu_s": used}
    sys.stdout.write("\n" + json.dumps({**result, "peak_mb": _find_peak_mb()}) + "\n")


def _find_peak_mb() -> float:
    """Most memory this process held. The kernel's own count, since that of getrusage begins with the parent's."""
    status = Path("/proc/self/status")
    if status.exists() and (found := re.search(r"^VmHWM:\s+(\d+) kB", status.read_text(), re.MULTILINE)):
        return int(found[1]) / 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
