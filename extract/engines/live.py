"""Live APIs: many requests in flight, retried, re-asked and counted, whoever the provider is."""

import asyncio
import itertools
import time
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Iterable, Iterator, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Literal

from pydantic import BaseModel

from extract.engines import Completion
from extract.engines.limits import Limiter, RetryPolicy
from extract.errors import EngineError
from extract.keys import hide_keys
from extract.prompt import Request
from schemas.draft import DraftError
from schemas.record import Failure, FailureKind, Usage

REASKS = 2


@dataclass(frozen=True)
class Reply:
    """One answer of a provider. `stop` is why it ended; `headers` may hold its rate limits."""

    text: str
    stop: Literal["complete", "refusal", "max_tokens", "context_window"]
    usage: Usage
    model: str | None = None
    request_id: str | None = None
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Correction:
    """An answer that did not validate, and everything that was wrong with it."""

    answer: str
    problems: tuple[str, ...]

    def render(self) -> str:
        """What the model is told when it is asked again."""
        listed = "\n".join(f"- {problem}" for problem in self.problems)
        return f"That answer cannot be used:\n{listed}\nSend the whole JSON object again with these mended."


class ProviderError(Exception):
    """A request that got no answer. `retry` says whether the same request may do better later."""

    def __init__(self, kind: FailureKind, message: str, *, retry: bool, retry_after_s: float | None = None) -> None:
        super().__init__(message)
        self.kind: FailureKind = kind
        self.retry = retry
        self.retry_after_s = retry_after_s


Send = Callable[[Request, list[Correction]], Awaitable[Reply]]
"""Sends one request, with the corrections so far. Raises ProviderError, or EngineError for all."""


class LiveEngine:
    """An engine over one `Send`. `complete` runs an event loop of its own while it is iterated."""

    def __init__(
        self,
        *,
        name: str,
        model: str,
        parameters: Mapping[str, Any],
        connect: Callable[[], AbstractAsyncContextManager[Send]],
        find_cost: Callable[[Usage], float | None],
        concurrency: int,
        policy: RetryPolicy,
    ) -> None:
        self.name, self.model, self.parameters = name, model, parameters
        self.find_cost = find_cost
        self.concurrency = concurrency
        self.trouble: str | None = None  # why requests are tried again just now, for who watches
        self._connect = connect
        self._policy = policy

    def complete(self, requests: Iterable[Request]) -> Iterator[Completion]:
        """Answer every request; see `Engine`."""
        with asyncio.Runner() as runner:  # on the way out it cancels what is in flight
            batches = self._pump(iter(requests))
            loop = runner.get_loop()  # not runner.run, which exchanges the signal handlers each time
            try:
                while batch := loop.run_until_complete(_next_batch(batches)):
                    yield from batch
            except GeneratorExit:  # who iterates has stopped: hang up before the loop closes everything at once
                loop.run_until_complete(batches.aclose())
                raise

    async def _pump(self, requests: Iterator[Request]) -> AsyncGenerator[list[Completion]]:
        """Keep as many conversations going as the limiter allows; hand over what is done."""
        first = next(requests, None)
        if first is None:
            return  # nothing to ask: no library to import, no connection to open
        requests = itertools.chain([first], requests)
        done: asyncio.Queue[asyncio.Task[Completion]] = asyncio.Queue()
        tasks: set[asyncio.Task[Completion]] = set()
        more = True
        async with self.open_conversations() as conversation:
            try:
                while True:
                    while more and len(tasks) < conversation.limiter.limit:
                        request = next(requests, None)
                        if request is None:
                            more = False
                            break
                        task = asyncio.create_task(conversation.hold(request))
                        task.add_done_callback(done.put_nowait)
                        tasks.add(task)
                        await asyncio.sleep(0)  # let it go out before the next one is prepared
                        if not done.empty():
                            break
                    if not tasks:
                        return
                    finished = [await done.get()]
                    while not done.empty():
                        finished.append(done.get_nowait())
                    tasks.difference_update(finished)
                    refused = [error for task in finished if (error := task.exception())]
                    if answered := [task.result() for task in finished if not task.exception()]:
                        yield answered
                    if refused:
                        raise refused[0]  # the account is turned away: the others say the same
            finally:
                for task in tasks:
                    task.cancel()
                await asyncio.gather(*tasks, return_exceptions=True)

    @asynccontextmanager
    async def open_conversations(self, guard: Callable[[Send], Send] | None = None) -> AsyncIterator["Conversations"]:
        """Connect, for who brings an event loop; `guard` may put something between them and the provider."""
        async with self._connect() as send:
            limiter = Limiter(self.concurrency)
            yield Conversations(guard(send) if guard else send, self._policy, limiter, self.find_cost, self._note)

    def _note(self, trouble: str | None) -> None:
        self.trouble = trouble


async def _next_batch(batches: AsyncIterator[list[Completion]]) -> list[Completion]:
    return await anext(batches, [])


class Conversations:
    """Asks, asks again after trouble, and sends back what does not validate."""

    def __init__(
        self,
        send: Send,
        policy: RetryPolicy,
        limiter: Limiter,
        find_cost: Callable[[Usage], float | None],
        note_trouble: Callable[[str | None], None],
    ) -> None:
        self.send, self.policy, self.limiter, self.find_cost = send, policy, limiter, find_cost
        self.note_trouble = note_trouble
        self._input_tokens = 0
        self._answers = 0

    async def hold(self, request: Request) -> Completion:
        """One request to its end: a draft that validates, or a failure."""
        state = _State(request, self.find_cost)
        corrections: list[Correction] = []
        while True:
            try:
                reply = await self._send_until_answered(request, corrections, state)
            except ProviderError as error:
                return state.fail(error.kind, str(error))
            state.note(reply)
            if reply.stop != "complete":
                return state.fail(reply.stop, STOPS[reply.stop])
            try:
                return state.succeed(request.format.parse(reply.text, request.transcript))
            except DraftError as error:
                if len(corrections) == REASKS:
                    return state.fail("invalid_draft", shorten(str(error), 1000))
                corrections.append(Correction(reply.text, tuple(error.problems)))

    async def _send_until_answered(self, request: Request, corrections: list[Correction], state: "_State") -> Reply:
        failures, first_failure = 0, 0.0
        while True:
            state.attempts += 1
            await self.limiter.acquire()
            try:
                reply = await self.send(request, corrections)
            except ProviderError as error:
                failures += 1
                first_failure = first_failure or time.monotonic()
                self.note_trouble(str(error))
                self.limiter.note_failure(rate_limited=error.kind == "rate_limited")
                wait = self.policy.find_wait(failures, error.retry_after_s)
                told = error.retry_after_s is not None
                if not told and error.kind != "rate_limited":
                    wait = self.limiter.take_turn(wait)
                if not error.retry or time.monotonic() + wait - first_failure > self.policy.give_up_s:
                    raise
            else:
                self._input_tokens += reply.usage.whole_input_tokens
                self._answers += 1
                self.note_trouble(None)
                self.limiter.note_success(reply.headers, self._input_tokens / self._answers)
                return reply
            finally:
                self.limiter.release()
            await self.limiter.sleep(wait, exactly=told)


class _State:
    """What one conversation has taken so far."""

    def __init__(self, request: Request, find_cost: Callable[[Usage], float | None]) -> None:
        self.request, self.find_cost = request, find_cost
        self.started = time.monotonic()
        self.usage = Usage()
        self.attempts = 0
        self.last: Reply | None = None

    def note(self, reply: Reply) -> None:
        self.last = reply
        self.usage += reply.usage

    def succeed(self, draft: BaseModel) -> Completion:
        return self._complete(draft=draft)

    def fail(self, kind: FailureKind, message: str) -> Completion:
        answer = self.last.text if self.last else None
        return self._complete(failure=Failure(kind=kind, message=message), answer=answer)

    def _complete(self, **outcome: Any) -> Completion:
        return Completion(
            request=self.request,
            usage=self.usage,
            cost_usd=self.find_cost(self.usage),
            latency_s=time.monotonic() - self.started,
            attempts=self.attempts,
            model=self.last.model if self.last else None,
            request_id=self.last.request_id if self.last else None,
            **outcome,
        )


def render_messages(request: Request, corrections: list[Correction]) -> list[dict[str, Any]]:
    """The conversation: the transcript, then each answer that did not validate and what was wrong."""
    messages = [{"role": "user", "content": request.user}]
    for correction in corrections:
        messages.append({"role": "assistant", "content": correction.answer or "(empty)"})
        messages.append({"role": "user", "content": correction.render()})
    return messages


STOPS: dict[str, str] = {
    "refusal": "The model refused to answer.",
    "max_tokens": "The answer was cut off. Allow more with --max-tokens.",
    "context_window": "The interview is too long for the model's context window.",
}


def classify_status(status: int, message: str, retry_after_s: float | None) -> ProviderError:
    """The ProviderError of an HTTP status. Raises EngineError for what no request can get past."""
    shown = shorten(message, 300)
    if status in (401, 403):
        raise EngineError(f"The provider refuses the key ({status}): {shown} Check the key and its rights.")
    if status == 404:
        raise EngineError(f"The provider knows no such model or address (404): {shown} Check --model.")
    if status == 402 or "credit balance" in message or "insufficient_quota" in message:
        raise EngineError(f"The provider wants payment ({status}): {shown} Top up, then run the same again.")
    if status == 429:
        return ProviderError("rate_limited", shown, retry=True, retry_after_s=retry_after_s)
    if status == 529:
        return ProviderError("overloaded", shown, retry=True, retry_after_s=retry_after_s)
    if status >= 500 or status in (408, 409):
        return ProviderError("server_error", shown, retry=True, retry_after_s=retry_after_s)
    long = "too long" in message or "context length" in message or status == 413
    return ProviderError("context_window" if long else "bad_request", shown, retry=False)


def shorten(text: str, characters: int) -> str:
    """One line of at most so many characters, a full stop at its end, and no key in it."""
    text = hide_keys(" ".join(text.split()))
    text = text if len(text) <= characters else text[: characters - 1] + "…"
    return text if text.endswith((".", "…", "!", "?")) else text + "."
