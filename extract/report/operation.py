"""How a run went: failures by kind, requests, tokens, dollars, seconds. One pass, numbers only."""

from array import array
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from extract.report.safety import make_safe
from schemas.record import FailureKind, Manifest

BINS = 24
SHOWN_FAILURES = 200
LARGEST_PART = 0.99
"""The histogram ends here; the slowest hundredth stands in its last bar."""


@dataclass
class Operation:
    """What the records of a run say about how they came to be; every repeat is counted."""

    records: int = 0
    failures: Counter[FailureKind] = field(default_factory=Counter)
    failed: list[dict[str, Any]] = field(default_factory=list)
    attempts: Counter[int] = field(default_factory=Counter)
    models: Counter[str] = field(default_factory=Counter)
    latencies_s: "array[float]" = field(default_factory=lambda: array("d"))
    output_tokens: "array[int]" = field(default_factory=lambda: array("q"))

    def add(self, record: dict[str, Any]) -> None:
        """Count one record."""
        self.records += 1
        if record.get("attempts"):
            self.attempts[record["attempts"]] += 1
        if record.get("model"):
            self.models[record["model"]] += 1
        if record.get("latency_s"):
            self.latencies_s.append(record["latency_s"])
        if record["usage"].get("requests"):
            self.output_tokens.append(record["usage"].get("output_tokens", 0))
        if "failure" in record:
            self.failures[record["failure"]["kind"]] += 1
            if len(self.failed) < SHOWN_FAILURES:
                self.failed.append(_describe_failure(record))


def _describe_failure(record: dict[str, Any]) -> dict[str, str]:
    told = {"id": record["transcript_id"], "kind": record["failure"]["kind"], "message": record["failure"]["message"]}
    return {name: make_safe(text) for name, text in told.items()}


def describe_operation(operation: Operation, manifest: Manifest, least: int, *, redact: bool) -> dict[str, Any]:
    """What the page says about the run. With `redact` no transcript is named and no path is given.

    Counts below `least` are None.
    """
    return {
        "manifest": _describe_manifest(manifest, least, redact=redact),
        "records": operation.records,
        "models": sorted(operation.models),
        "usage": manifest.usage.model_dump(),
        "whole_input_tokens": manifest.usage.whole_input_tokens,
        "cost_usd": manifest.cost_usd,
        "failures": [{"kind": kind, "count": _hide(count, least)} for kind, count in operation.failures.most_common()],
        "failed": [] if redact or least > 1 else operation.failed,
        "attempts": [[n, _hide(count, least)] for n, count in sorted(operation.attempts.items())],
        "latency": _describe_numbers(operation.latencies_s, least),
        "output": _describe_numbers(operation.output_tokens, least),
    }


def _describe_manifest(manifest: Manifest, least: int, *, redact: bool) -> dict[str, Any]:
    told = manifest.model_dump(mode="json", exclude={"usage", "cost_usd", "version"})
    if _hide(manifest.failures, least) is None:
        told.pop("failures")
    if redact:
        told.pop("command")
        told["source"] = manifest.source.replace("\\", "/").rstrip("/").rsplit("/", 1)[-1]
    return told


def _describe_numbers(numbers: "array[float] | array[int]", least: int) -> dict[str, Any] | None:
    """Quantiles and a histogram, [from, to, count] for each bar; None for too few numbers."""
    if len(numbers) < max(1, least):
        return None
    ordered = sorted(numbers)

    def quantile(part: float) -> float:
        return round(ordered[min(len(ordered) - 1, int(part * len(ordered)))], 3)

    end = quantile(LARGEST_PART) or 1.0
    width = end / BINS
    counts = Counter(min(BINS - 1, int(number / width)) for number in ordered)
    bars = [[round(n * width, 4), round((n + 1) * width, 4), _hide(counts[n], least)] for n in range(BINS)]
    extremes = {"largest": round(ordered[-1], 3)} if least <= 1 else {}
    return {"count": len(ordered), "median": quantile(0.5), "p90": quantile(0.9), **extremes, "bars": bars}


def _hide(count: int, least: int) -> int | None:
    return count if least <= 1 or count >= least else None
