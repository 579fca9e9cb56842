"""Cue phrases: a small readable language for what people say, compiled so that a sentence is read once.

A cue is words in lower case: `go* back and forth`, `{cannot} ... understand|grasp`. `*` ends a stem,
`|` separates alternatives, `...` is a gap of up to four words, `{name}` is a list of words with a
name. Cues are separated by `;`. Punctuation between words does not count, nor does the apostrophe's shape.
"""

import hashlib
import re
import tomllib
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, Literal, NamedTuple

DEFAULT_CUES = Path(__file__).with_name("rules.toml")
KEY_LENGTH = 4
GAP = "..."
MOST_WORDS = 50_000
WEIGHTS = {"strong": 2, "weak": 1}

_TOKEN = re.compile(r"\w+(?:'\w+)*")
_GAP = r"\W{1,3}(?:[\w']+\W{1,3}){0,4}"
_BARE_WORDS = "dont doesnt didnt isnt arent wasnt werent hasnt havent hadnt cant couldnt wouldnt shouldnt wont"
_BARE = re.compile(r"nt\b(?:" + "|".join(rf"(?<=\b{word})" for word in _BARE_WORDS.split()) + ")")
_NEGATION_WORDS = "not|no|never|without|nor|hardly|rarely"
_NEGATION = re.compile(rf"\b(?:{_NEGATION_WORDS}|\w+n't)\b(?!\W+(?:only|just))")
_NEGATIONS = frozenset(_NEGATION_WORDS.split("|"))
_NEAR = re.compile(r"[^\w.;!?]+(?:[\w']+[^\w.;!?]+){0,3}")
_COMMON_WORDS = """
a about ai all also am an and any are as ask asked asking at be because been but by can do does doing done
don't even for from get getting give go good had has have how i i'd i'll i'm i've if in into is it it's its
just know like look make makes making me more most my need not of on one or other our out over people really
see so some something than that that's the their them then there these they thing things think this through
time to too up us use used using very want was way we well were what when where which who will with without
work working would you your
"""
_COMMON = frozenset(_COMMON_WORDS.split())

Key = tuple[str, str]
"""What a cue speaks for: a section and a code, or an attribute and a value, or `question` and a kind."""


class CueError(ValueError):
    """A cue that cannot be compiled; the message names it."""


@dataclass(frozen=True, slots=True, eq=False)
class Cue:
    """One compiled phrase. `anchor` is its rarest word, `pattern` the whole (None if that is all of it).

    `others` holds how its other words begin; the first of them stands at `place`: 0 right after the anchor,
    1 right before it, 2 elsewhere. `literal` has to be among the words of a text; it is cheaper to look for than
    `pattern`, and empty where there is a choice. `negatable` says that a negation before it turns it off.
    """

    key: Key
    weight: int
    anchor: re.Pattern[str]
    others: tuple[frozenset[str], ...]
    place: int
    pattern: re.Pattern[str] | None
    literal: str
    negatable: bool


class Hit(NamedTuple):
    """A cue found in a text: where it begins, and whether a negation stands before it."""

    key: Key
    weight: int
    start: int
    negated: bool


@dataclass(frozen=True)
class Cues:
    """The compiled cues of one file. `settings` holds what the file says of each key beside its cues."""

    sha256: str
    settings: dict[Key, dict[str, Any]]
    questions: "CueIndex"
    answers: "CueIndex"


@dataclass(frozen=True, slots=True)
class _Resting:
    """The cues that rest on one word, by how the word begins that they need after, before or anywhere near it."""

    free: list[Cue] = field(default_factory=list)
    needing: tuple[dict[str, list[Cue]], ...] = field(default_factory=lambda: ({}, {}, {}))
    bound: list[Cue] = field(default_factory=list)

    def add(self, cue: Cue) -> None:
        """Take a cue in."""
        (self.bound if cue.others else self.free).append(cue)
        for beginning in cue.others[0] if cue.others else ():
            self.needing[cue.place].setdefault(beginning, []).append(cue)

    def choose(self, before: str, after: str, beginnings: set[str]) -> list[Cue]:
        """The cues whose other words may be there, going by how the words of the text begin."""
        chosen = self.free
        if not self.bound:
            return chosen
        afters, befores, elsewhere = self.needing
        if after in afters:
            chosen = chosen + afters[after]
        if before in befores:
            chosen = chosen + befores[before]
        if elsewhere:
            for beginning in elsewhere.keys() & beginnings:
                chosen = chosen + elsewhere[beginning]
        return chosen


@dataclass(frozen=True)
class CueIndex:
    """Cues by the beginning of the word that they rest on; `known` remembers every word it has met."""

    index: dict[str, list[Cue]] = field(default_factory=lambda: defaultdict(list), repr=False)
    known: dict[str, _Resting | Literal[False]] = field(default_factory=dict, repr=False)

    def find(self, text: str) -> list[Hit]:
        """Every cue in a text that `fold` has been through; each cue at most once."""
        words = _TOKEN.findall(text)
        heads = ["", *[word[:KEY_LENGTH] for word in words], ""]
        beginnings = set(heads)
        negations = _find_negations(text, words)
        spaced = f" {' '.join(words)} "
        known = self.known
        seen: set[Cue] = set()
        hits = []
        for n, word in enumerate(words):
            resting = known.get(word)
            if resting is None:
                resting = self._look_up(word)
            if not resting:
                continue
            for cue in resting.choose(heads[n], heads[n + 2], beginnings):
                if cue in seen or (len(cue.others) > 1 and any(map(beginnings.isdisjoint, cue.others))):
                    continue
                seen.add(cue)
                if not cue.pattern:
                    start = _find_word(text, word)
                elif cue.literal in spaced and (match := cue.pattern.search(text)):
                    start = match.start()
                else:
                    continue
                negated = bool(negations) and cue.negatable and _is_negated(text, start, negations)
                hits.append(Hit(cue.key, cue.weight, start, negated))
        return hits

    def _look_up(self, word: str) -> _Resting | Literal[False]:
        """The cues that rest on a word; every word is looked up once."""
        if len(self.known) > MOST_WORDS:
            self.known.clear()
        cues = [cue for cue in self.index.get(word[:KEY_LENGTH], ()) if cue.anchor.fullmatch(word)]
        if not cues:
            self.known[word] = False
            return False
        self.known[word] = resting = _Resting()
        for cue in cues:
            resting.add(cue)
        return resting


def _find_word(text: str, word: str) -> int:
    """Where a word that is in a text stands there first, whole."""
    start = text.find(word)
    while (
        start > 0
        and (text[start - 1].isalnum() or text[start - 1] in "_'")
        and (later := text.find(word, start + 1)) > 0
    ):
        start = later
    return start


def _find_negations(text: str, words: Iterable[str]) -> list[int]:
    """Where the negations of a text end."""
    if "n't" not in text and _NEGATIONS.isdisjoint(words):
        return []
    return [match.end() for match in _NEGATION.finditer(text)]


def _is_negated(text: str, start: int, negations: list[int]) -> bool:
    """Whether a negation stands at most three words before `start`, in the same clause."""
    return any(end <= start and _NEAR.fullmatch(text, end, start) for end in negations)


def fold(text: str) -> str:
    """Lower case, straight apostrophes, and the apostrophe that hasty typing leaves out of `dont` and its kin."""
    return _BARE.sub("n't", text.lower().replace("\u2019", "'"))


@cache
def load_cues(path: Path = DEFAULT_CUES) -> Cues:
    """Read a file of cues. Raises CueError for one that cannot be compiled."""
    source = path.read_text(encoding="utf-8")
    data = tomllib.loads(source)
    words: dict[str, str] = data.pop("words", {})
    cues = Cues(hashlib.sha256(source.encode()).hexdigest(), {}, CueIndex(), CueIndex())
    for key, table in _iterate_tables(data):
        cues.settings[key] = {name: value for name, value in table.items() if name not in WEIGHTS}
        found = cues.questions if key[0] == "question" else cues.answers
        for strength, weight in WEIGHTS.items():
            for phrase in filter(None, map(str.strip, table.get(strength, "").split(";"))):
                cue, starts = _compile_cue(phrase, key, weight, words)
                for start in starts:
                    found.index[start].append(cue)
    return cues


def _iterate_tables(data: dict[str, Any]) -> Iterator[tuple[Key, dict[str, Any]]]:
    for group, tables in data.items():
        for name, table in tables.items():
            yield (group, name), table


def _compile_cue(phrase: str, key: Key, weight: int, words: dict[str, str]) -> tuple[Cue, frozenset[str]]:
    """The cue, and the beginnings of the words that it rests on."""
    elements = [_spell(element, phrase, words) for element in phrase.split()]
    if all(element == [GAP] for element in elements):
        raise CueError(f"The cue {phrase!r} has no words.")
    at = max(range(len(elements)), key=lambda n: (_rate_element(elements[n]), -len(elements[n])))
    rarest = elements[at]
    if short := [word for word in rarest if _is_short_stem(word)]:
        raise CueError(f"The cue {phrase!r} rests on the stem {short[0]!r}. Make it {KEY_LENGTH} letters or longer.")
    order = [n for n in (at + 1, at - 1, *range(len(elements))) if 0 <= n < len(elements) and n != at]
    order = [n for n in dict.fromkeys(order) if _rate_element(elements[n]) >= 0]
    place = {at + 1: 0, at - 1: 1}.get(order[0], 2) if order else 2
    others = tuple(_find_beginnings(elements[n]) for n in order)
    whole = None if len(elements) == 1 else re.compile(_join(elements))
    plain = all(len(element) == 1 and element != [GAP] and element[0].isalpha() for element in elements)
    literal = f" {' '.join(element[0] for element in elements)} " if plain else ""
    negatable = not _NEGATION.search(phrase) and "{cannot}" not in phrase
    cue = Cue(key, weight, re.compile(_choose(rarest)), others, place, whole, literal, negatable)
    return cue, _find_beginnings(rarest)


def _rate_element(element: list[str]) -> int:
    """How much an element says; below 0 for a gap and for one with a short stem, which nothing can rest on."""
    return -2 if element == [GAP] else min(map(_rate_rarity, element))


def _rate_rarity(word: str) -> int:
    return -1 if _is_short_stem(word) else 0 if word in _COMMON else len(word.strip("*"))


def _is_short_stem(word: str) -> bool:
    return word.endswith("*") and len(word) <= KEY_LENGTH


def _find_beginnings(alternatives: list[str]) -> frozenset[str]:
    return frozenset(word.rstrip("*")[:KEY_LENGTH] for word in alternatives)


def _spell(element: str, phrase: str, words: dict[str, str]) -> list[str]:
    """The alternatives of one element, named lists written out."""
    spelled = []
    for part in element.split("|"):
        if not part.startswith("{"):
            spelled.append(part)
        elif part[1:-1] in words:
            spelled.extend(words[part[1:-1]].split("|"))
        else:
            raise CueError(f"The cue {phrase!r} names {part!r}, which [words] does not list.")
    return spelled


def _choose(alternatives: list[str]) -> str:
    return "(?:" + "|".join(re.escape(word).replace(r"\*", r"[\w']*") for word in alternatives) + ")"


def _join(elements: list[list[str]]) -> str:
    """The expression of a phrase: its elements with what may stand between them."""
    parts: list[str] = []
    for before, element in zip([[GAP], *elements], elements, strict=False):
        if element == [GAP]:
            parts.append(_GAP)
        else:
            parts.append(("" if before == [GAP] else r"\W{1,3}") + rf"\b{_choose(element)}(?!'?\w)")
    return "".join(parts)
