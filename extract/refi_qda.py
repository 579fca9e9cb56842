"""REFI-QDA: codings on their texts as a project (.qdpx).

NVivo, ATLAS.ti, MAXQDA, QualCoder and others read it. The elements and their order follow the
schema of version 1.0 (https://www.qdasoftware.org). In a project

- a section is a code that cannot be assigned, above its codes; an attribute is one above its values;
- a selection is one span of one coder: it carries the code and the attribute value of every item that
  the span proves, and the items' summaries as its description;
- a coder is a user; an interview is a source and a case, whose variables are cohort, mode, leader and
  the sections' statuses; a cohort is a set of sources; where it all comes from is a note.

Positions are code points from 0, the end exclusive. GUIDs are made from what they name and the ZIP
holds no clock, so that the same codings make the same bytes. Of each interview only its entry in the
ZIP's directory stays in memory, less than a kilobyte.
"""

import shutil
import tempfile
import xml.etree.ElementTree as ET
import zipfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO
from uuid import UUID
from xml.sax.saxutils import quoteattr

from extract.code_tree import DECLARATION, ORIGIN, add_text, build_codes, make_guid
from extract.errors import ExportError
from extract.rows import strip_controls
from schemas.codebook import Codebook
from schemas.extraction import Extraction
from schemas.record import Record
from schemas.transcript import Transcript

PROJECT_NAMESPACE = "urn:QDA-XML:project:1.0"


# ---------------------------------------------------------------- what is written


@dataclass(frozen=True)
class Evidence:
    """One coded span, `[start, end)` in code points of the transcript's text; `name` is for people to read."""

    start: int
    end: int
    code: str
    """`section/code`, or `section/attribute/value`."""
    summary: str = ""
    name: str | None = None


@dataclass(frozen=True)
class SourceCoding:
    """What one coder did with one transcript. `values` are the case's variables: `mode`, `concerns_status`."""

    coder: str
    evidence: tuple[Evidence, ...]
    values: dict[str, str] = field(default_factory=dict)
    created_at: str | None = None


@dataclass(frozen=True)
class Source:
    """One transcript with its codings; `note` says what a reader should know, a failure for one."""

    transcript: Transcript
    codings: tuple[SourceCoding, ...]
    note: str | None = None


@dataclass(frozen=True)
class Project:
    """The head of a project. `note` (where it comes from) is a text; `created_at` is `2026-09-01T10:15:00Z`."""

    name: str
    codebook: Codebook
    note: str
    created_at: str
    crlf: bool = False


def to_coding(record: Record, coder: str) -> SourceCoding | None:
    """The extraction of a record as a coding; None where it has none."""
    if record.extraction is None:
        return None
    style = record.extraction.collaboration_style
    values = {"mode": style.mode, "leader": style.leader}
    values |= {f"{section}_status": part.status for section, part in record.extraction.sections.items()}
    return SourceCoding(coder, tuple(_iterate_evidence(record.extraction)), values, record.created_at)


def _iterate_evidence(extraction: Extraction) -> Iterator[Evidence]:
    for section, item in extraction.iterate_items():
        codes = [f"{section}/{item.code}"]
        for name in ("disposition", "timing", "kind"):
            if value := getattr(item, name):
                codes.append(f"{section}/{name}/{value}")
        for quote in item.quotes:
            for code in codes:
                yield Evidence(quote.start, quote.end, code, item.summary, quote.sentence_id)
    style = extraction.collaboration_style
    for quote in style.mode_quotes:
        yield Evidence(quote.start, quote.end, f"collaboration_style/mode/{style.mode}", "", quote.sentence_id)


# ---------------------------------------------------------------- .qdpx


def write_project(path: Path, project: Project, sources: Iterable[Source]) -> dict[str, int]:
    """Write a .qdpx; returns how many sources, selections and coders it holds.

    Raises ExportError for a code that the codebook does not hold, or a span outside of its text.
    """
    with zipfile.ZipFile(path, "w") as archive, _open_scratch() as texts, _open_scratch() as cases:
        writer = _ProjectWriter(project, archive, texts, cases)
        for source in sources:
            writer.write_source(source)
        with archive.open(_entry("project.qde"), "w", force_zip64=True) as raw:
            writer.write_project(raw)
    return {"sources": writer.sources, "selections": writer.selections, "coders": len(writer.coders)}


class _ProjectWriter:
    """Writes texts into the archive as they come, and keeps the XML of sources and cases in files until the end."""

    def __init__(self, project: Project, archive: zipfile.ZipFile, sources: IO[str], cases: IO[str]) -> None:
        self.project, self.archive = project, archive
        self.source_xml, self.case_xml = sources, cases
        self.codes, self.code_guids = build_codes(project.codebook)
        self.coders: dict[str, str] = {}
        self.variables: dict[str, str] = {}
        self.cohorts: dict[str, list[UUID]] = {}
        self.sources = self.selections = 0

    def write_source(self, source: Source) -> None:
        transcript = source.transcript
        guid = make_guid("source", transcript.id)
        text = strip_controls(transcript.text, "\ufffd")  # one for one, so that positions hold
        if self.project.crlf:
            text = text.replace("\n", "\r\n")
        self.archive.writestr(_entry(f"sources/{guid}.txt"), text.encode("utf-8"))
        told = {"guid": guid, "name": _clean_name(transcript.id), "plainTextPath": f"internal://{guid}.txt"}
        element = ET.Element("TextSource", told | {"creationDateTime": self.project.created_at})
        add_text(element, "Description", source.note)
        for coding in source.codings:
            self._add_selections(element, coding, transcript)
        self._write(self.source_xml, element)
        self._write_case(source, guid)
        if transcript.cohort:
            self.cohorts.setdefault(transcript.cohort, []).append(UUID(guid))
        self.sources += 1

    def _add_selections(self, parent: ET.Element, coding: SourceCoding, transcript: Transcript) -> None:
        user = self.coders.setdefault(coding.coder, make_guid("user", coding.coder))
        stamp = {"creatingUser": user, "creationDateTime": coding.created_at or self.project.created_at}
        spans: dict[tuple[int, int], list[Evidence]] = {}
        for evidence in coding.evidence:
            spans.setdefault((evidence.start, evidence.end), []).append(evidence)
        for (start, end), found in sorted(spans.items()):
            if not 0 <= start < end <= len(transcript.text):
                raise ExportError(f"Span {start}-{end} lies outside of transcript {transcript.id!r}. Check its source.")
            guid = make_guid("selection", transcript.id, coding.coder, f"{start}-{end}")
            told = {"guid": guid, "name": _clean_name(found[0].name or f"{start}-{end}")}
            told |= {
                "startPosition": str(self._place(start, transcript)),
                "endPosition": str(self._place(end, transcript)),
            }
            selection = ET.SubElement(parent, "PlainTextSelection", told | stamp)
            add_text(selection, "Description", _describe(found))
            for code in dict.fromkeys(evidence.code for evidence in found):
                element = ET.SubElement(selection, "Coding", {"guid": make_guid("coding", guid, code)} | stamp)
                ET.SubElement(element, "CodeRef", {"targetGUID": self._find_code(code)})
            self.selections += 1

    def _place(self, position: int, transcript: Transcript) -> int:
        """A position in the text as it is written: with CRLF, each line end before it counts twice."""
        return position + (transcript.text.count("\n", 0, position) if self.project.crlf else 0)

    def _find_code(self, path: str) -> str:
        if path not in self.code_guids:
            version = self.project.codebook.version
            raise ExportError(
                f"Code {path!r} is not in the codebook (version {version!r}). Name the run's own with --codebook FILE."
            )
        return self.code_guids[path]

    def _write_case(self, source: Source, guid: str) -> None:
        transcript = source.transcript
        case = ET.Element("Case", {"guid": make_guid("case", transcript.id), "name": _clean_name(transcript.id)})
        values = {"cohort": transcript.cohort} if transcript.cohort else {}
        for coding in source.codings:
            after = "" if coding is source.codings[0] else f" ({coding.coder})"
            values |= {f"{name}{after}": value for name, value in coding.values.items()}
        for name, value in values.items():
            element = ET.SubElement(case, "VariableValue")
            variable = self.variables.setdefault(name, make_guid("variable", name))
            ET.SubElement(element, "VariableRef", {"targetGUID": variable})
            add_text(element, "TextValue", value)
        ET.SubElement(case, "SourceRef", {"targetGUID": guid})
        self._write(self.case_xml, case)

    @staticmethod
    def _write(file: IO[str], element: ET.Element) -> None:
        file.write(ET.tostring(element, encoding="unicode") + "\n")

    def write_project(self, raw: IO[bytes]) -> None:
        """The document, its parts in the order that the schema asks for, empty ones left out."""
        project, note = self.project, make_guid("note", self.project.name)
        told = {"xmlns": PROJECT_NAMESPACE, "name": _clean_name(project.name), "origin": ORIGIN}
        told["creationDateTime"] = project.created_at
        raw.write(f"{DECLARATION}<Project {' '.join(f'{k}={quoteattr(v)}' for k, v in told.items())}>\n".encode())
        users = [ET.Element("User", {"guid": guid, "name": _clean_name(name)}) for name, guid in self.coders.items()]
        book = ET.Element("CodeBook")
        book.append(self.codes)
        kind = {"typeOfVariable": "Text"}
        variables = [
            ET.Element("Variable", {"guid": guid, "name": _clean_name(name)} | kind)
            for name, guid in self.variables.items()
        ]
        _write_list(raw, "Users", users)
        raw.write(ET.tostring(book, encoding="unicode").encode() + b"\n")
        _write_list(raw, "Variables", variables)
        _copy_list(raw, "Cases", self.case_xml)
        _copy_list(raw, "Sources", self.source_xml)
        about = ET.Element(
            "Note", {"guid": note, "name": "Where this comes from", "creationDateTime": project.created_at}
        )
        add_text(about, "PlainTextContent", project.note)
        _write_list(raw, "Notes", [about])
        if self.cohorts:
            raw.write(b"<Sets>\n")
            for cohort, guids in self.cohorts.items():
                raw.write(
                    f"<Set guid={quoteattr(make_guid('set', cohort))} name={quoteattr(_clean_name(cohort))}>".encode()
                )
                raw.writelines(f'<MemberSource targetGUID="{guid}"/>'.encode() for guid in guids)
                raw.write(b"</Set>\n")
            raw.write(b"</Sets>\n")
        raw.write(f'<NoteRef targetGUID="{note}"/>\n</Project>\n'.encode())


def _describe(found: list[Evidence]) -> str:
    """The summaries of the items that a span proves, each once; with their codes where there are several."""
    summaries: dict[str, str] = {}
    for evidence in found:
        if evidence.summary:
            summaries.setdefault(evidence.summary, evidence.code.split("/")[-1])
    if len(summaries) < 2:
        return "".join(summaries)
    return "\n".join(f"{code}: {summary}" for summary, code in summaries.items())


def _write_list(raw: IO[bytes], name: str, elements: list[ET.Element]) -> None:
    if elements:
        root = ET.Element(name)
        root.extend(elements)
        raw.write(ET.tostring(root, encoding="unicode").encode() + b"\n")


def _open_scratch() -> IO[str]:
    return tempfile.TemporaryFile("w+", encoding="utf-8", newline="\n")


def _copy_list(raw: IO[bytes], name: str, file: IO[str]) -> None:
    file.flush()
    if file.tell():
        file.seek(0)
        raw.write(f"<{name}>\n".encode())
        shutil.copyfileobj(file.buffer, raw)  # type: ignore[attr-defined]
        raw.write(f"</{name}>\n".encode())


def _entry(name: str) -> zipfile.ZipInfo:
    """An entry of the archive without a clock or the writer's system."""
    entry = zipfile.ZipInfo(name, date_time=(1980, 1, 1, 0, 0, 0))
    entry.compress_type, entry.create_system, entry.external_attr = zipfile.ZIP_DEFLATED, 3, 0o644 << 16
    return entry


def _clean_name(text: str) -> str:
    """A name on one line, never empty."""
    return " ".join(strip_controls(text).split()) or "unnamed"
