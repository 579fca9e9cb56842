"""Inspect (inspect_ai) on Claude: one sample an interview, `generate` as the solver, no scorer.

Usage: with_inspect.py URL REQUESTS CONCURRENCY
"""

import sys
import tempfile
from importlib.metadata import version
from typing import Any

from inspect_ai import Task, eval
from inspect_ai.dataset import MemoryDataset, Sample
from inspect_ai.model import ChatMessageSystem, ChatMessageUser, GenerateConfig, ResponseSchema, get_model
from inspect_ai.solver import generate
from inspect_ai.util import json_schema

from evals.benchmarks.peers.measure import load_requests, measure
from schemas.codebook import load_codebook
from schemas.draft import DraftFormat

SETTINGS = "response_schema, max_connections and max_samples as given, no display, its log written"


def ask_all(url: str, requests: list[dict[str, Any]], concurrency: int) -> int:
    form = ResponseSchema(name="draft", json_schema=json_schema(DraftFormat(load_codebook()).model))
    config = GenerateConfig(max_connections=concurrency, max_tokens=8192, response_schema=form)
    model = get_model("anthropic/claude-sonnet-5-5", base_url=url, api_key="x", streaming=False, config=config)
    samples = [
        Sample(input=[ChatMessageSystem(content=request["system"]), ChatMessageUser(content=request["user"])])
        for request in requests
    ]
    task = Task(dataset=MemoryDataset(samples), solver=generate())
    logs = eval(task, model=model, max_samples=concurrency, display="none", log_dir=tempfile.mkdtemp())
    return sum(sample.error is None for sample in logs[0].samples or [])


if __name__ == "__main__":
    loaded = load_requests(sys.argv[2])
    work = (sys.argv[1], loaded, int(sys.argv[3]))
    measure(lambda: ask_all(*work), f"Inspect {version('inspect-ai')}", SETTINGS)
