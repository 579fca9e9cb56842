"""The command line: `python -m extract run|show|report|runs|batches|export|schema|codebook ...`. Errors end here."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from extract import commands, run_commands
from extract.command_line import Parser, read_address, read_amount, read_count, run_command
from extract.commands import AUTHORED, PROGRAM

ENGINE_NAMES = ("batches", "claude", "cluster", "provider", "replay", "rules")
INNER_NAMES = ("claude", "provider", "replay", "rules")
EXPORT_FORMATS = ("csv", "jsonl", "parquet", "datasets", "xlsx", "qdpx", "qdc")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit status: 0, 1 for an error, 2 for usage, 3 for a money limit."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    options = parse_command(given)
    return run_command(options, PROGRAM)


def parse_command(given: Sequence[str]) -> argparse.Namespace:
    """The options of one command line, with the line itself. Usage errors exit with status 2."""
    options = build_parser().parse_args(given)
    options.command_line, options.parse = list(given), parse_command
    return options


def build_parser() -> argparse.ArgumentParser:
    """All commands and their options."""
    parser = Parser(
        prog=PROGRAM,
        description="Five coded sections from every interview, each proved by the interviewee's own sentences.",
    )
    subparsers = parser.add_subparsers(required=True, metavar="COMMAND", parser_class=Parser)
    _add_run(subparsers)
    show = subparsers.add_parser("show", help="what a run found: all interviews, or one with its quotes")
    show.add_argument("run", metavar="RUN", help="a run id, its folder, or 'last'")
    show.add_argument("id", nargs="?", metavar="ID", help="a transcript id")
    show.add_argument("--all", action="store_true", help=f"list all interviews, not only the first {commands.SHOWN}")
    show.set_defaults(function=commands.show)
    _add_report(subparsers)
    runs = subparsers.add_parser("runs", help="the runs, oldest first")
    runs.set_defaults(function=commands.runs)
    batches = subparsers.add_parser("batches", help="the batches of a run and how they are doing")
    batches.add_argument(
        "run", nargs="?", default="last", metavar="RUN", help="a run id, its folder, or 'last' (default)"
    )
    batches.add_argument("--offline", action="store_true", help="say what is known here; ask the provider nothing")
    batches.add_argument("--cancel", action="store_true", help="ask the provider to end those that are in progress")
    batches.set_defaults(function=commands.batches)
    for name, function, text in (
        ("schema", commands.schema, "the JSON schema that a model's answer follows"),
        ("codebook", commands.codebook, "the codebook as people read it"),
    ):
        command = subparsers.add_parser(name, help=text)
        command.set_defaults(function=function)
        _add_codebook(command)
    prompt = subparsers.add_parser("prompt", help="what would be sent for one interview, with its token count")
    prompt.add_argument("id", metavar="ID", help="a transcript id")
    prompt.set_defaults(function=commands.prompt)
    _add_source(prompt, default=str(AUTHORED))
    _add_codebook(prompt)
    _add_prompt(prompt)
    demo = subparsers.add_parser("demo", help="extract the authored interviews with rules, and show one")
    demo.set_defaults(function=run_commands.demo)
    _add_export(subparsers)
    for command in (show, runs, batches, demo):
        _add_runs(command)
    _add_import_codebook(subparsers)
    return parser


def _add_export(subparsers: Any) -> None:
    export = subparsers.add_parser(
        "export", help="a run as csv, jsonl, parquet, xlsx, a folder for datasets, or a REFI-QDA project or codebook"
    )
    export.set_defaults(function=commands.export)
    export.add_argument("run", metavar="RUN", help="a run id, its folder, or 'last'")
    export.add_argument(
        "--to", required=True, choices=EXPORT_FORMATS, help="qdpx: codings on the texts; qdc: the codebook"
    )
    export.add_argument("--out", type=Path, metavar="PATH", help="where to (default: exports/ in the run's folder)")
    export.add_argument("--force", action="store_true", help="replace what is there")
    export.add_argument("--redact", action="store_true", help="leave quotes and summaries out")
    export.add_argument("--codebook", metavar="FILE", help="the run's codebook (default: as its command named it)")
    project = export.add_argument_group("qdpx")
    project.add_argument(
        "--source", metavar="SOURCE", help="where the interviews lie now (default: as the run read them)"
    )
    project.add_argument("--all-repeats", action="store_true", help="every repeat as a coder (default: only the first)")
    project.add_argument("--crlf", action="store_true", help="texts with Windows line ends")
    _add_runs(export)


def _add_import_codebook(subparsers: Any) -> None:
    command = subparsers.add_parser("import-codebook", help="a codebook.toml from a .qdc, .csv or .toml")
    command.set_defaults(function=commands.import_codebook)
    command.add_argument("file", type=Path, metavar="FILE", help="a .qdc, .csv (section, code, definition) or .toml")
    command.add_argument("--out", type=Path, metavar="FILE", help="where to (default: standard output)")
    command.add_argument("--force", action="store_true", help="replace what is there")
    text = "which section a name of the file belongs to, e.g. 'Worries=concerns' (repeatable)"
    command.add_argument("--map", metavar="NAME=SECTION", action="append", default=[], help=text)
    command.add_argument("--title", help="the codebook's title (default: the file's name)")
    command.add_argument("--version", help="the codebook's version (default: 1)")


def _add_run(subparsers: Any) -> None:
    run = subparsers.add_parser("run", help="extract the five sections from every interview of a source")
    run.set_defaults(function=run_commands.run)
    _add_source(run, default=None)
    _add_codebook(run)
    _add_prompt(run)
    _add_runs(run)
    engine = run.add_argument_group("engine")
    engine.add_argument(
        "--engine", default="claude", choices=ENGINE_NAMES, help="how answers are got (default: claude)"
    )
    engine.add_argument("--model", help="which model answers, e.g. claude-sonnet-5-5, or openai/gpt-5 for provider")
    engine.add_argument("--base-url", type=read_address, metavar="URL", help="another address of the same API")
    engine.add_argument(
        "--concurrency",
        type=read_count,
        default=50,
        metavar="N",
        help="most requests at once, of a cluster: at each worker (default: 50)",
    )
    engine.add_argument(
        "--max-tokens", type=read_count, default=8192, metavar="N", help="longest answer (default: 8192)"
    )
    engine.add_argument("--timeout", type=read_amount, default=600.0, metavar="S", help="seconds for one answer")
    engine.add_argument("--from", dest="replayed", metavar="RUN", help="the run that --engine replay answers from")
    _add_cluster(run)
    plan = run.add_argument_group("plan")
    plan.add_argument("--repeat", type=read_count, default=1, metavar="K", help="ask for every interview K times")
    plan.add_argument("--max-cost", type=read_amount, metavar="USD", help="spend at most this much with this command")
    plan.add_argument("--resume", metavar="RUN", help="go on with this run")
    plan.add_argument("--retry-failed", action="store_true", help="ask again for what failed")
    plan.add_argument("--new", action="store_true", help="begin a new run even if the same command began one")
    plan.add_argument("--dry-run", action="store_true", help="say how many requests, tokens and dollars; ask nothing")


def _add_cluster(run: argparse.ArgumentParser) -> None:
    cluster = run.add_argument_group("cluster", "with --engine cluster, which needs: pip install '.[cluster]'")
    cluster.add_argument("--inner-engine", choices=INNER_NAMES, help="what each worker drives (default: claude)")
    cluster.add_argument("--workers", type=read_count, metavar="N", help="how many workers (default: one a machine)")
    cluster.add_argument(
        "--ray-address", metavar="HOST:PORT", help="a Ray cluster (default: RAY_ADDRESS, else this machine)"
    )
    for name, what in (
        ("--requests-per-minute", "requests"),
        ("--tokens-per-minute", "uncached input tokens"),
        ("--output-tokens-per-minute", "output tokens"),
    ):
        text = f"the account's limit of {what}, over all workers (default: what the provider says)"
        cluster.add_argument(name, type=read_count, metavar="N", help=text)


def _add_report(subparsers: Any) -> None:
    report = subparsers.add_parser("report", help="one HTML file: findings, quotes, interviews, how the run went")
    report.set_defaults(function=commands.report)
    report.add_argument("run", metavar="RUN", help="a run id, its folder, or 'last'")
    report.add_argument("--out", type=Path, metavar="FILE", help="where to write it (default: report.html in the run)")
    report.add_argument("--source", metavar="SOURCE", help="where the interviews lie now (default: as the run says)")
    report.add_argument(
        "--min-cell",
        type=read_count,
        default=1,
        metavar="N",
        help="leave out every number of fewer than N interviews (default: 1; 5 to publish)",
    )
    report.add_argument("--redact", action="store_true", help="leave out quotes, summaries and interviews")
    report.add_argument(
        "--sample",
        type=read_count,
        default=2500,
        metavar="N",
        help="hold at most N interviews, drawn at random (default: 2500)",
    )
    _add_runs(report)


def _add_source(parser: argparse.ArgumentParser, default: str | None) -> None:
    group = parser.add_argument_group("transcripts")
    named = {"nargs": "?", "metavar": "SOURCE", "help": "file, folder, Hub dataset name, or - for standard input"}
    if default is None:
        group.add_argument("source", **named)  # type: ignore[arg-type]
    else:
        group.add_argument("--source", metavar="SOURCE", default=default, help=f"as for run (default: {default})")
    group.add_argument("--split", help="one split (or sub-folder) of the source")
    group.add_argument("--limit", type=read_count, metavar="N", help="only the first N interviews")
    if default is None:
        group.add_argument("--ids", metavar="ID,ID", action="append", default=[], help="only these transcripts")
    for side in ("interviewer", "interviewee"):
        text = f"another label that opens an {side}'s turn (repeatable)"
        group.add_argument(f"--{side}", metavar="LABEL", action="append", default=[], help=text)
    group.add_argument("--text-column", metavar="NAME", help="the column that holds the interview")
    group.add_argument("--id-column", metavar="NAME", help="the column that holds the id")


def _add_codebook(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--codebook", metavar="FILE", help="a codebook of your own (default: schemas/codebook.toml)")


def _add_prompt(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--prompt", default="v1", metavar="VERSION", help="prompt version (default: v1)")


def _add_runs(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--runs", type=Path, default=Path("runs"), metavar="DIR", help="where runs lie (default: runs)")
