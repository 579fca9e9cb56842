"""The interviews of the page: their rows golden, A, B; their texts; what is left out of them."""

from collections.abc import Sequence
from typing import Any

from evals.matching import Pair, find_attribute
from evals.report.alignment import Row, align_pairs
from evals.report.sides import Sheet, Side
from evals.scoring import SCOPES
from extract.report.findings import name_code
from extract.report.safety import make_safe
from extract.report.texts import ShownText, show_transcript
from extract.terminal import STATUSES
from schemas.codebook import SECTIONS, Section
from schemas.golden import Coding, Golden, GoldenItem, StoredSpan

Told = dict[str, Any]


def name_interviews(sheet: Sheet, *, redact: bool) -> dict[str, str]:
    """What the page calls each interview: its id, or a number where names are left out too."""
    return {
        golden.transcript_id: f"interview {n}" if redact else make_safe(golden.transcript_id)
        for n, golden in enumerate(sheet.covered, start=1)
    }


def describe_interviews(sheet: Sheet, *, redact: bool = False) -> tuple[list[Told], list[str]]:
    """The interviews that a side has a record of, and their texts in the same order ('' where there is none).

    A row is {key, cells, kinds, between, change}: `cells` for golden, A and B, None where nothing stands;
    `kinds` for A and B, None where that side has no record. Spans are flat lists, two numbers each.
    """
    names = name_interviews(sheet, redact=redact)
    values = [side.score.find_values(scope) for scope in SCOPES for side in sheet.sides]
    columns = {scope: values[n * len(sheet.sides) :][: len(sheet.sides)] for n, scope in enumerate(SCOPES)}
    interviews, texts = [], []
    for golden in sheet.covered:
        name = golden.transcript_id
        text = None if redact or name not in sheet.goldens.transcripts else sheet.goldens.transcripts[name]
        shown = show_transcript(text) if text else None
        teller = _Teller(sheet, shown, redact)
        interviews.append(
            {
                "id": names[name],
                "set": make_safe(sheet.goldens.files[name].set),
                "cohort": make_safe(golden.cohort),
                "about": "" if redact else make_safe(golden.provenance),
                "scores": {scope: [found.get(name) for found in sides] for scope, sides in columns.items()},
                "failures": [_tell_failure(side, name, redact=redact) for side in sheet.sides],
                "absent": [name not in side.firsts for side in sheet.sides],
                "turns": shown.flat_turns if shown else [],
                "whole": shown is not None,
                "sections": {section: teller.tell(golden, section) for section in SECTIONS},
            }
        )
        texts.append(shown.text if shown else "")
    return interviews, texts


def _tell_failure(side: Side, name: str, *, redact: bool) -> str | None:
    failure = side.firsts[name].failure if name in side.firsts else None
    return make_safe(failure.split(":")[0] if redact else failure) if failure else None


class _Teller:
    """Turns items into what the page holds of them: without a text spans stay as they are stored."""

    def __init__(self, sheet: Sheet, text: ShownText | None, redact: bool) -> None:
        self.sheet, self.text, self.redact = sheet, text, redact

    def tell(self, golden: Golden, section: Section) -> list[Told]:
        """The rows of one section: what it says of the whole interview, then its items."""
        name = golden.transcript_id
        pairs = [side.firsts[name].pairs[section] if name in side.firsts else None for side in self.sheet.sides]
        rows = align_pairs(*pairs)
        codings = [golden.adjudicated, *(side.codings.get(name) for side in self.sheet.sides)]
        present = [name in side.firsts for side in self.sheet.sides]
        told = self._tell_judged(section, codings, present)
        return told + [self._tell_row(str(n), row, present) for n, row in enumerate(rows, start=1)]

    def _tell_row(self, key: str, row: Row, present: Sequence[bool]) -> Told:
        pairs = [row.a, row.b][: len(present)]
        return {
            "key": key,
            "cells": [self._tell_item(row.golden), *(self._tell_item(pair.got if pair else None) for pair in pairs)],
            "kinds": [_find_kind(pair, there) for pair, there in zip(pairs, present, strict=True)],
            "between": row.between,
            "change": row.change if all(present) and len(present) > 1 else "",
        }

    def _tell_item(self, item: GoldenItem | None) -> Told | None:
        if item is None:
            return None
        value = find_attribute(item)
        return {
            "code": make_safe(item.code),
            "value": make_safe(name_code(value).lower()) if value else "",
            "summary": "" if self.redact else make_safe(item.summary),
            "spans": self._tell_spans(item.evidence),
        }

    def _tell_spans(self, spans: Sequence[StoredSpan]) -> list[int]:
        if self.redact:
            return []
        return self.text.flatten(spans) if self.text else [number for span in spans for number in span]

    def _tell_judged(self, section: Section, codings: Sequence[Coding | None], present: Sequence[bool]) -> list[Told]:
        """Status, unless all say that the section was discussed; mode and leader of the collaboration style."""
        statuses = [coding.sections[section].status if coding else None for coding in codings]
        told = []
        if set(statuses) - {"discussed", None}:
            named = [_name_status(status) if status else None for status in statuses]
            told.append(self._tell_values("status", named, [()] * len(named), present))
        if section == "collaboration_style":
            styles = [coding.collaboration_style if coding else None for coding in codings]
            spans = [style.mode_evidence if style else () for style in styles]
            modes, leaders = ([name_code(getattr(s, n)) if s else None for s in styles] for n in ("mode", "leader"))
            told.append(self._tell_values("mode", modes, spans, present))
            told.append(self._tell_values("leader", leaders, [()] * len(styles), present))
        return told

    def _tell_values(
        self, key: str, values: Sequence[str | None], spans: Sequence[Sequence[StoredSpan]], present: Sequence[bool]
    ) -> Told:
        cells = [
            {"label": make_safe(value), "value": "", "summary": "", "spans": self._tell_spans(own)} if value else None
            for value, own in zip(values, spans, strict=True)
        ]
        kinds = [
            None if not there else "missed" if value is None else "agreed" if value == values[0] else "other_value"
            for value, there in zip(values[1:], present, strict=True)
        ]
        change = _compare_values(values[0], values[1:]) if all(present) and len(present) > 1 else ""
        return {"key": key, "cells": cells, "kinds": kinds, "between": None, "change": change}


def _find_kind(pair: Pair | None, there: bool) -> str | None:
    if not there:
        return None
    return pair.kind if pair else "absent"


def _compare_values(golden: str | None, got: Sequence[str | None]) -> str:
    a, b = got
    if a == b:
        return ""
    return "gained" if b == golden else "lost" if a == golden else "differs"


def _name_status(status: str) -> str:
    return name_code(STATUSES.get(status, status))
