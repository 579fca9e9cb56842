"""Small invented runs for the tests of the report, and a reader of pages."""

import json
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

from extract.store import RunStore, create_run
from extract.tests.samples import make_manifest, make_record
from schemas.codebook import ITEM_ATTRIBUTES, SECTIONS

Said = tuple[str, str, str]
"""(section, code, value), value '' in a section without an attribute."""


def make_extraction(
    *said: Said, mode: str = "directive", leader: str = "human", not_asked: tuple[str, ...] = (), words: str = "Yes."
) -> dict[str, Any]:
    """An extraction with an item for each thing said; every quote is `words` at the text's start."""
    quote = {"sentence_id": "U1.1", "start": 0, "end": len(words), "text": words}
    extraction: dict[str, Any] = {}
    for section in SECTIONS:
        attribute = ITEM_ATTRIBUTES.get(section)
        items = [
            {"code": code, "summary": f"about {code}", "quotes": [quote], **({attribute: value} if attribute else {})}
            for part, code, value in said
            if part == section
        ]
        status = "not_asked" if section in not_asked else "discussed" if items else "asked_not_answered"
        extraction[section] = {"status": status, "items": items}
    extraction["collaboration_style"] |= {"mode": mode, "leader": leader, "mode_quotes": [quote]}
    return extraction


def make_raw(id: str, cohort: str | None, extraction: dict[str, Any] | None, **changes: Any) -> dict[str, Any]:
    """A record as the store's line holds it; without an extraction it is a failure."""
    outcome = {"extraction": extraction} if extraction else {"failure": {"kind": "refusal", "message": "It said no."}}
    record = make_record(id, cohort=cohort, **outcome, **changes)
    raw: dict[str, Any] = record.model_dump(mode="json", exclude_none=True)
    return raw


FOUR = [
    make_raw(
        "w1",
        "workforce",
        make_extraction(
            ("tasks", "write_draft", "shared"),
            ("tasks", "write_draft", "delegated"),
            ("concerns", "unreliability", "lived"),
            not_asked=("workplace_culture",),
        ),
    ),
    make_raw(
        "w2",
        "workforce",
        make_extraction(
            ("concerns", "unreliability", "anticipated"),
            ("concerns", "job_income", "anticipated"),
            ("workplace_culture", "concealment", ""),
            mode="learning",
            leader="shared",
        ),
    ),
    make_raw("c1", "creatives", make_extraction(mode="learning")),
    make_raw("s1", "scientists", None),
]
"""Four interviews that can be counted by hand; one failed."""


def make_run(folder: Path, records: list[dict[str, Any]], **changes: Any) -> RunStore:
    """A run on disk that holds these records."""
    store = create_run(folder / "runs", make_manifest(**{"status": "complete", **changes}))
    with store:
        for number, raw in enumerate(records):
            store.append(make_record(**{**raw, "request_hash": f"{number:064x}"}))
    return store


class Blocks(HTMLParser):
    """The content of the page's data blocks, and every element, as a browser would see them."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.data: dict[str, Any] = {}
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self._open: str | None = None

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        self._open = dict(attrs).get("id") if tag == "script" else None

    def handle_data(self, data: str) -> None:
        if self._open:
            self.data[self._open] = json.loads(data)

    def handle_endtag(self, tag: str) -> None:
        self._open = None


def read_blocks(path: Path) -> Blocks:
    """What a page on disk holds."""
    blocks = Blocks()
    blocks.feed(path.read_text(encoding="utf-8"))
    return blocks
