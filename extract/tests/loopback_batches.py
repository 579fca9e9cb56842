"""The Message Batches endpoints of the loopback server: create, retrieve, list, cancel, delete, results.

What a single request answers, and which fault it meets, is the message endpoint's affair. What a batch meets
as a whole is planned here: `create_faults`, `poll_faults` and `results_faults` are used up one a call.
"""

import asyncio
import contextlib
import json
import random
from collections import Counter, deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from aiohttp import web

from extract.tests.loopback_faults import STATUSES

OUTCOMES: dict[str, Any] = {
    "batch_expired": {"type": "expired"},
    "batch_canceled": {"type": "canceled"},
    "batch_overloaded": ("overloaded_error", "Overloaded"),
    "batch_invalid": ("invalid_request_error", "messages: something is wrong"),
    "batch_too_long": ("invalid_request_error", "prompt is too long: 1 tokens"),
}


@dataclass
class _Batch:
    """One batch: its requests as (custom_id, body); the text that all share is held once."""

    id: str
    created: datetime
    requests: list[tuple[str, dict[str, Any]]]
    results: list[dict[str, Any]] | None = None
    canceled: datetime | None = None
    archived: datetime | None = None
    polls: int = 0
    counts: Counter[str] = field(default_factory=Counter)


Answer = Callable[[dict[str, Any]], dict[str, Any]]
"""The result of one request: `{"type": "succeeded", "message": ...}`, or another type."""


class LoopbackBatches:
    """The batches of one account. A batch ends when it has been looked at `polls_to_end` times.

    `submitted` counts every request taken, by (key, attempt) without the nonce. `on_event` hears
    `creating`, `created`, `retrieved`, `result` before the server goes on: a place to kill a client.
    """

    def __init__(self, answer: Answer) -> None:
        self.answer = answer
        self.polls_to_end = 1
        self.max_requests, self.max_bytes = 100_000, 256_000_000
        self.create_faults: deque[str] = deque()
        self.poll_faults: deque[str] = deque()
        self.results_faults: deque[str] = deque()
        self.submitted: Counter[tuple[str, str]] = Counter()
        self.sizes: list[tuple[int, int]] = []
        self.batches: dict[str, _Batch] = {}
        self.on_event: Callable[[str], None] = lambda name: None
        self._shared: dict[str, Any] = {}

    def add_routes(self, app: web.Application) -> None:
        root = "/v1/messages/batches"
        app.router.add_post(root, self._create)
        app.router.add_get(root, self._list)
        app.router.add_get(root + "/{id}", self._retrieve)
        app.router.add_delete(root + "/{id}", self._delete)
        app.router.add_post(root + "/{id}/cancel", self._cancel)
        app.router.add_get(root + "/{id}/results", self._results)
        app.router.add_get("/batch_stats", self._stats)

    def add_foreign(self, requests: int, *, ended: bool = True) -> str:
        """A batch that somebody else made, of so many requests; one that has not ended never does."""
        batch = self._add([(f"other-{n}", {}) for n in range(requests)])
        batch.polls = 1_000_000 if ended else -1_000_000
        if ended:
            batch.results = [{"custom_id": name, "result": {"type": "canceled"}} for name, _ in batch.requests]
            batch.counts["canceled"] = requests
        return batch.id

    def age(self, days: float) -> None:
        """Make all batches so many days older; results are kept for 29."""
        for batch in self.batches.values():
            batch.created -= timedelta(days=days)
            if datetime.now(UTC) - batch.created > timedelta(days=29):
                batch.archived = datetime.now(UTC)

    def _add(self, requests: list[tuple[str, dict[str, Any]]]) -> _Batch:
        batch = _Batch(f"msgbatch_{len(self.batches) + 1:04d}", datetime.now(UTC), requests)
        self.batches[batch.id] = batch
        return batch

    # ------------------------------------------------------------ endpoints

    async def _create(self, request: web.Request) -> web.StreamResponse:
        raw = await request.read()
        self.on_event("creating")
        fault = self.create_faults.popleft() if self.create_faults else None
        if fault in STATUSES:
            return _fail(fault)
        if fault == "reset":
            return _abort(request)
        data = json.loads(raw)
        assert list(data) == ["requests"]
        if len(raw) > self.max_bytes or len(data["requests"]) > self.max_requests:
            return _fail("too_large")
        made = [(entry["custom_id"], self._share(entry["params"])) for entry in data["requests"]]
        if len(dict(made)) < len(made) or any(not 1 <= len(name) <= 64 for name, _ in made):
            return _fail("bad_request")
        self.sizes.append((len(made), len(raw)))
        self.submitted.update(_strip(name) for name, _ in made)
        batch = self._add(made)
        self.on_event("created")
        if fault == "reset_after":
            return _abort(request)
        if fault == "overloaded_after":
            return _fail("overloaded")
        return web.json_response(self._show(batch, request))

    def _share(self, params: dict[str, Any]) -> dict[str, Any]:
        """The same request, with the parts that many have in common held once."""
        for name in ("system", "output_config"):
            params[name] = self._shared.setdefault(json.dumps(params.get(name)), params.get(name))
        return params

    async def _list(self, request: web.Request) -> web.StreamResponse:
        if self.poll_faults:
            return _fail(self.poll_faults.popleft(), request)
        newest_first = list(self.batches.values())[::-1]
        after = request.query.get("after_id")
        if after:
            place = [batch.id for batch in newest_first].index(after)
            newest_first = newest_first[place + 1 :]
        limit = min(int(request.query.get("limit", "20")), 2)  # small pages, so that paging is always tested
        page = newest_first[:limit]
        for batch in page:
            batch.polls += 1
        self._advance()
        body = {
            "data": [self._show(batch, request) for batch in page],
            "has_more": len(newest_first) > limit,
            "first_id": page[0].id if page else None,
            "last_id": page[-1].id if page else None,
        }
        return web.json_response(body)

    async def _retrieve(self, request: web.Request) -> web.StreamResponse:
        self.on_event("retrieved")
        if self.poll_faults:
            return _fail(self.poll_faults.popleft(), request)
        batch = self.batches.get(request.match_info["id"])
        if batch is None:
            return _fail("missing")
        batch.polls += 1
        self._advance()
        return web.json_response(self._show(batch, request))

    def _advance(self) -> None:
        """End what is due, and count a batch whose results nobody has looked at when it ends."""
        for batch in self.batches.values():
            due = batch.polls >= self.polls_to_end or batch.canceled
            if due and batch.results is None and not batch.counts:
                batch.counts["succeeded"] = len(batch.requests)

    async def _cancel(self, request: web.Request) -> web.StreamResponse:
        batch = self.batches.get(request.match_info["id"])
        if batch is None:
            return _fail("missing")
        batch.canceled = datetime.now(UTC)
        batch.results = [{"custom_id": name, "result": {"type": "canceled"}} for name, _ in batch.requests]
        batch.counts = Counter({"canceled": len(batch.requests)})
        return web.json_response(self._show(batch, request))

    async def _delete(self, request: web.Request) -> web.StreamResponse:
        found = self.batches.pop(request.match_info["id"], None)
        if found is None:
            return _fail("missing")
        return web.json_response({"id": found.id, "type": "message_batch_deleted"})

    async def _results(self, request: web.Request) -> web.StreamResponse:
        batch = self.batches.get(request.match_info["id"])
        if batch is None or batch.archived or not self._has_ended(batch):
            return _fail("missing")
        fault = self.results_faults.popleft() if self.results_faults else None
        if fault in STATUSES:
            return _fail(fault)
        stream = web.StreamResponse(headers={"content-type": "application/binary"})
        with contextlib.suppress(ConnectionResetError):  # the client has seen enough, or was killed
            await stream.prepare(request)
            for number, line in enumerate(self._answer_all(batch)):
                if fault == "cut" and number == len(batch.requests) // 2:
                    return _abort(request)
                await stream.write(json.dumps(line, ensure_ascii=False).encode("utf-8", "replace") + b"\n")
                self.on_event("result")
            await stream.write_eof()
        return stream

    async def _stats(self, request: web.Request) -> web.Response:
        twice = sum(1 for count in self.submitted.values() if count > 1)
        return web.json_response(
            {"batches": len(self.batches), "requests": sum(self.submitted.values()), "submitted_twice": twice}
        )

    # ------------------------------------------------------------ one batch

    def _has_ended(self, batch: _Batch) -> bool:
        return batch.polls >= self.polls_to_end or batch.canceled is not None

    def _answer_all(self, batch: _Batch) -> Iterator[dict[str, Any]]:
        """The results in an order of their own, the same at every call; small batches are answered once."""
        if batch.results is None:
            shuffled = random.Random(batch.id).sample(batch.requests, len(batch.requests))
            lines = ({"custom_id": name, "result": self.answer(params)} for name, params in shuffled)
            if len(shuffled) > 1000:
                yield from lines
                return
            batch.results = list(lines)
        yield from batch.results

    def _show(self, batch: _Batch, request: web.Request) -> dict[str, Any]:
        ended = self._has_ended(batch)
        names = ("succeeded", "errored", "expired", "canceled")
        counts = {name: batch.counts[name] if ended else 0 for name in names}
        counts["processing"] = 0 if ended else len(batch.requests)
        url = f"http://{request.host}/v1/messages/batches/{batch.id}/results"
        return {
            "id": batch.id,
            "type": "message_batch",
            "processing_status": "ended" if ended else "in_progress",
            "request_counts": counts,
            "created_at": _format(batch.created),
            "expires_at": _format(batch.created + timedelta(hours=24)),
            "ended_at": _format(datetime.now(UTC)) if ended else None,
            "archived_at": _format(batch.archived) if batch.archived else None,
            "cancel_initiated_at": _format(batch.canceled) if batch.canceled else None,
            "results_url": url if ended and not batch.archived else None,
        }


def make_outcome(kind: str) -> dict[str, Any]:
    """The result of a request that a batch did not answer."""
    made = OUTCOMES[kind]
    if isinstance(made, dict):
        return made
    error = {"type": made[0], "message": made[1]}
    return {"type": "errored", "error": {"type": "error", "error": error, "request_id": "req_failed"}}


def _strip(custom_id: str) -> tuple[str, str]:
    key, _, rest = custom_id.partition("-")
    return key, rest.rpartition("-")[2]


def _format(moment: datetime) -> str:
    return moment.isoformat().replace("+00:00", "Z")


def _fail(kind: str, request: web.Request | None = None) -> web.StreamResponse:
    if kind == "reset" and request is not None:
        return _abort(request)
    status, name, text = STATUSES[kind]
    error = {"type": "error", "error": {"type": name, "message": text}}
    return web.json_response(error, status=status, headers={"request-id": "req_failed"})


def _abort(request: web.Request) -> web.StreamResponse:
    assert request.transport is not None
    request.transport.abort()
    raise asyncio.CancelledError
