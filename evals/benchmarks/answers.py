"""What an answer costs in tokens: sentence ids against copied quotes, computed from the authored goldens.

The items of each golden are written in three ways, and counted at 3.5 characters a token. No model is asked.
"""

import json
import statistics
from collections.abc import Callable, Iterator
from typing import Any

from evals.goldens import find_golden_paths, load_goldens
from extract.prompt import estimate_tokens, render_transcript
from schemas.golden import Coding, StoredSpan
from schemas.transcript import Transcript

Cite = Callable[[StoredSpan], str]


def compute_answers() -> dict[str, Any]:
    """Mean tokens of an interview's answer in each form, and of its text with and without the sentences' numbers."""
    goldens = load_goldens(find_golden_paths(["authored"]))
    sizes = [_measure(golden.adjudicated, goldens.transcripts[golden.transcript_id]) for golden in goldens.goldens]
    means = {name: statistics.mean(size[name] for size in sizes) for name in sizes[0]}
    return {"interviews": len(sizes), **means}


def _measure(coding: Coding, transcript: Transcript) -> dict[str, int]:
    ids = {(sentence.start, sentence.end): sentence.id for sentence in transcript.evidence.values()}

    def copy(span: StoredSpan) -> str:
        return transcript.text[span[0] : span[1]]

    forms = {
        "ids_tokens": render_answer(coding, lambda span: ids[span]),
        "quotes_tokens": render_answer(coding, copy),
        "langextract_tokens": render_extractions(coding, copy),
        "numbered_text_tokens": render_transcript(transcript),
        "bare_text_tokens": transcript.text,
    }
    return {name: estimate_tokens(text) for name, text in forms.items()}


def render_answer(coding: Coding, cite: Cite) -> str:
    """The coding as our draft is written, with `cite` for each piece of evidence."""
    answer = coding.model_dump(mode="json", exclude_none=True)
    for section in answer.values():
        for part, name in [(section, "mode_evidence"), *((item, "evidence") for item in section["items"])]:
            if name in part:
                part[name] = [cite(tuple(span)) for span in part[name]]
    return _encode(answer)


def render_extractions(coding: Coding, cite: Cite) -> str:
    """The coding as langextract has a model write it: an extraction an item, its quotes in one string."""
    return _encode({"extractions": list(_iterate_extractions(coding, cite))})


def _iterate_extractions(coding: Coding, cite: Cite) -> Iterator[dict[str, Any]]:
    for name, section in coding.sections.items():
        for item in section.items:
            attributes = item.model_dump(exclude_none=True, exclude={"evidence"})
            yield {name: " ".join(map(cite, item.evidence)), f"{name}_attributes": attributes}


def _encode(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
