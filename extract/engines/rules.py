"""The keyless engine: cue phrases and the questions they answer. Deterministic, and no model.

It reads what was asked (which section a question opens), what the interviewee's sentences say (the
cues in `rules.toml`), whether a negation or somebody else stands before it, and gives the codes
whose best sentence says enough.
"""

import hashlib
import math
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from extract.engines import Completion, EngineOptions
from extract.engines.cues import Cues, Key, fold, load_cues
from extract.errors import EngineError
from extract.prompt import Request
from schemas.codebook import ITEM_ATTRIBUTES, SECTION_ATTRIBUTES, SECTIONS, Attribute, Codebook, Section, SectionCodes
from schemas.draft import DraftError, DraftFormat
from schemas.record import Failure
from schemas.transcript import Transcript, Turn

NEEDS = 4
SHARES = (1, 0.35, 0.15)
MOST_EVIDENCE = 3
QUESTION_CHARS = 400
SUMMARY_WORDS = 14
GREETING_WORDS = 8
LEAST = 1
USUAL = 3
MOST_SAID = 4
ROUTED = 2
APART = ("retained", "tried")

KINDS = ("wish", "expectation", "intention")
QUESTIONS: dict[str, Section] = {
    "tasks": "tasks",
    "retained": "collaboration_style",
    "style": "collaboration_style",
    "culture": "workplace_culture",
    "concerns": "concerns",
    "future": "future_wishes",
}

_OTHERS_BELIEVE = re.compile(
    r"\b(?:colleagues?|co-?workers?|people|others|they|many|critics|friends|artists|clients|students|everyone|some|he|she)\b"
    r"(?:\W+(?!i\b)[\w']+){0,3}\W+"
    r"(?:say|says|said|think|thinks|worry|worries|worried|fear|fears|believe|argue|claim|complain|afraid|concerned|hate)\b"
)
_OTHERS_USE = re.compile(
    r"\b(?:colleagues?|co-?workers?|people|others|they|team|friends|students|teachers|artists|boss|who)\b"
    r"(?:\W+(?!i\b|me\b)[\w']+){0,3}\W+(?:use|uses|using|used)\b"
)
_MENTIONS_AI = re.compile(
    r"\b(?:ai|chat ?gpt|gpt\w*|claude|gemini|copilot|perplexity|llms?|models?|chatbots?|bots?|midjourney|it|tools?)\b"
)

_SENTENCE = re.compile(r"[^.!?\n]+[.!?]?")
_REQUESTS = ("tell ", "describe ", "share ", "walk ", "take ", "talk ", "suppose ", "imagine ", "think ")


def open_rules(options: EngineOptions) -> "RulesEngine":
    """The `rules` engine with the cues that ship with it. It has no models to choose from."""
    if options.model not in (None, RulesEngine.model):
        raise EngineError(f"The rules engine has no model {options.model!r}. Leave --model out.")
    return RulesEngine(load_cues())


class RulesEngine:
    """Codes by cue phrases: no key, no network, the same answer every time."""

    name = "rules"
    model = "rules"

    def __init__(self, cues: Cues) -> None:
        self.cues = cues
        self.parameters: Mapping[str, Any] = {"rules_sha256": _hash_rules(cues)}

    def complete(self, requests: Iterable[Request]) -> Iterator[Completion]:
        """Answer every request, one after the other; see `Engine`."""
        for request in requests:
            if not isinstance(request.format, DraftFormat):
                raise EngineError("The rules engine only codes interviews. Name a model for anything else.")
            draft = code_transcript(request.transcript, request.format.codebook, self.cues)
            try:
                checked = request.format.model.model_validate(draft)
                request.format.check(checked, request.transcript)
            except (DraftError, ValueError) as error:
                failure = Failure(kind="invalid_draft", message=" ".join(str(error).split())[:1000])
                yield Completion(request, failure=failure, attempts=1, model=self.model)
                continue
            yield Completion(request, draft=checked, attempts=1, model=self.model)


def _hash_rules(cues: Cues) -> str:
    """SHA-256 of the cues and of the code that reads them: a changed rule is another question."""
    code = b"".join(Path(__file__).with_name(name).read_bytes() for name in ("rules.py", "cues.py"))
    return hashlib.sha256(cues.sha256.encode() + code).hexdigest()


@dataclass(frozen=True, slots=True)
class Passage:
    """One sentence of the interviewee: its words, what had been asked, and what its cues speak for."""

    id: str
    words: str
    asked: frozenset[str]
    scores: dict[Key, float]


def code_transcript(transcript: Transcript, codebook: Codebook, cues: Cues) -> dict[str, Any]:
    """Code one transcript: a draft as plain data. Codes that the codebook lacks are left out."""
    passages = list(_read_passages(transcript, cues))
    asked = {QUESTIONS[kind] for passage in passages for kind in passage.asked}
    said = _rank_passages(passages)
    draft: dict[str, Any] = {}
    for section in codebook.sections:
        items = [item for code in section.codes for item in _find_items(section, code.id, said, passages, cues)]
        items.sort(key=lambda item: item.pop("position"))
        status = "discussed" if items else "asked_not_answered" if section.id in asked else "not_asked"
        draft[section.id] = {"status": status, "items": items}
        if section.id in SECTION_ATTRIBUTES:
            draft[section.id] |= _judge_style(section.attributes, passages, cues)
    return draft


def _read_passages(transcript: Transcript, cues: Cues) -> Iterator[Passage]:
    asked: frozenset[str] = frozenset()
    for number, turn in enumerate(transcript.turns):
        if turn.speaker == "interviewer":
            asked = _route_question(transcript, turn, cues) or asked  # a follow-up stays with its question
            continue
        if number < 2 and not asked and len(transcript.words(turn).split()) <= GREETING_WORDS:
            continue  # a yes to the interview says nothing about work
        for sentence in turn.sentences:
            words = transcript.words(sentence)
            yield Passage(sentence.id, words, asked, _score_sentence(fold(words), asked, cues))


def _route_question(transcript: Transcript, turn: Turn, cues: Cues) -> frozenset[str]:
    """The kinds of question that the end of an interviewer's turn asks: what is said without asking does not count."""
    said = _SENTENCE.findall(fold(transcript.words(turn)[-QUESTION_CHARS:]))
    asking = " ".join(part for part in said if part.endswith("?") or part.lstrip().startswith(_REQUESTS))
    totals: dict[str, float] = defaultdict(float)
    for hit in cues.questions.find(asking):
        totals[hit.key[1]] += hit.weight
    return frozenset(kind for kind, total in totals.items() if total >= ROUTED)


def _score_sentence(text: str, asked: frozenset[str], cues: Cues) -> dict[Key, float]:
    """What a sentence speaks for: its cues, without those that a negation or another person takes back."""
    hits = cues.answers.find(text)
    if not hits:
        return {}
    totals: dict[Key, float] = defaultdict(float)
    believed, used = _find_start(_OTHERS_BELIEVE, text), _find_start(_OTHERS_USE, text)
    for key, weight, start, negated in hits:
        group = key[0]
        if group == "tasks":
            if used <= start:
                continue
            if negated:
                totals["disposition", "retained"] += weight
        elif negated or (believed <= start and group in ("concerns", "future_wishes")):
            continue
        totals[key] += weight
    sections = {QUESTIONS[kind] for kind in asked}
    wished = any(totals.get(("kind", kind), 0) >= 2 for kind in KINDS)
    without_ai = not _MENTIONS_AI.search(text)
    for key, total in totals.items():
        if key[0] in SECTIONS:
            totals[key] = min(total, 4) + (key[0] in sections)
            if key[0] == "tasks":
                totals[key] -= without_ai
            elif key[0] == "future_wishes":
                totals[key] += wished if key[0] in sections else wished - 2
    return totals


def _find_start(pattern: re.Pattern[str], text: str) -> float:
    """Where a pattern begins in a text; infinity if it does not."""
    match = pattern.search(text)
    return match.start() if match else math.inf


def _rank_passages(passages: list[Passage]) -> dict[Key, list[tuple[float, int]]]:
    """What each key scores and where, as `(-score, position)`, the strongest sentence first."""
    said: dict[Key, list[tuple[float, int]]] = defaultdict(list)
    for n, passage in enumerate(passages):
        for key, score in passage.scores.items():
            if score >= LEAST:
                said[key].append((-score, n))
    for ranked in said.values():
        ranked.sort()
    return said


def _find_items(
    section: SectionCodes, code: str, said: dict[Key, list[tuple[float, int]]], passages: list[Passage], cues: Cues
) -> list[dict[str, Any]]:
    """The items of one code: none if its sentences do not say enough, and one for each disposition of a task."""
    key = (section.id, code)
    scored = said.get(key, [])
    needs = cues.settings.get(key, {}).get("needs", NEEDS)
    if -sum(share * score for share, (score, _) in zip(SHARES, scored, strict=False)) < needs:
        return []
    best = [n for _, n in scored[:MOST_EVIDENCE]]
    if section.id not in ITEM_ATTRIBUTES:
        return [_make_item(code, best, passages)]
    attribute = section.find_attribute(ITEM_ATTRIBUTES[section.id])
    usual = cues.settings[key].get(attribute.id)
    groups: dict[str | None, list[int]] = {None: best}
    if section.id == "tasks":
        groups = _split_by_disposition(attribute, best, passages, usual)
    return [
        _make_item(code, group, passages) | {attribute.id: _judge(attribute, [passages[n] for n in group], usual)}
        for group in groups.values()
    ]


def _make_item(code: str, positions: list[int], passages: list[Passage]) -> dict[str, Any]:
    """An item with its evidence in the order it was said; its summary is the strongest sentence, cut short."""
    evidence = [passages[n].id for n in sorted(positions)]
    summary = _shorten(passages[positions[0]].words)
    return {"position": min(positions), "code": code, "evidence": evidence, "summary": summary}


def _shorten(text: str) -> str:
    """The first words of a sentence, with an ellipsis for the rest."""
    words = text.split()
    if len(words) <= SUMMARY_WORDS:
        return " ".join(words)
    return " ".join(words[:SUMMARY_WORDS]).rstrip(",;:.-\u2013\u2014") + "\u2026"


def _split_by_disposition(
    attribute: Attribute, positions: list[int], passages: list[Passage], usual: str | None
) -> dict[str | None, list[int]]:
    """The sentences of a task: what is kept from AI and what was given up apart from the rest."""
    groups: dict[str | None, list[int]] = defaultdict(list)
    for n in positions:
        value = _judge(attribute, [passages[n]], usual)
        groups[value if value in APART else None].append(n)
    return groups


def _judge(attribute: Attribute, passages: list[Passage], usual: str | None) -> str:
    """The value that the cues of some sentences speak for most; `usual` is what its code mostly has."""
    totals = {value.id: 0.0 for value in attribute.values}
    if usual in totals:
        totals[usual] += USUAL
    for passage in passages:
        for value in totals:
            totals[value] += min(passage.scores.get((attribute.id, value), 0), MOST_SAID)
        if "retained" in passage.asked and attribute.id == "disposition" and "retained" in totals:
            totals["retained"] += 1
    return max(totals, key=lambda value: totals[value])


def _judge_style(attributes: tuple[Attribute, ...], passages: list[Passage], cues: Cues) -> dict[str, Any]:
    """Mode and leader of the whole transcript, with the sentences that speak for the mode."""
    about = [p for p in passages if p.asked & {"tasks", "style"}] or passages
    judged: dict[str, Any] = {}
    for attribute in attributes:
        usual = next(
            (v for (name, v), said in cues.settings.items() if name == attribute.id and said.get("usual")), None
        )
        judged[attribute.id] = _judge(attribute, about, usual)
    mode = ("mode", judged["mode"])
    scored = sorted((-p.scores[mode], n) for n, p in enumerate(passages) if mode in p.scores)
    if not scored:
        judged["mode"] = "unclear"  # the codebook's own word for not enough being said
    judged["mode_evidence"] = [passages[n].id for n in sorted(n for _, n in scored[:2])]
    return judged
