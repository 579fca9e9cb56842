"""Verbatim end to end: parse, render, send, validate, ground, store durably.

Usage: ours.py URL SOURCE CONCURRENCY RUNS_FOLDER
"""

import os
import sys
from importlib.metadata import version
from pathlib import Path

import anthropic  # noqa: F401  imports are not what is measured, here as in the peers

from evals.benchmarks.peers.measure import measure
from extract.engines import EngineOptions, open_engine
from extract.pipeline import Plan, close_manifest, describe_run, run_extraction
from extract.prompt import load_prompt
from extract.store import create_run
from extract.transcripts import Source, load_transcripts
from schemas.codebook import load_codebook

SETTINGS = "native structured output, prompt cache; also parses the interviews, grounds the quotes, stores durably"


def extract_all(url: str, source: str, concurrency: int, runs: Path) -> int:
    prompt = load_prompt("v1", load_codebook())
    engine = open_engine("claude", EngineOptions(base_url=url, concurrency=concurrency))
    plan = Plan()
    with create_run(runs, describe_run(prompt, engine, source, 1)) as store:
        answered = 0
        for record in run_extraction(load_transcripts(Source(source)), prompt, engine, store, plan):
            answered += record.failure is None
        store.write_manifest(close_manifest(store, plan))
    return answered


if __name__ == "__main__":
    os.environ["ANTHROPIC_API_KEY"] = "x"
    measure(
        lambda: extract_all(sys.argv[1], sys.argv[2], int(sys.argv[3]), Path(sys.argv[4])),
        f"verbatim {version('verbatim-interviews')}",
        SETTINGS,
    )
