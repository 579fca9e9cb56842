"""The codes of a codebook as a tree: written as REFI-QDA, read from what researchers have.

In a file sections stand above their codes; an attribute (`disposition` for one) stands above its values.
The elements follow the codebook schema of REFI-QDA 1.0 (https://www.qdasoftware.org).
"""

import codecs
import csv
import hashlib
import io
import unicodedata
import xml.etree.ElementTree as ET
from dataclasses import dataclass, field
from pathlib import Path
from uuid import UUID, uuid5

from extract.errors import ExportError
from extract.rows import strip_controls, unguard_cell
from schemas.codebook import Codebook, Section

CODEBOOK_NAMESPACE = "urn:QDA-XML:codebook:1.0"
ORIGIN = "Verbatim"
GRANULARITY = "\n\nGranularity: "
"""Stands between a section's definition and its granularity, since a code has one description."""

MAX_DEPTH = 40

COLOURS: dict[Section, str] = {
    "tasks": "#2E86AB",
    "collaboration_style": "#3B8B55",
    "workplace_culture": "#B8860B",
    "concerns": "#C0392B",
    "future_wishes": "#8E44AD",
}
_ROOT = UUID("6a2b3f0e-5d5c-5f0b-9a5e-6f4f0c7d9b21")
DECLARATION = '<?xml version="1.0" encoding="UTF-8" standalone="yes"?>\n'


# ---------------------------------------------------------------- writing


def write_codebook(path: Path, codebook: Codebook) -> int:
    """Write a .qdc; returns how many codes and attribute values it holds."""
    root = ET.Element("CodeBook", {"xmlns": CODEBOOK_NAMESPACE, "origin": ORIGIN})
    codes, names = build_codes(codebook)
    root.append(codes)
    ET.indent(root)
    path.write_text(DECLARATION + ET.tostring(root, encoding="unicode") + "\n", encoding="utf-8", newline="\n")
    return len(names)


def build_codes(codebook: Codebook) -> tuple[ET.Element, dict[str, str]]:
    """The `Codes` element, and the GUID of every code that can be assigned, by its path."""
    parts: list[tuple[str, str, str | None]] = []
    for section in codebook.sections:
        parts.append((section.id, f"{section.definition}{GRANULARITY}{section.granularity}", None))
        parts += [(f"{section.id}/{code.id}", code.definition, section.id) for code in section.codes]
        for attribute in section.attributes:
            above = f"{section.id}/{attribute.id}/"
            parts.append((above, attribute.definition, section.id))
            parts += [(f"{above}{value.id}", value.definition, above) for value in attribute.values]
    names = _name_codes([path for path, _, _ in parts])
    elements = {"": ET.Element("Codes")}
    guids = {}
    for path, definition, parent in parts:
        leaf = parent is not None and not path.endswith("/")
        guid = make_guid("code", path)
        told = {"guid": guid, "name": names[path], "isCodable": "true" if leaf else "false"}
        element = ET.SubElement(elements[parent or ""], "Code", told)
        element.set("color", COLOURS[path.split("/")[0]])  # type: ignore[index]
        add_text(element, "Description", definition)
        elements[path] = element
        if leaf:
            guids[path] = guid
    return elements[""], guids


def _name_codes(paths: list[str]) -> dict[str, str]:
    """A name for every code, unique in the project: its id, with its parent's where others have the same."""
    parts = {path: path.rstrip("/").split("/") for path in paths}
    ids = [part[-1] for part in parts.values()]
    return {
        path: part[-1] if ids.count(part[-1]) == 1 or len(part) == 1 else f"{part[-1]} ({part[-2]})"
        for path, part in parts.items()
    }


def make_guid(*parts: str) -> str:
    """A GUID that is the same whenever the same thing is named."""
    digest = hashlib.sha256("\0".join(parts).encode("utf-8", "surrogatepass")).hexdigest()
    return str(uuid5(_ROOT, digest))


def add_text(parent: ET.Element, name: str, text: str | None) -> None:
    """A child that holds a text, where there is one."""
    if text:
        ET.SubElement(parent, name).text = strip_controls(text)


# ---------------------------------------------------------------- reading


@dataclass
class CodeNode:
    """One code of a file with what it says and the codes below it."""

    name: str
    description: str = ""
    is_codable: bool = True
    children: list["CodeNode"] = field(default_factory=list)


def read_qdc(path: Path) -> list[CodeNode]:
    """The code tree of a .qdc, from whatever program. Raises ExportError for a file that is none.

    Documents with a DTD or entities are refused: no program writes them, and they can blow up.
    """
    from defusedxml.common import DefusedXmlException
    from defusedxml.ElementTree import parse

    try:
        root = parse(path, forbid_dtd=True).getroot()
    except DefusedXmlException:
        raise ExportError(f"{str(path)!r} defines entities of its own. Save the codebook again as .qdc.") from None
    except OSError as error:
        raise ExportError(f"Cannot read {str(path)!r}: {error.strerror}. Name a .qdc file.") from None
    except (ET.ParseError, ValueError, LookupError) as error:
        raise ExportError(f"{str(path)!r} is not XML ({error}). Export the codebook again as .qdc.") from None
    codes = next((element for element in root.iter() if _local(element) == "Codes"), None) if root is not None else None
    if codes is None:
        raise ExportError(f"There is no codebook in {str(path)!r}. Export the codebook again as .qdc.")
    return _read_nodes(codes, path)


def _read_nodes(parent: ET.Element, path: Path, depth: int = 0) -> list[CodeNode]:
    if depth > MAX_DEPTH:
        raise ExportError(f"Codes in {str(path)!r} are nested more than {MAX_DEPTH} deep. Flatten them.")
    nodes = []
    for element in (child for child in parent if _local(child) == "Code"):
        text = next((child.text or "" for child in element if _local(child) == "Description"), "")
        codable = element.get("isCodable", "true").lower() not in ("false", "0")
        name = element.get("name", "").strip()
        nodes.append(CodeNode(name, text.strip(), codable, _read_nodes(element, path, depth + 1)))
    return nodes


def _local(element: ET.Element) -> str:
    """The element's name without its namespace: programs write several."""
    return str(element.tag).rsplit("}", 1)[-1]


def read_csv(path: Path) -> list[CodeNode]:
    """The tree of a table with the columns section, code, definition, and attribute where there are any.

    A row without a code defines its section (or its attribute); the attribute `granularity` says how
    finely the section is coded. Commas, semicolons and tabs separate. Raises ExportError.
    """
    text = _read_text(path)
    head = text.split("\n", 1)[0]
    reader = csv.DictReader(io.StringIO(text, newline=""), delimiter=max(",;\t", key=head.count))
    columns = {name.strip().lower(): name for name in reader.fieldnames or [] if name}
    for wanted in ("section", "code", "definition"):
        if wanted not in columns:
            raise ExportError(f"No column {wanted!r} in {str(path)!r}. It needs section, code and definition.")
    sections: dict[str, CodeNode] = {}
    for row in reader:
        cells = {name: unguard_cell((row.get(column) or "").strip()) for name, column in columns.items()}
        if any(cells.values()):
            _add_row(sections, cells, f"{path}, line {reader.line_num}")
    return list(sections.values())


def _add_row(sections: dict[str, CodeNode], cells: dict[str, str], where: str) -> None:
    if not cells["section"]:
        raise ExportError(f"{where}: the section is empty. Fill it in every row.")
    parent = sections.setdefault(fold_name(cells["section"]), CodeNode(cells["section"]))
    if attribute := cells.get("attribute"):
        group = next((n for n in parent.children if n.name == attribute and not n.is_codable), None)
        if group is None:
            group = CodeNode(attribute, is_codable=False)
            parent.children.append(group)
        parent = group
    if cells["code"]:
        parent.children.append(CodeNode(cells["code"], cells["definition"]))
    else:
        parent.description = cells["definition"]


def _read_text(path: Path) -> str:
    try:
        data = path.read_bytes()
        wide = data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
        return data.decode("utf-16" if wide else "utf-8-sig")
    except OSError as error:
        raise ExportError(f"Cannot read {str(path)!r}: {error.strerror}. Name a csv file.") from None
    except UnicodeDecodeError:
        raise ExportError(f"{str(path)!r} is not UTF-8. Save it as 'CSV UTF-8'.") from None


def fold_name(name: str) -> str:
    """A name as it is compared: letter case, white space and width do not count."""
    return " ".join(unicodedata.normalize("NFKC", name).casefold().split())
