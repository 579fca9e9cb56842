"""Prompt versions: load, check, render, hash. `prompts/<version>/` is frozen once a run has used it."""

import hashlib
import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from string import Template
from typing import Any, Protocol

from extract.errors import PromptError
from extract.turns import parse_transcript
from schemas.codebook import SECTIONS, Codebook, SectionCodes
from schemas.draft import AnswerFormat, DraftError, DraftFormat
from schemas.transcript import Transcript

PROMPTS = Path(__file__).with_name("prompts")
CHARACTERS_PER_TOKEN = 3.5


@dataclass(frozen=True)
class Request:
    """One question to a model: everything an engine needs, and the hash that is its answer's key."""

    transcript: Transcript
    format: AnswerFormat
    system: str
    user: str
    repeat: int
    hash: str


class PromptVersion(Protocol):
    """What a manifest says of a prompt."""

    @property
    def version(self) -> str:
        """Its name, `v1` for one."""

    @property
    def hash(self) -> str:
        """SHA-256 of its words."""

    @property
    def format(self) -> AnswerFormat:
        """What an answer must be."""


@dataclass(frozen=True)
class Prompt:
    """A prompt version with a codebook filled in. `system` is the same for every transcript."""

    version: str
    system: str
    user: Template
    format: DraftFormat

    @cached_property
    def hash(self) -> str:
        """SHA-256 of the system part and the user template, as 64 hexadecimal digits."""
        return hash_json([self.system, self.user.template])

    def render(self, transcript: Transcript, *, model: str, parameters: Mapping[str, Any], repeat: int = 0) -> Request:
        """The request for one transcript. Its hash changes with each thing that could change the answer."""
        user = self.user.substitute(transcript=render_transcript(transcript))
        key = {
            "model": model,
            "parameters": parameters,
            "prompt": self.hash,
            "user": user,
            "schema": self.format.hash,
            "codebook": self.format.codebook.hash,
            "text": transcript.text_sha256,
            "repeat": repeat,
        }
        return Request(transcript, self.format, self.system, user, repeat, hash_json(key))


def find_prompt_versions() -> list[str]:
    """The prompt versions that ship, oldest first."""
    return sorted((p.name for p in PROMPTS.iterdir() if p.is_dir()), key=lambda name: (len(name), name))


def load_prompt(version: str, codebook: Codebook) -> Prompt:
    """Read a prompt version and fill in the codebook.

    `version` is a name such as `v1`, or the path of a folder with system.md, user.md and examples.
    Raises PromptError for an unknown version or variable, and for an example that does not ground.
    """
    folder = Path(version) if "/" in version else PROMPTS / version
    if not (folder / "system.md").is_file():
        raise PromptError(f"Unknown prompt {version!r}. Choose one of: {', '.join(find_prompt_versions())}.")
    draft_format = DraftFormat(codebook)
    values = {
        "version": codebook.version,
        "title": codebook.title,
        "sections": ", ".join(section.replace("_", " ") for section in SECTIONS),
        "codebook": render_codebook(codebook),
        "boundaries": _render_boundaries(folder / "boundaries.md", codebook),
        "examples": _render_examples(folder / "examples", draft_format),
    }
    system = fill_template(read_part(folder / "system.md"), values, f"{version}/system.md")
    user = read_part(folder / "user.md")
    fill_template(user, {"transcript": ""}, f"{version}/user.md")
    return Prompt(folder.name, system, Template(user), draft_format)


def fill_template(text: str, values: Mapping[str, str], name: str) -> str:
    """Fill a `string.Template`. Raises PromptError that names an unknown variable and the known ones."""
    known = ", ".join(f"${value}" for value in values)
    try:
        return Template(text).substitute(values).strip()
    except KeyError as error:
        raise PromptError(f"Unknown variable ${error.args[0]} in {name}. The known ones are: {known}.") from None
    except ValueError as error:
        raise PromptError(f"A lone $ in {name}: {error}. Write $$ for a dollar sign.") from None


def render_transcript(transcript: Transcript) -> str:
    """The numbered transcript: a line for each interviewer's turn and each interviewee's sentence.

    A sentence takes one line, and cannot close the tags around it, whatever it says.
    """
    lines = []
    for turn in transcript.turns:
        if turn.speaker == "interviewer":
            lines.append(f"[{turn.id}] {_flatten(transcript.words(turn))}")
        lines.extend(f"[{s.id}] {_flatten(transcript.words(s))}" for s in turn.sentences)
    return "\n".join(lines)


def _flatten(text: str) -> str:
    return " ".join(text.split()).replace("<transcript", "‹transcript").replace("</transcript", "‹/transcript")


def render_codebook(codebook: Codebook) -> str:
    """The codebook as a model and a person read it."""
    return "\n\n".join(_render_section(section) for section in codebook.sections)


def _render_section(section: SectionCodes) -> str:
    lines = [f"## {section.id}", section.definition, section.granularity]
    for attribute in section.attributes:
        lines.append(f"{attribute.id}: {attribute.definition}")
        lines.extend(f"  - {value.id}: {value.definition}" for value in attribute.values)
    lines.append("codes:")
    lines.extend(f"  - {code.id}: {code.definition}" for code in section.codes)
    return "\n".join(lines)


def _render_boundaries(path: Path, codebook: Codebook) -> str:
    """The lines on where codes touch; with a codebook of one's own, only those about codes it has."""
    codes = _find_ids(codebook)
    lines = read_part(path).splitlines() if path.is_file() else []
    return "\n".join(line for line in lines if codes.issuperset(re.findall(r"`(\w+)`", line))) or "- None."


def _find_ids(codebook: Codebook) -> set[str]:
    return {code.id for section in codebook.sections for code in section.codes}


def load_examples(folder: Path) -> list[tuple[str, str]]:
    """The worked examples of a prompt version: pairs of an interview's text and its draft as JSON."""
    return [(read_part(path), read_part(path.with_suffix(".json"))) for path in sorted(folder.glob("*.txt"))]


def _render_examples(folder: Path, draft_format: DraftFormat) -> str:
    """Examples whose codes the codebook has; with a codebook of one's own, others are left out."""
    codes = _find_ids(draft_format.codebook)
    rendered = []
    for text, answer in load_examples(folder):
        transcript = parse_transcript(text, id="example")
        if not codes.issuperset(re.findall(r'"code": ?"(\w+)"', answer)):
            continue
        try:
            draft_format.parse(answer, transcript)
        except DraftError as error:
            raise PromptError(f"A worked example in {str(folder)!r} does not ground: {error}") from None
        compact = json.dumps(json.loads(answer), ensure_ascii=False, separators=(",", ":"))
        rendered.append(f"<transcript>\n{render_transcript(transcript)}\n</transcript>\n{compact}")
    return "\n\n".join(rendered) or "None for this codebook."


def estimate_tokens(text: str) -> int:
    """About how many tokens a text takes: a token for every 3.5 characters.

    Providers count with tokenizers of their own, which they do not publish; English prose runs at 3.5
    to 4.5 characters a token, so this errs on the high side.
    """
    return math.ceil(len(text) / CHARACTERS_PER_TOKEN)


def read_part(path: Path) -> str:
    """One file of a prompt version. Raises PromptError where it cannot be read."""
    try:
        return path.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError):
        raise PromptError(f"Cannot read {str(path)!r}. A prompt version needs system.md and user.md.") from None


def hash_json(value: Any) -> str:
    """SHA-256 of the canonical JSON of a value, as 64 hexadecimal digits."""
    canonical = json.dumps(value, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
    return hashlib.sha256(canonical.encode("utf-8", "surrogatepass")).hexdigest()
