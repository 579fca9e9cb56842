"""What the command lines share: one-line usage errors, readers of option values, and where errors end."""

import argparse
import os
import signal
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NoReturn

from extract.errors import VerbatimError

if TYPE_CHECKING:
    from extract.engines import Engine
    from extract.pipeline import Plan


class Parser(argparse.ArgumentParser):
    """An argument parser whose errors take one line and name the way out."""

    def __init__(self, **options: Any) -> None:
        super().__init__(allow_abbrev=False, **options)

    def error(self, message: str) -> NoReturn:
        """Say what is wrong in one line; exit status 2."""
        self.exit(2, f"{self.prog}: {message}. See: {self.prog} --help\n")


def run_command(options: argparse.Namespace, program: str) -> int:
    """Call the command of parsed options; the exit status. What is meant for the user is one line on stderr."""
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

        say(f"{program}: {error}")
        return 1


def catch_signals(plan: "Plan", engine: "Engine") -> Callable[[], None]:
    """First Ctrl-C or SIGTERM: finish what is in flight, or leave it to a provider that goes on by itself.
    Second: stop at once. Returns what puts the former handlers back.
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


def read_count(text: str) -> int:
    """A whole number from 1."""
    if not text.isdigit() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from 1")
    return int(text)


def read_number(text: str) -> int:
    """A whole number from 0."""
    if not text.isdigit():
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from 0")
    return int(text)


def read_amount(text: str) -> float:
    """A number above 0."""
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value < float("inf"):
        raise argparse.ArgumentTypeError(f"{text!r} is not a number above 0")
    return value


def read_between(low: float, high: float) -> Callable[[str], float]:
    """A reader of numbers within limits."""

    def read(text: str) -> float:
        try:
            value = float(text)
        except ValueError:
            value = float("nan")
        if not low <= value <= high:
            raise argparse.ArgumentTypeError(f"{text!r} is not a number from {low:g} to {high:g}")
        return value

    return read


def read_address(text: str) -> str:
    """A web address that holds no key."""
    if not text.startswith(("http://", "https://")):
        raise argparse.ArgumentTypeError(f"{text!r} is not an address that begins with http:// or https://")
    if "@" in text or "?" in text:
        raise argparse.ArgumentTypeError("an address is kept in the run, so it may not hold a key or a password")
    return text
