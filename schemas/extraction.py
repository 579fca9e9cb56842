"""What is known after grounding: coded items with the quotes that prove them, at exact spans."""

from collections.abc import Iterator
from functools import cached_property
from typing import Any

from pydantic import BaseModel, ConfigDict, SerializerFunctionWrapHandler, model_serializer

from schemas.codebook import SECTIONS, Section
from schemas.draft import Status


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Span(_Part):
    """`text[start:end]` of a transcript: characters (code points) from 0, `end` exclusive."""

    start: int
    end: int


class Quote(Span):
    """The interviewee's own words: one sentence, its id and its span."""

    sentence_id: str
    text: str


class Item(_Part):
    """One coded statement. Tasks carry a disposition, concerns a timing, wishes a kind."""

    code: str
    disposition: str | None = None
    timing: str | None = None
    kind: str | None = None
    summary: str
    quotes: tuple[Quote, ...]

    @property
    def attribute(self) -> str | None:
        """The disposition, timing or kind, whichever the item's section has."""
        return self.disposition or self.timing or self.kind

    @model_serializer(mode="wrap")
    def _leave_out_absent(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        return {key: value for key, value in handler(self).items() if value is not None}


class SectionExtraction(_Part):
    """One section: whether it came up, and its items."""

    status: Status
    items: tuple[Item, ...]


class CollaborationStyle(SectionExtraction):
    """The section that also has one mode (with its quotes) and one leader for the transcript."""

    mode: str
    leader: str
    mode_quotes: tuple[Quote, ...]


class Extraction(_Part):
    """The five sections of one transcript."""

    tasks: SectionExtraction
    collaboration_style: CollaborationStyle
    workplace_culture: SectionExtraction
    concerns: SectionExtraction
    future_wishes: SectionExtraction

    @cached_property
    def sections(self) -> dict[Section, SectionExtraction]:
        """The sections by name, in their fixed order."""
        return {section: getattr(self, section) for section in SECTIONS}

    def iterate_items(self) -> Iterator[tuple[Section, Item]]:
        """Every item with the name of its section."""
        for section, part in self.sections.items():
            for item in part.items:
                yield section, item
