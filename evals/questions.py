"""What a judge is asked about one item, and the prompt that asks it."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from string import Template
from typing import Any

from extract.errors import EvaluationError, PromptError
from extract.prompt import Request, fill_template, hash_json, read_part
from schemas.codebook import ITEM_ATTRIBUTES, Codebook, Section
from schemas.extraction import Item
from schemas.transcript import Transcript
from schemas.verdict import VerdictFormat

PROMPTS = Path(__file__).with_name("prompts")
VARIABLES = ("section", "code", "attribute", "summary", "evidence")


@dataclass(frozen=True)
class Question:
    """One item for a judge: its labels, its summary and the sentences that are said to prove it."""

    transcript_id: str
    section: Section
    code: str
    attribute: str | None
    summary: str
    evidence: tuple[str, ...]


def make_question(transcript_id: str, section: Section, item: Item) -> Question:
    """The question about one grounded item."""
    return Question(transcript_id, section, item.code, item.attribute, item.summary, tuple(q.text for q in item.quotes))


@dataclass(frozen=True)
class JudgePrompt:
    """A version of the judge's prompt. `system` is the same for every item.

    One request asks about one item, so that a verdict cannot depend on its neighbours: pairs of which
    two in three are bad would otherwise say little about a run of which most items are good. The
    system part comes from the provider's cache, so this costs little more than whole interviews.
    """

    version: str
    system: str
    user: Template
    format: VerdictFormat

    @cached_property
    def hash(self) -> str:
        """SHA-256 of the system part and the user template, as 64 hexadecimal digits."""
        return hash_json([self.system, self.user.template])

    def render(self, question: Question, *, model: str, parameters: Mapping[str, Any]) -> Request:
        """The request about one item. What stands for the transcript is the question's own text.

        Its id is the transcript's and a digest of the question, so that a changed item is another one.
        Raises EvaluationError for a code that the codebook does not have.
        """
        user = self.user.substitute(self._find_values(question))
        key = {
            "model": model,
            "parameters": parameters,
            "prompt": self.hash,
            "user": user,
            "schema": self.format.hash,
            "codebook": self.format.codebook.hash,
        }
        digest = hashlib.sha256(user.encode("utf-8", "surrogatepass")).hexdigest()
        subject = Transcript(id=f"{question.transcript_id}/{digest[:12]}", text=user, turns=())
        return Request(subject, self.format, self.system, user, 0, hash_json(key))

    def _find_values(self, question: Question) -> dict[str, str]:
        section = self.format.codebook.find_section(question.section)
        codes = {code.id: code.definition for code in section.codes}
        name = ITEM_ATTRIBUTES.get(question.section)
        values = {v.id: v.definition for v in section.find_attribute(name).values} if name else {}
        for label, known in ((question.code, codes), (question.attribute, values)):
            if label is not None and label not in known:
                raise EvaluationError(
                    f"Codebook version {self.format.codebook.version!r} has no {label!r} in {question.section}. "
                    "Name the codebook that the run was made with: --codebook FILE."
                )
        shown = f"{name} = {question.attribute}: {values[question.attribute]}" if question.attribute else "none"
        return {
            "section": _quote(f"{section.id}: {section.definition}"),
            "code": _quote(f"{question.code}: {codes[question.code]}"),
            "attribute": _quote(shown),
            "summary": _quote(question.summary),
            "evidence": "\n".join(f"- {_quote(sentence)}" for sentence in question.evidence),
        }


def _quote(text: str) -> str:
    """Text as data: one line, and no character that could open or close a tag."""
    return " ".join(text.split()).replace("<", "‹").replace(">", "›")


def load_judge_prompt(codebook: Codebook, version: str = "judge-v1") -> JudgePrompt:
    """Read a version of the judge's prompt. Raises PromptError for an unknown one or an unknown variable."""
    folder = PROMPTS / version
    if not (folder / "system.md").is_file():
        known = ", ".join(sorted(path.name for path in PROMPTS.iterdir() if path.is_dir()))
        raise PromptError(f"Unknown judge's prompt {version!r}. Choose one of: {known}.")
    system = fill_template(read_part(folder / "system.md"), {}, f"{version}/system.md")
    user = read_part(folder / "user.md")
    fill_template(user, dict.fromkeys(VARIABLES, ""), f"{version}/user.md")
    return JudgePrompt(version, system, Template(user), VerdictFormat(codebook))
