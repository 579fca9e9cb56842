"""What each command of `python -m evals golden` does: make, check, store, show and compare goldens."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from evals.commands import choose_codebook, find_root, open_goldens, write_page
from extract.errors import GoldenError, SourceError
from extract.terminal import make_visible, say

if TYPE_CHECKING:
    from schemas.golden import Coding
    from schemas.transcript import Transcript


def golden_new(options: argparse.Namespace) -> int:
    """Write a file to code an interview in."""
    from evals.golden_file import find_golden_path, load_existing, render_golden, to_draft

    transcript = _load_transcript(options.source, options.id)
    codebook = choose_codebook(options)
    target = options.out or find_golden_path(Path(), transcript.id).with_suffix(".toml")
    if target.exists():
        raise GoldenError(f"{str(target)!r} exists. Name another file with --out, or remove it.")
    draft, dataset, provenance = None, "", ""
    if options.replayed:
        draft = _find_draft(options, transcript)
        provenance = f"Prefilled from a run ({options.replayed}), then coded by ..."
    stored = next(iter(find_root(options).glob(f"*/{find_golden_path(Path(), transcript.id).name}")), None)
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

        goldens = load_goldens(find_golden_paths(options.set, find_root(options)), options.texts)
        codebook = choose_codebook(options)
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
            found += check_golden(file, goldens.transcripts.get(name), choose_codebook(options))
        return found
    from evals.golden_file import check_header

    try:
        data, *_ = _read_edited(path, options)
    except SourceError as error:
        return [f"{path}: {error}"]
    except GoldenError as error:
        return str(error).splitlines()
    return [f"{path}: {problem}" for problem in check_header(data, choose_codebook(options))]


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
    return data, read_coding(data, transcript, DraftFormat(choose_codebook(options)), str(path)), transcript


def golden_pack(options: argparse.Namespace) -> int:
    """Store an edited file in a set, beside the codings that the golden has."""
    from evals.golden_file import find_golden_path, load_existing, pack_golden, write_golden

    data, coding, transcript = _read_edited(options.file, options)
    if options.into == "judge" or find_golden_path(Path(), options.into).stem != options.into:
        raise GoldenError(f"{options.into!r} cannot name a set. Choose another with --into.")
    target = find_golden_path(find_root(options) / options.into, transcript.id)
    golden = pack_golden(data, coding, transcript, choose_codebook(options), load_existing(target))
    write_golden(target, golden)
    print(f"Stored {target}: codings {', '.join(golden.codings) or 'none'}, and the adjudicated one.")
    return 0


def golden_show(options: argparse.Namespace) -> int:
    """One coding with its quotes."""
    from evals.tables import render_coding

    goldens = open_goldens(options, quiet=True)
    if options.id not in goldens.files:
        raise GoldenError(f"No golden {options.id!r}. Look at the names of the files in {str(find_root(options))!r}.")
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

    goldens = open_goldens(options, quiet=True)
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
    codebook = choose_codebook(options)
    print("\n".join(render_agreement(compare_codes(pairs, codebook), compare_code_sets(pairs))))  # type: ignore[arg-type]
    return 0


def golden_report(options: argparse.Namespace) -> int:
    """Two annotators beside the adjudicated coding, as a page; prints where it lies."""
    from evals.baseline import load_baseline
    from evals.report.sides import Sheet, make_annotator_sides

    goldens = open_goldens(options)
    chosen = [f.golden for f in goldens.files.values() if options.id in (None, f.golden.transcript_id)]
    sides, ceiling = make_annotator_sides(chosen, options.a, options.b)
    sheet = Sheet(goldens, sides, ceiling, choose_codebook(options), load_baseline().margin, settled="Adjudicated")
    options.runs.mkdir(parents=True, exist_ok=True)
    return write_page(sheet, options, options.runs / "annotators.html")
