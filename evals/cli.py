"""The command line: `python -m evals score|compare|report|bless|golden|judge`. Errors end here, in one line."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from evals import commands, golden_commands
from evals.judge_command import add_judge_command
from extract.command_line import Parser, read_between, read_number, run_command

PROGRAM = "python -m evals"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit status: 0, 1 for an error or a regression, 2 for usage."""
    options = build_parser().parse_args(list(sys.argv[1:] if arguments is None else arguments))
    return run_command(options, PROGRAM)


def build_parser() -> argparse.ArgumentParser:
    """All commands and their options."""
    parser = Parser(prog=PROGRAM, description="Scores of runs and of annotators against goldens.")
    subparsers = parser.add_subparsers(required=True, metavar="COMMAND", parser_class=Parser)
    score = subparsers.add_parser("score", help="the scores of a run against the goldens that it covers")
    score.add_argument("run", metavar="RUN", help="a run id, its folder, or 'last'")
    score.add_argument("--codes", action="store_true", help="every code and the most frequent confusions as well")
    score.set_defaults(function=commands.score)
    compare = subparsers.add_parser("compare", help="runs side by side, each against the first")
    compare.add_argument("run", metavar="RUN", nargs="+", help="two or more runs; the first is the one to beat")
    compare.add_argument(
        "--margin",
        type=read_between(0.001, 0.999),
        metavar="F1",
        help="how far a score may fall (default: baseline.toml)",
    )
    compare.add_argument("--metric", choices=("grounded", "code"), default="grounded", help="default: grounded")
    compare.add_argument(
        "--changes", type=read_number, default=8, metavar="N", help="items to show per kind (default: 8)"
    )
    compare.set_defaults(function=commands.compare)
    report = subparsers.add_parser("report", help="one HTML file: a run, or two side by side, with every golden")
    report.add_argument("run", metavar="RUN_A", help="a run id, its folder, or 'last'; the one to beat")
    report.add_argument("other", metavar="RUN_B", nargs="?", help="the run that is held against it")
    report.add_argument("--margin", type=float, metavar="F1", help="how far a score may fall (default: baseline.toml)")
    _add_page(report, "comparison.html in the last run's folder")
    report.set_defaults(function=commands.report)
    bless = subparsers.add_parser("bless", help="make a run the accepted baseline of its engine and model")
    bless.add_argument("run", metavar="RUN")
    bless.add_argument("--why", default="", metavar="TEXT", help="the reason; it is kept in baseline.toml")
    bless.add_argument("--force", action="store_true", help="accept it although it is worse or has failures")
    bless.set_defaults(function=commands.bless)
    _add_golden(subparsers)
    add_judge_command(subparsers)
    for command in (score, compare, report, bless):
        _add_goldens(command)
        command.add_argument("--runs", type=Path, default=Path("runs"), metavar="DIR", help="default: runs")
    return parser


def _add_golden(subparsers: Any) -> None:
    golden = subparsers.add_parser("golden", help="make, check, store, show and compare goldens")
    parts = golden.add_subparsers(required=True, metavar="COMMAND", parser_class=Parser)
    new = parts.add_parser("new", help="write a file to code an interview in, by hand")
    new.add_argument("source", metavar="SOURCE", help="file, folder or Hub dataset name")
    new.add_argument("id", metavar="ID", help="a transcript id")
    prefill = new.add_mutually_exclusive_group()
    prefill.add_argument("--from", dest="replayed", metavar="RUN", help="prefill it from this run")
    prefill.add_argument("--from-coding", metavar="NAME", help="prefill it from a coding of the stored golden")
    new.add_argument("--annotator", default="", metavar="NAME", help="your initials, or adjudicated")
    new.add_argument("--out", type=Path, metavar="FILE", help="default: ID.toml in this folder")
    new.add_argument("--runs", type=Path, default=Path("runs"), metavar="DIR", help="default: runs")
    new.set_defaults(function=golden_commands.golden_new)
    check = parts.add_parser("check", help="what is wrong with edited files, or with all stored goldens")
    check.add_argument("file", nargs="*", type=Path, metavar="FILE", help="an edited .toml, or a stored .json")
    check.set_defaults(function=golden_commands.golden_check)
    pack = parts.add_parser("pack", help="store an edited file: spans and hashes, no text")
    pack.add_argument("file", type=Path, metavar="FILE")
    pack.add_argument("--into", default="own", metavar="SET", help="the set it joins (default: own)")
    pack.set_defaults(function=golden_commands.golden_pack)
    show = parts.add_parser("show", help="one golden with its quotes")
    show.add_argument("id", metavar="ID")
    show.add_argument("--coding", default="adjudicated", metavar="NAME", help="whose coding (default: adjudicated)")
    show.set_defaults(function=golden_commands.golden_show)
    agree = parts.add_parser("agree", help="the agreement of two annotators")
    agree.add_argument("a", metavar="A", nargs="?", default="A")
    agree.add_argument("b", metavar="B", nargs="?", default="B")
    agree.add_argument("--id", metavar="ID", help="on this golden only")
    agree.set_defaults(function=golden_commands.golden_agree)
    page = parts.add_parser("report", help="two annotators beside the adjudicated coding, as one HTML file")
    page.add_argument("a", metavar="A", nargs="?", default="A")
    page.add_argument("b", metavar="B", nargs="?", default="B")
    page.add_argument("--id", metavar="ID", help="this golden only")
    page.add_argument("--runs", type=Path, default=Path("runs"), metavar="DIR", help="default: runs")
    _add_page(page, "annotators.html in the folder of runs")
    page.set_defaults(function=golden_commands.golden_report)
    for command in (new, check, pack, show, agree, page):
        _add_goldens(command)


def _add_page(parser: argparse.ArgumentParser, default: str) -> None:
    parser.add_argument("--out", type=Path, metavar="FILE", help=f"where to write it (default: {default})")
    parser.add_argument("--redact", action="store_true", help="leave out quotes, summaries, texts and names")


def _add_goldens(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("goldens")
    group.add_argument("--set", action="append", default=[], metavar="NAME", help="only this set (repeatable)")
    group.add_argument("--goldens", type=Path, metavar="DIR", help="where goldens lie (default: the project's)")
    group.add_argument("--texts", metavar="SOURCE", help="where the transcripts are: a folder, or a Hub name")
    group.add_argument("--codebook", type=Path, metavar="FILE", help="default: schemas/codebook.toml")
