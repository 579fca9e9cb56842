"""The interviews that the page holds: their texts once, and their items with spans into them."""

import random
from collections.abc import Iterable, Iterator
from typing import Any

from extract.report.findings import EVERYONE, Findings
from extract.report.safety import make_safe
from extract.report.texts import EXCERPT, ShownText, show_transcript
from schemas.codebook import ITEM_ATTRIBUTES, SECTIONS
from schemas.transcript import Transcript

SEED = 0


class Sample:
    """A random sample of at most `size` interviews from a stream of unknown length (reservoir, algorithm R).

    The first record of an interview counts, as in the findings. The same run gives the same sample.
    """

    def __init__(self, size: int) -> None:
        self.size, self.seen = size, 0
        self.records: list[dict[str, Any]] = []
        self._random = random.Random(SEED)

    def add(self, record: dict[str, Any]) -> None:
        """Take the record, or not."""
        if record["repeat"]:
            return
        self.seen += 1
        if len(self.records) < self.size:
            self.records.append(record)
        elif (place := self._random.randrange(self.seen)) < self.size:
            self.records[place] = record


def find_transcripts(transcripts: Iterable[Any], records: list[dict[str, Any]]) -> dict[str, Transcript]:
    """The transcripts of these records, by id: only those that are still what was extracted."""
    wanted = {record["transcript_id"]: record.get("text_sha256") for record in records}
    found: dict[str, Transcript] = {}
    for transcript in transcripts:
        if isinstance(transcript, Transcript) and transcript.id in wanted and transcript.id not in found:
            if wanted[transcript.id] in (None, transcript.text_sha256):
                found[transcript.id] = transcript
            if len(found) == len(wanted):
                break
    return found


def describe_quotes(
    records: list[dict[str, Any]], transcripts: dict[str, Transcript], findings: Findings
) -> dict[str, Any]:
    """Interviews, texts and items for the page.

    `interviews`: [id, group, mode, leader, spans of the mode, turns, whole, failure]; `texts` by the same
    number; `items`: [interview, code, value, summary, spans] with codes and values as the findings number
    them, -1 for no value. What stands in a hidden cell is not there.
    """
    codes, values = _number_codes(findings.data)
    interviews: list[list[Any]] = []
    texts: list[str] = []
    items: list[list[Any]] = []
    for number, record in enumerate(sorted(records, key=lambda record: record["transcript_id"])):
        transcript = transcripts.get(record["transcript_id"])
        text = show_transcript(transcript) if transcript else _gather_quotes(record)
        group = findings.group_of[record.get("cohort") or ""]
        interviews.append(_describe_interview(record, group, text, findings))
        texts.append(text.text)
        for section, item in _iterate_items(record):
            value = item.get(ITEM_ATTRIBUTES.get(section, ""), "")
            if all(findings.shows_item(name, section, item["code"], value) for name in (EVERYONE, group)):
                place = codes[section, item["code"]], values.get((section, value), -1)
                items.append([number, *place, make_safe(item["summary"]), _flatten(item["quotes"], text)])
    return {"interviews": interviews, "texts": texts, "items": items}


def _iterate_items(record: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    for section in SECTIONS if "extraction" in record else ():
        for item in record["extraction"][section]["items"]:
            yield section, item


def _number_codes(data: dict[str, Any]) -> tuple[dict[tuple[str, str], int], dict[tuple[str, str], int]]:
    pairs = [(section["id"], code["id"]) for section in data["sections"] for code in section["codes"]]
    values = {
        (section["id"], value["id"]): n
        for section in data["sections"]
        if section["attribute"]
        for n, value in enumerate(section["attribute"]["values"])
    }
    return {pair: n for n, pair in enumerate(pairs)}, values


def _describe_interview(record: dict[str, Any], group: str, text: ShownText, findings: Findings) -> list[Any]:
    style = record["extraction"]["collaboration_style"] if "extraction" in record else {}
    told = [
        value if not any((name, kind, value) in findings.hidden_styles for name in (EVERYONE, group)) else ""
        for kind in ("mode", "leader")
        for value in (style.get(kind, ""),)
    ]
    spans = _flatten(style.get("mode_quotes", []), text) if told[0] else []
    failure = record.get("failure")
    told_failure = [failure["kind"], make_safe(failure["message"])] if failure else None
    return [make_safe(record["transcript_id"]), group, *told, spans, text.flat_turns, int(text.whole), told_failure]


def _flatten(quotes: Iterable[dict[str, Any]], text: ShownText) -> list[int]:
    return text.flatten((quote["start"], quote["end"]) for quote in quotes)


def _gather_quotes(record: dict[str, Any]) -> ShownText:
    """What a record alone knows of its interview: its quotes in the order they were said, one to a line."""
    quotes = {
        (quote["start"], quote["end"]): quote["text"] for _, item in _iterate_items(record) for quote in item["quotes"]
    }
    if "extraction" in record:
        for quote in record["extraction"]["collaboration_style"]["mode_quotes"]:
            quotes[quote["start"], quote["end"]] = quote["text"]
    places: dict[tuple[int, int], tuple[int, int]] = {}
    position = 0
    for span in sorted(quotes):
        length = len(quotes[span].encode("utf-16-le", "surrogatepass")) // 2
        places[span] = position, position + length
        position += length + 1
    return ShownText(
        make_safe("\n".join(quotes[span] for span in sorted(quotes))),
        [(EXCERPT, *place) for place in places.values()],
        whole=False,
        move=lambda start, end: places[start, end],
    )
