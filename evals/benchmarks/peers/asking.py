"""How the peers' suites ask: the standard library alone, so that no SDK's import weighs on them."""

import json
import os
import urllib.request
from typing import Any

from evals.benchmarks.peers.measure import load_requests


def load_cases() -> list[dict[str, Any]]:
    """The first requests of the file in BENCH_REQUESTS, as many as BENCH_CASES says."""
    return load_requests(os.environ["BENCH_REQUESTS"])[: int(os.environ["BENCH_CASES"])]


def ask(case: dict[str, Any]) -> dict[str, Any]:
    """One interview's answer from the server at BENCH_URL; it has a `choices`."""
    messages = [{"role": "system", "content": case["system"]}, {"role": "user", "content": case["user"]}]
    body = json.dumps({"model": "gpt-4o-mini", "messages": messages}).encode()
    headers = {"content-type": "application/json", "authorization": "Bearer x"}
    request = urllib.request.Request(f"{os.environ['BENCH_URL']}/v1/chat/completions", body, headers)
    with urllib.request.urlopen(request) as answer:
        found: dict[str, Any] = json.load(answer)
    return found
