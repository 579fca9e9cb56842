"""Invented records that every export is tested with: hostile cells, failures, repeats, wide characters."""

from pathlib import Path
from typing import Any

from extract.grounding import ground_draft
from extract.store import RunStore, create_run
from extract.tests.samples import ANSWER, make_manifest, make_prompt
from extract.turns import parse_transcript
from schemas.codebook import load_codebook
from schemas.record import Failure, Record, Usage
from schemas.transcript import Transcript

FORMULA = '=HYPERLINK("http://example.org","x")'

HOSTILE = f"""Assistant: Hello 🥐! What do you use AI for?

User: I run a 🧁 bakery. {FORMULA} It drafts my "newsletter", the jokes; and\u2028I rewrite.

AI: Does anything worry you?

User: @ bread recipe without salt \x0b\x01 <b>&amp; that</b>. I check every recipe now.

AI: And the future?

User: + plan my orders.
Let’s see 𝔘."""


def make_record_of(transcript: Transcript, *, repeat: int = 0, cohort: str | None = "bakers", **item: Any) -> Record:
    """A record whose evidence is taken from the transcript as it stands; `item` changes the first task."""
    answer = {**ANSWER, "tasks": {**ANSWER["tasks"], "items": [{**ANSWER["tasks"]["items"][0], **item}]}}
    draft = make_prompt().format.model.model_validate(answer)
    return Record(
        transcript_id=transcript.id,
        repeat=repeat,
        request_hash=f"{repeat:02x}" * 32,
        cohort=cohort,
        text_sha256=transcript.text_sha256,
        extraction=ground_draft(draft, transcript),
        usage=Usage(requests=1, input_tokens=10, output_tokens=5),
        cost_usd=0.25,
        latency_s=1.5,
        attempts=1,
        created_at="2026-09-01T10:15:01Z",
    )


def make_failure(transcript_id: str, text_sha256: str | None = None) -> Record:
    failure = Failure(kind="refusal" if text_sha256 else "unreadable", message=f"{FORMULA} is no interview.")
    return Record(
        transcript_id=transcript_id,
        request_hash="ff" * 32,
        text_sha256=text_sha256,
        failure=failure,
        created_at="2026-09-01T10:15:02Z",
    )


def make_texts(folder: Path) -> list[Transcript]:
    """Three interviews in a folder of text files, and what is read from it."""
    folder.mkdir()
    plain = "Assistant: Hi?\n\nUser: One. It helps me.\n\nAI: And?\n\nUser: Two. Twice.\n\nAI: So?\n\nUser: Three."
    texts = {"hostile": HOSTILE, "plain": plain, "refused": plain.replace("One", "Four")}
    for name, text in texts.items():
        (folder / f"{name}.txt").write_text(text, encoding="utf-8", newline="")
    return [parse_transcript(text, id=name) for name, text in texts.items()]


def make_run(
    folder: Path, *, command: tuple[str, ...] | None = None, **changes: Any
) -> tuple[RunStore, list[Transcript]]:
    """A run on disk with three interviews, one of them answered twice, one refused; and a row that is none."""
    transcripts = make_texts(folder / "interviews")
    source = str(folder / "interviews")
    told = {"source": source, "command": command or ("run", source), "codebook_sha256": load_codebook().hash}
    store = create_run(folder / "runs", make_manifest(**{**told, **changes}))
    hostile, plain, refused = transcripts
    with store:
        store.append(make_record_of(plain, repeat=1, summary="the second time"))
        store.append(make_record_of(plain, cohort=None))
        store.append(make_record_of(hostile, summary=f"{FORMULA} \x07 “jokes”"))
        store.append(make_failure("refused", refused.text_sha256))
        store.append(make_failure("row 9"))
    return store, transcripts
