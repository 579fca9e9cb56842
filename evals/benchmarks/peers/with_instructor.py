"""instructor on Claude, in its usual TOOLS mode, with the same Draft as response model.

Usage: with_instructor.py URL REQUESTS CONCURRENCY
"""

import asyncio
import sys
from functools import partial
from typing import Any

import anthropic
import instructor

from evals.benchmarks.peers.measure import load_requests, measure
from schemas.codebook import load_codebook
from schemas.draft import DraftFormat


async def ask_all(url: str, requests: list[dict[str, Any]], concurrency: int) -> int:
    slots = asyncio.Semaphore(concurrency)
    model = DraftFormat(load_codebook()).model
    async with anthropic.AsyncAnthropic(api_key="x", base_url=url) as inner:
        client: Any = instructor.from_anthropic(inner)

        async def ask(request: dict[str, Any]) -> int:
            async with slots:
                await client.messages.create(
                    model="claude-sonnet-5-5",
                    max_tokens=8192,
                    response_model=model,
                    messages=[
                        {"role": "system", "content": request["system"]},
                        {"role": "user", "content": request["user"]},
                    ],
                )
            return 1

        return sum(await asyncio.gather(*(ask(request) for request in requests)))


if __name__ == "__main__":
    loaded = load_requests(sys.argv[2])
    work = partial(ask_all, sys.argv[1], loaded, int(sys.argv[3]))
    measure(lambda: asyncio.run(work()), f"instructor {instructor.__version__}", "TOOLS mode, its default for Claude")
