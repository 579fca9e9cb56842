import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from extract.errors import SourceError, TranscriptError
from extract.tests.samples import BAKER, make_transcript
from extract.turns import DEFAULT_LABELS, parse_transcript
from schemas.transcript import Transcript

WORDS = st.text(st.characters(codec="utf-8", exclude_characters="\r\ufeff"), max_size=200)
LINES = st.lists(
    st.tuples(st.sampled_from(["User: ", "AI: ", "Assistant: ", "", "Note: ", " User: "]), WORDS), max_size=12
)


def check_spans(transcript: Transcript) -> None:
    for turn in transcript.turns:
        position = turn.start
        for sentence in turn.sentences:
            assert position <= sentence.start < sentence.end <= turn.end
            words = transcript.words(sentence)
            assert words == words.strip()
            assert words
            position = sentence.end
        if turn.speaker == "interviewee":
            said = "".join(transcript.words(s) for s in turn.sentences)
            assert "".join(said.split()) == "".join(transcript.words(turn).split())


@given(LINES)
@example([("User: ", "One. Two! 🥐 Three?\n\nFour (ok). e.g. this")])
@example([("User: ", "a\u2028b\x1c\x85c. d")])
def test_every_sentence_is_exactly_its_span_and_none_is_lost(lines: list[tuple[str, str]]) -> None:
    try:
        transcript = parse_transcript("\n".join(label + words for label, words in lines), id="t")
    except TranscriptError:
        return
    check_spans(transcript)


@given(LINES)
def test_a_parsed_text_parses_to_itself(lines: list[tuple[str, str]]) -> None:
    try:
        first = parse_transcript("\n".join(label + words for label, words in lines), id="t")
    except TranscriptError:
        return
    assert parse_transcript(first.text, id="t") == first


def test_ids_count_turns_of_each_side_and_sentences_from_one() -> None:
    transcript = make_transcript()
    assert [turn.id for turn in transcript.turns] == ["I1", "U1", "I2", "U2", "I3", "U3"]
    assert list(transcript.evidence) == ["U1.1", "U1.2", "U2.1", "U2.2", "U3.1", "U3.2"]
    assert transcript.words(transcript.evidence["U2.1"]) == "It once gave me a bread recipe without salt."


def test_a_label_counts_only_at_the_start_of_a_line() -> None:
    text = "User: Initial Steps:\n1. ask the AI: be brief\n2. then User: is told\nChatGPT said: hello\nAI: Thanks."
    assert [turn.id for turn in parse_transcript(text, id="t").turns] == ["U1", "I1"]


def test_other_labels_can_be_named() -> None:
    labels = DEFAULT_LABELS.extend(["Moderator:"], ["P1", "P2"])
    transcript = parse_transcript("Moderator: Hi?\nP1: Yes.\nP2: No.\nAI: Bye.", id="t", labels=labels)
    assert [turn.id for turn in transcript.turns] == ["I1", "U1", "U2", "I2"]


def test_a_label_on_both_sides_is_refused() -> None:
    with pytest.raises(SourceError, match="'AI' is named as interviewer and as interviewee"):
        DEFAULT_LABELS.extend([], ["AI"])


@pytest.mark.parametrize("encoding", ["sloppy-windows-1252", "latin-1"])
def test_a_text_gone_through_a_wrong_code_page_is_the_same_transcript(encoding: str) -> None:
    text = BAKER.replace("salt", "salt – “really”, naïve café…")
    broken = text.encode().decode(encoding)
    assert broken != text
    assert parse_transcript(broken, id="t") == parse_transcript(text, id="t")


@pytest.mark.parametrize("change", [lambda t: "\ufeff" + t, lambda t: t.replace("\n", "\r\n"), lambda t: f"\n {t} \n"])
def test_bom_crlf_and_white_space_around_change_nothing(change) -> None:  # type: ignore[no-untyped-def]
    assert parse_transcript(change(BAKER), id="t").text_sha256 == make_transcript().text_sha256


@pytest.mark.parametrize("text", ["", " \n", "\ufeff"])
def test_an_empty_text_is_one_sentence(text: str) -> None:
    with pytest.raises(TranscriptError, match="text is empty"):
        parse_transcript(text, id="t")


def test_without_an_interviewee_the_labels_seen_are_named() -> None:
    with pytest.raises(TranscriptError, match="Lines begin with 'Moderator', 'P1'"):
        parse_transcript("Moderator: Hi?\nP1: Yes.", id="t")


def test_a_silent_interviewee_is_no_interview() -> None:
    with pytest.raises(TranscriptError, match="no interviewee turn"):
        parse_transcript("AI: Hello?\nUser:\nAI: Bye.", id="t")


def test_spans_find_the_sentences_that_they_share_a_character_with() -> None:
    transcript = make_transcript()
    first, second = transcript.evidence["U1.1"], transcript.evidence["U1.2"]
    assert transcript.find_sentences(first.end - 1, second.start + 1) == [first, second]
    assert transcript.find_sentences(first.end, second.start) == []
