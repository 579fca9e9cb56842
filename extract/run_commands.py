"""`python -m extract run` and `demo`: read the options, make or find the run, extract, and say how it went."""

import argparse
import os
import sys
from collections.abc import Iterator, Sequence
from itertools import chain
from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING, Any, NamedTuple

from extract.errors import StoreError

if TYPE_CHECKING:
    from extract.engines import Engine, EngineOptions
    from extract.pipeline import Plan
    from extract.prompt import Prompt
    from extract.store import RunStore
    from extract.transcripts import BadTranscript, Source
    from schemas.record import Manifest
    from schemas.transcript import Transcript

from extract.commands import AUTHORED, PROGRAM, choose_prompt, choose_source

_LIMITS = ("requests_per_minute", "tokens_per_minute", "output_tokens_per_minute")
_OF_A_CLUSTER = ("inner_engine", "workers", "ray_address", *_LIMITS)
_AFRESH = ("max_cost", "concurrency", "timeout", "base_url", "retry_failed", "dry_run", *_OF_A_CLUSTER[1:])
"""What a run that goes on may be told anew."""


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
    from extract.terminal import say

    prompt, source = choose_prompt(options), choose_source(options)
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
        store = find_run(options.runs, manifest, say)
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
    from extract.command_line import catch_signals
    from extract.pipeline import close_manifest, run_extraction
    from extract.terminal import Progress, say

    with store:
        for notice in store.notices:
            say(notice)
        store.write_manifest(store.manifest.model_copy(update={"status": "running"}))
        progress = Progress(plan, found.total and found.total * plan.repeats, lambda: getattr(engine, "trouble", None))
        restore = catch_signals(plan, engine)
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


def demo(options: argparse.Namespace) -> int:
    """The authored interviews through the keyless engine, one of them in full, and how to go on."""
    from extract.terminal import open_console, print_record

    made = options.parse(["run", str(AUTHORED), "--engine", "rules", "--runs", str(options.runs)])
    status, store = run(made), made.store
    shown = next(store.read_records(["authored_work_02"]))
    print()
    print_record(open_console(), shown)
    print(f"\nThe run lies in {store.path}. The other interviews: {PROGRAM} show {store.path}")
    print("`rules` finds cue phrases; it is no language model. A model reads far better:")
    key = "" if os.environ.get("ANTHROPIC_API_KEY") else "ANTHROPIC_API_KEY=... "
    print(f"  {key}{PROGRAM} run {AUTHORED} --max-cost 1")
    return status
