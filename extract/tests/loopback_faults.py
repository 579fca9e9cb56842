"""Faults that the loopback server shows a client, and plans that say when."""

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

FaultKind = Literal[
    "rate_limited",
    "overloaded",
    "server_error",
    "bad_gateway_html",
    "unauthorised",
    "forbidden",
    "not_found",
    "bad_request",
    "credit",
    "reset",
    "cut_mid_body",
    "stall",
    "slow_drip",
    "malformed_json_body",
    "bad_json_answer",
    "wrong_schema",
    "unknown_id",
    "interviewer_id",
    "repeated_code",
    "missing_verdict",
    "empty_reason",
    "empty_answer",
    "refusal",
    "max_tokens",
    "context_window",
    "batch_expired",
    "batch_canceled",
    "batch_overloaded",
    "batch_invalid",
    "batch_too_long",
]

STATUSES = {
    "rate_limited": (429, "rate_limit_error", "This request would exceed your account's rate limit."),
    "overloaded": (529, "overloaded_error", "Overloaded"),
    "server_error": (500, "api_error", "Internal server error"),
    "unauthorised": (401, "authentication_error", "invalid x-api-key"),
    "forbidden": (403, "permission_error", "Your key may not use this."),
    "not_found": (404, "not_found_error", "model: no-such-model"),
    "bad_request": (400, "invalid_request_error", "messages: something is wrong"),
    "too_large": (413, "request_too_large", "Request exceeds the maximum size"),
    "missing": (404, "not_found_error", "No such batch."),
    "credit": (400, "invalid_request_error", "Your credit balance is too low to access the API."),
}
"""Status, type and message of the faults that are an error response."""


@dataclass(frozen=True)
class Fault:
    """One thing that goes wrong. `retry_after` is sent as it is; `seconds` is how long a stall or drip takes."""

    kind: FaultKind
    retry_after: str | None = None
    seconds: float = 30.0


Plan = Callable[[int, str, int], Fault | None]
"""(ordinal of the request from 0, digest of its first user message, attempt at that message from 0) -> fault."""


def no_faults(ordinal: int, digest: str, attempt: int) -> Fault | None:
    return None


def first_attempts(*faults: Fault | FaultKind | None) -> Plan:
    """These faults for the first attempts at every message, then none."""
    made = [Fault(f) if isinstance(f, str) else f for f in faults]
    return lambda ordinal, digest, attempt: made[attempt] if attempt < len(made) else None


def by_ordinal(faults: Mapping[int, Fault | FaultKind]) -> Plan:
    """Faults for the n-th requests, from 0."""
    made = {n: Fault(f) if isinstance(f, str) else f for n, f in faults.items()}
    return lambda ordinal, digest, attempt: made.get(ordinal)


def always(fault: Fault | FaultKind) -> Plan:
    made = Fault(fault) if isinstance(fault, str) else fault
    return lambda ordinal, digest, attempt: made


def random_faults(seed: int, rates: Mapping[FaultKind, float], retry_after: str | None = None) -> Plan:
    """Each attempt fails with these probabilities; the same seed, message and attempt fail alike."""

    def plan(ordinal: int, digest: str, attempt: int) -> Fault | None:
        drawn = hashlib.sha256(f"{seed}:{digest}:{attempt}".encode()).digest()
        position = int.from_bytes(drawn[:8], "big") / 2**64
        for kind, rate in rates.items():
            if position < rate:
                return Fault(kind, retry_after=retry_after)
            position -= rate
        return None

    return plan
