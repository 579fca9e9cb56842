"""The floor: the anthropic SDK over the same transport, doing nothing with the answers.

Usage: bare_sdk.py URL REQUESTS CONCURRENCY
"""

import asyncio
import sys
from functools import partial
from typing import Any

import anthropic

from evals.benchmarks.peers.measure import load_requests, measure


async def ask_all(url: str, requests: list[dict[str, Any]], concurrency: int) -> int:
    slots = asyncio.Semaphore(concurrency)
    schema = anthropic.transform_schema(requests[0]["schema"])
    http = anthropic.DefaultAioHttpClient()
    async with anthropic.AsyncAnthropic(api_key="x", base_url=url, http_client=http) as client:

        async def ask(request: dict[str, Any]) -> int:
            async with slots:
                await client.messages.create(
                    model="claude-sonnet-5-5",
                    max_tokens=8192,
                    system=[{"type": "text", "text": request["system"], "cache_control": {"type": "ephemeral"}}],
                    messages=[{"role": "user", "content": request["user"]}],
                    output_config={"format": {"type": "json_schema", "schema": schema}},
                )
            return 1

        return sum(await asyncio.gather(*(ask(request) for request in requests)))


if __name__ == "__main__":
    loaded = load_requests(sys.argv[2])
    work = partial(ask_all, sys.argv[1], loaded, int(sys.argv[3]))
    measure(
        lambda: asyncio.run(work()),
        f"anthropic {anthropic.__version__} over aiohttp",
        "native structured output, prompt cache",
    )
