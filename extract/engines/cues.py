"""Cue phrases: a small readable language for what people say, compiled so that a sentence is read once.

A cue is words in lower case: `go* back and forth`, `{cannot} ... understand|grasp`. `*` ends a stem,
`|` separates alternatives, `...` is a gap of up to four words, `{name}` is a list of words with a
name. Cues are separated by `;`. Punctuation between words does not count, nor does the apostrophe's shape.
"""

import hashlib
import re
import tomllib
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

DEFAULT_CUES = Path(__file__).with_name("rules.toml")
KEY_LENGTH = 4
MOST_WORDS = 50_000
WEIGHTS = {"strong": 2, "weak": 1}

_TOKEN = re.compile(r"\w+(?:'\w+)*")
_GAP = r"\W{1,3}(?:[\w']+\W{1,3}){0,4}"
_NEGATION = re.compile(
    r"\b(?:not|no|never|without|nor|hardly|rarely|\w+n't|dont|doesnt|isnt|havent|wont)\b(?!\W+(?:only|just))"
)
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


@dataclass(frozen=True, slots=True)
class Cue:
    """One compiled phrase. `anchor` is its rarest word, `pattern` the whole (None if that is all of it).

    `others` holds how its other words begin, `negatable` says that a negation before it turns it off.
    """

    key: Key
    weight: int
    anchor: re.Pattern[str]
    others: tuple[frozenset[str], ...]
    pattern: re.Pattern[str] | None
    negatable: bool


@dataclass(frozen=True, slots=True)
class Hit:
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


@dataclass(frozen=True)
class CueIndex:
    """Cues by the beginning of the word that they rest on; `known` remembers every word it has met."""

    index: dict[str, list[Cue]] = field(default_factory=lambda: defaultdict(list), repr=False)
    known: dict[str, tuple[Cue, ...]] = field(default_factory=dict, repr=False)

    def find(self, text: str) -> list[Hit]:
        """Every cue in a text that `fold` has been through; each cue at most once."""
        tokens = {token[0]: token for token in reversed(list(_TOKEN.finditer(text)))}
        beginnings = {word[:KEY_LENGTH] for word in tokens}
        negations = [match.end() for match in _NEGATION.finditer(text)]
        seen: set[int] = set()
        hits = []
        for word, token in tokens.items():
            cues = self.known.get(word)
            for cue in self._look_up(word) if cues is None else cues:
                if id(cue) in seen or any(map(beginnings.isdisjoint, cue.others)):
                    continue
                seen.add(id(cue))
                if match := cue.pattern.search(text) if cue.pattern else token:
                    negated = cue.negatable and _is_negated(text, match.start(), negations)
                    hits.append(Hit(cue.key, cue.weight, match.start(), negated))
        return hits

    def _look_up(self, word: str) -> tuple[Cue, ...]:
        """The cues that rest on a word; every word is looked up once."""
        if len(self.known) > MOST_WORDS:
            self.known.clear()
        candidates = self.index.get(word[:KEY_LENGTH], [])
        self.known[word] = found = tuple(cue for cue in candidates if cue.anchor.fullmatch(word))
        return found


def _is_negated(text: str, start: int, negations: list[int]) -> bool:
    """Whether a negation stands at most three words before `start`, in the same clause."""
    return any(end <= start and _NEAR.fullmatch(text, end, start) for end in negations)


def fold(text: str) -> str:
    """Lower case with straight apostrophes, of the same length."""
    lowered = text.lower()
    return (lowered if len(lowered) == len(text) else text).replace("\u2019", "'")


@cache
def load_cues(path: Path = DEFAULT_CUES) -> Cues:
    """Read a file of cues. Raises CueError for one that cannot be compiled."""
    source = path.read_text(encoding="utf-8")
    data = tomllib.loads(source)
    words: dict[str, str] = data.pop("words")
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
    elements = [[element] if element == "..." else _spell(element, phrase, words) for element in phrase.split()]
    spelled = [element for element in elements if element != ["..."]]
    if not spelled:
        raise CueError(f"The cue {phrase!r} has no words.")
    rarest = max(spelled, key=lambda element: (min(map(_rate_rarity, element)), -len(element)))
    if short := [word for word in rarest if _is_short_stem(word)]:
        raise CueError(f"The cue {phrase!r} rests on the stem {short[0]!r}. Make it {KEY_LENGTH} letters or longer.")
    others = [element for element in spelled if element is not rarest and not any(map(_is_short_stem, element))]
    whole = None if len(elements) == 1 else re.compile(_join(elements))
    negatable = not _NEGATION.search(phrase) and "{cannot}" not in phrase
    cue = Cue(key, weight, re.compile(_choose(rarest)), tuple(map(_find_beginnings, others)), whole, negatable)
    return cue, _find_beginnings(rarest)


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
    for before, element in zip([["..."], *elements], elements, strict=False):
        if element == ["..."]:
            parts.append(_GAP)
        else:
            parts.append(("" if before == ["..."] else r"\W{1,3}") + rf"\b{_choose(element)}(?!\w)")
    return "".join(parts)
