"""A golden: independent codings of one transcript and the adjudicated one, stand-off (spans, no text)."""

from typing import Literal

from pydantic import BaseModel, ConfigDict

from schemas.codebook import SECTIONS, Section
from schemas.draft import Status

StoredSpan = tuple[int, int]
"""`[start, end)` in characters of the transcript's text; one sentence of the interviewee."""


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class GoldenItem(_Part):
    """One coded statement; `evidence` holds the spans that prove it."""

    code: str
    disposition: str | None = None
    timing: str | None = None
    kind: str | None = None
    summary: str
    evidence: tuple[StoredSpan, ...]


class GoldenSection(_Part):
    """One section of a coding."""

    status: Status
    items: tuple[GoldenItem, ...]


class GoldenStyle(GoldenSection):
    """The collaboration style of a coding: a mode with its evidence, and a leader."""

    mode: str
    leader: str
    mode_evidence: tuple[StoredSpan, ...]


class Coding(_Part):
    """The five sections as one annotator, or the adjudication, coded them."""

    tasks: GoldenSection
    collaboration_style: GoldenStyle
    workplace_culture: GoldenSection
    concerns: GoldenSection
    future_wishes: GoldenSection

    @property
    def sections(self) -> dict[Section, GoldenSection]:
        """The sections by name, in their fixed order."""
        return {section: getattr(self, section) for section in SECTIONS}


class Golden(_Part):
    """The file `goldens/<set>/<transcript_id>.json`. `provenance` says who coded it."""

    version: Literal[1]
    transcript_id: str
    cohort: str
    dataset: str
    text_sha256: str
    text_chars: int
    codebook_version: str
    codings: dict[str, Coding]
    adjudicated: Coding
    provenance: str
