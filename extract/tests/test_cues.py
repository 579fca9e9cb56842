"""The cue language: what a phrase finds, what it does not, and what it refuses to be."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from extract.engines.cues import CueError, Cues, Hit, fold, load_cues

KEY = ("tasks", "write_draft")


def make_cues(folder: Path, strong: str, weak: str = "", words: str = "") -> Cues:
    path = folder / f"cues{len(list(folder.iterdir()))}.toml"
    path.write_text(f'[words]\n{words}\n[tasks.write_draft]\nneeds = 3\nstrong = "{strong}"\nweak = "{weak}"\n')
    return load_cues(path)


def find(folder: Path, phrase: str, text: str, words: str = "") -> list[Hit]:
    return make_cues(folder, phrase, words=words).answers.find(fold(text))


@pytest.mark.parametrize(
    ("phrase", "text", "found"),
    [
        ("draft", "It is a draft.", True),
        ("draft", "It drafts.", False),
        ("draft*", "It drafts.", True),
        ("draft*", "An overdraft.", False),
        ("hand over", "I hand over the rest.", True),
        ("hand over", "I hand it over.", False),
        ("hand over", "By hand, over night.", True),
        ("hand ... over", "I hand all of it over.", True),
        ("hand ... over", "My hand hurts, so a friend came over.", False),
        ("give|hand it", "I hand it on.", True),
        ("give|hand it", "I take it.", False),
        ("writ* a|the {thing}", "It is writing the letters.", True),
        ("writ* a|the {thing}", "It is writing the songs.", False),
        ("don't mind", "I don\u2019t mind.", True),
        ("don't mind", "i dont mind", True),
        ("if it", "If it's late.", False),
        ("new new ideas", "New, new ideas!", True),
    ],
)
def test_a_phrase_finds_what_it_spells(tmp_path: Path, phrase: str, text: str, found: bool) -> None:
    assert bool(find(tmp_path, phrase, text, words='thing = "letter|letters"')) is found


def test_a_phrase_is_found_where_it_stands_and_once(tmp_path: Path) -> None:
    assert find(tmp_path, "polish*", "A varnish, a polish, polished again.") == [Hit(KEY, 2, 13, False)]


def test_a_word_is_located_whole(tmp_path: Path) -> None:
    assert find(tmp_path, "ai", "I said so to the AI.") == [Hit(KEY, 2, 17, False)]


def test_weak_cues_weigh_half_of_strong_ones(tmp_path: Path) -> None:
    hits = make_cues(tmp_path, "letter", weak="typing").answers.find("typing a letter")
    assert {hit.start: hit.weight for hit in hits} == {0: 1, 9: 2}


@pytest.mark.parametrize(
    ("text", "negated"),
    [
        ("I worry.", False),
        ("I do not worry.", True),
        ("I don\u2019t really worry.", True),
        ("i dont worry", True),
        ("I never have to worry.", True),
        ("No, I worry.", True),
        ("Not bad. I worry.", False),
        ("I do not like mornings in the office and worry.", False),
        ("I worry, but not much.", False),
        ("Not only do I worry.", False),
    ],
)
def test_a_negation_shortly_before_turns_a_cue_off(tmp_path: Path, text: str, negated: bool) -> None:
    (hit,) = find(tmp_path, "worr*", text)
    assert hit.negated is negated


def test_a_cue_that_negates_by_itself_is_not_negated(tmp_path: Path) -> None:
    (hit,) = find(tmp_path, "doesn't understand", "No, it doesn't understand me.")
    assert not hit.negated


@pytest.mark.parametrize(
    ("phrase", "message"),
    [
        ("...", "The cue '...' has no words."),
        ("ai*", "The cue 'ai.' rests on the stem 'ai.'. Make it 4 letters or longer."),
        ("use {tool}", "The cue 'use {tool}' names '{tool}', which .words. does not list."),
    ],
)
def test_a_cue_that_cannot_be_compiled_is_named(tmp_path: Path, phrase: str, message: str) -> None:
    with pytest.raises(CueError, match=message):
        make_cues(tmp_path, phrase)


def test_settings_are_kept_beside_the_cues(tmp_path: Path) -> None:
    assert make_cues(tmp_path, "letter").settings == {KEY: {"needs": 3}}


def test_the_hash_changes_with_the_file(tmp_path: Path) -> None:
    first, second, third = (make_cues(tmp_path, phrase) for phrase in ("letter", "letters", "letter"))
    assert first.sha256 != second.sha256
    assert first.sha256 == third.sha256


def test_the_shipped_cues_are_each_written_once_in_their_table() -> None:
    for index in (load_cues().answers, load_cues().questions):
        cues = {id(cue): cue for cues in index.index.values() for cue in cues}.values()
        spelled = [(cue.key, cue.pattern and cue.pattern.pattern, cue.anchor.pattern) for cue in cues]
        assert len(spelled) > 100
        assert len(spelled) == len(set(spelled))


@given(st.text(max_size=200))
def test_any_text_can_be_searched_and_a_hit_lies_inside_it(text: str) -> None:
    folded = fold(text)
    for hit in load_cues().answers.find(folded):
        assert 0 <= hit.start < len(folded)


WORDS = "i don't not worry about my ai drafts , . it writes the emails for me"


@given(st.lists(st.sampled_from(WORDS.split())))
def test_what_was_met_before_changes_nothing(words: list[str]) -> None:
    text = " ".join(words)
    index = load_cues().answers
    index.known.clear()
    first = index.find(text)
    assert index.find(text) == first
