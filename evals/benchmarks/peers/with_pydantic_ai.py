"""pydantic-ai on Claude, with the same Draft as native output.

Usage: with_pydantic_ai.py URL REQUESTS CONCURRENCY
"""

import asyncio
import sys
from functools import partial
from importlib.metadata import version
from typing import Any

from pydantic_ai import Agent, NativeOutput
from pydantic_ai.models.anthropic import AnthropicModel, AnthropicModelSettings
from pydantic_ai.providers.anthropic import AnthropicProvider

from evals.benchmarks.peers.measure import load_requests, measure
from schemas.codebook import load_codebook
from schemas.draft import DraftFormat


async def ask_all(url: str, requests: list[dict[str, Any]], concurrency: int) -> int:
    slots = asyncio.Semaphore(concurrency)
    agent = Agent(
        AnthropicModel("claude-sonnet-5-5", provider=AnthropicProvider(api_key="x", base_url=url)),
        output_type=NativeOutput(DraftFormat(load_codebook()).model),
        instructions=requests[0]["system"],
        model_settings=AnthropicModelSettings(max_tokens=8192, anthropic_cache_instructions=True),
    )

    async def ask(request: dict[str, Any]) -> int:
        async with slots:
            await agent.run(request["user"])
        return 1

    return sum(await asyncio.gather(*(ask(request) for request in requests)))


if __name__ == "__main__":
    loaded = load_requests(sys.argv[2])
    work = partial(ask_all, sys.argv[1], loaded, int(sys.argv[3]))
    name = f"pydantic-ai {version('pydantic-ai-slim')}"
    measure(lambda: asyncio.run(work()), name, "NativeOutput, prompt cache")
