"""What a judge writes of one item, and the labelled pairs that it is calibrated against."""

from functools import cached_property
from typing import Any, Literal, get_args

from pydantic import BaseModel, ConfigDict

from schemas.codebook import Codebook, Section
from schemas.draft import DraftError, hash_schema, make_schema, parse_answer
from schemas.golden import StoredSpan
from schemas.transcript import Transcript

Verdict = Literal["supported", "partly", "not"]
"""Whether the cited sentences support an item: all of it, a part of it, not."""

VERDICTS: tuple[Verdict, ...] = get_args(Verdict)


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class VerdictDraft(_Part):
    """A judge's answer on one item. The reason comes before the verdict that it has to justify."""

    reason: str
    verdict: Verdict


class VerdictFormat:
    """The format of a judge's answer: an `AnswerFormat`, as `DraftFormat` is for a coder's."""

    model: type[VerdictDraft] = VerdictDraft

    def __init__(self, codebook: Codebook) -> None:
        self.codebook = codebook

    @cached_property
    def json_schema(self) -> dict[str, Any]:
        """The JSON schema of a verdict. Without the docstring: a word in it must not make a new request."""
        return {key: part for key, part in make_schema(self.model).items() if key != "description"}

    @cached_property
    def hash(self) -> str:
        """SHA-256 of the canonical JSON schema, as 64 hexadecimal digits."""
        return hash_schema(self.json_schema)

    def parse(self, answer: str, transcript: Transcript) -> VerdictDraft:
        """Turn a judge's answer into a verdict. Raises DraftError with everything that is wrong."""
        draft = parse_answer(self.model, answer)
        self.check(draft, transcript)
        return draft

    def check(self, draft: VerdictDraft, transcript: Transcript) -> None:  # noqa: ARG002 - the protocol's shape
        """A verdict without a reason is none."""
        if not draft.reason.strip():
            raise DraftError(["reason is empty. Say in one sentence why."])


class LabelledPair(_Part):
    """An item with evidence, and what a careful reader says of it, with the reason in one sentence."""

    id: str
    transcript_id: str
    section: Section
    code: str
    attribute: str | None = None
    summary: str
    evidence: tuple[StoredSpan, ...]
    label: Verdict
    reason: str


class LabelledPairs(_Part):
    """The file `goldens/judge/pairs.json`, stand-off like a golden. `provenance` says who labelled.

    `transcripts` maps each transcript id to the SHA-256 of its text.
    """

    version: Literal[1]
    codebook_version: str
    provenance: str
    transcripts: dict[str, str]
    pairs: tuple[LabelledPair, ...]
