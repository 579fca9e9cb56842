"""The command line: `python -m extract run|show|runs|schema|codebook|prompt`. Errors end here, in one line."""

import argparse
import json
import os
import signal
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from extract.errors import StoreError, VerbatimError

if TYPE_CHECKING:
    from extract.engines import Engine, EngineOptions
    from extract.pipeline import Plan
    from extract.prompt import Prompt
    from extract.store import RunStore
    from extract.transcripts import Source
    from schemas.codebook import Codebook

PROGRAM = "python -m extract"
AUTHORED = Path(os.path.relpath(Path(__file__).parents[1] / "goldens" / "authored" / "transcripts"))
ENGINE_NAMES = ("claude", "provider", "replay", "rules")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit status: 0, 1 for an error, 2 for usage, 3 for a money limit."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    options = build_parser().parse_args(given)
    options.command_line = given
    try:
        return int(options.function(options))
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except KeyboardInterrupt:
        print("\nStopped.", file=sys.stderr)
        return 130
    except Exception as error:
        from schemas.codebook import CodebookError

        if not isinstance(error, VerbatimError | CodebookError):
            raise
        from extract.terminal import say

        say(f"{PROGRAM}: {error}")
        return 1


class _Parser(argparse.ArgumentParser):
    """An argument parser whose errors take one line and name the way out."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.prog}: {message}. See: {self.prog} --help\n")


def build_parser() -> argparse.ArgumentParser:
    """All commands and their options."""
    parser = _Parser(
        prog=PROGRAM,
        description="Five coded sections from every interview, each proved by the interviewee's own sentences.",
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND", parser_class=_Parser)
    _add_run(commands)
    show = commands.add_parser("show", help="what a run found: all interviews, or one with its quotes")
    show.add_argument("run", metavar="RUN", help="a run id, its folder, or 'last'")
    show.add_argument("id", nargs="?", metavar="ID", help="a transcript id")
    show.set_defaults(function=_show)
    runs = commands.add_parser("runs", help="the runs, oldest first")
    runs.set_defaults(function=_runs)
    for name, function, text in (
        ("schema", _schema, "the JSON schema that a model's answer follows"),
        ("codebook", _codebook, "the codebook as people read it"),
    ):
        command = commands.add_parser(name, help=text)
        command.set_defaults(function=function)
        _add_codebook(command)
    prompt = commands.add_parser("prompt", help="what would be sent for one interview, with its token count")
    prompt.add_argument("id", metavar="ID", help="a transcript id")
    prompt.set_defaults(function=_prompt)
    _add_source(prompt, default=str(AUTHORED))
    _add_codebook(prompt)
    demo = commands.add_parser("demo", help="extract the authored interviews with rules, and show one")
    demo.set_defaults(function=_demo)
    for command in (show, runs, demo):
        _add_runs(command)
    return parser


def _add_run(commands: Any) -> None:
    run = commands.add_parser("run", help="extract the five sections from every interview of a source")
    run.set_defaults(function=_run)
    _add_source(run, default=None)
    _add_codebook(run)
    _add_runs(run)
    engine = run.add_argument_group("engine")
    engine.add_argument(
        "--engine", default="claude", choices=ENGINE_NAMES, help="how answers are got (default: claude)"
    )
    engine.add_argument("--model", help="which model answers, e.g. claude-sonnet-5-5, or openai/gpt-5 for provider")
    engine.add_argument("--base-url", metavar="URL", help="another address of the same API")
    engine.add_argument(
        "--concurrency", type=_positive, default=50, metavar="N", help="most requests at once (default: 50)"
    )
    engine.add_argument(
        "--max-tokens", type=_positive, default=8192, metavar="N", help="longest answer (default: 8192)"
    )
    engine.add_argument("--timeout", type=_positive_float, default=600.0, metavar="S", help="seconds for one answer")
    engine.add_argument("--from", dest="replayed", metavar="RUN", help="the run that --engine replay answers from")
    plan = run.add_argument_group("plan")
    plan.add_argument("--repeat", type=_positive, default=1, metavar="K", help="ask for every interview K times")
    plan.add_argument("--max-cost", type=_positive_float, metavar="USD", help="stop before this much is spent")
    plan.add_argument("--resume", metavar="RUN", help="go on with this run")
    plan.add_argument("--retry-failed", action="store_true", help="ask again for what failed")
    plan.add_argument("--new", action="store_true", help="begin a new run even if the same command began one")
    plan.add_argument("--dry-run", action="store_true", help="say how many requests, tokens and dollars; ask nothing")


def _add_source(parser: argparse.ArgumentParser, default: str | None) -> None:
    group = parser.add_argument_group("transcripts")
    named = {"nargs": "?", "metavar": "SOURCE", "help": "file, folder, Hub dataset name, or - for standard input"}
    if default is None:
        group.add_argument("source", **named)  # type: ignore[arg-type]
    else:
        group.add_argument("--source", metavar="SOURCE", default=default, help=f"as for run (default: {default})")
    group.add_argument("--split", help="one split (or sub-folder) of the source")
    group.add_argument("--limit", type=_positive, metavar="N", help="only the first N interviews")
    if default is None:
        group.add_argument("--ids", metavar="ID,ID", action="append", default=[], help="only these transcripts")
    for side in ("interviewer", "interviewee"):
        text = f"another label that opens an {side}'s turn (repeatable)"
        group.add_argument(f"--{side}", metavar="LABEL", action="append", default=[], help=text)
    group.add_argument("--text-column", metavar="NAME", help="the column that holds the interview")
    group.add_argument("--id-column", metavar="NAME", help="the column that holds the id")


def _add_codebook(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--codebook", metavar="FILE", help="a codebook of your own (default: schemas/codebook.toml)")
    parser.add_argument("--prompt", default="v1", metavar="VERSION", help="prompt version (default: v1)")


def _add_runs(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--runs", type=Path, default=Path("runs"), metavar="DIR", help="where runs lie (default: runs)")


def _positive(text: str) -> int:
    if not text.isdigit() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from 1")
    return int(text)


def _positive_float(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value < float("inf"):
        raise argparse.ArgumentTypeError(f"{text!r} is not a number above 0")
    return value


# ---------------------------------------------------------------- run


def _run(options: argparse.Namespace) -> int:
    store = None
    if options.resume:
        store, options = _resume(options)
    if not options.source:
        print(f"{PROGRAM} run: name a SOURCE, or --resume RUN. See: {PROGRAM} run --help", file=sys.stderr)
        return 2
    from extract.engines import open_engine
    from extract.pipeline import Plan, describe_run
    from extract.store import create_run, find_run

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
    return _extract(source, prompt, engine, store or create_run(options.runs, manifest), plan)


def _resume(options: argparse.Namespace) -> tuple["RunStore", argparse.Namespace]:
    """The run to go on with, and its own command where no new one is given."""
    from extract.store import open_run

    store = open_run(options.resume, options.runs)
    if options.source:
        return store, options
    first = build_parser().parse_args(list(store.manifest.command))
    first.command_line = list(store.manifest.command)
    first.runs, first.dry_run = options.runs, options.dry_run
    first.retry_failed = options.retry_failed
    for name in ("max_cost", "concurrency", "timeout", "base_url"):
        if f"--{name.replace('_', '-')}" in " ".join(options.command_line):
            setattr(first, name, getattr(options, name))
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


def _extract(source: "Source", prompt: "Prompt", engine: "Engine", store: "RunStore", plan: "Plan") -> int:
    from extract.pipeline import close_manifest, run_extraction
    from extract.terminal import Progress, say
    from extract.transcripts import count_rows, load_transcripts

    total = count_rows(source)
    with store:
        for notice in store.notices:
            say(notice)
        store.write_manifest(store.manifest.model_copy(update={"status": "running"}))
        progress = Progress(plan, total * plan.repeats if total else None)
        restore = _catch_signals(plan)
        try:
            for _ in run_extraction(load_transcripts(source, say), prompt, engine, store, plan):
                progress.update()
        except BaseException as error:
            plan.stop("stopped at once" if isinstance(error, KeyboardInterrupt) else "an error")
            raise
        finally:
            progress.close()
            store.write_manifest(close_manifest(store, plan))
            restore()
            _conclude(store, plan)
    if plan.stopped:
        return 130 if plan.stopped == "Ctrl-C" else 3
    return 0 if store.manifest.records > store.manifest.failures else 1


def _conclude(store: "RunStore", plan: "Plan") -> None:
    """Say what is in the run now, and how to see it or go on."""
    from extract.terminal import describe_manifest, say

    say(f"{plan.answered} asked, {plan.held} held already. {describe_manifest(store.manifest)}.")
    if plan.stopped:
        say(f"Stopped ({plan.stopped}). Go on with: {PROGRAM} run --resume {store.path}")
    elif store.manifest.failures:
        say(f"Ask again for what failed with: {PROGRAM} run --resume {store.path} --retry-failed")
    say(f"Run: {store.path}   Look at it with: {PROGRAM} show {store.path}")


def _catch_signals(plan: "Plan") -> Callable[[], None]:
    """First Ctrl-C or SIGTERM: finish what is in flight. Second: stop at once."""
    from extract.terminal import say

    def handle(_number: int, _frame: Any) -> None:
        if plan.stopped:
            raise KeyboardInterrupt
        plan.stop("Ctrl-C")
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
    cost = plan.find_cost(usage) if plan.find_cost else None
    print(f"{count} requests to {engine.model}, {plan.held} held already.")
    if engine.name in ("rules", "replay"):
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

    return EngineOptions(
        model=options.model,
        concurrency=options.concurrency,
        max_tokens=options.max_tokens,
        timeout_s=options.timeout,
        base_url=options.base_url,
        run=str(open_run(options.replayed, options.runs).path) if options.replayed else None,
        dry_run=options.dry_run,
    )


def _load_codebook(options: argparse.Namespace) -> "Codebook":
    from schemas.codebook import DEFAULT_CODEBOOK, load_codebook

    return load_codebook(options.codebook or DEFAULT_CODEBOOK)


def _load_prompt(options: argparse.Namespace) -> "Prompt":
    from extract.prompt import load_prompt

    return load_prompt(options.prompt, _load_codebook(options))


def _demo(options: argparse.Namespace) -> int:
    """The authored interviews through the keyless engine, one of them in full, and how to go on."""
    from extract.store import open_run
    from extract.terminal import open_console, print_record

    run = ["run", str(AUTHORED), "--engine", "rules", "--runs", str(options.runs)]
    status = main(run)
    store = open_run("last", options.runs)
    shown = next(record for record in store.read_records() if record.transcript_id == "authored_work_02")
    print()
    print_record(open_console(), shown)
    print(f"\nThe run lies in {store.path}. The other interviews: {PROGRAM} show {store.path}")
    print("`rules` finds cue phrases; it is no language model. A model reads far better:")
    key = "" if os.environ.get("ANTHROPIC_API_KEY") else "ANTHROPIC_API_KEY=... "
    print(f"  {key}{PROGRAM} run {AUTHORED} --max-cost 1")
    return status


# ---------------------------------------------------------------- looking


def _show(options: argparse.Namespace) -> int:
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


def _runs(options: argparse.Namespace) -> int:
    from extract.store import list_runs
    from extract.terminal import open_console, print_runs

    stores = list_runs(options.runs)
    if not stores:
        print(f"No runs in {str(options.runs)!r} yet. Make one with: {PROGRAM} run SOURCE")
        return 0
    print_runs(open_console(), [store.manifest for store in stores])
    return 0


def _schema(options: argparse.Namespace) -> int:
    from schemas.draft import DraftFormat

    print(json.dumps(DraftFormat(_load_codebook(options)).json_schema, indent=2))
    return 0


def _codebook(options: argparse.Namespace) -> int:
    from extract.prompt import render_codebook

    codebook = _load_codebook(options)
    print(f"# {codebook.title}\nVersion {codebook.version}, {codebook.hash[:12]}\n\n{render_codebook(codebook)}")
    return 0


def _prompt(options: argparse.Namespace) -> int:
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
