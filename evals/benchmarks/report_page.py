"""`python -m evals.benchmarks.report_page RUN`: how long the report of a run takes to write, to open and to filter.

Writes the report three times in a process of its own (the quickest counts), opens it three times in Debian's
Chromium, and types and chooses in the filters. Prints a Markdown table. Other work on the machine makes it slower.
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

CHROMIUM = "/usr/bin/chromium"
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update"]
FILTERS = (
    ("section", "concerns"),
    ("code", "unreliability"),
    ("attribute", "timing:lived"),
    ("also", "future_wishes/limit_use"),
    ("cohort", ""),
    *(("text", "the draft"[:n]) for n in range(1, 10)),
)


def main() -> int:
    """Measure one run; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m evals.benchmarks.report_page", description="the report's speed")
    parser.add_argument("run", help="a run's folder")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        page = Path(folder) / "report.html"
        write_s = min(_time(lambda: _write(options.run, page)) for _ in range(3))
        opened_ms, filters_ms = _open(page)
        lines = [
            f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}, page {page.stat().st_size / 1e6:.1f} MB.",
            "",
            "| | |",
            "| --- | ---: |",
            f"| written | {write_s:.1f} s |",
            f"| usable, from the start of loading | {min(opened_ms):.0f} ms |",
            f"| a filter, median | {statistics.median(filters_ms):.0f} ms |",
            f"| a filter, slowest | {max(filters_ms):.0f} ms |",
        ]
    print("\n".join(lines))
    return 0


def _time(work: Callable[[], Any]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def _write(run: str, page: Path) -> None:
    command = [sys.executable, "-m", "extract", "report", run, "--out", str(page)]
    subprocess.run(command, check=True, capture_output=True)


def _open(path: Path) -> tuple[list[float], list[float]]:
    """Milliseconds until the page is ready, and of each filter until its list is there."""
    from playwright.sync_api import sync_playwright

    opened, filters = [], []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        for _ in range(3):
            page = browser.new_page()
            page.goto(path.as_uri())
            page.wait_for_function("document.documentElement.dataset.ready")
            opened.append(float(page.evaluate("document.documentElement.dataset.ready")))
            page.evaluate("location.hash = '#quotes'")
            page.wait_for_timeout(1000)  # someone looks at the list before they type
            for name, value in FILTERS:
                page.evaluate(
                    "([name, value]) => { const field = document.querySelector('#quote-filters').elements[name];"
                    " field.value = value; field.dispatchEvent(new Event('input', { bubbles: true })); }",
                    [name, value],
                )
                filters.append(float(page.evaluate("document.documentElement.dataset.filterMs")))
            page.close()
        browser.close()
    return opened, filters


if __name__ == "__main__":
    raise SystemExit(main())
