"""A transcript, its turns and its sentences; `text` is the one string that every span points into."""

import hashlib
from bisect import bisect_left, bisect_right
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

Speaker = Literal["interviewer", "interviewee"]


@dataclass(frozen=True, slots=True)
class Sentence:
    """The unit of evidence: `transcript.text[start:end]`, without white space at its ends.

    `id` is the turn's id and the sentence's number in it, both from 1: `U3.2`.
    """

    id: str
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Turn:
    """One utterance: `transcript.text[start:end]`, without its speaker label.

    `id` is `I<n>` for the interviewer's and `U<n>` for the interviewee's n-th turn, from 1.
    """

    id: str
    speaker: Speaker
    start: int
    end: int
    sentences: tuple[Sentence, ...]


@dataclass(frozen=True)
class Transcript:
    """One interview. `id` comes from the data; `cohort` is the group it belongs to, if any is known."""

    id: str
    text: str
    turns: tuple[Turn, ...]
    cohort: str | None = None

    @cached_property
    def text_sha256(self) -> str:
        """SHA-256 of the text in UTF-8, as 64 hexadecimal digits."""
        return hashlib.sha256(self.text.encode("utf-8", "surrogatepass")).hexdigest()

    @cached_property
    def evidence(self) -> dict[str, Sentence]:
        """The interviewee's sentences by id, in the order they were said: all that may be cited."""
        return {s.id: s for turn in self.turns if turn.speaker == "interviewee" for s in turn.sentences}

    @cached_property
    def interviewer_ids(self) -> frozenset[str]:
        """The ids of the interviewer's turns and sentences, which are never evidence."""
        turns = [turn for turn in self.turns if turn.speaker == "interviewer"]
        return frozenset(i for turn in turns for i in (turn.id, *(s.id for s in turn.sentences)))

    def words(self, span: Sentence | Turn) -> str:
        """The text of one of this transcript's turns or sentences."""
        return self.text[span.start : span.end]

    def find_sentences(self, start: int, end: int) -> list[Sentence]:
        """The interviewee's sentences that share at least one character with `[start, end)`."""
        sentences, starts, ends = self._bounds
        return sentences[bisect_right(ends, start) : bisect_left(starts, end)]

    @cached_property
    def _bounds(self) -> tuple[list[Sentence], list[int], list[int]]:
        sentences = list(self.evidence.values())
        return sentences, [s.start for s in sentences], [s.end for s in sentences]
