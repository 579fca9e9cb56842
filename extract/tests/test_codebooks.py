import csv
from collections.abc import Callable
from pathlib import Path
from xml.etree.ElementTree import Element, SubElement, tostring

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from extract.code_tree import write_codebook
from extract.codebooks import import_codebook, parse_mapping, render_codebook_toml
from extract.errors import ExportError
from extract.workbook import iterate_codebook
from schemas.codebook import (
    ITEM_ATTRIBUTES,
    SECTION_ATTRIBUTES,
    SECTIONS,
    Attribute,
    Code,
    Codebook,
    CodebookError,
    SectionCodes,
    load_codebook,
    parse_codebook,
)

DEFAULT = load_codebook()
ATTRIBUTES = ("disposition", "timing", "kind", "mode", "leader", "granularity")
ids = st.from_regex(r"[a-z][a-z0-9_]{0,8}", fullmatch=True).filter(lambda id: id not in ATTRIBUTES)
texts = st.text(st.characters(exclude_categories=["Cs", "Cc"], include_characters="\n\t\"'"), min_size=1, max_size=40)
texts = texts.map(lambda text: text.strip()).filter(lambda t: t and "\ufffe" not in t and "\uffff" not in t)


@st.composite
def codebooks(draw: Callable[..., object]) -> Codebook:
    def codes() -> tuple[Code, ...]:
        found = draw(st.dictionaries(ids, texts, min_size=1, max_size=4))
        return tuple(Code(id=id, definition=text) for id, text in found.items())  # type: ignore[attr-defined]

    def text() -> str:
        return str(draw(texts))

    sections = []
    for section in SECTIONS:
        names = (*SECTION_ATTRIBUTES.get(section, ()), *filter(None, [ITEM_ATTRIBUTES.get(section)]))
        attributes = tuple(Attribute(id=name, definition=text(), values=codes()) for name in names)
        sections.append(
            SectionCodes(id=section, definition=text(), granularity=text(), attributes=attributes, codes=codes())
        )
    return Codebook(version=text(), title=text(), sections=tuple(sections))


relaxed = settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)


@relaxed
@given(codebooks())
def test_a_codebook_comes_back_from_a_qdc_with_its_codes_and_definitions(tmp_path: Path, codebook: Codebook) -> None:
    write_codebook(tmp_path / "c.qdc", codebook)
    back, notices = import_codebook(tmp_path / "c.qdc")
    assert back.sections == codebook.sections
    assert notices == []


names = st.text(st.characters(exclude_categories=["Cs", "Cc"], include_characters="\n\t\"'"), min_size=1, max_size=12)
names = names.filter(lambda name: name.strip() and "\ufffe" not in name and "\uffff" not in name)


@relaxed
@given(st.lists(st.tuples(names, texts), min_size=1, max_size=8))
def test_whatever_codes_are_called_each_becomes_one_with_an_id_of_its_own(
    tmp_path: Path, codes: list[tuple[str, str]]
) -> None:
    root = Element("CodeBook")
    section = SubElement(SubElement(root, "Codes"), "Code", {"name": "Concerns"})
    for name, definition in codes:
        SubElement(SubElement(section, "Code", {"name": name}), "Description").text = definition
    (tmp_path / "c.qdc").write_text(tostring(root, encoding="unicode"), encoding="utf-8")
    codebook, _ = import_codebook(tmp_path / "c.qdc")
    found = codebook.find_section("concerns").codes
    assert len({code.id for code in found}) == len(codes)
    for code, (name, definition) in zip(found, codes, strict=True):
        assert code.definition.endswith(definition)
        assert code.id != "code" or name.strip() in code.definition
    assert parse_codebook(render_codebook_toml(codebook)) == codebook


@relaxed
@given(codebooks())
def test_toml_comes_back_equal(tmp_path: Path, codebook: Codebook) -> None:
    assert parse_codebook(render_codebook_toml(codebook)) == codebook
    (tmp_path / "c.toml").write_text(render_codebook_toml(codebook), encoding="utf-8")
    assert import_codebook(tmp_path / "c.toml")[0] == codebook


def write_csv(path: Path, codebook: Codebook, encoding: str, delimiter: str) -> None:
    with path.open("w", encoding=encoding, newline="") as file:
        writer = csv.DictWriter(file, ["section", "attribute", "code", "definition"], delimiter=delimiter)
        writer.writeheader()
        writer.writerows(iterate_codebook(codebook))


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_the_default_codebook_comes_back_from_its_sheet_saved_as_csv(
    tmp_path: Path, encoding: str, delimiter: str
) -> None:
    write_csv(tmp_path / "c.csv", DEFAULT, encoding, delimiter)
    back, notices = import_codebook(tmp_path / "c.csv", title=DEFAULT.title, version=DEFAULT.version)
    assert (back.hash, notices) == (DEFAULT.hash, [])


NVIVO = """<?xml version="1.0" encoding="utf-8"?>
<CodeBook xmlns="urn:QDA-XML:codebook:1.0" origin="NVivo"><Codes>
 <Code guid="1" name="Study 3" isCodable="false">
  <Code guid="2" name="Concerns" isCodable="true"><Description>What worries them.</Description>
   <Code guid="3" name="Peer skepticism" isCodable="true"><Description>Colleagues "doubt" it.</Description></Code>
   <Code guid="4" name="Peer-Skepticism" isCodable="true"/>
   <Code guid="5" name="Money" isCodable="false"><Code guid="6" name="Costs"><Description>D</Description></Code></Code>
   <Code guid="7" name="3rd parties"><Description>E</Description></Code>
   <Code guid="8" name="怀疑"><Description>F</Description></Code>
  </Code>
  <Code guid="9" name="Future wishes"><Code guid="10" name="Plan"><Description>G</Description></Code>
   <Code guid="11" name="Kind"><Description>How firm.</Description>
    <Code guid="12" name="Hope"><Description>H</Description></Code></Code>
  </Code>
 </Code>
</Codes></CodeBook>"""


def write_qdc(folder: Path, text: str) -> Path:
    path = folder / "study.qdc"
    path.write_text(text, encoding="utf-8")
    return path


def test_a_tree_of_another_program_becomes_a_codebook_and_says_what_was_filled_in(tmp_path: Path) -> None:
    codebook, notices = import_codebook(write_qdc(tmp_path, NVIVO))
    concerns = codebook.find_section("concerns")
    assert (codebook.title, codebook.version, concerns.definition) == ("study", "1", "What worries them.")
    assert {code.id: code.definition for code in concerns.codes} == {
        "peer_skepticism": 'Colleagues "doubt" it.',
        "peer_skepticism_2": "Peer-Skepticism",
        "costs": "D",
        "code_3rd_parties": "E",
        "code": "怀疑: F",
    }
    assert codebook.find_section("tasks") == DEFAULT.find_section("tasks")
    kind = codebook.find_section("future_wishes").find_attribute("kind")
    assert (kind.definition, [value.id for value in kind.values]) == ("How firm.", ["hope"])
    assert notices == [
        "'Study 3' is no section; what stands below it is taken.",
        "Section 'tasks': everything taken from the default codebook.",
        "Section 'collaboration_style': everything taken from the default codebook.",
        "Section 'workplace_culture': everything taken from the default codebook.",
        "Section 'concerns': the granularity taken from the default codebook.",
        "Section 'concerns': the values of timing taken from the default codebook.",
        "Code 'Peer-Skepticism' is called 'peer_skepticism_2', since 'peer_skepticism' is taken.",
        "Section 'future_wishes': the definition taken from the default codebook.",
        "Section 'future_wishes': the granularity taken from the default codebook.",
        "1 codes have no definition, their names stand there: 'Peer-Skepticism'. Write them.",
    ]
    assert parse_codebook(render_codebook_toml(codebook)) == codebook


FLAT = """<CodeBook xmlns="urn:QDA-XML:codebook:1:0"><Codes>
 <Code name="Worries"><Code name="Jobs"><Description>A</Description></Code></Code>
 <Code name="Peer skepticism"><Description>B</Description></Code>
</Codes></CodeBook>"""


def test_names_of_no_section_are_one_sentence_with_the_way_out(tmp_path: Path) -> None:
    path = write_qdc(tmp_path, FLAT)
    with pytest.raises(ExportError, match=r"No section for 'Worries', 'Peer skepticism' in .*--map 'Worries=SECTION'"):
        import_codebook(path)


def test_map_says_where_a_group_and_where_a_single_code_belong(tmp_path: Path) -> None:
    mapping = parse_mapping(["worries=concerns", "Peer skepticism = workplace_culture"])
    codebook, _ = import_codebook(write_qdc(tmp_path, FLAT), mapping)
    assert codebook.find_section("concerns").codes == (Code(id="jobs", definition="A"),)
    assert codebook.find_section("workplace_culture").codes == (Code(id="peer_skepticism", definition="B"),)


@pytest.mark.parametrize("pair", ["Worries", "Worries=worries", "=concerns"])
def test_a_map_that_names_no_section_is_one_sentence(pair: str) -> None:
    with pytest.raises(ExportError, match="Write it as 'Their name=SECTION'"):
        parse_mapping([pair])


BOMB = '<!DOCTYPE a [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;">]><CodeBook><Codes><Code name="&b;"/></Codes></CodeBook>'


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (BOMB, "defines entities of its own"),
        ('<!DOCTYPE a SYSTEM "file:///etc/passwd"><CodeBook/>', "defines entities of its own"),
        ("<CodeBook", "is not XML"),
        ("", "is not XML"),
        ("<CodeBook/>", "There is no codebook in"),
        ("<CodeBook><Codes/></CodeBook>", "There are no codes in"),
        ("<CodeBook><Codes>" + "<Code name='x'>" * 5000 + "</Code>" * 5000 + "</Codes></CodeBook>", "nested more than"),
    ],
)
def test_a_file_that_is_no_codebook_is_one_sentence(tmp_path: Path, text: str, says: str) -> None:
    with pytest.raises(ExportError, match=says) as caught:
        import_codebook(write_qdc(tmp_path, text))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "data", "says"),
    [
        ("c.csv", b"section,code\n", "No column 'definition'"),
        ("c.csv", b"section,code,definition\nconcerns,caf\xe9,x\n", "Save it as 'CSV UTF-8'"),
        ("c.csv", b"section,code,definition\n,x,y\n", "line 2: the section is empty"),
        ("c.csv", b"section,code,definition\nworries,x,y\n", "No section for 'worries'"),
        ("c.csv", None, "No such file or directory. Name a csv file"),
        ("c.qdc", None, "No such file or directory. Name a .qdc file"),
        ("c.docx", b"", "Use one of: .qdc, .csv, .toml"),
    ],
)
def test_a_table_that_cannot_be_used_is_one_sentence(tmp_path: Path, name: str, data: bytes | None, says: str) -> None:
    path = tmp_path / name
    if data is not None:
        path.write_bytes(data)
    with pytest.raises(ExportError, match=says):
        import_codebook(path)


def test_a_toml_is_checked(tmp_path: Path) -> None:
    (tmp_path / "c.toml").write_text('version = "1"')
    with pytest.raises(CodebookError, match="section 'tasks' is missing"):
        import_codebook(tmp_path / "c.toml")


def test_a_guarded_cell_of_a_csv_loses_its_apostrophe(tmp_path: Path) -> None:
    (tmp_path / "c.csv").write_text("Section;Code;Definition\nConcerns;Jobs;'-fewer of them\n", encoding="utf-8")
    codebook, _ = import_codebook(tmp_path / "c.csv")
    assert codebook.find_section("concerns").codes == (Code(id="jobs", definition="-fewer of them"),)
