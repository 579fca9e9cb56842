"""A golden as a person edits it: a TOML file with the numbered interview, the codebook and the items.

    golden new SOURCE ID  ->  <ID>.toml  ->  (edited by hand)  ->  golden check  ->  golden pack

Evidence is sentence ids, as a model writes them; packing replaces them by spans and leaves the words out.
"""

import json
import re
import tomllib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from evals.goldens import load_golden
from evals.matching import to_coding
from extract.errors import GoldenError
from extract.grounding import ground_draft
from schemas.codebook import ITEM_ATTRIBUTES, SECTION_ATTRIBUTES, Codebook, SectionCodes
from schemas.draft import DraftError, DraftFormat
from schemas.extraction import CollaborationStyle, Extraction
from schemas.golden import Coding, Golden, GoldenItem, GoldenSection, GoldenStyle, StoredSpan
from schemas.transcript import Transcript

ADJUDICATED = "adjudicated"
HEADER = ("transcript_id", "cohort", "source", "dataset", "text_sha256", "annotator", "provenance")
_STATUSES = "discussed, asked_not_answered or not_asked"


def render_golden(
    transcript: Transcript, codebook: Codebook, draft: dict[str, Any] | None = None, *, source: str, dataset: str,
    annotator: str = "", provenance: str = "",
) -> str:  # fmt: skip
    """The file to edit. `draft` prefills it (sections as plain data, evidence as sentence ids)."""
    values = {
        "transcript_id": transcript.id,
        "cohort": transcript.cohort or "",
        "source": source,
        "dataset": dataset,
        "text_sha256": transcript.text_sha256,
        "annotator": annotator,
        "provenance": provenance,
    }
    lines = [
        "# One coding of one interview, to be edited by hand.",
        "# Then: python -m evals golden check FILE, and: python -m evals golden pack FILE.",
        "# annotator: your initials, or adjudicated for the settled coding. provenance: who coded, and how.",
        "# Evidence is 1 to 4 sentence ids of the interviewee (U...). Codes and rules stand above each section.",
        *(f"{name} = {_quote(value)}" for name, value in values.items()),
        f"codebook_version = {_quote(codebook.version)}",
        "",
        "# ---------------------------------------------------------------- the interview",
        *(f"# {line}" for line in _number_sentences(transcript)),
    ]
    for section in codebook.sections:
        lines += ["", *_render_section(section, (draft or {}).get(section.id, {}))]
    return "\n".join(lines) + "\n"


def _number_sentences(transcript: Transcript) -> Iterator[str]:
    for turn in transcript.turns:
        if turn.speaker == "interviewer":
            yield f"[{turn.id}] {_flatten(transcript.words(turn))}"
        for sentence in turn.sentences:
            yield f"[{sentence.id}] {_flatten(transcript.words(sentence))}"


def _flatten(text: str) -> str:
    """One line that TOML takes as a comment: no control characters."""
    return re.sub(r"[\x00-\x08\x0b-\x1f\x7f\ud800-\udfff]", "\ufffd", " ".join(text.split()))


def _quote(text: str) -> str:
    """A TOML basic string; JSON's escapes are TOML's but for DEL, which JSON leaves as it is."""
    return json.dumps(_flatten(text), ensure_ascii=False)


def _render_section(section: SectionCodes, part: dict[str, Any]) -> list[str]:
    lines = [
        f"# ---------------------------------------------------------------- {section.id}",
        f"# {_flatten(section.definition)}",
        f"# {_flatten(section.granularity)}",
    ]
    for attribute in section.attributes:
        lines.append(f"# {attribute.id}: {_flatten(attribute.definition)}")
        lines += [f"#   {value.id}: {_flatten(value.definition)}" for value in attribute.values]
    lines += ["# codes:", *(f"#   {code.id}: {_flatten(code.definition)}" for code in section.codes)]
    lines += [f"[{section.id}]", f'status = "{part.get("status", "not_asked")}"  # {_STATUSES}']
    for name in SECTION_ATTRIBUTES.get(section.id, ()):
        lines.append(f"{name} = {_quote(part.get(name, 'unclear'))}")
        if name == "mode":
            lines.append(f"mode_evidence = {json.dumps(list(part.get('mode_evidence', ())))}")
    lines += ["", f"# An item: copy these lines, as often as needed, without the #.\n# [[{section.id}.items]]"]
    lines += [f"# {line}" for line in _render_item(section, None)]
    for item in part.get("items", ()):
        lines += [f"[[{section.id}.items]]", *_render_item(section, item), ""]
    return lines


def _render_item(section: SectionCodes, item: dict[str, Any] | None) -> list[str]:
    attribute = ITEM_ATTRIBUTES.get(section.id)
    values = item or {"code": "", "summary": "", "evidence": [], **({attribute: ""} if attribute else {})}
    names = ["code", *([attribute] if attribute else []), "summary"]
    return [*(f"{n} = {_quote(str(values[n]))}" for n in names), f"evidence = {json.dumps(list(values['evidence']))}"]


# ---------------------------------------------------------------- back


def parse_golden(text: str, name: str) -> dict[str, Any]:
    """The data of an edited file. Raises GoldenError for what is not TOML or lacks a line of the header."""
    try:
        data = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise GoldenError(f"{name}: not valid TOML: {error}. Mend that line.") from None
    for key in HEADER:
        if not isinstance(data.get(key), str):
            raise GoldenError(f"{name}: {key} is missing. Put the line back, as `golden new` writes it.")
    return data


def read_coding(data: dict[str, Any], transcript: Transcript, draft_format: DraftFormat, name: str) -> Coding:
    """The coding of an edited file, with spans. Raises GoldenError with everything that is wrong with it."""
    if data["text_sha256"] != transcript.text_sha256:
        raise GoldenError(f"{name}: the transcript's text has changed since the file was made. Make it anew.")
    parts = {key: value for key, value in data.items() if key not in (*HEADER, "codebook_version")}
    for part in parts.values():
        if isinstance(part, dict):
            part.setdefault("items", [])
    try:
        draft = draft_format.parse(json.dumps(parts), transcript)
    except DraftError as error:
        raise GoldenError("\n".join(f"{name}: {problem}" for problem in error.problems)) from None
    return to_coding(ground_draft(draft, transcript))


def check_header(data: dict[str, Any], codebook: Codebook) -> Iterator[str]:
    """What the head of an edited file still lacks before it can be stored, a sentence each."""
    if not data["annotator"].strip():
        yield "annotator is empty. Put your initials there, or adjudicated."
    provenance = data["provenance"].strip()
    if not provenance or provenance.endswith("..."):
        yield f"provenance is {provenance!r}. Say who coded the interview, and how."
    if data.get("codebook_version") != codebook.version:
        yield (
            f"codebook_version is {data.get('codebook_version')!r}, and the codebook's is {codebook.version!r}. "
            "Make the file anew, or name its codebook with --codebook."
        )


def pack_golden(
    data: dict[str, Any], coding: Coding, transcript: Transcript, codebook: Codebook, existing: Golden | None
) -> Golden:
    """The stored form: this coding beside those that the golden has. A first coding is adjudicated as well."""
    if problems := list(check_header(data, codebook)):
        raise GoldenError("\n".join(problems))
    annotator = data["annotator"].strip()
    codings = dict(existing.codings) if existing else {}
    if annotator != ADJUDICATED:
        codings[annotator] = coding
    adjudicated = coding if annotator == ADJUDICATED or existing is None else existing.adjudicated
    return Golden(
        version=1,
        transcript_id=transcript.id,
        cohort=data["cohort"],
        dataset=data["dataset"] or data["source"],
        text_sha256=transcript.text_sha256,
        text_chars=len(transcript.text),
        codebook_version=codebook.version,
        codings=codings,
        adjudicated=adjudicated,
        provenance=data["provenance"].strip(),
    )


def find_golden_path(folder: Path, transcript_id: str) -> Path:
    """Where a golden is stored. Raises GoldenError for an id that is no safe file name."""
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}", transcript_id):
        raise GoldenError(f"{transcript_id!r} cannot name a file. Give the interview an id of letters, digits, _ . -")
    return folder / f"{transcript_id}.json"


def load_existing(path: Path) -> Golden | None:
    """The golden that is stored there already, if any."""
    return load_golden(path) if path.exists() else None


def write_golden(path: Path, golden: Golden) -> None:
    """Write a golden, one line per item so that a diff reads well."""
    data = golden.model_dump(mode="json", exclude_none=True)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(data, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")


# ---------------------------------------------------------------- what prefills a file


def to_draft(coding: Coding, transcript: Transcript) -> dict[str, Any]:
    """A coding as a draft: each span as the ids of the sentences that it shares the most with."""
    return {name: _unground_section(part, transcript) for name, part in coding.sections.items()}


def extraction_to_draft(extraction: Extraction) -> dict[str, Any]:
    """An extraction of a run as a draft: quotes as their sentence ids."""
    draft: dict[str, Any] = {}
    for name, part in extraction.sections.items():
        items = [
            {**item.model_dump(exclude={"quotes"}), "evidence": [quote.sentence_id for quote in item.quotes]}
            for item in part.items
        ]
        draft[name] = {"status": part.status, "items": items}
        if isinstance(part, CollaborationStyle):
            evidence = [quote.sentence_id for quote in part.mode_quotes]
            draft[name] |= {"mode": part.mode, "leader": part.leader, "mode_evidence": evidence}
    return draft


def _unground_section(part: GoldenSection, transcript: Transcript) -> dict[str, Any]:
    draft: dict[str, Any] = {
        "status": part.status,
        "items": [_unground_item(item, transcript) for item in part.items],
    }
    if isinstance(part, GoldenStyle):
        evidence = find_ids(part.mode_evidence, transcript)
        draft |= {"mode": part.mode, "leader": part.leader, "mode_evidence": evidence}
    return draft


def _unground_item(item: GoldenItem, transcript: Transcript) -> dict[str, Any]:
    values = item.model_dump(exclude={"evidence"}, exclude_none=True)
    return {**values, "evidence": find_ids(item.evidence, transcript)}


def find_ids(spans: Sequence[StoredSpan], transcript: Transcript) -> list[str]:
    """The ids of the sentences that spans stand for; another splitter may have cut elsewhere."""
    ids: dict[str, None] = {}
    for start, end in spans:
        touched = transcript.find_sentences(start, end)
        best = max(touched, key=lambda s: min(end, s.end) - max(start, s.start), default=None)
        if best is not None:
            ids[best.id] = None
    return list(ids)
