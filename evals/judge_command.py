"""`python -m evals judge RUN --judge MODEL`: its options, and what it does."""

import argparse
from pathlib import Path
from typing import Any

from extract.command_line import read_between

STOPPED = 3
"""Exit status when the money limit ended it, as for `python -m extract run`."""


def add_judge_command(subparsers: Any) -> None:
    """Add `judge` to the commands of a parser. Its `function` returns the exit status."""
    judge = subparsers.add_parser("judge", help="ask another model whether the cited sentences support each item")
    judge.set_defaults(function=run_judge)
    judge.add_argument("run", nargs="?", default="last", metavar="RUN", help="a run id, its folder, or 'last'")
    judge.add_argument("--judge", metavar="MODEL", help="which model judges, e.g. claude-haiku-5-5 or openai/gpt-5")
    judge.add_argument("--engine", metavar="NAME", help="how it is asked (default: claude, or provider for a/b)")
    judge.add_argument(
        "--floor", type=read_between(0, 1), metavar="RATE", help="fail when the corrected rate is surely below this"
    )
    judge.add_argument("--pairs", action="store_true", help="print the labelled pairs with their words; ask nothing")
    judge.add_argument("--max-cost", type=read_between(0, 1e9), metavar="USD", help="stop before this much is spent")
    judge.add_argument("--retry-failed", action="store_true", help="ask again for what failed")
    judge.add_argument("--dry-run", action="store_true", help="say how many requests and dollars; ask nothing")
    many = {
        "type": read_between(1, 10_000),
        "default": 50,
        "metavar": "N",
        "help": "most requests at once (default: 50)",
    }
    judge.add_argument("--concurrency", **many)
    judge.add_argument("--base-url", metavar="URL", help="another address of the same API")
    judge.add_argument("--codebook", metavar="FILE", help="the codebook of the run, where it is not the default")
    judge.add_argument("--runs", type=Path, default=Path("runs"), metavar="DIR", help="where runs lie (default: runs)")


def run_judge(options: argparse.Namespace) -> int:
    """Judge a run and print the report: 0, 1 below the floor, 2 without a model, 3 stopped by the money limit."""
    from extract.terminal import say

    if options.pairs:
        return _print_pairs(options)
    if not options.judge:
        say("python -m evals judge: name a model with --judge MODEL. See: python -m evals judge --help")
        return 2
    from evals.judge import judge_run, open_judge
    from evals.judge_report import render_judge_report
    from extract.engines import EngineOptions
    from extract.store import open_run

    given = EngineOptions(concurrency=int(options.concurrency), base_url=options.base_url, dry_run=options.dry_run)
    judge = open_judge(options.judge, given, options.engine)
    store = open_run(options.run, options.runs)
    if options.dry_run:
        return _print_estimate(options, judge, store)
    watching = _Watching()
    try:
        report = judge_run(
            store,
            judge,
            runs=options.runs,
            codebook=_load_codebook(options),
            max_cost_usd=options.max_cost,
            retry_failed=options.retry_failed,
            watch=watching.update,
        )
    finally:
        watching.close()
    print(render_judge_report(report))
    if report.stopped:
        say(f"Stopped ({report.stopped}). The same command goes on; what is paid is kept.")
        return STOPPED
    return _compare_with_floor(options.floor, report)


def _compare_with_floor(floor: float | None, report: Any) -> int:
    if floor is None:
        return 0
    if not report.gates:
        print(f"The floor of {floor:g} is not held against the run.")
    elif report.fails(floor):
        print(f"The corrected rate is surely below the floor of {floor:g}.")
        return 1
    return 0


class _Watching:
    """A progress display that opens with the first answer."""

    def __init__(self) -> None:
        self.progress: Any = None

    def update(self, plan: Any, total: int) -> None:
        from extract.terminal import Progress

        self.progress = self.progress or Progress(plan, total)
        self.progress.update()

    def close(self) -> None:
        if self.progress:
            self.progress.close()


def _load_codebook(options: argparse.Namespace) -> Any:
    from schemas.codebook import DEFAULT_CODEBOOK, load_codebook

    return load_codebook(options.codebook or DEFAULT_CODEBOOK)


def _print_estimate(options: argparse.Namespace, judge: Any, store: Any) -> int:
    from evals.judge import estimate_judging
    from extract.terminal import format_usage

    known: Any = {"codebook": _load_codebook(options), "retry_failed": options.retry_failed}
    count, usage, cost = estimate_judging(store, judge, runs=options.runs, **known)
    if not count:
        print(f"{judge.model} has judged all of it already. Nothing was asked.")
        return 0
    print(f"{count} requests to {judge.model}: about {format_usage(usage, cost)}. Nothing was asked.")
    return 0


def _print_pairs(options: argparse.Namespace) -> int:
    from evals.pairs import load_pairs
    from extract.terminal import make_visible

    pairs = load_pairs(_load_codebook(options))
    print(f"{len(pairs.pairs)} labelled pairs. {pairs.provenance}")
    for paired in pairs.pairs:
        pair, question = paired.pair, paired.question
        attribute = f" ({pair.attribute})" if pair.attribute else ""
        print(f"\n{pair.id}  {pair.label}\n  {pair.section}/{pair.code}{attribute}: {make_visible(pair.summary)}")
        for sentence in question.evidence:
            print(f"    “{' '.join(make_visible(sentence).split())}”")
        print(f"  {pair.reason}")
    return 0
