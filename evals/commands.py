"""What each command of `python -m evals` does. `cli.py` reads the options and catches the errors."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from extract.errors import EvaluationError, GoldenError
from extract.terminal import make_visible, say

if TYPE_CHECKING:
    from evals.comparison import Comparison
    from evals.goldens import GoldenSet
    from evals.report.sides import Sheet
    from evals.scoring import RunScore
    from extract.store import RunStore
    from schemas.codebook import Codebook


def choose_codebook(options: argparse.Namespace) -> "Codebook":
    """The codebook that the options name. Raises CodebookError."""
    from schemas.codebook import DEFAULT_CODEBOOK, load_codebook

    return load_codebook(options.codebook or DEFAULT_CODEBOOK)


def find_root(options: argparse.Namespace) -> Path:
    """The folder of the golden sets."""
    from evals.goldens import GOLDENS

    return options.goldens or GOLDENS


def open_goldens(options: argparse.Namespace, *, quiet: bool = False) -> "GoldenSet":
    """The goldens of the chosen sets; says what is missing. Raises GoldenError for a stale one."""
    from evals.goldens import find_golden_paths, load_goldens

    goldens = load_goldens(find_golden_paths(options.set, find_root(options)), options.texts)
    if goldens.stale:
        raise GoldenError("\n".join(goldens.stale.values()))
    for reason in () if quiet else goldens.explain_missing():
        say(reason)
    return goldens


def _score_run(store: "RunStore", goldens: "GoldenSet") -> "RunScore":
    from evals.scoring import score_records
    from evals.suite import name_run

    everything = [file.golden for file in goldens.files.values()]
    score = score_records(store.read_records(goldens.files), everything, name_run(store))
    if not score.scores:
        raise EvaluationError(
            f"Run {store.path.name!r} covers none of the {len(everything)} goldens. Extract those, "
            "or run: python -m pytest evals"
        )
    return score


# ---------------------------------------------------------------- scores


def score(options: argparse.Namespace) -> int:
    """The scores of one run beside the ceiling; scoring needs spans only, no text."""
    from evals.scoring import score_ceiling
    from evals.tables import describe_rest, render_scores
    from extract.store import open_run

    goldens = open_goldens(options, quiet=True)
    store = open_run(options.run, options.runs)
    found = _score_run(store, goldens)
    ceiling = score_ceiling(goldens.files[name].golden for name in found.transcript_ids)
    print(f"{found.name}: {len(found.transcript_ids)} interviews scored, {len(found.failures)} records failed.")
    for failure in found.failures:
        print(make_visible(f"  0 for {failure.transcript_id}: {failure.failure}"))
    if found.missing:
        print(f"{len(found.missing)} goldens are not in this run, {found.missing[0]} for one.")
    print("\n".join(["", *render_scores(found, ceiling), "", describe_rest(found)]))
    if options.codes:
        from evals.tables import render_codes, render_confusions

        print("\n".join(["", *render_codes(found), "", *render_confusions(found)]))
    return 0


def compare(options: argparse.Namespace) -> int:
    """Each run against the first one; exit status 1 where one is worse."""
    from evals.baseline import load_baseline
    from evals.comparison import check_comparable, compare_scores
    from evals.scoring import score_ceiling
    from evals.tables import describe_rest, render_comparison, render_efforts
    from extract.store import open_run

    if len(options.run) < 2:
        raise EvaluationError("Name two runs or more. List them with: python -m extract runs.")
    goldens = open_goldens(options)
    stores = [open_run(run, options.runs) for run in options.run]
    for store in stores[1:]:
        check_comparable(stores[0].manifest, store.manifest)
    scores = [_name_apart(_score_run(store, goldens), store, stores) for store in stores]
    margin = options.margin if options.margin is not None else load_baseline().margin
    comparisons = [compare_scores(scores[0], other, metric=options.metric, margin=margin) for other in scores[1:]]
    for comparison in comparisons:
        shared = (goldens.files[name].golden for name in comparison.shared)
        ceiling = score_ceiling(shared)
        print("\n".join([*render_comparison(comparison, goldens.transcripts, options.changes, ceiling), ""]))
    for found in scores:
        print(f"{found.name}: {describe_rest(found)}")
    print("\n".join(["", *render_efforts(scores)]))
    return int(any(_is_worse(comparison) for comparison in comparisons))


def _name_apart(score: "RunScore", store: "RunStore", stores: "list[RunStore]") -> "RunScore":
    """Runs of one engine and prompt are told apart by their ids."""
    from dataclasses import replace

    from evals.suite import name_run

    same = [s for s in stores if name_run(s) == score.name]
    return score if len(same) == 1 else replace(score, name=f"{score.name} {store.path.name}")


def report(options: argparse.Namespace) -> int:
    """One run, or one against another, as a page; prints where it lies."""
    from evals.baseline import load_baseline
    from evals.comparison import check_comparable
    from evals.report.sides import Sheet, make_run_side
    from evals.scoring import score_ceiling
    from extract.store import open_run

    goldens = open_goldens(options)
    stores = [open_run(run, options.runs) for run in (options.run, options.other) if run]
    for store in stores[1:]:
        check_comparable(stores[0].manifest, store.manifest)
    sides = [make_run_side(_name_apart(_score_run(store, goldens), store, stores), store.manifest) for store in stores]
    ceiling = score_ceiling(file.golden for file in goldens.files.values())
    margin = options.margin if options.margin is not None else load_baseline().margin
    sheet = Sheet(goldens, sides, ceiling, choose_codebook(options), margin)
    return write_page(sheet, options, stores[-1].path / "comparison.html")


def write_page(sheet: "Sheet", options: argparse.Namespace, default: Path) -> int:
    """Write a comparison as a page and say where it lies."""
    from evals.report.writing import write_comparison

    out = options.out or default
    write_comparison(sheet, out, redact=options.redact)
    print(f"Report: {out} ({out.stat().st_size / 1e6:.1f} MB)")
    return 0


def _is_worse(comparison: "Comparison") -> bool:
    return any(row.verdict == "worse" for row in comparison.rows.values())


def bless(options: argparse.Namespace) -> int:
    """Accept a run as the baseline of its engine and model."""
    from evals.baseline import (
        BASELINE,
        bless_run,
        check_complete,
        check_coverage,
        load_baseline,
        name_engine,
        open_accepted,
    )
    from evals.comparison import check_comparable, compare_scores
    from evals.suite import name_run
    from extract.store import open_run

    store = open_run(options.run, options.runs)
    goldens = open_goldens(options)
    found = _score_run(store, goldens)
    baseline = load_baseline()
    name = name_engine(store.manifest.engine, store.manifest.model)
    accepted = baseline.accepted.get(name)
    comparison = None
    if accepted and options.why.strip() and not options.force:
        before = open_accepted(accepted)
        check_complete(found)
        check_coverage(found, before)
        try:
            check_comparable(before.manifest, store.manifest)
        except EvaluationError as error:
            raise EvaluationError(f"{error} Or accept it with --force.") from None
        comparison = compare_scores(_score_run(before, goldens), found, margin=baseline.margin)
    blessed = bless_run(store, found, comparison, why=options.why, force=options.force)
    print(f"{name_run(store)} is the accepted run of {name} now: {blessed.run}, grounded F1 {blessed.f1['all']:.3f}.")
    print(f"Commit {BASELINE.name} and {blessed.run} together.")
    return 0
