import re
import zipfile
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any
from xml.etree.ElementTree import Element, fromstring

import pytest
from pyrefiqda import RefiCodebook, RefiProject

from extract.code_tree import CODEBOOK_NAMESPACE, write_codebook
from extract.errors import ExportError
from extract.refi_qda import (
    PROJECT_NAMESPACE,
    Evidence,
    Project,
    Source,
    SourceCoding,
    to_coding,
    write_project,
)
from extract.tests.export_samples import HOSTILE, make_failure, make_record_of
from extract.tests.samples import make_transcript
from schemas.codebook import load_codebook
from schemas.transcript import Transcript

PROJECT = Project("a run", load_codebook(), '{"run_id": "a <run>"}', "2026-09-01T10:15:00Z")

CONTENT = {  # what each element may hold, in this order; and its attributes, the required ones with !
    "Project": (
        "Users? CodeBook? Variables? Cases? Sources? Notes? Links? Sets? Graphs? Description? NoteRef*",
        "name! origin creationDateTime",
    ),
    "Users": ("User+", ""),
    "User": ("", "guid! name id"),
    "CodeBook": ("Codes", "origin"),
    "Codes": ("Code+", ""),
    "Code": ("Description? NoteRef* Code*", "guid! name! isCodable! color"),
    "Variables": ("Variable+", ""),
    "Variable": ("Description?", "guid! name! typeOfVariable!"),
    "Cases": ("Case+", ""),
    "Case": ("Description? CodeRef* VariableValue* SourceRef* SelectionRef*", "guid! name"),
    "VariableValue": ("VariableRef TextValue?", ""),
    "Sources": ("TextSource+", ""),
    "TextSource": (
        "Description? PlainTextSelection* Coding* NoteRef* VariableValue*",
        "guid! name plainTextPath! creationDateTime",
    ),
    "PlainTextSelection": (
        "Description? Coding* NoteRef*",
        "guid! name startPosition! endPosition! creatingUser creationDateTime",
    ),
    "Coding": ("CodeRef NoteRef*", "guid! creatingUser creationDateTime"),
    "Notes": ("Note+", ""),
    "Note": ("Description? PlainTextContent", "guid! name creationDateTime"),
    "Sets": ("Set+", ""),
    "Set": ("Description? MemberCode* MemberSource* MemberNote*", "guid! name!"),
    **dict.fromkeys(("CodeRef", "SourceRef", "VariableRef", "NoteRef", "MemberSource"), ("", "targetGUID!")),
    **dict.fromkeys(("Description", "TextValue", "PlainTextContent"), ("", "")),
}
GUID = r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}"
VALUES = {
    "guid": GUID,
    "targetGUID": GUID,
    "creatingUser": GUID,
    "isCodable": "true|false",
    "color": "#[0-9A-F]{6}",
    "typeOfVariable": "Text",
    "startPosition": r"\d+",
    "endPosition": r"\d+",
    "creationDateTime": r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ",
    "plainTextPath": rf"internal://{GUID}\.txt",
}


def check_content(element: Element, namespace: str) -> None:
    """Checks names, order, attributes and values against the schema's rules for all that is written."""
    assert element.tag.startswith(f"{{{namespace}}}")
    name = element.tag.split("}")[1]
    children, attributes = CONTENT[name]
    pattern = "".join(re.sub(r"^(\w+)([?*+]?)$", r"(?:\1 )\2", part) for part in children.split())
    held = "".join(child.tag.split("}")[1] + " " for child in element)
    assert re.fullmatch(pattern, held), (name, held)
    allowed = {attribute.rstrip("!") for attribute in attributes.split()}
    assert set(element.attrib) <= allowed, (name, element.attrib)
    assert {a[:-1] for a in attributes.split() if a.endswith("!")} <= set(element.attrib), name
    for key, value in element.attrib.items():
        assert re.fullmatch(VALUES.get(key, ".+"), value), (name, key, value)
    for child in element:
        check_content(child, namespace)


def make_sources(*transcripts: Transcript) -> list[Source]:
    sources = []
    for transcript in transcripts or (make_transcript("hostile", HOSTILE), make_transcript("plain")):
        coding = to_coding(make_record_of(transcript), "m, prompt v1")
        assert coding is not None
        sources.append(Source(replace(transcript, cohort="bakers & co"), (coding,)))
    return sources


def write(path: Path, sources: Iterable[Source] | None = None, **changes: Any) -> tuple[Element, dict[str, str]]:
    """The parsed project, and the text of every source by its name."""
    write_project(path, replace(PROJECT, **changes), make_sources() if sources is None else sources)
    with zipfile.ZipFile(path) as archive:
        assert archive.testzip() is None
        texts = {name: archive.read(name).decode() for name in archive.namelist() if name != "project.qde"}
        root = fromstring(archive.read("project.qde"))
    check_content(root, PROJECT_NAMESPACE)
    return root, texts


def find(root: Element, name: str) -> list[Element]:
    return list(root.iter(f"{{{PROJECT_NAMESPACE}}}{name}"))


def read_selections(root: Element, texts: dict[str, str]) -> dict[str, list[tuple[str, str]]]:
    """What is selected in each source: the words, and the name of every code on them."""
    names = {code.get("guid"): code.get("name") for code in find(root, "Code")}
    found: dict[str, list[tuple[str, str]]] = {}
    for source in find(root, "TextSource"):
        text = texts["sources/" + source.get("plainTextPath", "").removeprefix("internal://")]
        for selection in find(source, "PlainTextSelection"):
            words = text[int(selection.get("startPosition", "")) : int(selection.get("endPosition", ""))]
            codes = [names[ref.get("targetGUID")] or "" for ref in find(selection, "CodeRef")]
            found.setdefault(source.get("name", ""), []).extend((words, code) for code in codes)
    return found


def test_every_selection_is_the_quote_in_the_written_text_and_carries_code_and_attribute(tmp_path: Path) -> None:
    root, texts = write(tmp_path / "p.qdpx")
    assert read_selections(root, texts)["hostile"] == [
        ('=HYPERLINK("http://example.org","x") It drafts my "newsletter", the jokes; and\u2028I rewrite.', code)
        for code in ("write_draft", "shared (disposition)", "task_iteration")
    ] + [
        ("@ bread recipe without salt \ufffd\ufffd <b>&amp; that</b>.", "unreliability"),
        ("@ bread recipe without salt \ufffd\ufffd <b>&amp; that</b>.", "lived"),
        ("I check every recipe now.", "verifies"),
        ("+ plan my orders.", "automate_routine"),
        ("+ plan my orders.", "wish"),
    ]


def test_pyrefiqda_reads_the_project_and_its_texts(tmp_path: Path) -> None:
    write(tmp_path / "p.qdpx")
    project = RefiProject.load(tmp_path / "p.qdpx", str(tmp_path / "x"))
    transcripts = {source.transcript.id: source.transcript for source in make_sources()}
    assert project.name == "a run"
    assert [user.name for user in project.users.user] == ["m, prompt v1"]
    assert [each.name for each in project.sets.set] == ["bakers & co"]
    for source in project.sources.text_source:
        path = RefiProject.resolve_source_path(source.plain_text_path, tmp_path / "x")
        text = path.read_text(encoding="utf-8")
        spans = {(s.start_position, s.end_position) for s in source.plain_text_selection}
        transcript = transcripts[source.name]
        assert len(text) == len(transcript.text)
        assert {(q.start, q.end) for q in transcript.evidence.values()} >= spans
    (tasks, *_) = project.code_book.codes.code
    assert (tasks.name, tasks.is_codable) == ("tasks", False)


@pytest.mark.parametrize("crlf", [False, True])
def test_positions_hold_for_both_line_ends_and_outside_the_bmp(tmp_path: Path, crlf: bool) -> None:
    text = "User: 𝔘 one.\nTwo 🥐.\n\nAI: And?\n\nUser: Three 🧁\nstill three. Four."
    transcript = make_transcript("wide", text)
    evidence = tuple(Evidence(s.start, s.end, "tasks/other") for s in transcript.evidence.values())
    root, texts = write(tmp_path / "p.qdpx", [Source(transcript, (SourceCoding("A", evidence),))], crlf=crlf)
    end = "\r\n" if crlf else "\n"
    assert texts.popitem()[1] == text.replace("\n", end)
    root, texts = write(tmp_path / "q.qdpx", [Source(transcript, (SourceCoding("A", evidence),))], crlf=crlf)
    words = [words for words, _ in read_selections(root, texts)["wide"]]
    assert words == [transcript.words(s).replace("\n", end) for s in transcript.evidence.values()]
    assert any(ord(c) > 0xFFFF for c in "".join(words))


def test_a_second_export_is_the_same_to_the_byte(tmp_path: Path) -> None:
    write(tmp_path / "a.qdpx")
    write(tmp_path / "b.qdpx")
    assert (tmp_path / "a.qdpx").read_bytes() == (tmp_path / "b.qdpx").read_bytes()


def test_every_guid_is_unique_and_every_reference_has_a_target(tmp_path: Path) -> None:
    root, _ = write(tmp_path / "p.qdpx")
    guids = [element.get("guid") for element in root.iter() if "guid" in element.attrib]
    assert len(set(guids)) == len(guids)
    refs = {element.get("targetGUID") for element in root.iter() if "targetGUID" in element.attrib}
    assert refs | {e.get("creatingUser") for e in find(root, "Coding")} <= set(guids)


def test_two_coders_of_one_text_are_two_users_with_selections_of_their_own(tmp_path: Path) -> None:
    transcript = make_transcript("baker")
    first = next(iter(transcript.evidence.values()))
    evidence = (Evidence(first.start, first.end, "concerns/other", "A summary"),)
    codings = (
        SourceCoding("annotator A", evidence, {"mode": "mixed"}),
        SourceCoding("annotator B", (evidence[0], replace(evidence[0], summary="Another", code="tasks/other"))),
        SourceCoding("annotator C", evidence, {"mode": "minimal"}),
    )
    root, texts = write(tmp_path / "p.qdpx", [Source(transcript, codings)])
    assert [user.get("name") for user in find(root, "User")] == ["annotator A", "annotator B", "annotator C"]
    owners = [selection.get("creatingUser") for selection in find(root, "PlainTextSelection")]
    assert owners == [user.get("guid") for user in find(root, "User")]
    descriptions = [find(s, "Description")[0].text for s in find(root, "PlainTextSelection")]
    assert descriptions == ["A summary", "other: A summary\nother: Another", "A summary"]
    assert [v.get("name") for v in find(root, "Variable")] == ["mode", "mode (annotator C)"]
    codes = [code for _, code in read_selections(root, texts)["baker"]]
    assert codes == ["other (concerns)", "other (concerns)", "other (tasks)", "other (concerns)"]


def test_mode_leader_status_and_cohort_are_variables_of_the_case(tmp_path: Path) -> None:
    root, _ = write(tmp_path / "p.qdpx")
    names = {variable.get("guid"): variable.get("name") for variable in find(root, "Variable")}
    values = {
        names[find(v, "VariableRef")[0].get("targetGUID")]: find(v, "TextValue")[0].text
        for v in find(find(root, "Case")[0], "VariableValue")
    }
    assert values["cohort"] == "bakers & co"
    assert (values["mode"], values["leader"]) == ("task_iteration", "human")
    assert values["workplace_culture_status"] == "not_asked"


def test_where_it_comes_from_is_a_note_of_the_project(tmp_path: Path) -> None:
    root, _ = write(tmp_path / "p.qdpx")
    assert find(root, "PlainTextContent")[0].text == PROJECT.note
    assert root[-1].get("targetGUID") == find(root, "Note")[0].get("guid")


def test_a_project_without_sources_is_still_one(tmp_path: Path) -> None:
    root, _ = write(tmp_path / "p.qdpx", [])
    assert [child.tag.split("}")[1] for child in root] == ["CodeBook", "Notes", "NoteRef"]


def test_a_failure_has_no_coding(tmp_path: Path) -> None:
    assert to_coding(make_failure("x"), "m") is None
    root, texts = write(tmp_path / "p.qdpx", [Source(make_transcript(), (), "Not extracted (refusal): \x00 No.")])
    assert find(find(root, "TextSource")[0], "Description")[0].text == "Not extracted (refusal):  No."
    assert len(texts) == 1


def test_a_code_that_the_codebook_lacks_and_a_span_outside_are_one_sentence(tmp_path: Path) -> None:
    transcript = make_transcript()
    for evidence, says in (
        (Evidence(0, 3, "tasks/juggling"), "'tasks/juggling' is not in the codebook"),
        (Evidence(0, 10**6, "tasks/other"), "Span 0-1000000 lies outside of transcript 'baker'"),
    ):
        with pytest.raises(ExportError, match=says):
            write(tmp_path / "p.qdpx", [Source(transcript, (SourceCoding("A", (evidence,)),))])


def test_transcript_ids_never_become_names_of_files(tmp_path: Path) -> None:
    _, texts = write(tmp_path / "p.qdpx", make_sources(make_transcript("../../etc/passwd\n", HOSTILE)))
    assert all(re.fullmatch(rf"sources/{GUID}\.txt", name) for name in texts)


def test_the_codebook_is_written_as_a_tree_with_unique_names(tmp_path: Path) -> None:
    codebook = load_codebook()
    count = write_codebook(tmp_path / "c.qdc", codebook)
    root = fromstring((tmp_path / "c.qdc").read_text(encoding="utf-8"))
    check_content(root, CODEBOOK_NAMESPACE)
    names = [code.get("name") for code in root.iter(f"{{{CODEBOOK_NAMESPACE}}}Code")]
    assert len(set(names)) == len(names)
    assert "other (tasks)" in names
    read = RefiCodebook.load(tmp_path / "c.qdc")
    assert [section.name for section in read.codes.code] == [section.id for section in codebook.sections]
    tasks = read.codes.code[0].code
    definitions = {code.name: code.description for code in tasks}
    assert definitions["write_draft"] == codebook.find_section("tasks").codes[0].definition
    assert count == sum(len(s.codes) + sum(len(a.values) for a in s.attributes) for s in codebook.sections)
