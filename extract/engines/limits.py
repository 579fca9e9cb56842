"""How fast to ask: a limiter that follows the provider, and the waits between attempts."""

import asyncio
import random
import time
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

START = 10
OUTAGE_FAILURES = 5
"""So many failures in a row, other than 429s, are the provider's trouble and not a request's."""
PROBE_EVERY_S = 0.5
PROBE_SHARE = 0.025
"""In an outage one request is tried every so many seconds, later every so much of what the outage took."""
LONGEST_TURN_S = 30.0
RETRY_AFTER_CAP_S = 60.0


@dataclass(frozen=True)
class RetryPolicy:
    """Waits in seconds. A wait doubles from `first_s` to `cap_s` and is cut by a random half; what a
    provider asks for in `retry-after` is honoured up to `retry_after_cap_s`. A request is given up
    `give_up_s` after its first failure.
    """

    first_s: float = 0.25
    cap_s: float = 8.0
    retry_after_cap_s: float = RETRY_AFTER_CAP_S
    give_up_s: float = 900.0

    def find_wait(self, failures: int, retry_after_s: float | None) -> float:
        """Seconds to wait after the n-th failure in a row (from 1)."""
        backoff = min(self.cap_s, self.first_s * 2.0 ** min(failures - 1, 16)) * random.uniform(0.5, 1)
        if retry_after_s is None:
            return backoff
        return min(self.retry_after_cap_s, max(retry_after_s, 0.0)) + random.uniform(0, 0.25)


def parse_retry_after(value: str | None) -> float | None:
    """Seconds from a `retry-after` header: a number or an HTTP date. None where it says nothing."""
    if value is None:
        return None
    try:
        return float(value)
    except ValueError:
        pass
    try:
        return (parsedate_to_datetime(value) - datetime.now(UTC)).total_seconds()
    except (ValueError, TypeError):
        return None


class Limiter:
    """How many requests may be on their way at once.

    It starts low, doubles with the answers, follows what the provider says is left of its limits,
    and halves when the provider says 429. `ceiling` is never passed.
    """

    def __init__(self, ceiling: int) -> None:
        self.ceiling = ceiling
        self.limit = float(min(ceiling, START))
        self.active = 0
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._halved_at = 0.0
        self._failures = 0
        self._outage_began = 0.0
        self._last_turn = 0.0
        self._sleeping: set[asyncio.Event] = set()

    @property
    def open_slots(self) -> int:
        """How many more requests may start now."""
        return max(0, int(self.limit) - self.active)

    async def acquire(self) -> None:
        """Wait for a slot; first come, first served."""
        while self.active >= max(1, int(self.limit)):
            turn = asyncio.get_running_loop().create_future()
            self._waiting.append(turn)
            await turn
        self.active += 1

    def release(self) -> None:
        """Give the slot back."""
        self.active -= 1
        self._wake()

    def note_success(self, headers: Mapping[str, str], tokens_per_request: float) -> None:
        """Grow, as far as the provider's own account of what is left allows."""
        left = _find_left(headers, tokens_per_request)
        if left is None:
            self.limit = min(self.ceiling, self.limit + 1)
        else:
            growing = self.ceiling if self._halved_at == 0 else self.limit + 1
            self.limit = max(1.0, min(self.ceiling, growing, self.active + left))
        if self._failures >= OUTAGE_FAILURES:
            for sleeper in self._sleeping:
                sleeper.set()
        self._failures, self._last_turn = 0, 0.0
        self._wake()

    def note_failure(self, *, rate_limited: bool) -> None:
        """Halve on a 429, at most once a second: a burst of them is one piece of news."""
        moment = time.monotonic()
        if not rate_limited:
            self._outage_began = self._outage_began if self._failures else moment
            self._failures += 1
        elif moment - self._halved_at > 1.0:
            self.limit = max(1.0, self.limit / 2)
            self._halved_at = moment

    def take_turn(self, backoff_s: float) -> float:
        """Seconds to wait after trouble: `backoff_s`, but in an outage until a turn of one's own.

        Turns follow each other evenly however many wait, so that the end of an outage is seen soon
        and a provider in trouble is not asked by everybody at once.
        """
        if self._failures < OUTAGE_FAILURES:
            return backoff_s
        moment = time.monotonic()
        every = max(PROBE_EVERY_S, PROBE_SHARE * (moment - self._outage_began))
        self._last_turn = max(self._last_turn, moment) + every
        return min(self._last_turn - moment, LONGEST_TURN_S * random.uniform(0.5, 1))

    async def sleep(self, seconds: float, *, exactly: bool = False) -> None:
        """Wait; unless `exactly`, cut short when the first success after an outage shows that it is over."""
        woken = asyncio.Event()
        if not exactly:
            self._sleeping.add(woken)
        try:
            async with asyncio.timeout(seconds):
                await woken.wait()
        except TimeoutError:
            pass
        finally:
            self._sleeping.discard(woken)

    def _wake(self) -> None:
        free = self.open_slots
        while self._waiting and free > 0:
            turn = self._waiting.popleft()
            if not turn.done():
                turn.set_result(None)
                free -= 1


def _find_left(headers: Mapping[str, str], tokens_per_request: float) -> float | None:
    """How many more requests the provider's headers allow now; None where they say nothing."""
    left = []
    for kind, share in (("requests", 1.0), ("input-tokens", tokens_per_request)):
        value = headers.get(f"anthropic-ratelimit-{kind}-remaining", "")
        if value.isdigit():
            left.append(int(value) / max(share, 1.0))
    return min(left) if left else None
