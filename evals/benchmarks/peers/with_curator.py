"""curator (bespokelabs-curator) over its OpenAI backend, with the same Draft as response format.

Usage: with_curator.py URL REQUESTS CONCURRENCY
"""

import os
import sys
import tempfile
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from evals.benchmarks.peers.measure import load_requests, measure
from schemas.codebook import load_codebook
from schemas.draft import DraftFormat

SETTINGS = "OpenAI backend, structured output, its cache off, limits above what is sent"


def prepare() -> None:
    """Its settings, which it reads from the environment while it is imported."""
    os.environ |= {"CURATOR_DISABLE_CACHE": "true", "TELEMETRY_ENABLED": "false", "CURATOR_DISABLE_RICH_DISPLAY": "1"}
    os.environ |= {"CURATOR_CACHE_DIR": tempfile.mkdtemp(), "HF_HUB_OFFLINE": "1"}
    # its token counter reads a file from the network; a copy of it comes with litellm, which it needs anyway
    litellm = find_spec("litellm")
    folder = Path(str(litellm and litellm.origin)).parent
    os.environ["TIKTOKEN_CACHE_DIR"] = str(folder / "litellm_core_utils" / "tokenizers")


def open_extractor(url: str, concurrency: int) -> Any:
    from bespokelabs import curator

    class Extractor(curator.LLM):  # type: ignore[misc]
        def prompt(self, row: dict[str, Any]) -> list[dict[str, str]]:
            return [{"role": "system", "content": row["system"]}, {"role": "user", "content": row["user"]}]

        def parse(self, _row: dict[str, Any], response: Any) -> dict[str, Any]:
            return {"draft": response.model_dump_json()}

    return Extractor(
        model_name="gpt-4o-mini",
        backend="openai",
        response_format=DraftFormat(load_codebook()).model,
        backend_params={
            "base_url": f"{url}/v1",
            "api_key": "x",
            "max_concurrent_requests": concurrency,
            "max_requests_per_minute": 1_000_000,
            "max_tokens_per_minute": 1_000_000_000,
        },
    )


def ask_all(extractor: Any, requests: list[dict[str, Any]]) -> int:
    answered = extractor([{"system": request["system"], "user": request["user"]} for request in requests])
    return len(answered.dataset)


if __name__ == "__main__":
    prepare()
    loaded = load_requests(sys.argv[2])
    opened = open_extractor(sys.argv[1], int(sys.argv[3]))
    measure(lambda: ask_all(opened, loaded), f"curator {version('bespokelabs-curator')}", SETTINGS)
