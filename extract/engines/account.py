"""An account's limits, kept by everyone who asks with it: one `Account`, and a `Gate` at each worker."""

import asyncio
import time
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

from extract.engines.limits import RETRY_AFTER_CAP_S
from extract.engines.live import Correction, ProviderError, Reply, Send
from extract.prompt import Request, estimate_tokens

KINDS = ("requests", "input-tokens", "output-tokens")
BURST_S = 0.03
"""How much may be saved up while nobody asks: so many seconds' worth. Small, since some count by the second."""
FIRST_OUTPUT_TOKENS = 1500.0
MOST_AT_ONCE = 64


@dataclass(frozen=True)
class Cost:
    """What one request takes from the account: itself, and tokens in and out. Cached input is free of limits."""

    requests: float = 0.0
    input_tokens: float = 0.0
    output_tokens: float = 0.0

    def __add__(self, other: "Cost") -> "Cost":
        return Cost(*(mine + its for mine, its in zip(self.amounts, other.amounts, strict=True)))

    def __sub__(self, other: "Cost") -> "Cost":
        return Cost(*(mine - its for mine, its in zip(self.amounts, other.amounts, strict=True)))

    @property
    def amounts(self) -> tuple[float, float, float]:
        """In the order of KINDS."""
        return self.requests, self.input_tokens, self.output_tokens


class Limits(Protocol):
    """What a Gate asks: an Account, or one that lives in another process."""

    async def take(self, wanted: list[Cost], correction: Cost, learned: Mapping[str, float]) -> int:
        """Wait until at least the first of them may go; how many of them may."""

    async def pause(self, seconds: float) -> None:
        """Let nobody ask for so long."""


class Account:
    """Requests and tokens per minute that all workers share. A limit that is None is learned from the
    provider's headers, if they name it, and unlimited until then.

    Each limit is a bucket that fills at its rate. A request may go while no bucket is empty and takes
    what it is expected to cost, so a bucket may owe; whoever asks next waits until that is paid back.
    Over any time the rate is held but for one request and BURST_S.
    """

    def __init__(self, per_minute: Mapping[str, float | None]) -> None:
        self._buckets = [_Bucket(per_minute.get(kind)) for kind in KINDS]
        self._turn = asyncio.Lock()
        self._paused_until = 0.0

    async def take(self, wanted: list[Cost], correction: Cost, learned: Mapping[str, float]) -> int:
        """See `Limits`. First come, first served. `correction` is what earlier requests took beyond
        what was expected of them, `learned` what the provider's headers say of its limits.
        """
        for bucket, kind, amount in zip(self._buckets, KINDS, correction.amounts, strict=True):
            bucket.learn(learned.get(kind))
            bucket.spend(amount)
        async with self._turn:
            while (wait := self._find_wait()) > 0:
                await asyncio.sleep(wait)
            granted = 0
            while granted < len(wanted) and self._find_wait() <= 0:
                for bucket, amount in zip(self._buckets, wanted[granted].amounts, strict=True):
                    bucket.spend(amount)
                granted += 1
            return granted

    async def pause(self, seconds: float) -> None:
        """See `Limits`."""
        self._paused_until = max(self._paused_until, time.monotonic() + seconds)

    def _find_wait(self) -> float:
        return max(self._paused_until - time.monotonic(), *(bucket.find_wait() for bucket in self._buckets))


class _Bucket:
    """One limit. `level` is what may be spent now; it is negative while more was spent than is due."""

    def __init__(self, per_minute: float | None) -> None:
        self.given = per_minute is not None
        self.rate = per_minute / 60 if per_minute else None
        self.level = 0.0
        self._filled_at = time.monotonic()

    def learn(self, per_minute: float | None) -> None:
        if per_minute and not self.given:
            self._fill()
            self.rate = per_minute / 60

    def spend(self, amount: float) -> None:
        self._fill()
        if self.rate is not None:
            self.level -= amount

    def find_wait(self) -> float:
        """Seconds until the bucket is not in debt."""
        self._fill()
        return -self.level / self.rate if self.rate and self.level < 0 else 0.0

    def _fill(self) -> None:
        moment = time.monotonic()
        if self.rate is not None:
            self.level = min(self.rate * BURST_S, self.level + (moment - self._filled_at) * self.rate)
        self._filled_at = moment


@dataclass
class Gate:
    """Lets one worker's requests out as the shared limits allow; asks for many at once."""

    limits: Limits
    _waiting: deque[tuple[Cost, asyncio.Future[None]]] = field(default_factory=deque)
    _correction: Cost = Cost()
    _learned: dict[str, float] = field(default_factory=dict)
    _output_tokens: float = FIRST_OUTPUT_TOKENS
    _asking: asyncio.Task[None] | None = None

    def guard(self, send: Send) -> Send:
        """A Send that waits at this gate first and tells it afterwards what the answer took."""

        async def send_in_turn(request: Request, corrections: list[Correction]) -> Reply:
            expected = self._expect(request, corrections)
            await self._pass(expected)
            try:
                reply = await send(request, corrections)
            except ProviderError as error:
                self._correction -= Cost(0, expected.input_tokens, expected.output_tokens)
                if error.kind == "rate_limited":
                    await self.limits.pause(min(error.retry_after_s or 1.0, RETRY_AFTER_CAP_S))
                raise
            self._note(expected, reply)
            return reply

        return send_in_turn

    def _expect(self, request: Request, corrections: list[Correction]) -> Cost:
        words = [request.user, *(part for each in corrections for part in (each.answer, each.render()))]
        return Cost(1.0, float(sum(estimate_tokens(part) for part in words)), self._output_tokens)

    def _note(self, expected: Cost, reply: Reply) -> None:
        usage = reply.usage
        self._correction += Cost(1.0, usage.input_tokens + usage.cache_write_tokens, usage.output_tokens) - expected
        self._output_tokens += (usage.output_tokens - self._output_tokens) * 0.05
        for kind in KINDS:
            value = reply.headers.get(f"anthropic-ratelimit-{kind}-limit", "")
            if value.isdigit():
                self._learned[kind] = float(value)

    async def _pass(self, cost: Cost) -> None:
        turn = asyncio.get_running_loop().create_future()
        self._waiting.append((cost, turn))
        if self._asking is None or self._asking.done():
            self._asking = asyncio.create_task(self._ask_for_all())
        await turn

    async def _ask_for_all(self) -> None:
        try:
            while self._waiting:
                correction, self._correction = self._correction, Cost()
                wanted = [cost for cost, _ in list(self._waiting)[:MOST_AT_ONCE]]
                for _ in range(await self.limits.take(wanted, correction, self._learned)):
                    _, turn = self._waiting.popleft()
                    if not turn.done():
                        turn.set_result(None)
        except Exception as error:
            for _, turn in self._waiting:
                if not turn.done():
                    turn.set_exception(error)
            self._waiting.clear()
