"""Claude through the Message Batches API: half the price, an answer within 24 hours, nothing sent twice.

What is on its way lies in `batches.sqlite` of the run's folder, synced to the disk before anything is sent:

1. The entries of a batch, its nonce and the newest batch of the account are written, then it is sent,
   then the provider's id is written. All requests of it carry the nonce in their custom_id.
2. Sending may end without an id: the process is killed, the connection breaks, the answer is an error
   of a gateway behind which the batch was made. There is no idempotency header, so such a batch is looked
   for: among those newer than the one that was seen (the provider's order and clock, not ours) and
   of the same number of requests. Once one of them has ended, the custom_id of any of its results says
   whether it is ours. While one of them is still in progress nobody can say, so its requests wait;
   only when none is left they are sent again.
3. A result is forgotten after its record is stored. A kill in between leaves a record whose
   `request_id` holds the custom_id, and the next start forgets the entry then.

An answer has the same request hash as one of the `claude` engine.
"""

import sqlite3
import time
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, closing
from dataclasses import dataclass
from itertools import chain
from typing import Any

from extract.engines import Completion, EngineOptions
from extract.engines.batch_api import (
    SEPARATOR,
    BatchApi,
    BatchMissingError,
    BatchTooLargeError,
    connect,
    count_bytes,
    parse_time,
    read_key,
)
from extract.engines.batch_ledger import FILE, Ledger, explain
from extract.engines.batch_results import Collector, LineWriter, fail_too_large
from extract.engines.batch_rows import Batch, parse_custom_id
from extract.engines.claude import DEFAULT_MODEL
from extract.engines.live import ProviderError
from extract.engines.prices import open_prices
from extract.errors import EngineError
from extract.prompt import Request
from extract.store import RunStore
from schemas.record import Usage

Sending = Generator[Completion, None, bool]
"""Whether the provider has taken a batch, after the completions of those that no batch can hold."""


@dataclass(frozen=True)
class Pace:
    """Waits in seconds: between two looks at the batches, from `first_s` growing to `cap_s`; `settle_s` before
    a batch that was not found counts as not sent; `patience_s` of nothing but trouble end the command.
    """

    first_s: float = 5.0
    cap_s: float = 60.0
    settle_s: float = 10.0
    patience_s: float = 86_400.0


def open_batches(options: EngineOptions) -> "BatchesEngine":
    """The `batches` engine. Raises EngineError without ANTHROPIC_API_KEY."""
    model = options.model or DEFAULT_MODEL
    key = read_key()
    if not key and not options.dry_run:
        raise EngineError("No key for Claude. Set ANTHROPIC_API_KEY, or choose --engine rules, which needs none.")
    return BatchesEngine(
        model=model,
        max_tokens=options.max_tokens,
        connect=lambda: connect(key, options.base_url, options.timeout_s),
        find_cost=open_prices("anthropic", model, batch=True),
        limits=(options.batch_requests, options.batch_bytes),
        pace=Pace(options.poll_s, 12 * options.poll_s, 2 * options.poll_s),
        say=options.say,
    )


class BatchesEngine:
    """An engine whose requests go on at the provider while nobody waits for them. Attach it to a run first."""

    name = "batches"

    def __init__(
        self,
        *,
        model: str,
        max_tokens: int,
        connect: Callable[[], AbstractContextManager[BatchApi]],
        find_cost: Callable[[Usage], float | None],
        limits: tuple[int, int],
        pace: Pace,
        say: Callable[[str], None],
    ) -> None:
        self.model = model
        self.parameters: Mapping[str, Any] = {"max_tokens": max_tokens}
        self.find_cost = find_cost
        self.limits, self.pace, self.say = limits, pace, say
        self.stopped = False
        self._connect = connect
        self._store: RunStore | None = None

    def attach(self, store: RunStore) -> None:
        """Keep the batches of this run in its folder; see `LastingEngine`."""
        self._store = store

    def stop(self) -> None:
        """Wait no longer; safe in a signal handler."""
        self.stopped = True

    def complete(self, requests: Iterable[Request]) -> Iterator[Completion]:
        """Answer every request; see `Engine`."""
        if self._store is None:
            raise EngineError("The batches engine keeps what is on its way in a run's folder. Attach it to a run.")
        requests = iter(requests)
        first = next(requests, None)
        if first is None:
            return
        try:
            with closing(Ledger(self._store.path)) as ledger, self._connect() as api:
                ledger.drop_answered(self._store.records_path)
                yield from _Round(self, ledger, api).run(chain([first], requests))
                ledger.tidy()
        except sqlite3.Error as error:
            raise explain(self._store.path / FILE, error) from None


class _Round:
    """One pass of `complete`: fills batches, sends them, looks at them, collects them."""

    def __init__(self, engine: BatchesEngine, ledger: Ledger, api: BatchApi) -> None:
        self.engine, self.ledger, self.api, self.pace = engine, ledger, api, engine.pace
        self.max_requests, self.max_bytes = engine.limits
        self.writer = LineWriter(engine.model, engine.parameters)
        self.collector = Collector(ledger, api, engine.find_cost, self.writer, lambda: engine.stopped)
        self._nonces: dict[str, str | None] = {}
        self._told: set[str] = set()
        self._wait = self.pace.first_s
        self._trouble_since: float | None = None

    def run(self, requests: Iterable[Request]) -> Iterator[Completion]:
        waiting = waiting_bytes = 0
        for request in requests:
            size = len(self.writer.write(request, "0" * 8, 0, [])) + len(SEPARATOR)
            if size > self.max_bytes:
                yield Completion(request, failure=fail_too_large(size))
                continue
            if waiting and (waiting == self.max_requests or count_bytes(waiting_bytes + size, 1) > self.max_bytes):
                yield from self.send_next()
                waiting = waiting_bytes = 0
            if self.ledger.ask(request, size):
                waiting, waiting_bytes = waiting + 1, waiting_bytes + size
        while not self.engine.stopped:
            sent = yield from self.send_waiting()
            for batch in self.ledger.find_open():
                yield from self.look_at(batch)
            more = self.ledger.count_waiting() > 0
            if not more and not self.ledger.find_open():
                return
            if not (sent and more):
                self.wait()

    # ------------------------------------------------------------ sending

    def send_waiting(self) -> Sending:
        """Send all that waits. Returns whether that went well."""
        while self.ledger.count_waiting() and not self.engine.stopped:
            if not (yield from self.send_next()):
                return False
        return True

    def send_next(self) -> Sending:
        """Send one batch of what waits. Returns whether the provider has taken it."""
        if self.engine.stopped:
            return False
        try:
            newest = self.api.find_newest()
            room = self.max_bytes - count_bytes(0, 1)
            batch = self.ledger.prepare(self.max_requests, room, newest)
        except ProviderError as error:
            self.note_trouble(error)
            return False
        return batch is not None and (yield from self.send(batch))

    def send(self, batch: Batch) -> Sending:
        lines = (self.writer.write_entry(entry, batch.nonce) for entry in self.ledger.find_entries(batch.nonce))
        size = count_bytes(batch.bytes - len(SEPARATOR) * batch.requests, batch.requests)
        try:
            made = self.api.create(lines, size)
        except BatchTooLargeError:
            yield from self.halve(batch)
            return True
        except EngineError:
            self.ledger.release(batch.nonce)
            raise
        except BatchMissingError as error:
            self.ledger.release(batch.nonce)
            raise EngineError(f"The provider knows no batches at this address: {error}. Check --base-url.") from None
        except ProviderError as error:
            if not error.retry:
                self.ledger.release(batch.nonce)
                raise EngineError(f"The provider refuses the batch: {error} Nothing was asked.") from None
            self.ledger.touch(batch.nonce)
            self.note_trouble(error)
            return False
        self.ledger.note(batch.nonce, made)
        self.note_progress()
        self.engine.say(f"Sent batch {made['id']}: {batch.requests:,} requests, {batch.bytes / 1e6:,.1f} MB.")
        return True

    def halve(self, batch: Batch) -> Iterator[Completion]:
        """The provider takes less than it says: smaller batches from now on, and one request fails alone."""
        if batch.requests > 1:
            self.max_bytes = max(batch.bytes // 2, 1)
            self.ledger.release(batch.nonce)
            return
        for entry in self.ledger.find_wanted(batch.nonce):
            yield from self.collector.deliver(batch, entry, failure=fail_too_large(batch.bytes))
        self.ledger.release(batch.nonce)

    # ------------------------------------------------------------ waiting

    def look_at(self, batch: Batch) -> Iterator[Completion]:
        """Ask how a batch is doing, and collect it when it has ended."""
        try:
            if batch.id is None:
                self.look_for(batch)
                return
            fresh = self.api.retrieve(batch.id)
            self.note_progress(changed=fresh["processing_status"] != batch.state)
            self.ledger.note(batch.nonce, fresh)
            if fresh["processing_status"] != "ended":
                until = parse_time(fresh["expires_at"]).strftime("%Y-%m-%d %H:%MZ")
                self._tell(f"Waiting for {batch.id}, until {until} at most; Ctrl-C leaves it to go on.")
            else:
                yield from self.collector.collect(
                    batch, gone=bool(fresh.get("archived_at")) or not fresh.get("results_url")
                )
        except BatchMissingError:
            yield from self.collector.collect(batch, gone=True)
        except ProviderError as error:
            self.note_trouble(error)

    def look_for(self, batch: Batch) -> None:
        """Find out whether a batch whose sending was cut off is at the provider; see the module's docstring."""
        known, undecided = self.ledger.find_ids(), None
        for other in self.api.list_since(batch.seen_id, batch.seen_at):
            if other["id"] in known or sum(other["request_counts"].values()) != batch.requests:
                continue
            if other["processing_status"] != "ended":
                undecided = other["id"]
            elif self._find_nonce(other["id"]) == batch.nonce:
                self.ledger.note(batch.nonce, other)
                self.engine.say(f"Found batch {other['id']}, which was sent when the run was cut off.")
                return
        self.note_progress(changed=False)
        if undecided:
            self._tell(f"Batch {undecided} may be the one that was cut off; when it has ended it will say so.")
        elif abs(time.time() - batch.sent_at) >= self.pace.settle_s:
            self.ledger.release(batch.nonce)

    def _find_nonce(self, batch_id: str) -> str | None:
        """The nonce in the custom_ids of a batch that has ended; None where they are not ours."""
        if batch_id not in self._nonces:
            try:
                parsed = parse_custom_id(self.api.find_first_custom_id(batch_id) or "")
            except BatchMissingError:
                parsed = None
            self._nonces[batch_id] = parsed[1] if parsed else None
        return self._nonces[batch_id]

    def wait(self) -> None:
        """Until the next look; each wait is longer than the last while nothing changes."""
        until = time.monotonic() + self._wait
        while not self.engine.stopped and (left := until - time.monotonic()) > 0:
            time.sleep(min(left, 0.2))
        self._wait = min(self.pace.cap_s, self._wait * 1.5)

    def note_progress(self, *, changed: bool = True) -> None:
        """The provider has answered."""
        self._trouble_since = None
        if changed:
            self._wait = self.pace.first_s

    def note_trouble(self, error: ProviderError) -> None:
        """The provider has not answered: wait for it, but not for ever. Raises EngineError."""
        moment = time.monotonic()
        self._trouble_since = self._trouble_since or moment
        if not error.retry or moment - self._trouble_since > self.pace.patience_s:
            raise EngineError(
                f"The provider does not answer for the batches: {error} What was sent is kept; run the same again."
            )
        self._wait = max(self._wait, min(error.retry_after_s or 0.0, self.pace.cap_s))
        self._tell(f"Trouble with the provider ({error.kind}); trying on.")

    def _tell(self, message: str) -> None:
        if message not in self._told:
            self._told.add(message)
            self.engine.say(message)
