"""Valid drafts made from a request alone: any JSON schema walked, sentence ids taken from the user's message."""

import hashlib
import json
import re
from typing import Any


class AnswerWriter:
    """Fills a JSON schema deterministically; the same message gives the same answer."""

    def __init__(self, schema: dict[str, Any], message: str) -> None:
        self.schema = schema
        self.ids = list(dict.fromkeys(re.findall(r"^\[(U\d+\.\d+)\]", message, re.MULTILINE))) or ["U1.1"]
        self.seed = hashlib.sha256(message.encode("utf-8", "replace")).digest()
        self.drawn = 0
        self.message = message

    def write(self) -> Any:
        if list(self.schema.get("properties", {})) == ["extractions"]:
            return {"extractions": [self._copy(sentence) for sentence in self._choose_sentences(10)]}
        return self._fill(self.schema, "")

    def _copy(self, sentence: str) -> dict[str, Any]:
        """An extraction for a library that copies quotes: its class names the quote, the rest are attributes."""
        kinds = self.schema["properties"]["extractions"]["items"]
        kind = kinds["anyOf"][self._draw(len(kinds["anyOf"]))] if "anyOf" in kinds else kinds
        filled = self._fill(kind, "")
        return {key: sentence if isinstance(value, str) else value for key, value in filled.items()}

    def _choose_sentences(self, count: int) -> list[str]:
        """Sentences of the last interview in the message, in their order."""
        said = re.findall(r"^User: (.+)$", self.message.rpartition("\nQ: ")[2], re.MULTILINE)
        sentences = [found for turn in said for found in re.findall(r"[^.?!]{20,}[.?!]", turn)] or ["As it was said"]
        return [sentences[n * len(sentences) // count] for n in range(min(count, len(sentences)))]

    def _draw(self, below: int) -> int:
        self.drawn += 1
        mixed = hashlib.blake2b(self.seed + self.drawn.to_bytes(4, "big"), digest_size=8).digest()
        return int.from_bytes(mixed, "big") % below

    def _fill(self, schema: dict[str, Any], name: str) -> Any:
        while "$ref" in schema:
            schema = self.schema["$defs"][schema["$ref"].rsplit("/", 1)[1]]
        if "enum" in schema:
            return self._choose(schema["enum"])
        if "anyOf" in schema:
            return self._fill(schema["anyOf"][0], name)
        kind = schema.get("type")
        if kind == "object":
            return {key: self._fill(part, key) for key, part in schema.get("properties", {}).items()}
        if kind == "array":
            return self._fill_list(schema.get("items", {}), name)
        return {"string": "As it was said", "integer": 1, "number": 1.0, "boolean": True}.get(str(kind))

    def _choose(self, values: list[Any]) -> Any:
        if "discussed" in values:
            return "discussed"
        usable = [value for value in values if value != "unclear"]
        return usable[self._draw(len(usable))]

    def _fill_list(self, items: dict[str, Any], name: str) -> list[Any]:
        if name.endswith("evidence"):
            first, count = self._draw(len(self.ids)), 1 + self._draw(3)
            return self.ids[first : first + count]
        made = [self._fill(items, name) for _ in range(1 + self._draw(3))]
        codes = {json.dumps(item.get("code") if isinstance(item, dict) else item): item for item in made}
        return list(codes.values())


def spoil(answer: dict[str, Any], kind: str) -> str:
    """The answer as text, with one thing wrong that a JSON schema cannot see (or can)."""
    if kind == "bad_json_answer":
        return "Here is the JSON you asked for: {"
    if kind == "empty_answer":
        return ""
    if "verdict" in answer:
        return _spoil_verdict(answer, kind)
    items = answer["tasks"]["items"]
    if kind == "wrong_schema":
        items[0]["code"] = "no_such_code"
    elif kind == "unknown_id":
        items[0]["evidence"] = ["U99.9"]
    elif kind == "interviewer_id":
        items[0]["evidence"] = ["I1"]
    elif kind == "repeated_code":
        answer["concerns"]["items"] = answer["concerns"]["items"][:1] * 2
    text = json.dumps(answer)
    return text[: len(text) // 2] if kind == "max_tokens" else text


def _spoil_verdict(answer: dict[str, Any], kind: str) -> str:
    """The same for a judge's answer: a verdict that is none, a missing one, an empty reason, half of it."""
    if kind == "wrong_schema":
        answer = answer | {"verdict": "no_such_verdict"}
    elif kind == "missing_verdict":
        answer = {"reason": answer["reason"]}
    elif kind == "empty_reason":
        answer = answer | {"reason": " "}
    text = json.dumps(answer)
    return text[: len(text) // 2] if kind == "max_tokens" else text
