import copy
import json
from typing import Any

import pytest

from schemas.codebook import load_codebook
from schemas.draft import DraftError, DraftFormat
from schemas.transcript import Sentence, Transcript, Turn

FORMAT = DraftFormat(load_codebook())
TEXT = "AI: What do you do?\nUser: I draft letters. I check them."
TRANSCRIPT = Transcript(
    id="t1",
    text=TEXT,
    turns=(
        Turn("I1", "interviewer", 4, 19, ()),
        Turn("U1", "interviewee", 26, len(TEXT), (Sentence("U1.1", 26, 42), Sentence("U1.2", 43, len(TEXT)))),
    ),
)
VALID: dict[str, Any] = {
    "tasks": {
        "status": "discussed",
        "items": [
            {"evidence": ["U1.1"], "summary": "Drafts letters", "code": "write_draft", "disposition": "delegated"}
        ],
    },
    "collaboration_style": {
        "status": "discussed",
        "items": [{"evidence": ["U1.2"], "summary": "Checks them", "code": "verifies"}],
        "mode_evidence": ["U1.1"],
        "mode": "directive",
        "leader": "human",
    },
    "workplace_culture": {"status": "not_asked", "items": []},
    "concerns": {"status": "asked_not_answered", "items": []},
    "future_wishes": {"status": "not_asked", "items": []},
}


def change(path: str, value: Any) -> str:
    data = copy.deepcopy(VALID)
    *parents, last = path.split(".")
    place: Any = data
    for part in parents:
        place = place[int(part)] if part.isdigit() else place[part]
    place[int(last) if last.isdigit() else last] = value
    return json.dumps(data)


def test_a_valid_answer_is_a_draft() -> None:
    draft = FORMAT.parse(json.dumps(VALID), TRANSCRIPT)
    assert draft.model_dump() == VALID


def test_brackets_around_an_id_are_forgiven() -> None:
    draft: Any = FORMAT.parse(change("tasks.items.0.evidence", ["[U1.1]"]), TRANSCRIPT)
    assert draft.tasks.items[0].evidence == ["U1.1"]


@pytest.mark.parametrize(
    ("path", "value", "says"),
    [
        ("tasks.items.0.evidence", ["U9.9"], "there is no sentence 'U9.9'"),
        ("tasks.items.0.evidence", ["I1"], "'I1' is the interviewer's"),
        ("tasks.items.0.evidence", [], "0 sentence ids. Cite 1 to 4"),
        ("tasks.items.0.evidence", ["U1.1", "U1.2", "U1.1", "U1.2", "U1.1"], "5 sentence ids"),
        ("tasks.items.0.evidence", ["U1.1", "U1.1"], "names a sentence twice"),
        ("tasks.items.0.code", "typing", "tasks.items.0.code"),
        ("tasks.items.0.disposition", None, "tasks.items.0.disposition"),
        ("tasks.items.0.summary", "  ", "summary is empty"),
        ("tasks.items.0.colour", "red", "Extra inputs"),
        ("tasks.status", "not_asked", "there are items"),
        ("tasks.items", [], "there are no items"),
        ("concerns.status", "maybe", "concerns.status"),
        ("collaboration_style.mode", "friendly", "collaboration_style.mode"),
        ("collaboration_style.mode_evidence", [], "mode_evidence has 0"),
        ("collaboration_style.items", VALID["collaboration_style"]["items"] * 2, "'verifies' is used 2 times"),
    ],
)
def test_an_answer_that_cannot_be_used_says_exactly_why(path: str, value: Any, says: str) -> None:
    with pytest.raises(DraftError) as caught:
        FORMAT.parse(change(path, value), TRANSCRIPT)
    assert any(says in problem for problem in caught.value.problems)


@pytest.mark.parametrize("answer", ["", "{", "null", "[]", "Sorry, I cannot.", '{"tasks": {}}'])
def test_an_answer_that_is_no_draft_is_refused(answer: str) -> None:
    with pytest.raises(DraftError):
        FORMAT.parse(answer, TRANSCRIPT)


def test_all_problems_are_told_at_once() -> None:
    data = copy.deepcopy(VALID)
    data["tasks"]["items"][0]["evidence"] = ["U7.1"]
    data["collaboration_style"]["items"][0]["evidence"] = ["I1"]
    with pytest.raises(DraftError) as caught:
        FORMAT.parse(json.dumps(data), TRANSCRIPT)
    assert len(caught.value.problems) == 2


def test_a_task_code_may_come_twice() -> None:
    FORMAT.parse(change("tasks.items", VALID["tasks"]["items"] * 2), TRANSCRIPT)


def walk(schema: Any) -> list[dict[str, Any]]:
    if isinstance(schema, list):
        return [found for part in schema for found in walk(part)]
    if not isinstance(schema, dict):
        return []
    return [schema, *(found for part in schema.values() for found in walk(part))]


def test_the_schema_holds_only_what_providers_accept() -> None:
    objects = [part for part in walk(FORMAT.json_schema) if part.get("type") == "object"]
    assert objects
    for part in objects:
        assert part["additionalProperties"] is False
        assert part["required"] == list(part["properties"])
    forbidden = {"minimum", "maximum", "minItems", "maxItems", "minLength", "maxLength", "pattern", "anyOf", "title"}
    assert not [part for part in walk(FORMAT.json_schema) if forbidden & part.keys()]


def test_the_schema_holds_every_code_of_the_codebook() -> None:
    text = json.dumps(FORMAT.json_schema)
    codes = [code.id for section in load_codebook().sections for code in section.codes]
    assert all(f'"{code}"' in text for code in codes)
