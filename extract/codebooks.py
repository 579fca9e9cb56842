"""A researcher's codebook (.qdc, .csv, .toml) -> a codebook.toml that `--codebook` takes.

All three become one tree: sections, below them codes and attributes (groups that are called like one
of the section's attributes), below those its values. Groups of codes inside a section are flattened.
What the file does not say is taken from the default codebook, and a notice says so.
"""

import json
import re
import unicodedata
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from extract.code_tree import GRANULARITY, CodeNode, fold_name, read_csv, read_qdc
from extract.errors import ExportError
from schemas.codebook import (
    ITEM_ATTRIBUTES,
    SECTION_ATTRIBUTES,
    SECTIONS,
    Attribute,
    Code,
    Codebook,
    Section,
    SectionCodes,
    load_codebook,
    parse_codebook,
)

ENDINGS = (".qdc", ".csv", ".toml")


def import_codebook(
    path: Path, mapping: Mapping[str, str] | None = None, *, title: str | None = None, version: str | None = None
) -> tuple[Codebook, list[str]]:
    """Read a researcher's codebook; returns it with one sentence for each thing that was filled in or changed.

    `mapping` says to which section a name of the file belongs. Raises ExportError or CodebookError
    for a file that cannot be read, or that holds names that belong to no section.
    """
    suffix = path.suffix.lower()
    if suffix not in ENDINGS:
        raise ExportError(f"Cannot tell what {str(path)!r} is by its ending. Use one of: {', '.join(ENDINGS)}.")
    if suffix == ".toml":
        codebook = load_codebook(path)
        changes = {"title": title or codebook.title, "version": version or codebook.version}
        return codebook.model_copy(update=changes), []
    tree = read_qdc(path) if suffix == ".qdc" else read_csv(path)
    builder = _Builder({fold_name(name): section for name, section in (mapping or {}).items()}, load_codebook())
    codebook = builder.build(tree, path, title=title or path.stem, version=version or "1")
    return parse_codebook(render_codebook_toml(codebook), name=str(path)), builder.notices


def parse_mapping(pairs: Iterable[str]) -> dict[str, str]:
    """`Their name=concerns` as a mapping. Raises ExportError where the section is none of the five."""
    mapping = {}
    for pair in pairs:
        name, _, section = pair.rpartition("=")
        if not name.strip() or section.strip() not in SECTIONS:
            raise ExportError(f"Cannot read --map {pair!r}. Write it as 'Their name=SECTION': {', '.join(SECTIONS)}.")
        mapping[name.strip()] = section.strip()
    return mapping


# ---------------------------------------------------------------- tree -> codebook


class _Builder:
    """Puts the nodes of a tree in their sections, and fills what is missing from the default codebook."""

    def __init__(self, mapping: Mapping[str, str], default: Codebook) -> None:
        self.mapping, self.default = mapping, default
        self.notices: list[str] = []
        self.unknown: list[str] = []
        self.undefined: list[str] = []

    def build(self, tree: list[CodeNode], path: Path, *, title: str, version: str) -> Codebook:
        found: dict[Section, list[CodeNode]] = {section: [] for section in SECTIONS}
        for section, node in self._sort(tree):
            found[section].append(node)
        if self.unknown:
            raise ExportError(
                f"No section for {', '.join(map(repr, self.unknown[:10]))} in {str(path)!r}. "
                f"Say where each belongs with --map '{self.unknown[0]}=SECTION', SECTION one of: {', '.join(SECTIONS)}."
            )
        if not any(found.values()):
            raise ExportError(f"There are no codes in {str(path)!r}. Export the codebook again with its codes.")
        sections = tuple(self._build_section(section, nodes) for section, nodes in found.items())
        if self.undefined:
            names = ", ".join(map(repr, self.undefined[:10])) + (" ..." if len(self.undefined) > 10 else "")
            self.notices.append(
                f"{len(self.undefined)} codes have no definition, their names stand there: {names}. Write them."
            )
        return Codebook(version=version, title=title, sections=sections)

    def _sort(self, nodes: Iterable[CodeNode]) -> Iterator[tuple[Section, CodeNode]]:
        """The nodes of each section; a group that is none, but has sections below it, is looked through."""
        for node in nodes:
            section = self._find_section(node.name)
            if section is not None and (node.children or _slug(node.name) in SECTIONS):
                yield section, node
            elif section is not None:  # a single code that --map puts in a section
                yield section, CodeNode("", children=[node])
            elif self._holds_section(node):
                self.notices.append(f"{node.name!r} is no section; what stands below it is taken.")
                yield from self._sort(node.children)
            else:
                self.unknown.append(node.name)

    def _holds_section(self, node: CodeNode) -> bool:
        return any(self._find_section(child.name) or self._holds_section(child) for child in node.children)

    def _find_section(self, name: str) -> Section | None:
        wanted = self.mapping.get(fold_name(name), _slug(name))
        return next((section for section in SECTIONS if section == wanted), None)

    def _build_section(self, section: Section, nodes: list[CodeNode]) -> SectionCodes:
        default = self.default.find_section(section)
        definition, _, granularity = "".join(node.description for node in nodes[:1]).partition(GRANULARITY)
        wanted = (*SECTION_ATTRIBUTES.get(section, ()), *filter(None, [ITEM_ATTRIBUTES.get(section)]))
        attributes: dict[str, Attribute] = {}
        codes: list[tuple[CodeNode, str]] = []
        for child in (child for node in nodes for child in node.children):
            name = _slug(_strip_parent(child.name, section))
            if name in wanted and child.children:
                attributes[name] = self._build_attribute(child, default.find_attribute(name))
            elif _slug(child.name) == "granularity" and not child.children and not child.is_codable:
                granularity = child.description
            else:
                codes += _flatten(child, section)
        for what, given in {"definition": definition, "granularity": granularity}.items():
            if nodes and not given.strip():
                self._say_default(section, f"the {what}")
        if not codes:
            self._say_default(section, "all codes" if nodes else "everything")
        elif missing := [name for name in wanted if name not in attributes]:
            self._say_default(section, f"the values of {' and '.join(missing)}")
        return SectionCodes(
            id=section,
            definition=definition.strip() or default.definition,
            granularity=granularity.strip() or default.granularity,
            attributes=tuple(attributes.get(name, default.find_attribute(name)) for name in wanted),
            codes=self._build_codes(codes) or default.codes,
        )

    def _build_attribute(self, node: CodeNode, default: Attribute) -> Attribute:
        values = self._build_codes([(child, node.name) for child in node.children])
        return Attribute(id=default.id, definition=node.description.strip() or default.definition, values=values)

    def _build_codes(self, nodes: list[tuple[CodeNode, str]]) -> tuple[Code, ...]:
        codes: dict[str, Code] = {}
        for node, parent in nodes:
            name = _strip_parent(node.name, parent)
            base = _make_id(name)
            id = next(new for new in _number(base) if new not in codes)
            if id != base:
                self.notices.append(f"Code {name!r} is called {id!r}, since {base!r} is taken.")
            definition = node.description.strip()
            if not definition:
                self.undefined.append(name)
            if not definition or _is_lossy(name):  # the id alone would not say it
                definition = f"{name or id}: {definition}" if definition else name or id
            codes[id] = Code(id=id, definition=definition)
        return tuple(codes.values())

    def _say_default(self, section: Section, what: str) -> None:
        self.notices.append(f"Section {section!r}: {what} taken from the default codebook.")


def _flatten(node: CodeNode, parent: str) -> Iterator[tuple[CodeNode, str]]:
    """The codes of a group and those below it, each with the name of what it stands below."""
    if node.is_codable or not node.children:
        yield node, parent
    for child in node.children:
        yield from _flatten(child, node.name)


def _strip_parent(name: str, parent: str) -> str:
    """`other (tasks)` below `tasks` is `other`: the parent's name only made it unique."""
    above = parent.split(" (", maxsplit=1)[0]
    return name.removesuffix(f" ({above})") or name


def _slug(name: str) -> str:
    """`Peer skepticism` as `peer_skepticism`; what is not a Latin letter or digit is left out."""
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode().lower()
    return re.sub(r"[^a-z0-9]+", "_", plain).strip("_")


def _make_id(name: str) -> str:
    if re.fullmatch(r"[a-z][a-z0-9_]*", name):
        return name
    slug = _slug(name)
    return slug if slug[:1].isalpha() else f"code_{slug}".rstrip("_")


def _number(base: str) -> Iterator[str]:
    yield base
    number = 2
    while True:
        yield f"{base}_{number}"
        number += 1


def _is_lossy(name: str) -> bool:
    """Whether letters or digits of a name are lost in its id, or all of a name of signs."""
    kept = len(_slug(name).replace("_", ""))
    return kept == 0 or kept < sum(c.isalnum() for c in unicodedata.normalize("NFC", name))


# ---------------------------------------------------------------- codebook -> TOML


def render_codebook_toml(codebook: Codebook) -> str:
    """The codebook as the TOML that `load_codebook` reads back to an equal one."""
    lines = [f"version = {_quote(codebook.version)}", f"title = {_quote(codebook.title)}"]
    for section in codebook.sections:
        lines += ["", f"[{section.id}]", f"definition = {_quote(section.definition)}"]
        lines.append(f"granularity = {_quote(section.granularity)}")
        for attribute in section.attributes:
            lines += ["", f"[{section.id}.{attribute.id}]", f"definition = {_quote(attribute.definition)}"]
            lines += [f"{value.id} = {_quote(value.definition)}" for value in attribute.values]
        lines += ["", f"[{section.id}.codes]"]
        lines += [f"{code.id} = {_quote(code.definition)}" for code in section.codes]
    return "\n".join(lines) + "\n"


def _quote(text: str) -> str:
    """A TOML basic string: JSON's, but that DEL is escaped as well."""
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")
