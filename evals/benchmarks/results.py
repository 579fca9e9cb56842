"""The tables of a benchmark run: Markdown that people read, and the same numbers as JSON."""

import json
import os
import platform
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

Row = Mapping[str, Any]
Column = tuple[str, Callable[[Row], str]]

THROUGHPUT: tuple[Column, ...] = (
    ("", lambda row: row["library"]),
    ("answered", lambda row: f"{row['answered']:,}"),
    ("seconds", lambda row: f"{row['seconds']:.1f}"),
    ("of the ideal", lambda row: f"{row['seconds'] / row['ideal_s']:.2f}"),
    ("CPU ms a request", lambda row: f"{row['cpu_ms']:.1f}"),
    ("peak MB", lambda row: f"{row['peak_mb']:.0f}"),
    ("input tokens", lambda row: f"{row['input_tokens']:,.0f}"),
    ("of them cached", lambda row: f"{row['cached_tokens']:,.0f}"),
    ("output tokens", lambda row: f"{row['output_tokens']:,.0f}"),
    ("KB sent", lambda row: f"{row['sent_bytes'] / 1000:.1f}"),
    ("KB received", lambda row: f"{row['received_bytes'] / 1000:.1f}"),
)
SUITES: tuple[Column, ...] = (
    ("", lambda row: row["suite"]),
    ("cases", lambda row: f"{row['cases']}"),
    ("whole, s", lambda row: f"{row['whole_s']:.1f}"),
    ("empty start, s", lambda row: f"{row['empty_s']:.1f}"),
    ("the cases, s", lambda row: f"{row['whole_s'] - row['empty_s']:.1f}"),
    ("of it the SDK's import, s", lambda row: f"{row['import_s']:.1f}" if "import_s" in row else "none"),
)
STARTUP: tuple[Column, ...] = (
    ("", lambda row: f"`{row['command']}`"),
    ("seconds", lambda row: f"{row['seconds']:.2f}"),
)


def describe_machine() -> dict[str, Any]:
    """When and where: the date, the processor, its cores, the memory, and how busy it was at the start."""
    return {
        "date": f"{datetime.now(UTC):%Y-%m-%d}",
        "processor": _find_line("/proc/cpuinfo", "model name") or platform.processor() or platform.machine(),
        "cores": os.cpu_count(),
        "memory_gb": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9),
        "system": platform.system(),
        "python": platform.python_version(),
        "load": round(os.getloadavg()[0], 1),
    }


def _find_line(path: str, name: str) -> str:
    lines = Path(path).read_text().splitlines() if Path(path).exists() else []
    return next((line.partition(":")[2].strip() for line in lines if line.startswith(name)), "")


def render_results(results: Mapping[str, Any]) -> str:
    """The whole page."""
    machine = results["machine"]
    parts = [
        "# Benchmarks",
        f"{machine['date']}, {machine['cores']} cores ({machine['processor']}), {machine['memory_gb']} GB, "
        f"{machine['system']}, Python {machine['python']}, load {machine['load']:g} at the start. All in one run.",
        *_render_throughput(results["throughput"]),
        *_render_settings(results["throughput"]),
        *_render_answers(results.get("answers")),
        *_render_suites(results["suites"]),
        *_render_startup(results["startup"]),
    ]
    return "\n\n".join(parts) + "\n"


def _render_throughput(rounds: Sequence[Row]) -> list[str]:
    parts = ["## Throughput"] if rounds else []
    for each in rounds:
        parts.append(
            f"{each['requests']:,} interviews, {each['latency_s']:g} s an answer, {each['concurrency']} at once; "
            f"ideal {each['ideal_s']:.1f} s."
        )
        parts.append(render_table(THROUGHPUT, each["rows"]))
    return parts


def _render_settings(rounds: Sequence[Row]) -> list[str]:
    rows = [row for row in rounds[0]["rows"] if "settings" in row] if rounds else []
    if not rows:
        return []
    lead = (
        "One process each, imports not counted, retries as they come. Tokens and bytes are the server's count for one "
        "interview: a token for four characters of system part, messages and answer, the schema in the bytes only; "
        "cached where the client marks it (OpenAI's protocol has no mark)."
    )
    return [lead, "\n".join(f"- {row['library']}: {row['settings']}" for row in rows)]


def _render_answers(computed: Row | None) -> list[str]:
    if not computed:
        return []
    table = [
        ("as ours: sentence ids", computed["ids_tokens"], computed["numbered_text_tokens"]),
        ("the same with copied quotes", computed["quotes_tokens"], computed["bare_text_tokens"]),
        ("as langextract has it written", computed["langextract_tokens"], computed["bare_text_tokens"]),
    ]
    rows = [f"| {name} | {answer:,.0f} | {text:,.0f} |" for name, answer, text in table]
    head = ["| | output tokens | tokens of the interview's text |", "| --- | ---: | ---: |"]
    lead = (
        f"Computed, not measured: the codings of {computed['interviews']} authored interviews written in three forms, "
        "at 3.5 characters a token."
    )
    return ["## Ids against quotes", lead, "\n".join([*head, *rows])]


def _render_suites(rows: Sequence[Row]) -> list[str]:
    if not rows:
        return []
    lead = (
        "Every answer takes 0.25 s. The empty start is the same command with no case. The peers' suites ask with "
        "Python's standard library, so they bear no SDK's import."
    )
    return ["## Suites", lead, render_table(SUITES, rows)]


def _render_startup(rows: Sequence[Row]) -> list[str]:
    return ["## Start-up", render_table(STARTUP, rows)] if rows else []


def render_table(columns: Sequence[Column], rows: Sequence[Row]) -> str:
    """One table. A row that was left out says why, in its second cell."""
    head = ["| " + " | ".join(name for name, _ in columns) + " |", "| --- |" + " ---: |" * (len(columns) - 1)]
    lines = []
    for row in rows:
        reason = row.get("left_out")
        cells = [row["name"], f"left out: {reason}"] if reason else [write(row) for _, write in columns]
        lines.append("| " + " | ".join([*cells, *[""] * (len(columns) - len(cells))]) + " |")
    return "\n".join([*head, *lines])


def store_results(results: Mapping[str, Any], folder: Path, name: str) -> Path:
    """Write `<name>.md` and `<name>.json`; returns the page's path."""
    folder.mkdir(parents=True, exist_ok=True)
    page = folder / f"{name}.md"
    page.write_text(render_results(results), encoding="utf-8")
    (folder / f"{name}.json").write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
    return page
