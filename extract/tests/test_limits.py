import asyncio
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from extract.engines.limits import (
    LONGEST_TURN_S,
    OUTAGE_FAILURES,
    PROBE_EVERY_S,
    START,
    Limiter,
    RetryPolicy,
    parse_retry_after,
)

LEFT = "anthropic-ratelimit-requests-remaining"
TOKENS = "anthropic-ratelimit-input-tokens-remaining"


@given(st.integers(1, 60), st.none() | st.floats(-10, 1e6))
def test_no_wait_is_longer_than_its_cap(failures: int, retry_after: float | None) -> None:
    policy = RetryPolicy()
    wait = policy.find_wait(failures, retry_after)
    assert 0 <= wait <= (policy.cap_s if retry_after is None else policy.retry_after_cap_s + 0.25)


def test_waits_double_and_what_the_provider_asks_for_is_honoured() -> None:
    policy = RetryPolicy(first_s=1.0, cap_s=100.0)
    assert all(2 ** (n - 1) / 2 <= policy.find_wait(n, None) <= 2 ** (n - 1) for n in range(1, 7))
    assert 7.0 <= policy.find_wait(1, 7.0) <= 7.25
    assert policy.find_wait(1, 3600.0) <= 60.25


def test_retry_after_is_read_as_seconds_or_as_a_date() -> None:
    later = format_datetime(datetime.now(UTC) + timedelta(seconds=30))
    assert parse_retry_after("1.5") == 1.5
    assert parse_retry_after(later) == pytest.approx(30, abs=2)
    assert parse_retry_after("soon") is None
    assert parse_retry_after(None) is None


def test_the_limiter_starts_low_and_opens_when_the_provider_says_how_much_is_left() -> None:
    limiter = Limiter(250)
    assert limiter.limit == START
    limiter.note_success({LEFT: "4000"}, 1)
    assert limiter.limit == 250


def test_without_headers_it_grows_by_one_for_each_answer_up_to_the_ceiling() -> None:
    limiter = Limiter(12)
    for expected in (11, 12, 12):
        limiter.note_success({}, 1)
        assert limiter.limit == expected


def test_it_shrinks_to_what_the_provider_has_left() -> None:
    limiter = Limiter(100)
    limiter.note_success({LEFT: "50"}, 1)
    assert limiter.limit == 50
    limiter.note_success({LEFT: "0"}, 1)
    assert limiter.limit == 1
    limiter.note_success({LEFT: "1000", TOKENS: "30000"}, 10_000)
    assert limiter.limit == 3


def test_a_429_halves_it_and_a_burst_of_them_halves_it_once() -> None:
    limiter = Limiter(40)
    limiter.note_success({LEFT: "4000"}, 1)
    for _ in range(10):
        limiter.note_failure(rate_limited=True)
    assert limiter.limit == 20
    limiter.note_success({LEFT: "4000"}, 1)
    assert limiter.limit == 21


def test_never_more_than_the_limit_are_on_their_way() -> None:
    async def run() -> int:
        limiter, peak = Limiter(3), 0

        async def ask() -> None:
            nonlocal peak
            await limiter.acquire()
            peak = max(peak, limiter.active)
            await asyncio.sleep(0.001)
            limiter.release()

        await asyncio.gather(*(ask() for _ in range(50)))
        assert limiter.active == 0
        return peak

    assert asyncio.run(run()) == 3


def test_the_first_success_after_an_outage_wakes_those_who_wait() -> None:
    async def run() -> None:
        limiter = Limiter(10)
        for _ in range(6):
            limiter.note_failure(rate_limited=False)
        sleepers = [asyncio.create_task(limiter.sleep(60)) for _ in range(5)]
        await asyncio.sleep(0)
        limiter.note_success({}, 1)
        await asyncio.wait_for(asyncio.gather(*sleepers), 1)

    asyncio.run(run())


def test_a_success_among_few_failures_wakes_nobody_early() -> None:
    async def run() -> None:
        limiter = Limiter(10)
        limiter.note_failure(rate_limited=True)
        sleeper = asyncio.create_task(limiter.sleep(60))
        await asyncio.sleep(0)
        limiter.note_success({}, 1)
        await asyncio.sleep(0.01)
        assert not sleeper.done()
        sleeper.cancel()

    asyncio.run(run())


def test_in_an_outage_everybody_waits_for_a_turn_and_turns_are_evenly_spaced() -> None:
    limiter = Limiter(50)
    limiter.note_failure(rate_limited=False)
    assert limiter.take_turn(3.0) == 3.0
    for _ in range(OUTAGE_FAILURES):
        limiter.note_failure(rate_limited=False)
    turns = [limiter.take_turn(3.0) for _ in range(20)]
    assert turns == pytest.approx([PROBE_EVERY_S * n for n in range(1, 21)], abs=0.2)
    assert all(limiter.take_turn(3.0) <= LONGEST_TURN_S for _ in range(200))
    limiter.note_success({}, 1)
    assert limiter.take_turn(3.0) == 3.0


def test_429s_are_no_outage() -> None:
    limiter = Limiter(50)
    for _ in range(50):
        limiter.note_failure(rate_limited=True)
    assert limiter.take_turn(3.0) == 3.0


def test_who_was_told_how_long_to_wait_is_not_woken_by_the_success_of_another() -> None:
    async def run() -> None:
        limiter = Limiter(10)
        for _ in range(6):
            limiter.note_failure(rate_limited=False)
        told = asyncio.create_task(limiter.sleep(60, exactly=True))
        await asyncio.sleep(0)
        limiter.note_success({}, 1)
        await asyncio.sleep(0.01)
        assert not told.done()
        told.cancel()

    asyncio.run(run())
