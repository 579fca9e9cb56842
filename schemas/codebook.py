"""The codebook: sections, codes and attributes with their definitions, read from TOML."""

import hashlib
import json
import re
import tomllib
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, get_args

from pydantic import BaseModel, ConfigDict

Section = Literal["tasks", "collaboration_style", "workplace_culture", "concerns", "future_wishes"]
SECTIONS: tuple[Section, ...] = get_args(Section)

ITEM_ATTRIBUTES: dict[str, str] = {"tasks": "disposition", "concerns": "timing", "future_wishes": "kind"}
"""The attribute that every item of a section carries."""

SECTION_ATTRIBUTES: dict[str, tuple[str, ...]] = {"collaboration_style": ("mode", "leader")}
"""The attributes that a section carries once for the transcript."""

DEFAULT_CODEBOOK = Path(__file__).with_name("codebook.toml")


class CodebookError(ValueError):
    """A codebook that cannot be used; the message names the file, the line and the way out."""


class Code(BaseModel):
    """One label with its definition. `id` is unique in its section (or among its attribute's values)."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    id: str
    definition: str


class Attribute(BaseModel):
    """A closed list of values that an item or a section carries, `disposition` for one."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    id: str
    definition: str
    values: tuple[Code, ...]


class SectionCodes(BaseModel):
    """One of the five sections: what belongs in it, how finely, its codes and attributes."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    id: Section
    definition: str
    granularity: str
    attributes: tuple[Attribute, ...]
    codes: tuple[Code, ...]

    def find_attribute(self, name: str) -> Attribute:
        """The attribute of that name. KeyError if the section has none."""
        return {a.id: a for a in self.attributes}[name]


class Codebook(BaseModel):
    """Everything a coder is told. `hash` changes with any word of it, but not with comments or layout."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    version: str
    title: str
    sections: tuple[SectionCodes, ...]

    @cached_property
    def hash(self) -> str:
        """SHA-256 of the canonical JSON of the codebook, as 64 hexadecimal digits."""
        canonical = json.dumps(self.model_dump(mode="json"), sort_keys=True, ensure_ascii=False)
        return hashlib.sha256(canonical.encode()).hexdigest()

    def find_section(self, section: str) -> SectionCodes:
        """The codes of one section. KeyError if it is not one of the five."""
        return {s.id: s for s in self.sections}[section]  # type: ignore[index]


def load_codebook(path: str | Path = DEFAULT_CODEBOOK) -> Codebook:
    """Read a codebook file.

    Raises CodebookError, with file and line, for a file that is missing or not TOML, an unknown
    section, a missing or repeated code, an empty definition.
    """
    try:
        text = Path(path).read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "not UTF-8 text"
        raise CodebookError(f"Cannot read the codebook {str(path)!r}: {reason}. Name a TOML file.") from None
    return parse_codebook(text, name=str(path))


def parse_codebook(text: str, name: str = "codebook") -> Codebook:
    """Turn TOML text into a Codebook; `name` is what errors call the file. Raises CodebookError."""
    return _Reader(text, name).read()


class _Reader:
    """Walks the parsed TOML and knows the line of every table and key, for the error messages."""

    def __init__(self, text: str, name: str) -> None:
        self.text, self.name = text, name
        self.lines = _find_lines(text)

    def read(self) -> Codebook:
        try:
            data = tomllib.loads(self.text)
        except tomllib.TOMLDecodeError as error:
            raise self._explain_syntax(str(error)) from None
        for key in data:
            if key not in (*SECTIONS, "version", "title"):
                known = ", ".join(SECTIONS)
                raise self.error((key,), f"unknown section {key!r}. The five sections are: {known}.")
        sections = [self.read_section(section, data.get(section)) for section in SECTIONS]
        version, title = (self.read_text((key,), data.get(key)) for key in ("version", "title"))
        return Codebook(version=version, title=title, sections=tuple(sections))

    def read_section(self, section: Section, table: Any) -> SectionCodes:
        if not isinstance(table, dict):
            raise self.error((section,), f"section {section!r} is missing. Add a [{section}] table.")
        wanted = (*SECTION_ATTRIBUTES.get(section, ()), *filter(None, [ITEM_ATTRIBUTES.get(section)]))
        for key in table:
            if key not in ("definition", "granularity", "codes", *wanted):
                raise self.error((section, key), f"unknown key {key!r} in [{section}]. Remove it.")
        return SectionCodes(
            id=section,
            definition=self.read_text((section, "definition"), table.get("definition")),
            granularity=self.read_text((section, "granularity"), table.get("granularity")),
            attributes=tuple(self.read_attribute(section, name, table.get(name)) for name in wanted),
            codes=self.read_codes((section, "codes"), table.get("codes")),
        )

    def read_attribute(self, section: str, name: str, table: Any) -> Attribute:
        if not isinstance(table, dict):
            raise self.error((section,), f"attribute {name!r} is missing. Add a [{section}.{name}] table.")
        definition = self.read_text((section, name, "definition"), table.get("definition"))
        values = {key: value for key, value in table.items() if key != "definition"}
        return Attribute(id=name, definition=definition, values=self.read_codes((section, name), values))

    def read_codes(self, path: tuple[str, ...], table: Any) -> tuple[Code, ...]:
        if not isinstance(table, dict) or not table:
            raise self.error(path, f"[{'.'.join(path)}] has no codes. Add at least one.")
        for key in table:
            if not re.fullmatch(r"[a-z][a-z0-9_]*", key):
                raise self.error((*path, key), f"bad code {key!r}. Use lower-case letters, digits and _.")
        return tuple(Code(id=key, definition=self.read_text((*path, key), table[key])) for key in table)

    def read_text(self, path: tuple[str, ...], value: Any) -> str:
        if value is None:
            raise self.error(path[:-1], f'{".".join(path)} is missing. Add {path[-1]} = "...".')
        if not isinstance(value, str) or not value.strip():
            raise self.error(path, f"{'.'.join(path)} must be a text that is not empty, got {value!r}.")
        return value.strip()

    def error(self, path: tuple[str, ...], message: str) -> CodebookError:
        line = next((self.lines[path[:k]] for k in range(len(path), 0, -1) if path[:k] in self.lines), 1)
        return CodebookError(f"{self.name}, line {line}: {message}")

    def _explain_syntax(self, message: str) -> CodebookError:
        """Name the duplicate that tomllib only calls a value it cannot overwrite."""
        found = re.search(r"\(at line (\d+)", message)
        line = int(found[1]) if found else len(self.text.splitlines())
        if "overwrite" in message or "declare" in message:
            source = self.text.splitlines()[line - 1].strip()
            key = source.split("=")[0].strip()
            return CodebookError(f"{self.name}, line {line}: {key!r} stands there twice. Remove one.")
        return CodebookError(f"{self.name}, line {line}: not valid TOML: {message}.")


def _find_lines(text: str) -> dict[tuple[str, ...], int]:
    """The first line (from 1) of each table and key of a TOML text."""
    lines: dict[tuple[str, ...], int] = {}
    table: tuple[str, ...] = ()
    for number, line in enumerate(text.splitlines(), start=1):
        if header := re.match(r"\s*\[([^\[\]]+)\]", line):
            table = tuple(part.strip().strip("\"'") for part in header[1].split("."))
            for depth in range(1, len(table) + 1):
                lines.setdefault(table[:depth], number)
        elif key := re.match(r"\s*([\w\"'-]+)\s*=", line):
            lines.setdefault((*table, key[1].strip("\"'")), number)
    return lines
