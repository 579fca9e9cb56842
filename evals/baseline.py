"""The accepted baseline: which run others are held against, and how far a score may fall.

`baseline.toml` names one accepted run per engine and model; its records lie in `runs/baseline/`,
stand-off: codes, attributes and spans, no words of a transcript.
"""

import json
import re
import tomllib
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from statistics import fmean
from typing import Any

from evals.comparison import MARGIN, Comparison
from evals.scoring import SCOPES, RunScore
from extract.errors import EvaluationError
from extract.store import RunStore, now, open_run
from schemas.extraction import CollaborationStyle, Extraction, Item, Quote, SectionExtraction
from schemas.record import Manifest, Record

BASELINE = Path(__file__).with_name("baseline.toml")
ROOT = BASELINE.parents[1]
KEPT = ROOT / "runs" / "baseline"
FALLBACK = "rules"


@dataclass(frozen=True)
class Accepted:
    """One accepted run: where it lies, who accepted what, and its scores then."""

    run: str
    why: str
    accepted_at: str
    f1: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Baseline:
    """The margin (in F1) that a score may fall, and the accepted run for each engine and model."""

    margin: float = MARGIN
    accepted: dict[str, Accepted] = field(default_factory=dict)

    def find(self, engine: str, model: str) -> Accepted | None:
        """The accepted run of an engine and model; else that of `rules`, the floor; None without any."""
        return self.accepted.get(name_engine(engine, model)) or self.accepted.get(FALLBACK)


def name_engine(engine: str, model: str) -> str:
    """`rules`, or `claude/claude-sonnet-5-5`: what baseline.toml calls an engine with its model.

    Batches ask the same of the same model as `claude` does, so they share its baseline.
    """
    engine = "claude" if engine in ("batches", "cluster") else engine
    return engine if engine == model else f"{engine}/{model}"


def load_baseline(path: Path = BASELINE) -> Baseline:
    """Read baseline.toml; none there is an empty one. Raises EvaluationError for a malformed one."""
    if not path.exists():
        return Baseline()
    try:
        data = tomllib.loads(path.read_text(encoding="utf-8"))
        accepted = {name: Accepted(**entry) for name, entry in data.get("accepted", {}).items()}
        margin = float(data["margin"])
    except (tomllib.TOMLDecodeError, TypeError, KeyError, ValueError, OSError) as error:
        raise EvaluationError(f"Cannot read {str(path)!r}: {error}. Mend it, or bless a run anew.") from None
    if not 0 < margin < 1:
        raise EvaluationError(f"{path}: margin is {margin!r}. It must be between 0 and 1.")
    return Baseline(margin, accepted)


def open_accepted(accepted: Accepted, root: Path = ROOT) -> RunStore:
    """The store of an accepted run. Raises StoreError where it is gone."""
    return open_run(root / accepted.run)


def bless_run(
    store: RunStore, score: RunScore, comparison: Comparison | None, *, why: str, force: bool = False,
    path: Path = BASELINE, kept: Path = KEPT,
) -> Accepted:  # fmt: skip
    """Make a run the accepted baseline of its engine and model: copy it stand-off, name it in baseline.toml.

    Raises EvaluationError without a reason, for a run with failures or missing goldens, or one that is
    worse than the accepted one, the last three unless `force`.
    """
    if not why.strip():
        raise EvaluationError('A baseline needs a reason. Say it with --why "...".')
    if not force:
        check_complete(score)
        _refuse_worse(comparison)
    manifest = store.manifest
    name = name_engine(manifest.engine, manifest.model)
    folder = kept / re.sub(r"[^A-Za-z0-9._-]+", "-", name)
    keep_run(folder, manifest, store.read_records(score.transcript_ids))
    f1: dict[str, float] = {scope: round(fmean(score.find_values(scope).values()), 4) for scope in SCOPES}
    accepted = Accepted(folder.relative_to(path.parents[1]).as_posix(), " ".join(why.split()), now(), f1)
    baseline = load_baseline(path)
    write_baseline(path, Baseline(baseline.margin, {**baseline.accepted, name: accepted}))
    return accepted


def check_complete(score: RunScore) -> None:
    """Raises EvaluationError for a run with failures, or one that does not cover every golden."""
    if score.failures:
        raise EvaluationError(
            f"{len(score.failures)} interviews failed in this run. Ask them again with --retry-failed, or use --force."
        )
    if score.missing:
        raise EvaluationError(
            f"{len(score.missing)} goldens are not in this run, {score.missing[0]!r} for one. "
            "Run `pytest evals` for all of them, or use --force."
        )


def check_coverage(score: RunScore, before: RunStore) -> None:
    """Raises EvaluationError where the run that is accepted now covers interviews that this one does not."""
    lost = sorted({record.transcript_id for record in before.read_records()} - set(score.transcript_ids))
    if lost:
        raise EvaluationError(
            f"The accepted run covers {len(lost)} interviews that would be lost, {lost[0]!r} for one. "
            "Leave --set out, or use --force."
        )


def _refuse_worse(comparison: Comparison | None) -> None:
    worse = [row for row in comparison.rows.values() if row.verdict == "worse"] if comparison else []
    if worse:
        row = worse[0]
        raise EvaluationError(
            f"This run is worse than the accepted one in {row.scope} ({row.a.mean:.3f} to {row.b.mean:.3f}). "
            "Improve it, or accept it with --force."
        )


def keep_run(folder: Path, manifest: Manifest, records: Iterable[Record]) -> None:
    """Write a run stand-off: the manifest, and the records without any words of a transcript."""
    folder.mkdir(parents=True, exist_ok=True)
    lines = [strip_record(record).model_dump_json(exclude_none=True) for record in records]
    lines.sort(key=lambda line: (json.loads(line)["transcript_id"], json.loads(line).get("repeat", 0)))
    kept = manifest.model_copy(update={"source": "goldens", "command": ()})
    (folder / "manifest.json").write_text(kept.model_dump_json(indent=1) + "\n", encoding="utf-8")
    (folder / "records.jsonl").write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")


def strip_record(record: Record) -> Record:
    """The record without the words of the transcript, and without what a model wrote about them."""
    extraction = _strip_extraction(record.extraction) if record.extraction else None
    return record.model_copy(update={"extraction": extraction, "draft": None, "answer": None})


def _strip_extraction(extraction: Extraction) -> Extraction:
    parts: dict[str, Any] = {name: _strip_section(part) for name, part in extraction.sections.items()}
    return Extraction(**parts)


def _strip_section(part: SectionExtraction) -> SectionExtraction:
    items = tuple(_strip_item(item) for item in part.items)
    if isinstance(part, CollaborationStyle):
        return part.model_copy(update={"items": items, "mode_quotes": _strip_quotes(part.mode_quotes)})
    return part.model_copy(update={"items": items})


def _strip_item(item: Item) -> Item:
    return item.model_copy(update={"summary": "", "quotes": _strip_quotes(item.quotes)})


def _strip_quotes(quotes: Iterable[Quote]) -> tuple[Quote, ...]:
    return tuple(quote.model_copy(update={"text": ""}) for quote in quotes)


def write_baseline(path: Path, baseline: Baseline) -> None:
    """Write baseline.toml, whole, in a form that reads well in a diff."""
    lines = [
        "# The accepted runs, one per engine and model, and how far a score may fall before it is a regression.",
        '# Written by: python -m evals bless RUN --why "..."',
        f"margin = {baseline.margin:g}",
    ]
    for name, accepted in sorted(baseline.accepted.items()):
        f1 = ", ".join(f"{scope} = {value:.4f}" for scope, value in accepted.f1.items())
        texts = (("run", accepted.run), ("why", accepted.why), ("accepted_at", accepted.accepted_at))
        lines += ["", f"[accepted.{json.dumps(name)}]"]
        lines += [f"{key} = {json.dumps(value, ensure_ascii=False)}" for key, value in texts]
        lines.append(f"f1 = {{ {f1} }}")
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
