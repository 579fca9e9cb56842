"""The rows of a run's batches: submissions, requests, what a request has taken, and the names they go by."""

import json
import re
import zlib
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from extract.engines.live import Correction
from extract.prompt import Request
from schemas.draft import AnswerFormat
from schemas.record import Usage
from schemas.transcript import Sentence, Transcript, Turn

KEY_DIGITS = 40
"""Of the request hash, in a custom_id: 160 bits, which leaves room for the nonce in its 64 characters."""

_CUSTOM_ID = re.compile(r"([0-9a-f]{40})-([0-9a-f]{8})-(\d)")


@dataclass(frozen=True)
class Batch:
    """One submission. `state` is `sending` until the provider's id is known, then the provider's own
    word, then `collected` or `gone`. `seen_*` is the newest batch of the account before it was sent.
    Times are the provider's, as it writes them; `sent_at` is this machine's, in seconds.
    """

    nonce: str
    id: str | None
    state: str
    requests: int
    bytes: int
    seen_id: str | None
    seen_at: str | None
    sent_at: float
    created_at: str | None = None
    expires_at: str | None = None
    ended_at: str | None = None
    succeeded: int = 0
    errored: int = 0
    expired: int = 0
    canceled: int = 0
    collected: int = 0


@dataclass(frozen=True)
class Past:
    """What a request has taken before its current batch. `started_at` is in seconds since 1970."""

    started_at: float
    attempts: int = 0
    usage: Usage = Usage()
    corrections: list[Correction] = field(default_factory=list)


@dataclass(frozen=True)
class Entry:
    """A request without a record. `requests` are the ones that want its answer now, none or more."""

    key: str
    attempt: int
    past: Past
    requests: list[Request]

    def name(self, nonce: str) -> str:
        """Its custom_id in the batch of this nonce."""
        return f"{self.key}-{nonce}-{self.attempt}"


def find_key(request: Request) -> str:
    """The part of the request hash that names its entry."""
    return request.hash[:KEY_DIGITS]


def parse_custom_id(custom_id: str) -> tuple[str, str, int] | None:
    """(key, nonce, attempt) of a custom_id of ours; None for anybody else's."""
    found = _CUSTOM_ID.fullmatch(custom_id)
    return (found[1], found[2], int(found[3])) if found else None


def dump_request(request: Request) -> bytes:
    """A request without what all share: its format and its system part."""
    transcript = request.transcript
    turns = [[t.id, t.speaker, t.start, t.end, [[s.id, s.start, s.end] for s in t.sentences]] for t in transcript.turns]
    data = [request.hash, request.repeat, request.user, transcript.text, turns]
    return zlib.compress(json.dumps(data, separators=(",", ":")).encode(), 1)


def load_request(data: bytes, shape: tuple[AnswerFormat, str], who: Iterable[Any]) -> Request:
    """The request with the format and system part in `shape`, for the (transcript id, cohort) in `who`."""
    hash_, repeat, user, text, turns = json.loads(zlib.decompress(data))
    transcript_id, cohort = who
    made = tuple(Turn(i, speaker, start, end, _load_sentences(rows)) for i, speaker, start, end, rows in turns)
    return Request(Transcript(transcript_id, text, made, cohort), *shape, user, repeat, hash_)


def _load_sentences(rows: Iterable[Any]) -> tuple[Sentence, ...]:
    return tuple(Sentence(*row) for row in rows)


def dump_past(past: Past) -> str:
    """A past as JSON."""
    corrections = [[correction.answer, correction.problems] for correction in past.corrections]
    return json.dumps([past.started_at, past.attempts, past.usage.model_dump(), corrections])


def load_past(text: str) -> Past:
    """The past that `dump_past` wrote."""
    started_at, attempts, usage, corrections = json.loads(text)
    made = [Correction(answer, tuple(problems)) for answer, problems in corrections]
    return Past(started_at, attempts, Usage(**usage), made)
