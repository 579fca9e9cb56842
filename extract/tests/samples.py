"""Invented interviews and small builders that the tests of this package share."""

import os
from pathlib import Path
from typing import Any

import pytest

from extract.engines import Completion
from extract.grounding import ground_draft
from extract.prompt import Prompt, Request, load_prompt
from extract.turns import parse_transcript
from schemas.codebook import load_codebook
from schemas.draft import Draft
from schemas.record import Manifest, Record, Usage
from schemas.transcript import Transcript

ROOT = Path(__file__).parents[2]
AUTHORED = ROOT / "goldens" / "authored" / "transcripts"

BAKER = """Assistant: Hello! What do you use AI for?

User: I run a small bakery. It drafts my weekly newsletter and I rewrite the jokes.

AI: Does anything worry you?

User: It once gave me a bread recipe without salt. I check every recipe now.

AI: And the future?

User: I would like it to plan my orders. Let’s see 🥐."""


def make_transcript(id: str = "baker", text: str = BAKER) -> Transcript:
    return parse_transcript(text, id=id)


def make_prompt() -> Prompt:
    return load_prompt("v1", load_codebook())


def make_request(transcript: Transcript | None = None, repeat: int = 0) -> Request:
    return make_prompt().render(transcript or make_transcript(), model="m", parameters={}, repeat=repeat)


ANSWER: dict[str, Any] = {
    "tasks": {
        "status": "discussed",
        "items": [
            {
                "evidence": ["U1.2"],
                "summary": "Weekly newsletter drafted, jokes rewritten",
                "code": "write_draft",
                "disposition": "shared",
            }
        ],
    },
    "collaboration_style": {
        "status": "discussed",
        "items": [{"evidence": ["U2.2"], "summary": "Checks every recipe", "code": "verifies"}],
        "mode_evidence": ["U1.2"],
        "mode": "task_iteration",
        "leader": "human",
    },
    "workplace_culture": {"status": "not_asked", "items": []},
    "concerns": {
        "status": "discussed",
        "items": [
            {"evidence": ["U2.1"], "summary": "A recipe lacked salt", "code": "unreliability", "timing": "lived"}
        ],
    },
    "future_wishes": {
        "status": "discussed",
        "items": [{"evidence": ["U3.1"], "summary": "Plan orders", "code": "automate_routine", "kind": "wish"}],
    },
}


def make_completion(request: Request) -> Completion:
    draft = request.format.model.model_validate(ANSWER)
    return Completion(request, draft=draft, attempts=1, model="m", latency_s=0.1)


def make_manifest(**changes: Any) -> Manifest:
    values: dict[str, Any] = {
        "run_id": "",
        "created_at": "2026-09-01T10:15:00Z",
        "engine": "rules",
        "model": "m",
        "parameters": {},
        "prompt_version": "v1",
        "prompt_sha256": "p",
        "schema_sha256": "s",
        "codebook_version": "1",
        "codebook_sha256": "c",
        "source": "interviews",
    }
    return Manifest.model_validate(values | changes)


def make_record(transcript_id: str = "t1", request_hash: str = "ab" * 32, **changes: Any) -> Record:
    values = {"transcript_id": transcript_id, "request_hash": request_hash, "created_at": "2026-09-01T10:15:00Z"}
    return Record.model_validate(values | changes)


def make_answered() -> Record:
    """The record of the baker's interview as a model would have it."""
    request = make_request()
    draft = make_completion(request).draft
    assert isinstance(draft, Draft)
    found = {"extraction": ground_draft(draft, request.transcript), "draft": draft.model_dump(), "model": "m"}
    found |= {"text_sha256": request.transcript.text_sha256, "usage": Usage(requests=1, input_tokens=900)}
    return make_record(request.transcript.id, request.hash, **found)


def find_real_interviews() -> Path:
    """The folder of the real interviews in the Hub's layout; skips the test where it is not there."""
    data = os.environ.get("VERBATIM_DATA")
    folder = Path(data or "none") / "data" / "anthropic_interviewer"
    if not folder.is_dir():
        pytest.skip(
            "needs the 1,210 real interviews: set VERBATIM_DATA to a folder that holds data/anthropic_interviewer"
        )
    return folder


def load_interviews(count: int) -> list[Transcript]:
    """So many interviews: the real ones where VERBATIM_DATA has them, else the authored ones with other endings."""
    from extract.transcripts import Source, load_transcripts

    real = Path(os.environ.get("VERBATIM_DATA") or "none") / "data" / "anthropic_interviewer"
    source = Source(str(real if real.is_dir() else AUTHORED), limit=count)
    found = [transcript for transcript in load_transcripts(source) if isinstance(transcript, Transcript)]
    more = (found[n % len(found)].text + f"\n\nUser: Number {n}." for n in range(len(found), count))
    return found + [parse_transcript(text, id=f"t{n}") for n, text in enumerate(more)]
