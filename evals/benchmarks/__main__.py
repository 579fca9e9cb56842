"""`python -m evals.benchmarks`: throughput against peers, on this machine, in one run.

Every peer answers the same requests from the same kind of loopback server (1.0 s a response), each in a
process of its own, one after the other; imports are not measured. Prints a Markdown table and
writes it, with the numbers as JSON, to `evals/benchmarks/results/`.
"""

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from extract.prompt import load_prompt
from extract.tests.loopback import LoopbackProcess
from extract.transcripts import Source, load_transcripts
from schemas.codebook import load_codebook
from schemas.transcript import Transcript

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
AUTHORED = ROOT / "goldens" / "authored" / "transcripts"


def main() -> int:
    """Measure every peer that is installed; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m evals.benchmarks", description="throughput against peers")
    parser.add_argument("--requests", type=int, default=1250)
    parser.add_argument("--concurrency", type=int, default=250)
    parser.add_argument("--latency", type=float, default=1.0, help="seconds of one response")
    parser.add_argument("--curator-python", help="a Python with bespokelabs-curator installed")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        source, requests = _write_inputs(Path(folder), options.requests)
        work = {
            "bare_sdk.py": [str(requests), str(options.concurrency)],
            "ours.py": [str(source), str(options.concurrency), folder],
            "with_instructor.py": [str(requests), str(options.concurrency)],
        }
        pythons = dict.fromkeys(work, sys.executable)
        if options.curator_python:
            work["with_curator.py"] = [str(requests), str(options.concurrency)]
            pythons["with_curator.py"] = options.curator_python
        results = [_run_peer(pythons[name], name, rest, options.latency) for name, rest in work.items()]
    table = _render(results, options)
    print(table)
    _store(table, results, options)
    return 0


def _write_inputs(folder: Path, count: int) -> tuple[Path, Path]:
    """A table of interviews for us, and the same interviews rendered for those who only send."""
    transcripts = _load_interviews()
    prompt = load_prompt("v1", load_codebook())
    source, requests = folder / "interviews.jsonl", folder / "requests.jsonl"
    with source.open("w", encoding="utf-8") as rows, requests.open("w", encoding="utf-8") as rendered:
        for n in range(count):
            text = transcripts[n % len(transcripts)].text + (f"\n\nUser: Number {n}." if n >= len(transcripts) else "")
            rows.write(json.dumps({"transcript_id": f"t{n}", "text": text}) + "\n")
        for n, transcript in enumerate(load_transcripts(Source(str(source)))):
            assert isinstance(transcript, Transcript)
            request = prompt.render(transcript, model="", parameters={})
            schema = {"schema": prompt.format.json_schema} if n == 0 else {}
            rendered.write(json.dumps({"system": request.system, "user": request.user, **schema}) + "\n")
            rows.flush()
    return source, requests


def _load_interviews() -> list[Transcript]:
    """The real interviews where VERBATIM_DATA has them, else the authored ones over and over."""
    real = Path(os.environ.get("VERBATIM_DATA", "none")) / "data" / "anthropic_interviewer"
    found = load_transcripts(Source(str(real if real.is_dir() else AUTHORED)))
    return [transcript for transcript in found if isinstance(transcript, Transcript)]


def _run_peer(python: str, name: str, rest: list[str], latency: float) -> dict[str, Any]:
    with LoopbackProcess(latency_s=latency) as server:
        environment = {**os.environ, "PYTHONPATH": str(ROOT), "ANTHROPIC_API_KEY": "x", "OPENAI_API_KEY": "x"}
        command = [python, str(HERE / "peers" / name), server.url, *rest]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    lines = [line for line in done.stdout.splitlines() if line.startswith("{")]
    if not lines:
        return {"library": name, "error": (done.stderr.strip().splitlines() or ["no output"])[-1]}
    result: dict[str, Any] = json.loads(lines[-1])
    return result


def _render(results: list[dict[str, Any]], options: argparse.Namespace) -> str:
    ideal = options.requests * options.latency / options.concurrency
    floor = results[0]["seconds"]
    lines = [
        f"{options.requests:,} requests, {options.latency:g} s a response, concurrency {options.concurrency}, "
        f"ideal {ideal:.1f} s.",
        f"{datetime.now(UTC):%Y-%m-%d}, {os.cpu_count()} cores, Python {platform.python_version()}.",
        "",
        "| | answered | seconds | of the bare SDK | CPU ms a request | peak MB |",
        "| --- | ---: | ---: | ---: | ---: | ---: |",
    ]
    for result in results:
        if "error" in result:
            lines.append(f"| {result['library']} | {result['error']} | | | | |")
            continue
        each = 1000 * result["cpu_s"] / options.requests
        lines.append(
            f"| {result['library']} | {result['answered']:,} | {result['seconds']:.1f} | "
            f"{result['seconds'] / floor:.2f} | {each:.1f} | {result['peak_mb']:.0f} |"
        )
    return "\n".join(lines)


def _store(table: str, results: list[dict[str, Any]], options: argparse.Namespace) -> None:
    folder = HERE / "results"
    folder.mkdir(exist_ok=True)
    (folder / "throughput.md").write_text(table + "\n", encoding="utf-8")
    settings = {"requests": options.requests, "concurrency": options.concurrency, "latency_s": options.latency}
    (folder / "throughput.json").write_text(json.dumps({**settings, "results": results}, indent=1) + "\n")


if __name__ == "__main__":
    raise SystemExit(main())
