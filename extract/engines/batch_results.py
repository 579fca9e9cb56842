"""Requests as lines of a batch, and the lines of its results as completions."""

import json
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import Any

from extract.engines import Completion
from extract.engines.batch_api import SEPARATOR, BatchApi, BatchMissingError
from extract.engines.batch_ledger import Ledger
from extract.engines.batch_rows import Batch, Entry, Past, find_key, parse_custom_id
from extract.engines.claude import make_head, parse_message
from extract.engines.live import REASKS, STOPS, Correction, render_messages, shorten
from extract.prompt import Request
from schemas.draft import DraftError
from schemas.record import Failure, FailureKind, Usage

SAVE_EVERY = 500
KINDS: Mapping[str, FailureKind] = {
    "overloaded_error": "overloaded",
    "rate_limit_error": "rate_limited",
    "api_error": "server_error",
    "timeout_error": "timeout",
}
GONE = "The provider keeps results for 29 days, and those of this batch are gone. Ask again with --retry-failed."


class LineWriter:
    """Renders requests as a batch takes them; the part that all share is rendered once."""

    def __init__(self, model: str, parameters: Mapping[str, Any]) -> None:
        self.model, self.max_tokens = model, parameters["max_tokens"]
        self._heads: dict[str, str] = {}

    def write(self, request: Request, nonce: str, attempt: int, corrections: list[Correction]) -> bytes:
        """One request of a batch as JSON. Its length is the same for every nonce."""
        name = Entry(find_key(request), attempt, Past(0), []).name(nonce)
        messages = json.dumps(render_messages(request, corrections), ensure_ascii=False)
        line = f'{{"custom_id":"{name}","params":{{{self._find_head(request)},"messages":{messages}}}}}'
        return line.encode("utf-8", "replace")

    def write_entry(self, entry: Entry, nonce: str) -> bytes:
        """The line of an entry that somebody wants."""
        return self.write(entry.requests[0], nonce, entry.attempt, entry.past.corrections)

    def _find_head(self, request: Request) -> str:
        key = request.format.hash + request.system
        if key not in self._heads:
            head = make_head(request, self.model, self.max_tokens)
            self._heads[key] = json.dumps(head, ensure_ascii=False)[1:-1]
        return self._heads[key]


class Collector:
    """Turns the results of batches into completions, and what has to be asked again into waiting entries."""

    def __init__(
        self,
        ledger: Ledger,
        api: BatchApi,
        find_cost: Callable[[Usage], float | None],
        writer: LineWriter,
        is_stopped: Callable[[], bool],
    ) -> None:
        self.ledger, self.api, self.find_cost, self.writer = ledger, api, find_cost, writer
        self.is_stopped = is_stopped

    def collect(self, batch: Batch, *, gone: bool) -> Iterator[Completion]:
        """The results of a batch that has ended, as they stream in. Raises ProviderError; then call it again."""
        if not gone:
            try:
                yield from self._read(batch)
            except BatchMissingError:
                gone = True
        if self.is_stopped():
            return
        missing = Failure(kind="server_error", message="The batch ended without a result for this request.")
        lost = Failure(kind="expired", message=GONE) if gone else missing
        for entry in self.ledger.find_wanted(batch.nonce):
            yield from self.deliver(batch, entry, failure=lost)
        self.ledger.settle(batch.nonce, "gone" if gone else "collected")

    def _read(self, batch: Batch) -> Iterator[Completion]:
        for number, line in enumerate(self.api.read_results(batch.id or "")):
            parsed = parse_custom_id(str(line.get("custom_id")))
            if parsed and parsed[1] == batch.nonce and (entry := self.ledger.find(parsed[0], batch.nonce)):
                yield from self._take(batch, entry, line.get("result") or {})
            if self.is_stopped():
                return
            if number % SAVE_EVERY == 0:
                self.ledger.save()

    def _take(self, batch: Batch, entry: Entry, result: Mapping[str, Any]) -> Iterator[Completion]:
        """One result: an answer, a correction for a following batch, or a failure."""
        try:
            reply = parse_message(result["message"], {}) if result.get("type") == "succeeded" else None
        except (ValueError, KeyError):
            result, reply = {"error": {"type": "api_error", "message": "The result is no message."}}, None
        if reply is None:
            yield from self.deliver(batch, entry, failure=_parse_failure(result))
            return
        past = replace(entry.past, usage=entry.past.usage + reply.usage)
        entry = replace(entry, past=past)
        outcome: dict[str, Any] = {"model": reply.model}
        try:
            if reply.stop != "complete":
                outcome["failure"] = Failure(kind=reply.stop, message=STOPS[reply.stop])
            else:
                first = entry.requests[0]
                outcome["draft"] = first.format.parse(reply.text, first.transcript)
        except DraftError as error:
            if len(past.corrections) < REASKS:
                self._ask_again(entry, Correction(reply.text, tuple(error.problems)))
                return
            outcome["failure"] = Failure(kind="invalid_draft", message=shorten(str(error), 1000))
        if "failure" in outcome:
            outcome["answer"] = reply.text
        yield from self.deliver(batch, entry, **outcome)

    def _ask_again(self, entry: Entry, correction: Correction) -> None:
        corrections = [*entry.past.corrections, correction]
        past = replace(entry.past, attempts=entry.past.attempts + 1, corrections=corrections)
        line = self.writer.write(entry.requests[0], "0" * 8, entry.attempt + 1, corrections)
        self.ledger.ask_again(entry, past, len(line) + len(SEPARATOR))

    def deliver(self, batch: Batch, entry: Entry, **outcome: Any) -> Iterator[Completion]:
        """The outcome for everyone who asked for this request; the first of them pays. Then forget it."""
        for number, request in enumerate(entry.requests):
            past = entry.past if number == 0 else Past(entry.past.started_at)
            yield Completion(
                request=request,
                usage=past.usage,
                cost_usd=self.find_cost(past.usage),
                latency_s=max(0.0, time.time() - past.started_at),
                attempts=past.attempts + 1 if number == 0 else 0,
                request_id=f"{batch.id}:{entry.name(batch.nonce)}",
                **outcome,
            )
        self.ledger.finish(entry, batch.nonce)


def _parse_failure(result: Mapping[str, Any]) -> Failure:
    """Why a request of a batch has no answer."""
    if result.get("type") == "expired":
        return Failure(kind="expired", message="The batch ended after 24 hours, before this request was answered.")
    if result.get("type") == "canceled":
        return Failure(kind="canceled", message="The batch was canceled before this request was answered.")
    error: Any = result.get("error") or {}
    error = error.get("error") or error
    message = shorten(str(error.get("message") or "The provider does not say why."), 300)
    kind = KINDS.get(str(error.get("type")), "bad_request")
    return Failure(kind="context_window" if "too long" in message else kind, message=message)


def fail_too_large(size: int) -> Failure:
    """Why a request that no batch can hold has no answer."""
    return Failure(kind="context_window", message=f"The request takes {size:,} bytes, more than a batch may hold.")
