"""Small invented goldens and runs on disk for the tests of the comparison's page."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from evals.golden_file import write_golden
from evals.tests.samples import make_coding, make_golden, make_item, make_record
from extract.store import RunStore, create_run
from extract.tests.samples import BAKER, make_manifest, make_transcript
from schemas.codebook import load_codebook
from schemas.golden import Coding, GoldenItem, StoredSpan
from schemas.transcript import Transcript


def make_interview(id: str) -> Transcript:
    return make_transcript(id, BAKER.replace("bakery", f"bakery called {id}"))


def find_span(transcript: Transcript, sentence_id: str) -> StoredSpan:
    sentence = transcript.evidence[sentence_id]
    return sentence.start, sentence.end


def cite(id: str, code: str, *sentence_ids: str, **attribute: str) -> GoldenItem:
    """An item on sentences of the interview of that id."""
    transcript = make_interview(id)
    spans = [find_span(transcript, sentence_id) for sentence_id in sentence_ids]
    return make_item(code, *spans, summary=f"about {code}", **attribute)


def store_golden(root: Path, id: str, coding: Coding, *, with_text: bool = True, **codings: Coding) -> None:
    """A golden of the set `own`, and its text beside it unless that is not wanted."""
    transcript = make_interview(id)
    changes = {"text_sha256": transcript.text_sha256, "text_chars": len(transcript.text), "dataset": "nowhere/at-all"}
    write_golden(root / "own" / f"{id}.json", make_golden(id, coding, **codings).model_copy(update=changes))
    if with_text:
        (root / "own" / "transcripts").mkdir(exist_ok=True)
        (root / "own" / "transcripts" / f"{id}.txt").write_text(transcript.text, encoding="utf-8")


def store_run(runs: Path, codings: Mapping[str, Coding | None], repeats: int = 1, **changes: Any) -> RunStore:
    """A run that coded interviews so; None is a failure."""
    book = load_codebook()
    manifest = {"status": "complete", "codebook_sha256": book.hash, "repeats": repeats, **changes}
    store = create_run(runs, make_manifest(**manifest))
    asked = [(id, repeat) for id in codings for repeat in range(repeats)]
    with store:
        for number, (id, repeat) in enumerate(asked):
            values = {"text_sha256": make_interview(id).text_sha256, "request_hash": f"{number:064x}"}
            store.append(make_record(id, codings[id], repeat, **values))
    return store


def agree(id: str) -> Coding:
    """What the goldens of these tests hold."""
    return make_coding(
        concerns=[cite(id, "unreliability", "U2.1", timing="lived")],
        tasks=[cite(id, "write_draft", "U1.2", disposition="shared")],
        future_wishes=[cite(id, "expand_use", "U3.2", kind="wish")],
    )


def differ(id: str) -> Coding:
    """Another attribute, another code, a miss, and an extra."""
    return make_coding(
        mode="learning",
        concerns=[
            cite(id, "unreliability", "U2.1", timing="anticipated"),
            cite(id, "skill_atrophy", "U2.2", timing="lived"),
        ],
        tasks=[cite(id, "edit_polish", "U1.2", disposition="shared")],
    )
