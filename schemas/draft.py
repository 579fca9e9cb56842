"""What the model writes: codes and sentence ids. Built from a codebook; checked against a transcript."""

import hashlib
import json
from collections import Counter
from collections.abc import Iterator
from functools import cached_property
from typing import Annotated, Any, Literal, Protocol, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, ValidationError, create_model

from schemas.codebook import ITEM_ATTRIBUTES, SECTION_ATTRIBUTES, SECTIONS, Codebook, SectionCodes
from schemas.transcript import Transcript

Status = Literal["discussed", "asked_not_answered", "not_asked"]
MAX_EVIDENCE = 4
AnyModel = TypeVar("AnyModel", bound=BaseModel)

SentenceId = Annotated[str, BeforeValidator(lambda value: value.strip(" []") if isinstance(value, str) else value)]


class DraftError(ValueError):
    """A draft that cannot be grounded. `problems` lists all that is wrong, one sentence each."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__(" ".join(problems))
        self.problems = problems


class Draft(BaseModel):
    """Base of the drafts of all codebooks; its fields are the five sections."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class _DraftPart(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class AnswerFormat(Protocol):
    """What an answer must be. Engines know no more of a request's purpose than this.

    `json_schema` and `hash` do not vary with the transcript. `parse` raises DraftError with everything
    that is wrong with an answer; `check` does the same for one that has the right types already.
    """

    @property
    def codebook(self) -> Codebook:
        """The codebook that the answer speaks of."""

    @property
    def model(self) -> type[BaseModel]:
        """The type of a parsed answer."""

    @property
    def json_schema(self) -> dict[str, Any]:
        """Its JSON schema."""

    @property
    def hash(self) -> str:
        """SHA-256 of the schema, as 64 hexadecimal digits."""

    def parse(self, answer: str, transcript: Transcript) -> BaseModel:
        """Turn a model's answer into a checked one."""

    def check(self, draft: Any, transcript: Transcript) -> None:
        """Check what a JSON schema cannot."""


class DraftFormat:
    """The Draft type of one codebook: its pydantic model, JSON schema and hash."""

    def __init__(self, codebook: Codebook) -> None:
        self.codebook = codebook
        fields: dict[str, Any] = {s.id: (_build_section(s), ...) for s in codebook.sections}
        self.model: type[Draft] = create_model("Draft", __base__=Draft, **fields)

    @cached_property
    def json_schema(self) -> dict[str, Any]:
        """The JSON schema of a draft; it does not vary with the transcript."""
        return make_schema(self.model)

    @cached_property
    def hash(self) -> str:
        """SHA-256 of the canonical JSON schema, as 64 hexadecimal digits."""
        return hash_schema(self.json_schema)

    def parse(self, answer: str, transcript: Transcript) -> Draft:
        """Turn a model's answer into a draft. Raises DraftError with everything that is wrong."""
        draft = parse_answer(self.model, answer)
        self.check(draft, transcript)
        return draft

    def check(self, draft: Draft, transcript: Transcript) -> None:
        """Check what a JSON schema cannot: the cited ids, repeated codes, status against items."""
        problems = [p for s in SECTIONS for p in _find_problems(s, getattr(draft, s), transcript)]
        if problems:
            raise DraftError(problems)


def make_schema(model: type[BaseModel]) -> dict[str, Any]:
    """The JSON schema of a model's answer, without the titles that pydantic adds."""
    schema: dict[str, Any] = _tidy_schema(model.model_json_schema())
    return schema


def hash_schema(schema: dict[str, Any]) -> str:
    """SHA-256 of the canonical JSON of a schema, as 64 hexadecimal digits."""
    return hashlib.sha256(json.dumps(schema, sort_keys=True).encode()).hexdigest()


def parse_answer(model: type[AnyModel], answer: str) -> AnyModel:
    """Turn an answer's JSON into its type. Raises DraftError with everything that pydantic found."""
    try:
        return model.model_validate_json(answer.strip() or "{}")
    except ValidationError as error:
        raise DraftError(_explain(error)) from None


def _build_section(section: SectionCodes) -> type[BaseModel]:
    """The draft type of one section. Evidence comes before the label that it has to justify."""
    codes = _literal([code.id for code in section.codes])
    item: dict[str, Any] = {"evidence": (list[SentenceId], ...), "summary": (str, ...), "code": (codes, ...)}
    if section.id in ITEM_ATTRIBUTES:
        name = ITEM_ATTRIBUTES[section.id]
        item[name] = (_literal([v.id for v in section.find_attribute(name).values]), ...)
    title = "".join(part.capitalize() for part in section.id.split("_"))
    item_model = create_model(f"{title}Item", __base__=_DraftPart, **item)
    fields: dict[str, Any] = {"status": (Status, ...), "items": (list[item_model], ...)}
    for name in SECTION_ATTRIBUTES.get(section.id, ()):
        if name == "mode":
            fields["mode_evidence"] = (list[SentenceId], ...)
        fields[name] = (_literal([v.id for v in section.find_attribute(name).values]), ...)
    return create_model(title, __base__=_DraftPart, **fields)


def _literal(values: list[str]) -> Any:
    return Literal[tuple(values)]


def _tidy_schema(schema: Any) -> Any:
    """Drop the titles that pydantic adds: they cost tokens and tell a model nothing."""
    if isinstance(schema, dict):
        return {k: _tidy_schema(v) for k, v in schema.items() if not (k == "title" and isinstance(v, str))}
    return [_tidy_schema(v) for v in schema] if isinstance(schema, list) else schema


def _explain(error: ValidationError) -> list[str]:
    """One sentence for each thing that pydantic found."""
    problems = []
    for found in error.errors(include_url=False)[:20]:
        where = ".".join(str(part) for part in found["loc"]) or "the answer"
        got = found["input"]
        shown = f", got {got!r}" if isinstance(got, str | int | float | bool) and len(str(got)) < 80 else ""
        problems.append(f"{where}: {found['msg']}{shown}.")
    return problems


def _find_problems(name: str, section: Any, transcript: Transcript) -> Iterator[str]:
    if section.status == "discussed" and not section.items and name not in SECTION_ATTRIBUTES:
        yield f"{name}: status is 'discussed' but there are no items. Add them or change the status."
    if section.status != "discussed" and section.items:
        yield f"{name}: status is {section.status!r} but there are items. Make it 'discussed' or remove them."
    if name != "tasks":
        counts = Counter(item.code for item in section.items)
        for code in (c for c, n in counts.items() if n > 1):
            yield f"{name}: code {code!r} is used {counts[code]} times. Merge them into one item."
    for number, item in enumerate(section.items):
        where = f"{name}.items.{number}"
        if not item.summary.strip():
            yield f"{where}.summary is empty. Say in a few words what the interviewee said."
        yield from _find_evidence_problems(f"{where}.evidence", item.evidence, transcript, least=1)
    if name in SECTION_ATTRIBUTES:
        least = 0 if section.mode == "unclear" or section.status != "discussed" else 1
        yield from _find_evidence_problems(f"{name}.mode_evidence", section.mode_evidence, transcript, least)


def _find_evidence_problems(where: str, ids: list[str], transcript: Transcript, least: int) -> Iterator[str]:
    if not least <= len(ids) <= MAX_EVIDENCE:
        yield f"{where} has {len(ids)} sentence ids. Cite {least} to {MAX_EVIDENCE}."
    for sentence_id in ids:
        if sentence_id in transcript.interviewer_ids:
            yield f"{where}: {sentence_id!r} is the interviewer's. Cite the interviewee's sentences only."
        elif sentence_id not in transcript.evidence:
            yield f"{where}: there is no sentence {sentence_id!r}. Cite ids that stand in the transcript."
    if len(set(ids)) < len(ids):
        yield f"{where} names a sentence twice. Cite each once."


__all__ = [
    "MAX_EVIDENCE",
    "AnswerFormat",
    "Draft",
    "DraftError",
    "DraftFormat",
    "SentenceId",
    "Status",
    "hash_schema",
    "make_schema",
    "parse_answer",
]
