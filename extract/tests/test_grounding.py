from extract.grounding import ground_draft
from extract.tests.samples import ANSWER, make_prompt, make_request
from schemas.extraction import Extraction


def test_every_quote_is_the_transcript_at_its_span() -> None:
    request = make_request()
    extraction = ground_draft(make_prompt().format.model.model_validate(ANSWER), request.transcript)
    quotes = [quote for _, item in extraction.iterate_items() for quote in item.quotes]
    quotes += extraction.collaboration_style.mode_quotes
    assert len(quotes) == 5
    for quote in quotes:
        assert request.transcript.text[quote.start : quote.end] == quote.text
        assert request.transcript.evidence[quote.sentence_id].start == quote.start


def test_an_extraction_keeps_codes_attributes_and_status() -> None:
    request = make_request()
    extraction = ground_draft(make_prompt().format.model.model_validate(ANSWER), request.transcript)
    assert [(s, i.code, i.attribute) for s, i in extraction.iterate_items()] == [
        ("tasks", "write_draft", "shared"),
        ("collaboration_style", "verifies", None),
        ("concerns", "unreliability", "lived"),
        ("future_wishes", "automate_routine", "wish"),
    ]
    assert extraction.workplace_culture.status == "not_asked"
    assert extraction.collaboration_style.mode == "task_iteration"


def test_an_extraction_survives_json_and_leaves_out_what_does_not_apply() -> None:
    request = make_request()
    extraction = ground_draft(make_prompt().format.model.model_validate(ANSWER), request.transcript)
    text = extraction.model_dump_json()
    assert Extraction.model_validate_json(text) == extraction
    assert "null" not in text
