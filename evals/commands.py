"""What each command of `python -m evals` does. `cli.py` reads the options and catches the errors."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from extract.errors import EvaluationError, GoldenError, SourceError
from extract.terminal import make_visible, say

if TYPE_CHECKING:
    from evals.comparison import Comparison
    from evals.goldens import GoldenSet
    from evals.report.sides import Sheet
    from evals.scoring import RunScore
    from extract.store import RunStore
    from schemas.codebook import Codebook
    from schemas.golden import Coding
    from schemas.transcript import Transcript


def _load_codebook(options: argparse.Namespace) -> "Codebook":
    from schemas.codebook import DEFAULT_CODEBOOK, load_codebook

    return load_codebook(options.codebook or DEFAULT_CODEBOOK)


def _find_root(options: argparse.Namespace) -> Path:
    from evals.goldens import GOLDENS

    return options.goldens or GOLDENS


def _load_goldens(options: argparse.Namespace, *, quiet: bool = False) -> "GoldenSet":
    from evals.goldens import find_golden_paths, load_goldens

    goldens = load_goldens(find_golden_paths(options.set, _find_root(options)), options.texts)
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

    goldens = _load_goldens(options, quiet=True)
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
    goldens = _load_goldens(options)
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

    goldens = _load_goldens(options)
    stores = [open_run(run, options.runs) for run in (options.run, options.other) if run]
    for store in stores[1:]:
        check_comparable(stores[0].manifest, store.manifest)
    sides = [make_run_side(_name_apart(_score_run(store, goldens), store, stores), store.manifest) for store in stores]
    ceiling = score_ceiling(file.golden for file in goldens.files.values())
    margin = options.margin if options.margin is not None else load_baseline().margin
    sheet = Sheet(goldens, sides, ceiling, _load_codebook(options), margin)
    return _write_page(sheet, options, stores[-1].path / "comparison.html")


def _write_page(sheet: "Sheet", options: argparse.Namespace, default: Path) -> int:
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
    goldens = _load_goldens(options)
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


# ---------------------------------------------------------------- goldens


def golden_new(options: argparse.Namespace) -> int:
    """Write a file to code an interview in."""
    from evals.golden_file import find_golden_path, load_existing, render_golden, to_draft

    transcript = _load_transcript(options.source, options.id)
    codebook = _load_codebook(options)
    target = options.out or find_golden_path(Path(), transcript.id).with_suffix(".toml")
    if target.exists():
        raise GoldenError(f"{str(target)!r} exists. Name another file with --out, or remove it.")
    draft, dataset, provenance = None, "", ""
    if options.replayed:
        draft = _find_draft(options, transcript)
        provenance = f"Prefilled from a run ({options.replayed}), then coded by ..."
    stored = next(iter(_find_root(options).glob(f"*/{find_golden_path(Path(), transcript.id).name}")), None)
    existing = load_existing(stored) if stored else None
    if existing:
        dataset, provenance = existing.dataset, existing.provenance
    if options.from_coding:
        if existing is None:
            raise GoldenError(f"There is no stored golden of {transcript.id!r}. Leave --from-coding out.")
        draft = to_draft(_pick_coding(existing.codings, existing.adjudicated, options.from_coding), transcript)
    text = render_golden(
        transcript, codebook, draft, source=options.source, dataset=dataset, annotator=options.annotator,
        provenance=provenance,
    )  # fmt: skip
    target.write_text(text, encoding="utf-8")
    print(f"Code the interview in {target}, then: python -m evals golden check {target}")
    return 0


def _load_transcript(source: str, transcript_id: str) -> "Transcript":
    from extract.transcripts import BadTranscript, Source, load_transcripts

    found = next(load_transcripts(Source(source, ids=frozenset([transcript_id]))))
    if isinstance(found, BadTranscript):
        raise GoldenError(found.reason)
    return found


def _find_draft(options: argparse.Namespace, transcript: "Transcript") -> dict[str, Any]:
    from evals.golden_file import extraction_to_draft
    from extract.store import open_run

    store = open_run(options.replayed, options.runs)
    for record in store.read_records([transcript.id]):
        if record.extraction:
            if record.text_sha256 != transcript.text_sha256:
                raise GoldenError(f"The run read another text of {transcript.id!r}. Extract it again.")
            return extraction_to_draft(record.extraction)
    raise GoldenError(f"Run {store.path.name!r} has no extraction of {transcript.id!r}. Choose another, or none.")


def golden_check(options: argparse.Namespace) -> int:
    """Every problem on a line of its own; exit status 1 if there is one."""
    if options.file:
        problems = [problem for path in options.file for problem in _check_file(path, options)]
        checked = len(options.file)
    else:
        from evals.goldens import check_golden, find_golden_paths, load_goldens

        goldens = load_goldens(find_golden_paths(options.set, _find_root(options)), options.texts)
        codebook = _load_codebook(options)
        problems = list(goldens.stale.values())
        for name, file in goldens.files.items():
            problems += check_golden(file, goldens.transcripts.get(name), codebook)
        for reason in goldens.explain_missing():
            say(reason)
        checked = len(goldens.files)
    for problem in dict.fromkeys(problems):
        print(make_visible(problem))
    print(f"{checked} checked, {len(problems)} {'problem' if len(problems) == 1 else 'problems'}.")
    return int(bool(problems))


def _check_file(path: Path, options: argparse.Namespace) -> list[str]:
    from evals.goldens import check_golden, load_goldens

    if path.suffix == ".json":
        goldens = load_goldens([path], options.texts)
        found = list(goldens.stale.values())
        for name, file in goldens.files.items():
            found += check_golden(file, goldens.transcripts.get(name), _load_codebook(options))
        return found
    from evals.golden_file import check_header

    try:
        data, *_ = _read_edited(path, options)
    except SourceError as error:
        return [f"{path}: {error}"]
    except GoldenError as error:
        return str(error).splitlines()
    return [f"{path}: {problem}" for problem in check_header(data, _load_codebook(options))]


def _read_edited(path: Path, options: argparse.Namespace) -> "tuple[dict[str, Any], Coding, Transcript]":
    from evals.golden_file import parse_golden, read_coding
    from schemas.draft import DraftFormat

    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "not UTF-8 text"
        raise GoldenError(f"Cannot read {str(path)!r}: {reason}. Name a file that `golden new` made.") from None
    data = parse_golden(text, str(path))
    transcript = _load_transcript(data["source"], data["transcript_id"])
    return data, read_coding(data, transcript, DraftFormat(_load_codebook(options)), str(path)), transcript


def golden_pack(options: argparse.Namespace) -> int:
    """Store an edited file in a set, beside the codings that the golden has."""
    from evals.golden_file import find_golden_path, load_existing, pack_golden, write_golden

    data, coding, transcript = _read_edited(options.file, options)
    if options.into == "judge" or find_golden_path(Path(), options.into).stem != options.into:
        raise GoldenError(f"{options.into!r} cannot name a set. Choose another with --into.")
    target = find_golden_path(_find_root(options) / options.into, transcript.id)
    golden = pack_golden(data, coding, transcript, _load_codebook(options), load_existing(target))
    write_golden(target, golden)
    print(f"Stored {target}: codings {', '.join(golden.codings) or 'none'}, and the adjudicated one.")
    return 0


def golden_show(options: argparse.Namespace) -> int:
    """One coding with its quotes."""
    from evals.tables import render_coding

    goldens = _load_goldens(options, quiet=True)
    if options.id not in goldens.files:
        raise GoldenError(f"No golden {options.id!r}. Look at the names of the files in {str(_find_root(options))!r}.")
    golden = goldens.files[options.id].golden
    if options.id not in goldens.transcripts:
        say("\n".join(goldens.explain_missing()))
    coding = _pick_coding(golden.codings, golden.adjudicated, options.coding)
    print(make_visible(f"{golden.transcript_id}, {options.coding}. {golden.provenance}"))
    print("\n".join(render_coding(coding, goldens.transcripts.get(options.id))))
    return 0


def _pick_coding(codings: "dict[str, Coding]", adjudicated: "Coding", name: str) -> "Coding":
    if name == "adjudicated":
        return adjudicated
    if name not in codings:
        raise GoldenError(f"No coding {name!r}. Choose one of: {', '.join([*codings, 'adjudicated'])}.")
    return codings[name]


def golden_agree(options: argparse.Namespace) -> int:
    """Two annotators on the goldens that both coded: scores, and agreement per code and section."""
    from evals.agreement import compare_code_sets, compare_codes
    from evals.scoring import score_ceiling
    from evals.tables import describe_rest, render_agreement, render_scores

    goldens = _load_goldens(options, quiet=True)
    chosen = [f.golden for f in goldens.files.values() if options.id in (None, f.golden.transcript_id)]
    both = [g for g in chosen if {options.a, options.b} <= {*g.codings, "adjudicated"}]
    if not both:
        known = sorted({name for golden in chosen for name in golden.codings})
        raise GoldenError(
            f"No golden was coded by both {options.a!r} and {options.b!r}. "
            f"Annotators there: {', '.join(known) or 'none'}."
        )
    pairs = [tuple(_pick_coding(g.codings, g.adjudicated, name) for name in (options.a, options.b)) for g in both]
    named = [
        g.model_copy(update={"codings": dict(zip("AB", pair, strict=True))})
        for g, pair in zip(both, pairs, strict=True)
    ]
    found = score_ceiling(named)
    print(f"{options.b} against {options.a} on {len(both)} interviews.\n")
    print("\n".join([*render_scores(found, None), "", describe_rest(found), ""]))
    codebook = _load_codebook(options)
    print("\n".join(render_agreement(compare_codes(pairs, codebook), compare_code_sets(pairs))))  # type: ignore[arg-type]
    return 0


def golden_report(options: argparse.Namespace) -> int:
    """Two annotators beside the adjudicated coding, as a page; prints where it lies."""
    from evals.baseline import load_baseline
    from evals.report.sides import Sheet, make_annotator_sides

    goldens = _load_goldens(options)
    chosen = [f.golden for f in goldens.files.values() if options.id in (None, f.golden.transcript_id)]
    sides, ceiling = make_annotator_sides(chosen, options.a, options.b)
    sheet = Sheet(goldens, sides, ceiling, _load_codebook(options), load_baseline().margin, settled="Adjudicated")
    options.runs.mkdir(parents=True, exist_ok=True)
    return _write_page(sheet, options, options.runs / "annotators.html")
