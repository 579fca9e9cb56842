"""Small builders that the tests of this package share. The interviews are invented."""

from collections.abc import Sequence
from typing import Any

from extract.tests.samples import make_transcript
from schemas.draft import Status
from schemas.extraction import Extraction
from schemas.golden import Coding, Golden, GoldenItem, StoredSpan
from schemas.record import Failure, Record
from schemas.transcript import Transcript

Spans = Sequence[StoredSpan]
SHA = "0" * 64


def make_item(code: str, *spans: StoredSpan, summary: str = "said", **attribute: str) -> GoldenItem:
    return GoldenItem(code=code, summary=summary, evidence=spans, **attribute)


def make_coding(*, mode: str = "directive", leader: str = "human", **sections: Sequence[GoldenItem]) -> Coding:
    def part(name: str) -> dict[str, Any]:
        items = tuple(sections.get(name, ()))
        status: Status = "discussed" if items else "not_asked"
        return {"status": status, "items": items}

    style = {**part("collaboration_style"), "mode": mode, "leader": leader, "mode_evidence": ()}
    rest = {name: part(name) for name in ("tasks", "workplace_culture", "concerns", "future_wishes")}
    return Coding.model_validate({**rest, "collaboration_style": style})


def make_golden(transcript_id: str, coding: Coding, **codings: Coding) -> Golden:
    return Golden(
        version=1,
        transcript_id=transcript_id,
        cohort="workforce",
        dataset="invented",
        text_sha256=SHA,
        text_chars=10_000,
        codebook_version="1",
        codings=codings or {"A": coding},
        adjudicated=coding,
        provenance="Invented for a test.",
    )


def make_extraction(coding: Coding) -> Extraction:
    """A coding as a run holds it; the words are invented too."""
    parts: dict[str, Any] = {}
    for name, section in coding.sections.items():
        items = [
            {**item.model_dump(exclude={"evidence"}, exclude_none=True), "quotes": _quote(item.evidence)}
            for item in section.items
        ]
        parts[name] = {"status": section.status, "items": items}
    style = coding.collaboration_style
    parts["collaboration_style"] |= {"mode": style.mode, "leader": style.leader, "mode_quotes": ()}
    return Extraction.model_validate(parts)


def _quote(spans: Spans) -> list[dict[str, Any]]:
    return [{"start": start, "end": end, "sentence_id": "U1.1", "text": "words"} for start, end in spans]


def make_record(transcript_id: str, coding: Coding | None, repeat: int = 0, **changes: Any) -> Record:
    failure = None if coding else Failure(kind="refusal", message="The model refused to answer.")
    values: dict[str, Any] = {
        "transcript_id": transcript_id,
        "repeat": repeat,
        "request_hash": "ab" * 32,
        "text_sha256": SHA,
        "extraction": make_extraction(coding) if coding else None,
        "failure": failure,
        "created_at": "2026-09-01T10:15:00Z",
    }
    return Record(**{**values, **changes})


def make_long_transcript(id: str = "long") -> Transcript:
    text = "Assistant: What do you do?\n\nUser: " + " ".join(f"This is sentence number {n}." for n in range(12))
    return make_transcript(id, text)
