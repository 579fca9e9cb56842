"""The keyless engine: what it codes, from whom, and that it never breaks."""

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from extract.engines import EngineOptions, open_engine
from extract.engines.cues import load_cues
from extract.engines.rules import RulesEngine, code_transcript
from extract.errors import EngineError
from extract.prompt import load_prompt
from extract.tests.samples import AUTHORED, find_real_interviews, make_prompt, make_transcript
from extract.transcripts import Source, load_transcripts
from schemas.codebook import DEFAULT_CODEBOOK, SECTIONS, Codebook, load_codebook, parse_codebook
from schemas.draft import DraftFormat
from schemas.transcript import Transcript

CODEBOOK = load_codebook()
FORMAT = DraftFormat(CODEBOOK)
WORRIES = "AI: Does anything about AI worry you?\n\nUser: "
TASKS = "AI: What do you use AI for on a typical day?\n\nUser: "
FUTURE = "AI: Looking ahead, what would you like AI to do for you?\n\nUser: "


def code(text: str, codebook: Codebook = CODEBOOK) -> dict[str, Any]:
    """The draft of one text, checked as an engine's answer is."""
    return check(make_transcript(text=text), codebook)


def check(transcript: Transcript, codebook: Codebook = CODEBOOK) -> dict[str, Any]:
    draft = code_transcript(transcript, codebook, load_cues())
    form = FORMAT if codebook is CODEBOOK else DraftFormat(codebook)
    form.check(form.model.model_validate(draft), transcript)
    return draft


def read(folder: Path) -> list[Transcript]:
    return [row for row in load_transcripts(Source(str(folder))) if isinstance(row, Transcript)]


def codes(draft: dict[str, Any], section: str) -> list[str]:
    return [item["code"] for item in draft[section]["items"]]


def test_a_task_a_worry_and_a_wish_are_coded_with_their_sentences() -> None:
    draft = code(
        f"{TASKS}I run a shop. It drafts my emails to customers and the newsletter.\n\n"
        f"{WORRIES}It hallucinates and makes mistakes, so I double check everything.\n\n"
        f"{FUTURE}I would love for it to take care of the tedious paperwork."
    )
    found = {(s, i["code"]): i for s in SECTIONS for i in draft[s]["items"]}
    assert found["tasks", "write_draft"]["evidence"] == ["U1.2"]
    assert found["concerns", "unreliability"]["evidence"] == ["U2.1"]
    assert found["collaboration_style", "verifies"]["evidence"] == ["U2.1"]
    assert found["future_wishes", "automate_routine"]["kind"] == "wish"


def test_a_denied_worry_is_not_coded() -> None:
    assert "job_income" in codes(code(f"{WORRIES}I fear unemployment, layoffs."), "concerns")
    assert codes(code(f"{WORRIES}I have no fear of unemployment, layoffs."), "concerns") == []


def test_a_worry_of_other_people_is_not_coded() -> None:
    assert "job_income" in codes(code(f"{WORRIES}I fear that jobs will be replaced."), "concerns")
    assert codes(code(f"{WORRIES}My colleagues fear that jobs will be replaced."), "concerns") == []


def test_what_others_use_ai_for_is_not_a_task() -> None:
    assert "write_draft" in codes(code(f"{TASKS}I use AI to write emails and reports."), "tasks")
    assert "write_draft" not in codes(code(f"{TASKS}My colleagues use AI to write emails and reports."), "tasks")


def test_only_the_interviewee_is_evidence() -> None:
    words = "I worry that my job will be replaced, and it hallucinates and makes mistakes."
    assert codes(code(f"AI: {words} And you?\n\nUser: Fine."), "concerns") == []
    assert codes(code(f"AI: And you?\n\nUser: {words}"), "concerns") != []


def test_the_question_decides_which_section_an_answer_belongs_to() -> None:
    answer = "I would love for it to take care of the tedious paperwork."
    assert "automate_routine" in codes(code(f"{FUTURE}{answer}"), "future_wishes")
    assert codes(code(f"AI: Thank you for your time.\n\nUser: {answer}"), "future_wishes") == []


def test_a_follow_up_stays_with_its_question() -> None:
    text = f"{FUTURE}Hard to say.\n\nAI: Go on.\n\nUser: I would love for it to take care of the tedious paperwork."
    assert "automate_routine" in codes(code(text), "future_wishes")


def test_status_says_what_was_asked_and_what_was_answered() -> None:
    draft = code(f"{WORRIES}Hm.")
    assert draft["concerns"] == {"status": "asked_not_answered", "items": []}
    assert draft["workplace_culture"] == {"status": "not_asked", "items": []}


@pytest.mark.parametrize("answer", ["ok", "?", "...", "👍", "no.", "[REDACTED]"])
def test_an_answer_without_words_gives_no_items(answer: str) -> None:
    draft = code(f"{TASKS}{answer}")
    assert [draft[section]["items"] for section in SECTIONS] == [[]] * 5
    assert (draft["collaboration_style"]["mode"], draft["collaboration_style"]["mode_evidence"]) == ("unclear", [])


def test_a_task_that_is_kept_from_ai_is_retained() -> None:
    text = f"{TASKS}I never use AI to write emails or reports, I prefer to write letters myself without AI."
    (item,) = (i for i in code(text)["tasks"]["items"] if i["code"] == "write_draft")
    assert item["disposition"] == "retained"


def test_a_summary_is_the_sentence_as_it_was_said_cut_at_a_word() -> None:
    short = code(f"{TASKS}ChatGPT drafts my emails to Ms O\u2019Neill.")["tasks"]["items"][0]
    assert short["summary"] == "ChatGPT drafts my emails to Ms O\u2019Neill."
    long = code(
        f"{TASKS}ChatGPT drafts my emails to Ms O\u2019Neill, one and two and three and four and five, and six."
    )
    assert long["tasks"]["items"][0]["summary"] == (
        "ChatGPT drafts my emails to Ms O\u2019Neill, one and two and three and four\u2026"
    )


def test_the_same_transcript_gets_the_same_draft() -> None:
    transcripts = read(AUTHORED)
    assert len(transcripts) == 12
    first = [check(t) for t in transcripts]
    load_cues.cache_clear()
    assert [check(t) for t in reversed(transcripts)] == first[::-1]


def test_codes_that_a_codebook_lacks_are_left_out() -> None:
    text = re.sub(r"^(write_draft|unreliability) = .*\n", "", DEFAULT_CODEBOOK.read_text(encoding="utf-8"), flags=re.M)
    answer = (
        f"{TASKS}It drafts my emails. I am editing and polishing my grammar with ChatGPT.\n\n{WORRIES}It hallucinates."
    )
    assert "write_draft" in codes(code(answer), "tasks")
    assert codes(code(answer, parse_codebook(text)), "tasks") == ["edit_polish"]
    assert "unreliability" not in codes(code(answer, parse_codebook(text)), "concerns")


def test_codes_and_values_that_the_engine_does_not_know_are_never_given() -> None:
    text = DEFAULT_CODEBOOK.read_text(encoding="utf-8")
    renamed = re.sub(r"^(write_draft|delegated|shared|anticipated|directive) = ", r"my_\1 = ", text, flags=re.M)
    draft = code(f"{TASKS}It drafts my emails. I let it do the analysis of data.", parse_codebook(renamed))
    assert "my_write_draft" not in codes(draft, "tasks")


def test_the_engine_answers_lazily_and_in_order() -> None:
    asked = []

    def ask() -> Any:
        for n in range(3):
            asked.append(n)
            yield make_prompt().render(make_transcript(f"t{n}"), model="rules", parameters={})

    answers = open_engine("rules").complete(ask())
    assert next(answers).request.transcript.id == "t0"
    assert asked == [0]
    assert [answer.request.transcript.id for answer in answers] == ["t1", "t2"]


def test_the_engine_tells_the_manifest_which_cues_it_used() -> None:
    mine, changed = (RulesEngine(replace(load_cues(), sha256=sha)) for sha in (load_cues().sha256, "f" * 64))
    assert mine.parameters == open_engine("rules").parameters
    assert mine.parameters != changed.parameters


def test_a_model_is_refused_by_name() -> None:
    with pytest.raises(EngineError, match="The rules engine has no model 'gpt'. Leave --model out."):
        open_engine("rules", EngineOptions(model="gpt"))


WORDS = """
AI I my not don't never it drafts emails worry job colleagues use would love data ideas check policy
myself learn . , ? ! \u2019 \u2026 \U0001f950 it's hallucinates tedious paperwork
"""


@given(
    st.lists(
        st.tuples(st.text(max_size=40), st.lists(st.sampled_from(WORDS.split()), min_size=1, max_size=25)),
        min_size=1,
        max_size=5,
    )
)
def test_any_conversation_gets_a_valid_draft(turns: list[tuple[str, list[str]]]) -> None:
    lines = [f"AI: {question}?\n\nUser: yes {' '.join(answer)}" for question, answer in turns]
    check(make_transcript(text="\n\n".join(lines)))


@given(st.text(min_size=1, max_size=300).filter(str.strip))
def test_any_text_gets_a_valid_draft(text: str) -> None:
    check(make_transcript(text=f"AI: So?\n\nUser: a {text}"))


def test_every_real_interview_gets_a_valid_draft() -> None:
    engine = open_engine("rules")
    prompt = load_prompt("v1", CODEBOOK)
    transcripts = read(find_real_interviews())
    answers = list(engine.complete(prompt.render(t, model="rules", parameters={}) for t in transcripts))
    assert len(answers) == 1210
    assert [answer.failure for answer in answers if answer.failure] == []
    empty = [a for a in answers if a.draft and not any(getattr(a.draft, section).items for section in SECTIONS)]
    assert len(empty) < 20
