"""The keyless engine: cue phrases and the questions they answer. Deterministic, and no model.

It reads what was asked (which section a question opens), what the interviewee's sentences say (the
cues in `rules.toml`), whether a negation or somebody else stands before it, and gives the codes
whose best sentence says enough.
"""

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from extract.engines import Completion, EngineOptions
from extract.engines.cues import Cues, Key, fold, load_cues
from extract.errors import EngineError
from extract.prompt import Request
from schemas.codebook import ITEM_ATTRIBUTES, SECTION_ATTRIBUTES, SECTIONS, Attribute, Codebook, Section, SectionCodes
from schemas.draft import DraftError, DraftFormat
from schemas.record import Failure
from schemas.transcript import Transcript, Turn

NEEDS = 3
SHARES = (1, 0.35, 0.15)
MOST_EVIDENCE = 3
QUESTION_CHARS = 400
SUMMARY_WORDS = 14
LEAST = 1
USUAL = 1.5
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
        self.parameters: Mapping[str, Any] = {"cues_sha256": cues.sha256}

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


@dataclass(frozen=True, slots=True)
class Passage:
    """One sentence of the interviewee: its words, what had been asked, and what its cues speak for."""

    id: str
    text: str
    asked: frozenset[str]
    scores: dict[Key, float]


def code_transcript(transcript: Transcript, codebook: Codebook, cues: Cues) -> dict[str, Any]:
    """Code one transcript: a draft as plain data. Codes that the codebook lacks are left out."""
    passages = list(_read_passages(transcript, cues))
    asked = {QUESTIONS[kind] for passage in passages for kind in passage.asked}
    draft: dict[str, Any] = {}
    for section in codebook.sections:
        items = [item for code in section.codes for item in _find_items(section, code.id, passages, cues)]
        items.sort(key=lambda item: item.pop("position"))
        status = "discussed" if items else "asked_not_answered" if section.id in asked else "not_asked"
        draft[section.id] = {"status": status, "items": items}
        if section.id in SECTION_ATTRIBUTES:
            draft[section.id] |= _judge_style(section.attributes, passages)
    return draft


def _read_passages(transcript: Transcript, cues: Cues) -> Iterator[Passage]:
    asked: frozenset[str] = frozenset()
    for turn in transcript.turns:
        if turn.speaker == "interviewer":
            asked = _route_question(transcript, turn, cues)
            continue
        for sentence in turn.sentences:
            text = fold(transcript.words(sentence))
            yield Passage(sentence.id, text, asked, _score_sentence(text, asked, cues))


def _route_question(transcript: Transcript, turn: Turn, cues: Cues) -> frozenset[str]:
    """The kinds of question that the end of an interviewer's turn asks."""
    totals: dict[str, float] = defaultdict(float)
    for hit in cues.questions.find(fold(transcript.words(turn)[-QUESTION_CHARS:])):
        totals[hit.key[1]] += hit.weight
    return frozenset(kind for kind, total in totals.items() if total >= 2)


def _score_sentence(text: str, asked: frozenset[str], cues: Cues) -> dict[Key, float]:
    """What a sentence speaks for: its cues, without those that a negation or another person takes back."""
    totals: dict[Key, float] = defaultdict(float)
    believe, use = _OTHERS_BELIEVE.search(text), _OTHERS_USE.search(text)
    for hit in cues.answers.find(text):
        group = hit.key[0]
        if group == "tasks":
            if use and use.start() <= hit.start:
                continue
            if hit.negated:
                totals["disposition", "retained"] += hit.weight
        elif hit.negated or (group in ("concerns", "future_wishes") and believe and believe.start() <= hit.start):
            continue
        totals[hit.key] += hit.weight
    sections = {QUESTIONS[kind] for kind in asked}
    wished = any(totals.get(("kind", kind), 0) >= 2 for kind in KINDS)
    for key, total in totals.items():
        if key[0] in SECTIONS:
            totals[key] = min(total, 4) + (key[0] in sections)
            if key[0] == "tasks" and not _MENTIONS_AI.search(text):
                totals[key] -= 1
            elif key[0] == "future_wishes":
                totals[key] += wished if key[0] in sections else wished - 2
    return dict(totals)


def _find_items(section: SectionCodes, code: str, passages: list[Passage], cues: Cues) -> list[dict[str, Any]]:
    """The items of one code: none if its sentences do not say enough, and one for each disposition of a task."""
    key = (section.id, code)
    scored = [(p.scores[key], n) for n, p in enumerate(passages) if p.scores.get(key, 0) >= LEAST]
    scored.sort(key=lambda pair: (-pair[0], pair[1]))
    needs = cues.settings.get(key, {}).get("needs", NEEDS)
    if sum(share * score for share, (score, _) in zip(SHARES, scored, strict=False)) < needs:
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
    words = passages[positions[0]].text.split()
    summary = " ".join(words[:SUMMARY_WORDS]) + (" ..." if len(words) > SUMMARY_WORDS else "")
    evidence = [passages[n].id for n in sorted(positions)]
    return {"position": min(positions), "code": code, "evidence": evidence, "summary": summary}


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
        for (name, value), score in passage.scores.items():
            if name == attribute.id and value in totals:
                totals[value] += score
        if "retained" in passage.asked and "retained" in totals and attribute.id == "disposition":
            totals["retained"] += 1
    return max(totals, key=lambda value: totals[value])


def _judge_style(attributes: tuple[Attribute, ...], passages: list[Passage]) -> dict[str, Any]:
    """Mode and leader of the whole transcript, with the sentences that speak for the mode."""
    about = [p for p in passages if p.asked & {"tasks", "style"}]
    judged: dict[str, Any] = {}
    for attribute in attributes:
        judged[attribute.id] = _judge(attribute, about, None)
    if not any(("mode", judged["mode"]) in p.scores for p in about):
        judged["mode"] = "unclear"  # the codebook's own word for not enough being said
    mode = judged["mode"]
    scored = [(-p.scores[("mode", mode)], n) for n, p in enumerate(passages) if ("mode", mode) in p.scores]
    judged["mode_evidence"] = [passages[n].id for n in sorted(n for _, n in sorted(scored)[:2])]
    return judged
