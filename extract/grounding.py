"""Sentence ids -> quotes with spans. The only place where a Draft becomes an Extraction."""

from typing import Any

from schemas.codebook import SECTIONS
from schemas.draft import Draft
from schemas.extraction import CollaborationStyle, Extraction, Item, Quote, SectionExtraction
from schemas.transcript import Transcript


def ground_draft(draft: Draft, transcript: Transcript) -> Extraction:
    """Replace every sentence id of a checked draft by the sentence itself, in the order of the draft.

    The draft must have passed `DraftFormat.check` against this transcript (KeyError otherwise).
    """
    parts = {section: _ground_section(getattr(draft, section), transcript) for section in SECTIONS}
    return Extraction.model_validate(parts)


def _ground_section(section: Any, transcript: Transcript) -> SectionExtraction:
    items = tuple(_ground_item(item, transcript) for item in section.items)
    if not hasattr(section, "mode"):
        return SectionExtraction(status=section.status, items=items)
    return CollaborationStyle(
        status=section.status,
        items=items,
        mode=section.mode,
        leader=section.leader,
        mode_quotes=_ground_evidence(section.mode_evidence, transcript),
    )


def _ground_item(item: Any, transcript: Transcript) -> Item:
    values = item.model_dump(exclude={"evidence", "summary"})
    quotes = _ground_evidence(item.evidence, transcript)
    return Item(summary=" ".join(item.summary.split()), quotes=quotes, **values)


def _ground_evidence(ids: list[str], transcript: Transcript) -> tuple[Quote, ...]:
    sentences = [transcript.evidence[i] for i in ids]
    return tuple(Quote(sentence_id=s.id, start=s.start, end=s.end, text=transcript.words(s)) for s in sentences)
