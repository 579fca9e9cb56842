"""What each command of the command line does. `cli.py` reads the options and catches the errors."""

import argparse
import json
import os
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from itertools import chain
from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING, Any, NamedTuple

from extract.errors import ExportError, SourceError, StoreError

if TYPE_CHECKING:
    from extract.engines import Engine, EngineOptions
    from extract.pipeline import Plan
    from extract.prompt import Prompt
    from extract.store import RunStore
    from extract.transcripts import BadTranscript, Source
    from schemas.codebook import Codebook
    from schemas.record import Manifest
    from schemas.transcript import Transcript

PROGRAM = "python -m extract"
AUTHORED = Path(os.path.relpath(Path(__file__).parents[1] / "goldens" / "authored" / "transcripts"))

_LIMITS = ("requests_per_minute", "tokens_per_minute", "output_tokens_per_minute")
_OF_A_CLUSTER = ("inner_engine", "workers", "ray_address", *_LIMITS)
_AFRESH = ("max_cost", "concurrency", "timeout", "base_url", "retry_failed", "dry_run", *_OF_A_CLUSTER[1:])
"""What a run that goes on may be told anew."""

# ---------------------------------------------------------------- run


def run(options: argparse.Namespace) -> int:
    """Extract a source, or say what that would take; returns the exit status, like all commands."""
    store = None
    if options.resume:
        store, options = _resume(options)
    if not options.source:
        print(f"{PROGRAM} run: name a SOURCE, or --resume RUN. See: {PROGRAM} run --help", file=sys.stderr)
        return 2
    if options.replayed and "replay" not in (options.engine, options.inner_engine):
        print(f"{PROGRAM} run: --from is for --engine replay. See: {PROGRAM} run --help", file=sys.stderr)
        return 2
    misplaced = [name for name in _OF_A_CLUSTER if options.engine != "cluster" and getattr(options, name)]
    if misplaced:
        option = "--" + misplaced[0].replace("_", "-")
        print(f"{PROGRAM} run: {option} is for --engine cluster. See: {PROGRAM} run --help", file=sys.stderr)
        return 2
    from extract.engines import open_engine
    from extract.pipeline import Plan, describe_run
    from extract.store import find_run

    prompt, source = _load_prompt(options), _make_source(options)
    engine = open_engine(options.engine, _engine_options(options))
    plan = Plan(
        repeats=options.repeat,
        retry_failed=options.retry_failed,
        max_cost_usd=options.max_cost,
        find_cost=_find_prices(engine, options),
        max_tokens=options.max_tokens,
    )
    manifest = describe_run(prompt, engine, _name_source(source), options.repeat)
    manifest = manifest.model_copy(update={"command": tuple(_forget(options.command_line))})
    if store is not None:
        store.check_identity(manifest)
    elif not options.new:
        store = find_run(options.runs, manifest)
    if options.dry_run:
        return _estimate(source, prompt, engine, store, plan)
    found = _read_ahead(source)
    options.store = _open_store(store, options.runs, manifest)
    return _extract(found, prompt, engine, options.store, plan)


class _Found(NamedTuple):
    """The interviews of a source, and how many they are where that is known."""

    transcripts: "Iterator[Transcript | BadTranscript]"
    total: int | None


def _read_ahead(source: "Source") -> _Found:
    """The interviews of a source, the first one read already: a source of none must not begin a run."""
    from extract.terminal import say
    from extract.transcripts import count_rows, load_transcripts

    found = load_transcripts(source, say)
    return _Found(chain([next(found)], found), count_rows(source))


def _open_store(store: "RunStore | None", runs: Path, manifest: "Manifest") -> "RunStore":
    """The run that goes on with this command, told so, or a new one."""
    from extract.store import create_run

    if store is None:
        return create_run(runs, manifest)
    repeats = max(manifest.repeats, store.manifest.repeats)
    store.manifest = store.manifest.model_copy(update={"repeats": repeats, "command": manifest.command})
    return store


def _resume(options: argparse.Namespace) -> tuple["RunStore", argparse.Namespace]:
    """The run to go on with, and its own command where no new one is given."""
    from extract.store import open_run

    store = open_run(options.resume, options.runs)
    if options.source:
        return store, options
    first = options.parse(store.manifest.command)
    if Path(store.manifest.source).exists():
        first.source = store.manifest.source  # whatever folder the first command was typed in
    first.runs = options.runs
    for word in (word.split("=")[0] for word in options.command_line if word.startswith("--")):
        name = word.removeprefix("--").replace("-", "_")
        if name in _AFRESH:
            setattr(first, name, getattr(options, name))
        elif name not in ("resume", "runs"):
            raise StoreError(f"With --resume alone, {word} stays as the run began. Name the SOURCE to change it.")
    return store, first


def _forget(command: Sequence[str]) -> list[str]:
    """The command without what a later one must say for itself."""
    kept: list[str] = []
    words = iter(command)
    for word in words:
        if word in ("--resume", "--max-cost"):
            next(words, None)
        elif word not in ("--new", "--retry-failed", "--dry-run") and not word.startswith(("--resume=", "--max-cost=")):
            kept.append(word)
    return kept


def _extract(found: "_Found", prompt: "Prompt", engine: "Engine", store: "RunStore", plan: "Plan") -> int:
    from extract.pipeline import close_manifest, run_extraction
    from extract.terminal import Progress, say

    with store:
        for notice in store.notices:
            say(notice)
        store.write_manifest(store.manifest.model_copy(update={"status": "running"}))
        progress = Progress(plan, found.total and found.total * plan.repeats, lambda: getattr(engine, "trouble", None))
        restore = _catch_signals(plan, engine)
        try:
            for _ in run_extraction(found.transcripts, prompt, engine, store, plan):
                progress.update()
        except BaseException as error:
            plan.stop("stopped at once" if isinstance(error, KeyboardInterrupt) else "an error")
            raise
        finally:
            progress.close()
            store.write_manifest(close_manifest(store, plan))
            restore()
            if store.manifest.records or plan.stopped != "an error":
                _conclude(store, plan)
    if plan.stopped:
        return 130 if plan.stopped == "Ctrl-C" else 3
    return 0 if store.manifest.records > store.manifest.failures else 1


def _conclude(store: "RunStore", plan: "Plan") -> None:
    """Say what is in the run now, and how to see it or go on."""
    from extract.terminal import describe_manifest, say

    say(f"{plan.answered} new, {plan.held} held already. {describe_manifest(store.manifest)}.")
    again = f"{PROGRAM} run --resume {quote(str(store.path))}"
    kinds = store.count_failures()
    if kinds:
        say("Failed: " + ", ".join(f"{count} {kind}" for kind, count in sorted(kinds.items())) + ".")
    if plan.stopped:
        limit = f" --max-cost {plan.max_cost_usd:g}" if plan.max_cost_usd else ""
        say(f"Stopped ({plan.stopped}). Go on with: {again}{limit}")
    elif set(kinds) - {"unreadable"}:
        say(f"Ask again for what failed with: {again} --retry-failed")
    elif kinds:
        say("Mend the unreadable rows, then run the same command again: only they are asked for.")
    say(f"Run: {store.path}   Look at it with: {PROGRAM} show {store.path}")


def _catch_signals(plan: "Plan", engine: "Engine") -> Callable[[], None]:
    """First Ctrl-C or SIGTERM: finish what is in flight, or leave it to a provider that goes on by itself.
    Second: stop at once.
    """
    from extract.engines import LastingEngine
    from extract.terminal import say

    def handle(_number: int, _frame: Any) -> None:
        if plan.stopped:
            raise KeyboardInterrupt
        plan.stop("Ctrl-C")
        if isinstance(engine, LastingEngine):
            engine.stop()
            say("\nStopping. What was sent goes on at the provider; going on with the run collects it.")
            return
        say(f"\nFinishing the {plan.in_flight} requests in flight; Ctrl-C again stops at once.")

    def restore() -> None:
        for number, handler in before.items():
            signal.signal(number, handler)

    before = {number: signal.signal(number, handle) for number in (signal.SIGINT, signal.SIGTERM)}
    return restore


def _estimate(source: "Source", prompt: "Prompt", engine: "Engine", store: "RunStore | None", plan: "Plan") -> int:
    from extract.pipeline import estimate_run
    from extract.terminal import format_cost, format_count
    from extract.transcripts import load_transcripts

    if store is not None:
        store.load_index()
    count, usage = estimate_run(load_transcripts(source), prompt, engine, store, plan)
    cost = plan.cost_usd if plan.cost_known else None
    print(f"{count} requests to {engine.model}, {plan.held} held already.")
    if plan.find_cost is None:
        print("This engine asks no model: no tokens, $0.")
        return 0
    print(f"About {format_count(usage.whole_input_tokens)} tokens in", end="")
    print(f" ({format_count(usage.cache_read_tokens)} from the cache), {format_count(usage.output_tokens)} out", end="")
    print(f": {'about ' if cost is not None else ''}{format_cost(cost)}. Nothing was asked.")
    return 0


def _find_prices(engine: "Engine", options: argparse.Namespace) -> Any:
    """The engine's price list; refuses a money limit where the price is unknown."""
    find_cost = getattr(engine, "find_cost", None)
    if options.max_cost is not None and find_cost is not None:
        from schemas.record import Usage

        if find_cost(Usage(requests=1, input_tokens=1, output_tokens=1)) is None:
            raise StoreError(f"No price is known for {engine.model!r}, so --max-cost cannot hold. Leave it out.")
    return find_cost


def _make_source(options: argparse.Namespace) -> "Source":
    from extract.transcripts import Source
    from extract.turns import DEFAULT_LABELS

    ids = [part.strip() for text in getattr(options, "ids", []) for part in text.split(",")]
    return Source(
        name=options.source,
        split=options.split,
        limit=options.limit,
        ids=frozenset(filter(None, ids)),
        labels=DEFAULT_LABELS.extend(options.interviewer, options.interviewee),
        text_column=options.text_column,
        id_column=options.id_column,
    )


def _name_source(source: "Source") -> str:
    path = Path(source.name)
    return str(path.resolve()) if path.exists() else source.name


def _engine_options(options: argparse.Namespace) -> "EngineOptions":
    from extract.engines import EngineOptions
    from extract.store import open_run
    from extract.terminal import say

    return EngineOptions(
        model=options.model,
        concurrency=options.concurrency,
        max_tokens=options.max_tokens,
        timeout_s=options.timeout,
        base_url=options.base_url,
        run=str(open_run(options.replayed, options.runs).path) if options.replayed else None,
        dry_run=options.dry_run,
        say=say,
        inner=options.inner_engine or "claude",
        workers=options.workers,
        address=options.ray_address,
        **{name: getattr(options, name) for name in _LIMITS},
    )


def _load_codebook(options: argparse.Namespace) -> "Codebook":
    from schemas.codebook import DEFAULT_CODEBOOK, load_codebook

    return load_codebook(options.codebook or DEFAULT_CODEBOOK)


def _load_prompt(options: argparse.Namespace) -> "Prompt":
    from extract.prompt import load_prompt

    return load_prompt(options.prompt, _load_codebook(options))


def demo(options: argparse.Namespace) -> int:
    """The authored interviews through the keyless engine, one of them in full, and how to go on."""
    from extract.terminal import open_console, print_record

    made = options.parse(["run", str(AUTHORED), "--engine", "rules", "--runs", str(options.runs)])
    status, store = run(made), made.store
    shown = next(record for record in store.read_records() if record.transcript_id == "authored_work_02")
    print()
    print_record(open_console(), shown)
    print(f"\nThe run lies in {store.path}. The other interviews: {PROGRAM} show {store.path}")
    print("`rules` finds cue phrases; it is no language model. A model reads far better:")
    key = "" if os.environ.get("ANTHROPIC_API_KEY") else "ANTHROPIC_API_KEY=... "
    print(f"  {key}{PROGRAM} run {AUTHORED} --max-cost 1")
    return status


# ---------------------------------------------------------------- looking


def show(options: argparse.Namespace) -> int:
    """All interviews of a run in a table, or one with its quotes."""
    from extract.store import open_run
    from extract.terminal import open_console, print_overview, print_record

    store = open_run(options.run, options.runs)
    console = open_console()
    if options.id is None:
        print_overview(console, store.manifest, store.read_records())
        return 0
    found = [record for record in store.read_records() if record.transcript_id == options.id]
    if not found:
        raise StoreError(
            f"No transcript {options.id!r} in run {store.path.name!r}. List them with: {PROGRAM} show {options.run}"
        )
    for record in found:
        print_record(console, record)
    return 0


def report(options: argparse.Namespace) -> int:
    """One HTML file of a run, and where it lies."""
    from extract.report.writing import Wish, write_report
    from extract.store import open_run
    from extract.terminal import say

    store = open_run(options.run, options.runs)
    out = options.out or store.path / "report.html"
    first = _read_command(options, store.manifest)
    wish = Wish(least=options.min_cell, redact=options.redact, sample=options.sample)
    source = None if first.source == "-" else _make_source(first)
    write_report(store, source, _find_codebook(first), out=out, wish=wish, notify=say)
    print(f"Report: {out} ({out.stat().st_size / 1e6:.1f} MB)")
    return 0


def _read_command(options: argparse.Namespace, manifest: "Manifest") -> argparse.Namespace:
    """The command that made a run, its source as it lies now."""
    words = manifest.command
    command = words if words and words[0] == "run" else ("run", manifest.source)
    first: argparse.Namespace = options.parse(command)
    first.source = options.source or manifest.source
    return first


def _find_codebook(options: argparse.Namespace) -> "Codebook":
    """The codebook of a command, or the one that ships with this where its file is gone."""
    from schemas.codebook import CodebookError, load_codebook

    try:
        return _load_codebook(options)
    except CodebookError:
        return load_codebook()


def runs(options: argparse.Namespace) -> int:
    """The runs of a folder in a table."""
    from extract.store import list_runs
    from extract.terminal import open_console, print_runs

    stores = list_runs(options.runs)
    if not stores:
        print(f"No runs in {str(options.runs)!r} yet. Make one with: {PROGRAM} run SOURCE")
        return 0
    print_runs(open_console(), [store.manifest for store in stores])
    return 0


def batches(options: argparse.Namespace) -> int:
    """The batches of a run; with a key, as the provider has them now."""
    from extract.batches import list_batches, print_batches
    from extract.store import open_run

    store = open_run(options.run, options.runs)
    base_url = options.parse(store.manifest.command).base_url if store.manifest.command else None
    found = list_batches(store, base_url, offline=options.offline, cancel=options.cancel)
    if not found:
        print(f"Run {store.path.name!r} has sent no batches. Send some with: {PROGRAM} run SOURCE --engine batches")
        return 0
    print_batches(found)
    return 0


def schema(options: argparse.Namespace) -> int:
    """The JSON schema that a model's answer follows."""
    from schemas.draft import DraftFormat

    print(json.dumps(DraftFormat(_load_codebook(options)).json_schema, indent=2))
    return 0


def codebook(options: argparse.Namespace) -> int:
    """The codebook as people and models read it."""
    from extract.prompt import render_codebook

    codebook = _load_codebook(options)
    print(f"# {codebook.title}\nVersion {codebook.version}, {codebook.hash[:12]}\n\n{render_codebook(codebook)}")
    return 0


def prompt(options: argparse.Namespace) -> int:
    """What would be sent for one interview."""
    from extract.prompt import estimate_tokens
    from extract.transcripts import BadTranscript, load_transcripts

    prompt = _load_prompt(options)
    source = replace(_make_source(options), ids=frozenset([options.id]))
    transcript = next(load_transcripts(source))
    if isinstance(transcript, BadTranscript):
        raise StoreError(transcript.reason)
    request = prompt.render(transcript, model="", parameters={})
    schema = json.dumps(prompt.format.json_schema)
    print(f"----- system ({prompt.version}, about {estimate_tokens(request.system)} tokens, cached) -----")
    print(request.system)
    print(f"\n----- user (about {estimate_tokens(request.user)} tokens) -----")
    print(request.user)
    print(f"\n----- schema: about {estimate_tokens(schema)} tokens; see {PROGRAM} schema -----")
    return 0


# ---------------------------------------------------------------- exchange


def export(options: argparse.Namespace) -> int:
    """A run as files that other programs open."""
    from extract import exports
    from extract.store import open_run

    store = open_run(options.run, options.runs)
    plan = exports.ExportPlan(
        format=options.to,
        out=options.out,
        force=options.force,
        redact=options.redact,
        all_repeats=options.all_repeats,
        crlf=options.crlf,
    )
    if plan.format in exports.FOLDERS:
        path, counts = exports.export_tables(store, plan)
    elif plan.format == "qdpx":
        transcripts = _load_run_transcripts(store, options)
        path, counts = exports.export_project(store, plan, _load_run_codebook(store, options), transcripts)
    else:
        write = exports.export_workbook if plan.format == "xlsx" else exports.export_codebook
        path, counts = write(store, plan, _load_run_codebook(store, options))
    print(f"{path}: {', '.join(f'{name} {count:,}' for name, count in counts.items())}")
    return 0


def _load_run_codebook(store: "RunStore", options: argparse.Namespace) -> "Codebook":
    """The codebook that a run was made with, or the one that `--codebook` names in its place."""
    from extract.terminal import say

    first = options.parse(store.manifest.command or ["run"])
    codebook = _load_codebook(options if options.codebook else first)
    if codebook.hash != store.manifest.codebook_sha256:
        if not options.codebook:
            raise ExportError("The codebook was changed since the run was made. Name the one of then with --codebook.")
        say(
            f"{options.codebook!r} is not the codebook of the run, whose version was "
            f"{store.manifest.codebook_version!r}. It is used as you named it."
        )
    return codebook


def _load_run_transcripts(store: "RunStore", options: argparse.Namespace) -> "Iterator[Transcript | BadTranscript]":
    """The interviews that a run read, from where it read them or from `--source`."""
    from extract.terminal import say
    from extract.transcripts import load_transcripts

    first = _read_command(options, store.manifest)
    if first.source == "-" and not options.source:
        raise ExportError("The run read its interviews from standard input. Name where they lie now with --source.")
    try:
        yield from load_transcripts(_make_source(first), say)
    except SourceError as error:
        raise ExportError(f"{error} Or name where the interviews lie now with --source.") from None


def import_codebook(options: argparse.Namespace) -> int:
    """A researcher's codebook as codebook.toml, to a file or standard output."""
    from extract import codebooks
    from extract.exports import check_target
    from extract.terminal import say

    mapping = codebooks.parse_mapping(options.map)
    codebook, notices = codebooks.import_codebook(options.file, mapping, title=options.title, version=options.version)
    for notice in notices:
        say(notice)
    text = codebooks.render_codebook_toml(codebook)
    if options.out is None:
        print(text, end="")
        return 0
    check_target(options.out, force=options.force)
    try:
        options.out.write_text(text, encoding="utf-8")
    except OSError as error:
        raise ExportError(f"Cannot write {str(options.out)!r}: {error.strerror}. Name another with --out.") from None
    count = sum(len(section.codes) for section in codebook.sections)
    print(f"{options.out}: {count} codes. Use it with: {PROGRAM} run SOURCE --codebook {options.out}")
    return 0
