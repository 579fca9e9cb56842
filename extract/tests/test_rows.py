from hypothesis import given, settings
from hypothesis import strategies as st

from extract.rows import TABLES, RowMaker, guard_cell, strip_controls, unguard_cell
from extract.tests.export_samples import HOSTILE, make_failure, make_record_of
from extract.tests.samples import make_manifest, make_transcript

MAKER = RowMaker(make_manifest(run_id="r1"))
BEGINNINGS = "=+-@\t\r\n＝＋－＠'x "


@settings(deadline=None)
@given(st.text(alphabet=BEGINNINGS, max_size=4), st.text(max_size=5))
def test_a_guarded_cell_is_no_formula_and_comes_back_as_it_was(start: str, rest: str) -> None:
    cell = guard_cell(start + rest)
    assert unguard_cell(cell) == start + rest
    assert cell[:1] not in set("=+-@\t\r\n＝＋－＠")


def test_an_ordinary_text_is_not_touched() -> None:
    for text in ("", "'twas", "a = b", "3-4", "“=”"):
        assert guard_cell(text) == text


def test_every_table_has_every_column_in_its_order() -> None:
    for record in (make_record_of(make_transcript()), make_failure("x")):
        for name, rows in MAKER.make_rows(record).items():
            assert all(list(row) == [column.name for column in TABLES[name]] for row in rows)


def test_an_item_row_says_who_coded_what_where_and_in_which_words() -> None:
    transcript = make_transcript("baker", HOSTILE)
    (row, *others) = MAKER.make_rows(make_record_of(transcript, evidence=["U2.2", "U1.1"]))["items"]
    assert (row["transcript_id"], row["repeat"], row["cohort"]) == ("baker", 0, "bakers")
    assert (row["section"], row["item"], row["code"]) == ("tasks", 1, "write_draft")
    assert (row["attribute_name"], row["attribute"]) == ("disposition", "shared")
    assert (row["model"], row["prompt_version"], row["codebook_version"], row["run_id"]) == ("m", "v1", "1", "r1")
    assert row["sentence_ids"] == ["U2.2", "U1.1"]
    assert (row["start"], row["end"]) == (transcript.evidence["U1.1"].start, transcript.evidence["U2.2"].end)
    assert row["quote"] == "I check every recipe now. [...] I run a 🧁 bakery."
    assert [other["item"] for other in others] == [2, 3, 4]


def test_a_quote_row_is_where_it_says_and_the_mode_has_its_quotes_too() -> None:
    transcript = make_transcript("baker", HOSTILE)
    rows = MAKER.make_rows(make_record_of(transcript))["quotes"]
    assert all(transcript.text[row["start"] : row["end"]] == row["quote"] for row in rows)
    mode = [row for row in rows if row["attribute_name"] == "mode"]
    assert [(row["attribute"], row["code"], row["item"]) for row in mode] == [("task_iteration", None, None)]


def test_a_failure_is_a_record_row_without_items() -> None:
    rows = MAKER.make_rows(make_failure("x"))
    assert (rows["items"], rows["quotes"]) == ([], [])
    (row,) = rows["records"]
    assert (row["outcome"], row["failure_kind"], row["tasks_status"], row["tasks_items"]) == (
        "failed",
        "unreadable",
        None,
        None,
    )


def test_redacted_rows_hold_no_word_of_the_interview() -> None:
    record = make_record_of(make_transcript(), summary="SUMMARY")
    rows = RowMaker(make_manifest(), redact=True).make_rows(record)
    shown = str(rows)
    assert "SUMMARY" not in shown
    assert all(word not in shown for quote in record.extraction.tasks.items[0].quotes for word in [quote.text])  # type: ignore[union-attr]
    assert rows["items"][0]["code"] == "write_draft"
    (failed,) = RowMaker(make_manifest(), redact=True).make_rows(make_failure("x"))["records"]
    assert (failed["failure_kind"], failed["failure_message"]) == ("unreadable", None)


@settings(deadline=None)
@given(st.text())
def test_stripped_text_can_stand_in_xml(text: str) -> None:
    from xml.etree.ElementTree import Element, fromstring, tostring

    element = Element("a")
    element.text = strip_controls(text)
    read = fromstring(tostring(element, encoding="unicode")).text or ""
    assert read == element.text.replace("\r\n", "\n").replace("\r", "\n")
    assert len(strip_controls(text, "?")) == len(text)
