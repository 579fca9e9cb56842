"""One account's limits, shared: the rates that are held, what is learned, what is given back. No Ray is needed."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping

import pytest

from extract.engines.account import BURST_S, Account, Cost, Gate, Limits
from extract.engines.live import Correction, ProviderError, Reply
from extract.prompt import Request, estimate_tokens
from extract.tests.samples import make_request
from schemas.record import Usage

REQUEST = make_request()
ONE, NOTHING = Cost(1.0), Cost()


class Counting:
    """An Account that counts how often it was asked."""

    def __init__(self, account: Limits) -> None:
        self.account, self.calls = account, 0

    async def take(self, wanted: list[Cost], correction: Cost, learned: Mapping[str, float]) -> int:
        self.calls += 1
        return await self.account.take(wanted, correction, learned)

    async def pause(self, seconds: float) -> None:
        await self.account.pause(seconds)


async def take(account: Limits, cost: Cost = ONE, correction: Cost = NOTHING) -> float:
    """Seconds until one request may go."""
    began = time.monotonic()
    assert await account.take([cost], correction, {}) == 1
    return time.monotonic() - began


def answer(usage: Usage, **headers: str) -> Callable[[Request, list[Correction]], Awaitable[Reply]]:
    async def send(request: Request, corrections: list[Correction]) -> Reply:
        named = {f"anthropic-ratelimit-{kind.replace('_', '-')}-limit": value for kind, value in headers.items()}
        return Reply("{}", "complete", usage, headers=named)

    return send


def test_no_limit_is_no_wait() -> None:
    async def run() -> int:
        return await Account({}).take([ONE] * 1000, Cost(), {})

    assert asyncio.run(run()) == 1000


@pytest.mark.parametrize("gates", [1, 3])
def test_all_gates_together_hold_the_rate(gates: int) -> None:
    async def run() -> float:
        account = Account({"requests": 6000})
        sends = [Gate(account).guard(answer(Usage())) for _ in range(gates)]
        began = time.monotonic()
        await asyncio.gather(*(sends[n % gates](REQUEST, []) for n in range(100)))
        return time.monotonic() - began

    assert asyncio.run(run()) >= 99 / 100 - BURST_S


def test_a_limit_of_tokens_makes_the_next_one_wait_for_what_a_large_one_took() -> None:
    async def run() -> tuple[float, float]:
        account = Account({"input-tokens": 60_000})  # a thousand in a second
        return await take(account, Cost(1, 300)), await take(account, Cost(1, 300))

    first, second = asyncio.run(run())
    assert first < 0.2 < 0.3 - BURST_S <= second


def test_what_an_answer_took_beyond_its_estimate_is_paid_back_and_the_contrary() -> None:
    async def run() -> tuple[float, float]:
        more, less = Account({"output-tokens": 60_000}), Account({"output-tokens": 60_000})
        await take(more, Cost(1, 0, 10))
        await take(less, Cost(1, 0, 30_000))
        return await take(more, correction=Cost(0, 0, 400)), await take(less, correction=Cost(0, 0, -29_990))

    more, less = asyncio.run(run())
    assert more >= 0.4 - BURST_S
    assert less < 15  # half a minute by the estimate


def test_a_limit_in_the_headers_is_learned_and_one_that_was_given_stays() -> None:
    async def run(account: Account) -> float:
        send = Gate(account).guard(answer(Usage(), requests="600"))
        await send(REQUEST, [])
        began = time.monotonic()
        await asyncio.gather(*(send(REQUEST, []) for _ in range(5)))
        return time.monotonic() - began

    assert asyncio.run(run(Account({}))) >= 0.4 - 2 * BURST_S
    assert asyncio.run(run(Account({"requests": 6_000_000}))) < 0.3


def test_a_429_holds_back_everyone_for_as_long_as_it_asks() -> None:
    async def refuse(request: Request, corrections: list[Correction]) -> Reply:
        raise ProviderError("rate_limited", "Slow down.", retry=True, retry_after_s=0.3)

    async def run() -> float:
        account = Account({})
        with pytest.raises(ProviderError):
            await Gate(account).guard(refuse)(REQUEST, [])
        return await take(account)

    assert asyncio.run(run()) > 0.2


def test_a_gate_asks_for_many_at_once() -> None:
    async def run() -> int:
        account = Counting(Account({}))
        send = Gate(account).guard(answer(Usage()))
        await asyncio.gather(*(send(REQUEST, []) for _ in range(60)))
        return account.calls

    assert asyncio.run(run()) == 1


def test_an_estimate_is_mended_by_what_was_used_cached_input_left_out() -> None:
    seen: list[tuple[list[Cost], Cost]] = []

    class Watching(Counting):
        async def take(self, wanted: list[Cost], correction: Cost, learned: Mapping[str, float]) -> int:
            seen.append((wanted, correction))
            return await super().take(wanted, correction, learned)

    async def run() -> None:
        usage = Usage(requests=1, input_tokens=70, cache_write_tokens=30, cache_read_tokens=5000, output_tokens=200)
        send = Gate(Watching(Account({}))).guard(answer(usage))
        await send(REQUEST, [])
        await send(REQUEST, [])

    asyncio.run(run())
    [(first, none), (_, correction)] = seen
    assert first[0].input_tokens == estimate_tokens(REQUEST.user)
    assert none == Cost()
    assert correction == Cost(0, 100 - first[0].input_tokens, 200 - first[0].output_tokens)


def test_an_account_that_is_gone_is_an_error_for_all_who_wait() -> None:
    class Gone(Counting):
        async def take(self, wanted: list[Cost], correction: Cost, learned: Mapping[str, float]) -> int:
            raise ConnectionError("gone")

    async def run() -> list[object]:
        send = Gate(Gone(Account({}))).guard(answer(Usage()))
        return await asyncio.gather(*(send(REQUEST, []) for _ in range(3)), return_exceptions=True)

    assert all(isinstance(error, ConnectionError) for error in asyncio.run(run()))
