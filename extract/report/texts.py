"""A transcript as a page holds it: harmless text, turns, and spans that browsers can slice with.

Spans on a page count UTF-16 units, as browsers do; those of records count characters.
"""

import re
from bisect import bisect_left
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from extract.report.safety import make_safe
from schemas.transcript import Transcript

INTERVIEWER, INTERVIEWEE, EXCERPT = 0, 1, 2
_ASTRAL = re.compile("[\U00010000-\U0010ffff]")


@dataclass(frozen=True)
class ShownText:
    """The text that spans of the page point into; `turns` holds (speaker, start, end).

    `whole` says whether it is the transcript, or its quotes alone. `move` turns a span of a record into
    one of the page.
    """

    text: str
    turns: list[tuple[int, int, int]]
    whole: bool
    move: Callable[[int, int], tuple[int, int]]

    @property
    def flat_turns(self) -> list[int]:
        """The turns one after the other, three numbers each."""
        return [number for turn in self.turns for number in turn]

    def flatten(self, spans: Iterable[tuple[int, int]]) -> list[int]:
        """Spans of a record as spans of the page, one after the other, two numbers each."""
        return [number for start, end in spans for number in self.move(start, end)]


def show_transcript(transcript: Transcript) -> ShownText:
    """The whole of a transcript."""
    astral = [match.start() for match in _ASTRAL.finditer(transcript.text)]

    def move(start: int, end: int) -> tuple[int, int]:
        return start + bisect_left(astral, start), end + bisect_left(astral, end)

    turns = [
        (INTERVIEWER if turn.speaker == "interviewer" else INTERVIEWEE, *move(turn.start, turn.end))
        for turn in transcript.turns
    ]
    return ShownText(make_safe(transcript.text), turns, whole=True, move=move)
