"""`python -m evals.benchmarks.exports`: time and memory of every export, at several sizes of a run.

Invented records, each export in a process of its own. `read` only reads the run: what it takes is the
run store's index, which every export pays as well. Memory is the peak of the resident set.
"""

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from extract.errors import ExportError
from extract.exports import FOLDERS, ExportPlan, export_project, export_tables, export_workbook
from extract.store import RunStore, create_run, open_run
from extract.tests.export_samples import make_record_of
from extract.tests.samples import make_manifest, make_transcript
from schemas.codebook import load_codebook
from schemas.transcript import Transcript

FORMATS = ("read", *FOLDERS, "xlsx", "qdpx")


def main() -> int:
    """Print one line for each size and format; returns the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m evals.benchmarks.exports", description="time and memory of exports"
    )
    parser.add_argument("--records", type=int, nargs="+", default=[20_000, 200_000], metavar="N")
    parser.add_argument("--formats", nargs="+", default=FORMATS, choices=FORMATS)
    parser.add_argument("--child", nargs=2, metavar=("RUN", "FORMAT"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        return _measure(open_run(options.child[0]), options.child[1])
    print("| records | export | seconds | peak MB | result |\n| ---: | --- | ---: | ---: | --- |")
    for count in options.records:
        with tempfile.TemporaryDirectory() as folder:
            run = _write_run(Path(folder), count)
            for format in options.formats:
                child = [sys.executable, "-m", "evals.benchmarks.exports", "--child", str(run), format]
                done = json.loads(subprocess.run(child, check=True, capture_output=True, text=True).stdout)
                print(
                    f"| {count:,} | {format} | {done['seconds']:.1f} | {done['peak_mb']:.0f} | {done['result']} |",
                    flush=True,
                )
    return 0


def _write_run(folder: Path, count: int) -> Path:
    """A run of so many records, written as lines: validating each would take longer than the exports."""
    store = create_run(folder, make_manifest(codebook_sha256=load_codebook().hash, records=count))
    line = make_record_of(make_transcript("NAME")).model_dump_json(exclude_none=True)
    with store.records_path.open("w", encoding="utf-8") as file:
        file.writelines(line.replace("NAME", f"interview_{n:07}", 1) + "\n" for n in range(count))
    return store.path


def _iterate_transcripts(count: int) -> Iterator[Transcript]:
    """The transcripts of the run, in another order than its records."""
    transcript = make_transcript()
    for n in reversed(range(count)):
        yield replace(transcript, id=f"interview_{n:07}")


def _measure(store: RunStore, format: str) -> int:
    started = time.monotonic()
    plan, codebook = ExportPlan(format), load_codebook()
    try:
        if format == "read":
            result = str(sum(1 for _ in store.read_records()))
        elif format == "qdpx":
            result = str(export_project(store, plan, codebook, _iterate_transcripts(store.manifest.records))[1])
        elif format == "xlsx":
            result = str(export_workbook(store, plan, codebook)[1]["quotes"])
        else:
            result = str(export_tables(store, plan)[1])
    except ExportError as error:
        result = str(error)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps({"seconds": time.monotonic() - started, "peak_mb": peak, "result": result}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
