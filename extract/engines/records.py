"""Completion -> Record: what an engine hands back as the line that a run keeps."""

from extract.engines import Completion
from extract.grounding import ground_draft
from extract.store import now
from schemas.draft import Draft
from schemas.record import Record


def make_record(completion: Completion) -> Record:
    """The record of one completion, its draft grounded; without one where the engine keeps it in a file already."""
    transcript = completion.request.transcript
    draft = completion.draft
    return Record(
        transcript_id=transcript.id,
        repeat=completion.request.repeat,
        request_hash=completion.request.hash,
        cohort=transcript.cohort,
        text_sha256=transcript.text_sha256,
        extraction=ground_draft(draft, transcript) if isinstance(draft, Draft) else None,
        failure=completion.failure,
        draft=draft.model_dump() if draft else None,
        answer=_make_storable(completion.answer),
        model=completion.model,
        usage=completion.usage,
        cost_usd=completion.cost_usd,
        latency_s=round(completion.latency_s, 3),
        attempts=completion.attempts,
        request_id=completion.request_id,
        created_at=now(),
    )


def _make_storable(answer: str | None) -> str | None:
    """An answer of at most 20,000 characters, without the halves of characters that JSON can smuggle in."""
    return answer[:20_000].encode("utf-8", "replace").decode() if answer else None
