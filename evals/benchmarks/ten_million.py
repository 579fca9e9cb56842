"""`python -m evals.benchmarks.ten_million`: hours, dollars and gigabytes of ten million interviews, by arithmetic.

Nothing is asked. Tokens an interview are those that `run --dry-run` estimates on the corpus (the real interviews
under VERBATIM_DATA, else the authored ones), dollars come from the price list of genai-prices, bytes a
record from records made of invented answers of the estimated length. The limits are your account's: read them in your
provider's console and give them as options; those here are an example.
"""

import argparse
import json
import math
import os
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from extract.engines import Completion
from extract.engines.prices import open_prices
from extract.engines.records import make_record
from extract.pipeline import OUTPUT_TOKENS, Plan, estimate_requests
from extract.prompt import Prompt, Request, estimate_tokens, load_prompt
from extract.tests.loopback_answers import AnswerWriter
from extract.transcripts import BadTranscript, Source, load_transcripts
from schemas.codebook import load_codebook
from schemas.record import Usage

AUTHORED = Path(__file__).parents[2] / "goldens" / "authored" / "transcripts"
MODELS = ("claude-sonnet-5-5", "claude-haiku-5-5")
BATCH_BYTES = 256_000_000
BATCH_PRICE = 0.5
CPU_S = 0.002
"""CPU of a worker for one interview, as `python -m evals.benchmarks.cluster` measures it."""


@dataclass(frozen=True)
class Interview:
    """An average interview: tokens, bytes of its request in a batch and of its record, US dollars by model."""

    usage: Usage
    count: int
    request_bytes: float
    record_bytes: float
    dollars: dict[str, float]

    def per_interview(self, kind: str) -> float:
        """Tokens of one kind."""
        return float(getattr(self.usage, kind)) / self.count


def main() -> int:
    """Print the arithmetic; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m evals.benchmarks.ten_million", description=__doc__)
    parser.add_argument("--interviews", type=int, default=10_000_000)
    parser.add_argument("--model", action="append", help=f"repeatable (default: {', '.join(MODELS)})")
    parser.add_argument("--requests-per-minute", type=int, default=4_000)
    parser.add_argument("--tokens-per-minute", type=int, default=2_000_000, help="uncached input")
    parser.add_argument("--output-tokens-per-minute", type=int, default=400_000)
    parser.add_argument("--latency", type=float, default=20.0, help="seconds of one answer")
    parser.add_argument("--concurrency", type=int, default=500, help="of each worker")
    options = parser.parse_args()
    interview = measure_corpus(options.model or list(MODELS))
    print("\n".join(render(interview, options)))
    return 0


def find_corpus() -> str:
    """The real interviews where VERBATIM_DATA says they are, else the authored ones."""
    real = Path(os.environ.get("VERBATIM_DATA", "none")) / "data" / "anthropic_interviewer"
    return str(real if real.is_dir() else AUTHORED)


def measure_corpus(models: list[str]) -> Interview:
    """What an average interview of the corpus takes."""
    prompt = load_prompt("v1", load_codebook())
    dollars, usage, count = {}, Usage(), 0
    for model in models:
        plan = Plan(find_cost=open_prices("anthropic", model))
        count, usage = estimate_requests(_render(prompt), None, plan, OUTPUT_TOKENS)
        dollars[model] = plan.cost_usd / count if plan.cost_known else math.nan
    sample = list(islice(_render(prompt), 200))
    sent = sum(_measure_request(request) for request in sample) / len(sample)
    kept = sum(_measure_record(request) for request in sample) / len(sample)
    return Interview(usage, count, sent, kept, dollars)


def _render(prompt: Prompt) -> Iterator[Request]:
    for transcript in load_transcripts(Source(find_corpus())):
        if not isinstance(transcript, BadTranscript):
            yield prompt.render(transcript, model="", parameters={})


def _measure_request(request: Request) -> int:
    """Bytes of one line of a batch: every one carries the whole prompt and the schema."""
    return len(json.dumps([request.system, request.user, request.format.json_schema]).encode())


def _measure_record(request: Request) -> float:
    """Bytes of a record, as if its draft were as long as the estimate of an answer."""
    text = json.dumps(AnswerWriter(request.format.json_schema, request.user).write())
    record = make_record(Completion(request, draft=request.format.parse(text, request.transcript)))
    return len(record.to_line()) * OUTPUT_TOKENS / estimate_tokens(text)


def find_hours(interviews: int, interview: Interview, limits: dict[str, int]) -> dict[str, float]:
    """Hours that each limit (per minute) makes the run take at least; the longest of them is the run's."""
    each = {
        "requests": 1.0,
        "input tokens": interview.per_interview("input_tokens"),  # what is read from the cache does not count
        "output tokens": interview.per_interview("output_tokens"),
    }
    return {kind: interviews * each[kind] / limit / 60 for kind, limit in limits.items()}


def render(interview: Interview, options: argparse.Namespace) -> list[str]:
    """The arithmetic, line by line."""
    n = options.interviews
    uncached, cached, out = (
        interview.per_interview(kind) for kind in ("input_tokens", "cache_read_tokens", "output_tokens")
    )
    limits = {
        "requests": options.requests_per_minute,
        "input tokens": options.tokens_per_minute,
        "output tokens": options.output_tokens_per_minute,
    }
    hours = find_hours(n, interview, limits)
    slowest = max(hours, key=lambda kind: hours[kind])
    rate = n / hours[slowest] / 3600
    workers = math.ceil(rate * options.latency / options.concurrency)
    batches = math.ceil(n * interview.request_bytes / BATCH_BYTES)
    lines = [
        f"{n:,} interviews like the {interview.count:,} of {'our' if find_corpus() == str(AUTHORED) else 'the real'} "
        f"corpus: {uncached:,.0f} tokens in, {cached:,.0f} from the cache, {out:,.0f} out, each.",
        *(f"  {hours[k]:>9,.0f} h at {limits[k]:,} {k} a minute" for k in hours),
        f"Hours: {hours[slowest]:,.0f}, bound by {slowest}; {rate:,.1f} interviews a second.",
        f"Workers: {workers} of {options.concurrency} in flight at {options.latency:g} s an answer, "
        f"with {rate * CPU_S:,.1f} cores busy.",
    ]
    for model, each in interview.dollars.items():
        lines.append(
            f"{model}: ${each * n:,.0f} online, ${each * n * BATCH_PRICE:,.0f} batched "
            f"(${each * 1000:,.2f} and ${each * 1000 * BATCH_PRICE:,.2f} a thousand)."
        )
    lines += [
        f"Batches: {batches:,} of 256 MB, {interview.request_bytes / 1000:,.1f} kB a request.",
        f"Run: {n * interview.record_bytes / 1e9:,.0f} GB, {interview.record_bytes / 1000:,.1f} kB a record.",
    ]
    return lines


if __name__ == "__main__":
    raise SystemExit(main())
