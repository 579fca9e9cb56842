from pathlib import Path

import pytest

from schemas.codebook import DEFAULT_CODEBOOK, SECTIONS, CodebookError, load_codebook, parse_codebook

TEXT = DEFAULT_CODEBOOK.read_text(encoding="utf-8")


def find_line(text: str, start: str) -> int:
    return next(n for n, line in enumerate(text.splitlines(), start=1) if line.startswith(start))


def test_the_shipped_codebook_has_the_five_sections_in_order() -> None:
    assert tuple(section.id for section in load_codebook().sections) == SECTIONS


def test_attributes_stand_where_the_schema_expects_them() -> None:
    codebook = load_codebook()
    found = {section.id: [a.id for a in section.attributes] for section in codebook.sections}
    assert found == {
        "tasks": ["disposition"],
        "collaboration_style": ["mode", "leader"],
        "workplace_culture": [],
        "concerns": ["timing"],
        "future_wishes": ["kind"],
    }


def test_comments_and_layout_do_not_change_the_hash_but_a_word_does() -> None:
    codebook = parse_codebook(TEXT)
    assert parse_codebook("# a remark\n\n" + TEXT).hash == codebook.hash
    assert parse_codebook(TEXT.replace("AI produces new text", "AI produces fresh text")).hash != codebook.hash


@pytest.mark.parametrize(
    ("old", "new", "line_of", "says"),
    [
        ("[concerns.codes]", "[worries.codes]", "[worries.codes]", "unknown section 'worries'"),
        ('ideation = "AI offers', 'write_draft = "AI offers', None, "'write_draft' stands there twice"),
        ('data_analysis = "AI cleans', 'data_analysis = ""\nx = "AI cleans', "data_analysis = ", "must be a text"),
        ("[tasks.disposition]", "[tasks.mood]", "[tasks.mood]", "unknown key 'mood'"),
        ('version = "1"\n', "", None, "version is missing"),
        ('version = "1"', "version = 1", "version = 1", "must be a text"),
        ('other = "A wish that', 'Other! = "A wish that', None, "not valid TOML"),
        ('other = "A wish that', 'OTHER = "A wish that', "OTHER = ", "bad code 'OTHER'"),
    ],
)
def test_a_malformed_codebook_gets_an_error_with_its_line(old: str, new: str, line_of: str | None, says: str) -> None:
    broken = TEXT.replace(old, new, 1)
    with pytest.raises(CodebookError, match=says) as caught:
        parse_codebook(broken, name="mine.toml")
    expected = f"line {find_line(broken, line_of)}:" if line_of else "line "
    assert f"mine.toml, {expected}" in str(caught.value)


def test_a_missing_section_is_named() -> None:
    with pytest.raises(CodebookError, match="section 'future_wishes' is missing"):
        parse_codebook(TEXT[: TEXT.index("[future_wishes]")])


def test_a_codebook_that_is_not_there_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(CodebookError, match="No such file"):
        load_codebook(tmp_path / "none.toml")
