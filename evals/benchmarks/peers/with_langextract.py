"""langextract over its OpenAI provider (it has none for Claude): the same codes, quotes copied and aligned.

Usage: with_langextract.py URL REQUESTS CONCURRENCY. An interview is one request (its default is one for every
1,000 characters), and no batch waits for another.
"""

import sys
from importlib.metadata import version
from typing import Any

import langextract as lx
import openai  # noqa: F401  imports are not what is measured

from evals.benchmarks.peers.measure import load_requests, measure
from schemas.codebook import SectionCodes, load_codebook

SETTINGS = "OpenAI provider, output_schema, one request an interview, batch_length of all; copies and aligns the quotes"


def describe(section: SectionCodes) -> Any:
    codes = {"type": "string", "enum": [code.id for code in section.codes]}
    return lx.schema.extraction_item_schema(section.id, attributes={"code": codes, "summary": {"type": "string"}})


def ask_all(url: str, requests: list[dict[str, Any]], concurrency: int) -> int:
    examples = [
        lx.data.ExampleData(text=made["text"], extractions=[lx.data.Extraction(**item) for item in made["extractions"]])
        for made in requests[0]["examples"]
    ]
    answered = lx.extract(
        [lx.data.Document(text=request["text"], document_id=str(n)) for n, request in enumerate(requests)],
        prompt_description=requests[0]["codebook"],
        examples=examples,
        config=lx.factory.ModelConfig(
            model_id="gpt-4o-mini",
            provider="OpenAILanguageModel",
            provider_kwargs={"api_key": "x", "base_url": f"{url}/v1"},
        ),
        output_schema=lx.schema.extractions_schema(*map(describe, load_codebook().sections)),
        max_char_buffer=1_000_000,
        batch_length=len(requests),
        max_workers=concurrency,
        show_progress=False,
    )
    return sum(bool(document.extractions) for document in answered)


if __name__ == "__main__":
    loaded = load_requests(sys.argv[2])
    work = (sys.argv[1], loaded, int(sys.argv[3]))
    measure(lambda: ask_all(*work), f"langextract {version('langextract')}", SETTINGS)
