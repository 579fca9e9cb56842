"""What people see in a terminal: progress, one interview, the runs. Text of transcripts is only data here."""

import sys
import threading
import time
import unicodedata
from collections.abc import Callable, Iterable
from itertools import islice
from typing import TYPE_CHECKING, Any

from schemas.codebook import Section
from schemas.extraction import CollaborationStyle, Item, Quote, SectionExtraction
from schemas.record import Manifest, Record, Usage

if TYPE_CHECKING:
    from rich.console import Console

    from extract.pipeline import Plan

COLOURS: dict[Section, str] = {
    "tasks": "cyan",
    "collaboration_style": "green",
    "workplace_culture": "yellow",
    "concerns": "red",
    "future_wishes": "magenta",
}
STATUSES = {"asked_not_answered": "asked, but not answered", "not_asked": "not asked"}
TICK_S = 1.0
PLAIN_EVERY_S = 5.0
RUN_ID_WIDTH = 34
PAGE = 2000
"""Interviews in one table: a table is laid out as a whole, and a run may have a million."""
DIRECTIONS = frozenset("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
"""Marks that turn the direction of text, so that it reads otherwise than it is."""


def make_visible(text: str) -> str:
    """The text with control and direction characters replaced, so that it cannot steer a terminal."""
    return "".join(
        "�" if c in DIRECTIONS or (unicodedata.category(c) in ("Cc", "Cs") and c not in "\n\t") else c for c in text
    )


def open_console() -> "Console":
    """A console for standard output; without colours where that is not a terminal."""
    from rich.console import Console

    return Console(highlight=False, width=None if sys.stdout.isatty() else 100, soft_wrap=False)


def say(message: str) -> None:
    """One line on standard error."""
    print(make_visible(message), file=sys.stderr, flush=True)


# ---------------------------------------------------------------- one interview


def print_record(console: "Console", record: Record) -> None:
    """One interview: its five sections with items, attributes, summaries and quotes; or its failure."""
    from rich.text import Text

    title = Text(make_visible(record.transcript_id), style="bold")
    title.append(f"  {make_visible(record.cohort)}" if record.cohort else "", style="dim")
    title.append(f"  repeat {record.repeat}" if record.repeat else "", style="dim")
    console.print(title)
    if record.failure:
        console.print(Text(f"failed ({record.failure.kind}): {make_visible(record.failure.message)}", style="red"))
    if record.extraction:
        for section, part in record.extraction.sections.items():
            _print_section(console, section, part)


def _print_section(console: "Console", section: Section, part: SectionExtraction) -> None:
    from rich.text import Text

    title = Text(f"\n{section.replace('_', ' ').capitalize()}", style=f"bold {COLOURS[section]}")
    if part.status != "discussed":
        title.append(f"  {STATUSES[part.status]}", style="dim")
    console.print(title)
    if isinstance(part, CollaborationStyle) and part.status == "discussed":
        console.print(Text(f"  mode {part.mode}, leader {part.leader}", style="bold"))
        _print_quotes(console, part.mode_quotes)
    for item in part.items:
        _print_item(console, section, item)


def _print_item(console: "Console", section: Section, item: Item) -> None:
    from rich.padding import Padding
    from rich.text import Text

    line = Text(item.code, style=COLOURS[section])
    line.append(f" ({item.attribute})" if item.attribute else "", style="bold")
    line.append(f"  {make_visible(item.summary)}")
    console.print(Padding(line, (0, 0, 0, 2)))
    _print_quotes(console, item.quotes)


def _print_quotes(console: "Console", quotes: Iterable[Quote]) -> None:
    from rich.padding import Padding
    from rich.text import Text

    for quote in quotes:
        line = Text(f"{quote.sentence_id}  ", style="dim")
        line.append(f"“{' '.join(make_visible(quote.text).split())}”", style="italic")
        console.print(Padding(line, (0, 0, 0, 6)))


# ---------------------------------------------------------------- runs


def print_overview(console: "Console", manifest: Manifest, records: Iterable[Record]) -> None:
    """One line for each interview of a run: items in each section, or the failure."""
    from rich.text import Text

    console.print(Text(f"{manifest.run_id}  {describe_manifest(manifest)}", style="bold"))
    rest = iter(records)
    while page := list(islice(rest, PAGE)):
        console.print()
        _print_page(console, page, repeated=manifest.repeats > 1)


def _print_page(console: "Console", records: list[Record], *, repeated: bool) -> None:
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False)
    repeated = repeated or any(record.repeat for record in records)
    for heading in ("transcript", *(["repeat"] if repeated else []), "cohort"):
        table.add_column(heading)
    for heading in ("tasks", "style", "culture", "concerns", "wishes"):
        table.add_column(heading, justify="right")
    table.add_column("failure")
    for record in records:
        parts = record.extraction.sections.values() if record.extraction else ()
        counts = [str(len(part.items)) for part in parts] or ["-"] * 5
        failure = f"{record.failure.kind}: {record.failure.message}" if record.failure else ""
        names = [record.transcript_id, *([str(record.repeat)] if repeated else []), record.cohort or ""]
        cells = [*names, *counts, failure]
        table.add_row(*(Text(make_visible(cell)) for cell in cells))
    console.print(table)


def print_runs(console: "Console", manifests: Iterable[Manifest]) -> None:
    """A table of runs, one line each."""
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False)
    table.add_column("run", no_wrap=True, min_width=RUN_ID_WIDTH)
    for heading in ("model", "status"):
        table.add_column(heading, overflow="fold")
    for heading in ("records", "failed", "tokens", "cost"):
        table.add_column(heading, justify="right")
    table.add_column("source", overflow="fold")
    for m in manifests:
        tokens = format_count(m.usage.whole_input_tokens + m.usage.output_tokens)
        cost = format_cost(m.cost_usd)
        cells = [m.run_id, m.model, m.status, str(m.records), str(m.failures), tokens, cost, m.source]
        table.add_row(*(Text(make_visible(cell)) for cell in cells))
    console.print(table)


def describe_manifest(manifest: Manifest) -> str:
    """Model, prompt and outcome of a run in one line."""
    extracted = manifest.records - manifest.failures
    return (
        f"{manifest.model}, prompt {manifest.prompt_version}, {manifest.status}: "
        f"{extracted} extracted, {manifest.failures} failed, {format_usage(manifest.usage, manifest.cost_usd)}"
    )


def format_count(number: float) -> str:
    """1234567 as `1.2M`."""
    for size, unit in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if number >= size:
            return f"{number / size:.1f}{unit}"
    return f"{number:.0f}"


def format_cost(cost_usd: float | None) -> str:
    """Dollars, or that the price is unknown, which is not 0."""
    if cost_usd is None:
        return "unknown cost"
    return f"${cost_usd:.2f}" if cost_usd >= 1 or cost_usd == 0 else f"${cost_usd:.4f}"


def format_usage(usage: Usage, cost_usd: float | None) -> str:
    """Tokens in and out with the part that came from the cache, and dollars."""
    if not usage.requests:
        return "no tokens"
    cached = f" ({format_count(usage.cache_read_tokens)} from the cache)" if usage.cache_read_tokens else ""
    tokens = f"{format_count(usage.whole_input_tokens)} tokens in{cached}, {format_count(usage.output_tokens)} out"
    return f"{tokens}, {format_cost(cost_usd)}"


def _format_seconds(seconds: float) -> str:
    minutes, rest = divmod(int(seconds + 0.5), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"


# ---------------------------------------------------------------- progress


def _no_trouble() -> None:
    pass


class Progress:
    """Done, failed, rate, time left, tokens, cost and what is in flight: a bar on a terminal, else lines."""

    def __init__(self, plan: "Plan", total: int | None, find_trouble: Callable[[], str | None] = _no_trouble) -> None:
        self.plan, self.total, self.find_trouble = plan, total, find_trouble
        self.started = time.monotonic()
        self._said_at = self.started
        self._bar: Any = None
        if sys.stderr.isatty():
            self._open_bar()
        self._closing = threading.Event()
        self._ticker = threading.Thread(target=self._tick, daemon=True)
        self._ticker.start()

    def _tick(self) -> None:
        """Go on showing the state while nothing comes back."""
        while not self._closing.wait(TICK_S):
            self.update()

    def _open_bar(self) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, TextColumn
        from rich.progress import Progress as Bar

        console = Console(stderr=True)
        columns = BarColumn(bar_width=24), TextColumn("{task.description}", markup=False)
        self._bar = Bar(*columns, console=console, transient=True)
        self._task = self._bar.add_task("", total=self.total)
        self._bar.start()

    def update(self) -> None:
        """Show how far the plan is."""
        if self._bar:
            self._bar.update(self._task, completed=self.done, description=self.describe())
        elif time.monotonic() - self._said_at >= PLAIN_EVERY_S:
            self._said_at = time.monotonic()
            say(self.describe())

    def close(self) -> None:
        """Take the bar away."""
        self._closing.set()
        self._ticker.join()
        if self._bar:
            self._bar.stop()

    @property
    def done(self) -> int:
        """Requests that need nothing more, those of earlier commands included."""
        return self.plan.held + self.plan.answered

    def describe(self) -> str:
        """The state in one line."""
        plan = self.plan
        rate = plan.answered / max(time.monotonic() - self.started, 1e-6)
        parts = [f"{self.done} of {self.total} done" if self.total else f"{self.done} done"]
        parts += [f"{plan.failed} failed", f"{rate:.1f}/s"]
        if self.total and rate and self.total > self.done:
            parts.append(f"{_format_seconds((self.total - self.done) / rate)} left")
        parts.append(f"{plan.in_flight} in flight")
        if plan.usage.requests:
            parts.append(format_usage(plan.usage, plan.cost_usd if plan.cost_known else None))
        trouble = self.find_trouble()
        return ", ".join(parts) + (f" (trying again: {trouble})" if trouble else "")
