"""`python -m evals.benchmarks.million`: a run of a million records, and what the commands take on it.

The records are synthetic: one invented interview's extraction under a million ids, and those of the accepted
baseline, so that there is something to score. Each command is a process of its own; seconds include its
start, memory is the kernel's count of the most that it held. Prints a Markdown table.
"""

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import NamedTuple

from extract.engines import EngineOptions, open_engine
from extract.index import NAME
from extract.pipeline import describe_run
from extract.prompt import load_prompt
from extract.store import create_run, open_run
from extract.tests.samples import make_answered
from schemas.codebook import load_codebook

ROOT = Path(__file__).parents[2]
AUTHORED = ROOT / "goldens" / "authored" / "transcripts"
BASELINE = ROOT / "runs" / "baseline" / "rules"
FAIL_EVERY = 100

_MEASURED = """
import importlib, re, sys
status = importlib.import_module(sys.argv[1] + ".cli").main(sys.argv[2:])
print("peak", re.search(r"VmHWM:\\s+(\\d+)", open("/proc/self/status").read())[1], file=sys.stderr)
raise SystemExit(status)
"""


class Measured(NamedTuple):
    """What one command took."""

    name: str
    seconds: float
    peak_mb: float
    said: str


def main() -> int:
    """Make the run, measure the commands; exit status 1 where one of them fails."""
    parser = argparse.ArgumentParser(prog="python -m evals.benchmarks.million", description=__doc__)
    parser.add_argument("--records", type=int, default=1_000_000)
    parser.add_argument("--folder", type=Path, help="where the run is made and kept (default: a passing folder)")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as passing:
        folder = options.folder or Path(passing)
        started = time.monotonic()
        run = write_run(folder, options.records)
        size = (run / "records.jsonl").stat().st_size
        made = f"{options.records:,} records of {size / options.records / 1000:.1f} kB, {size / 1e9:.2f} GB, made in "
        print(f"{made}{time.monotonic() - started:.0f} s.", file=sys.stderr)
        results = list(measure_commands(folder, run, options.records))
        index = (run / NAME).stat().st_size if (run / NAME).exists() else 0
    print(render(results, f"{options.records:,} records, {size / 1e9:.2f} GB; the index {index / 1e6:.0f} MB."))
    return 0


def write_run(runs: Path, count: int) -> Path:
    """A run as `run AUTHORED --engine rules` would have begun it, with `count` records and the baseline's."""
    engine = open_engine("rules", EngineOptions())
    manifest = describe_run(load_prompt("v1", load_codebook()), engine, str(AUTHORED), 1)
    command = ("run", str(AUTHORED), "--engine", "rules")
    store = create_run(runs, manifest.model_copy(update={"command": command}))
    with (store.path / "records.jsonl").open("wb") as file:
        file.writelines(_write_lines(count))
        file.write((BASELINE / "records.jsonl").read_bytes())
    with open_run(store.path) as opened:
        opened.write_manifest(opened.manifest.model_copy(update={"status": "complete", **opened.sum_up()}))
    (store.path / NAME).unlink(missing_ok=True)
    return store.path


def _write_lines(count: int) -> Iterator[bytes]:
    """Lines of one template, filled with an id and a request hash of their own."""
    good = make_answered()
    bad = good.model_copy(update={"extraction": None, "draft": None, "failure": None})
    failure = {"kind": "refusal", "message": "The model refused to answer."}
    texts = [json.dumps(json.loads(r.model_dump_json(exclude_none=True))) for r in (good, bad)]
    texts[1] = texts[1][:-1] + f', "failure": {json.dumps(failure)}}}'
    id_mark, hash_mark = '"transcript_id": "baker"', f'"{good.request_hash}"'
    parts = [text.replace(id_mark, "\0").replace(hash_mark, "\0").split("\0") for text in texts]
    for n in range(count):
        head, middle, tail = parts[n % FAIL_EVERY == FAIL_EVERY - 1]
        name, key = f'"transcript_id": "t{n:07}"', sha256(b"%d" % n).hexdigest()
        yield f'{head}{name}{middle}"{key}"{tail}\n'.encode()


def measure_commands(folder: Path, run: Path, count: int) -> Iterator[Measured]:
    """Each command once; the first one finds no index and makes it."""
    again = ["extract", "run", str(AUTHORED), "--engine", "rules", "--runs", str(folder)]
    yield measure("resume, no index yet", *again)
    yield measure("resume, 12 interviews held", *again)
    yield measure("runs", "extract", "runs", "--runs", str(folder))
    yield measure("show RUN", "extract", "show", str(run))
    yield measure("show RUN ID", "extract", "show", str(run), f"t{count // 2:07}")
    yield measure("score RUN", "evals", "score", str(run))
    yield measure("report RUN", "extract", "report", str(run), "--out", str(folder / "report.html"))


def measure(name: str, package: str, *arguments: str) -> Measured:
    """Run one command. Raises RuntimeError where it fails."""
    command = [sys.executable, "-c", _MEASURED, package, *arguments]
    started = time.monotonic()
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    seconds = time.monotonic() - started
    if done.returncode:
        raise RuntimeError(f"{name} failed: {done.stderr}")
    *said, peak = done.stderr.strip().splitlines()
    return Measured(name, seconds, int(peak.split()[1]) / 1024, "\n".join([*said, done.stdout]))


def render(results: list[Measured], about: str) -> str:
    """The table."""
    lines = [
        about,
        f"{datetime.now(UTC):%Y-%m-%d}, {os.cpu_count()} cores, Python {platform.python_version()}.",
        "",
        "| | seconds | peak MB |",
        "| --- | ---: | ---: |",
        *(f"| {result.name} | {result.seconds:.1f} | {result.peak_mb:.0f} |" for result in results),
    ]
    return "\n".join(lines)


if __name__ == "__main__":
    raise SystemExit(main())
