"""What a terminal shows: text of transcripts stays data, prices stay honest, progress goes on."""

import io
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from extract.grounding import ground_draft
from extract.pipeline import Plan
from extract.terminal import (
    Progress,
    format_cost,
    format_count,
    format_usage,
    make_visible,
    print_overview,
    print_record,
    print_runs,
)
from extract.tests.samples import AUTHORED, ROOT, make_completion, make_manifest, make_record, make_request
from schemas.draft import Draft
from schemas.record import Failure, Record, Usage


def draw(show, *given) -> str:  # type: ignore[no-untyped-def]
    out = io.StringIO()
    show(Console(file=out, width=100, highlight=False), *given)
    return out.getvalue()


def make_extracted(**changes: Any) -> Record:
    request = make_request()
    draft = make_completion(request).draft
    assert isinstance(draft, Draft)
    return make_record("baker", extraction=ground_draft(draft, request.transcript), **changes)


def test_one_interview_shows_five_sections_with_codes_attributes_summaries_and_quotes() -> None:
    shown = draw(print_record, make_extracted(cohort="workforce"))
    for section in ("Tasks", "Collaboration style", "Workplace culture", "Concerns", "Future wishes"):
        assert section in shown
    assert "baker  workforce" in shown
    assert "write_draft (shared)  Weekly newsletter drafted, jokes rewritten" in shown
    assert "U1.2  “It drafts my weekly newsletter and I rewrite the jokes.”" in shown
    assert "mode task_iteration, leader human" in shown
    assert "Workplace culture  not asked" in shown


def test_a_failure_shows_its_kind_and_reason() -> None:
    record = make_record("t", failure=Failure(kind="refusal", message="The model refused to answer."))
    assert "failed (refusal): The model refused to answer." in draw(print_record, record)
    overview = draw(print_overview, make_manifest(run_id="r"), [record])
    assert "refusal: The model refused to answer." in overview


def test_repeats_are_told_apart_where_there_are_any() -> None:
    once = draw(print_overview, make_manifest(run_id="r"), [make_extracted()])
    twice = draw(print_overview, make_manifest(run_id="r"), [make_extracted(), make_extracted(repeat=1)])
    assert "repeat" not in once
    assert "repeat" in twice


@pytest.mark.parametrize("text", ["\x1b[31mred", "\x9b2J", "a\u202eb", "bell\x07"])
def test_text_cannot_steer_the_terminal(text: str) -> None:
    assert "�" in make_visible(text)
    shown = draw(print_record, make_record(text, failure=Failure(kind="refusal", message=text)))
    assert not {"\x1b", "\x9b", "\u202e", "\x07"} & set(shown)


def test_markup_in_a_text_is_shown_and_not_obeyed() -> None:
    shown = draw(print_record, make_record("[bold]t[/bold]", failure=Failure(kind="refusal", message="[red]no[/red]")))
    assert "[bold]t[/bold]" in shown
    assert "[red]no[/red]" in shown


def test_a_run_id_is_never_broken_over_two_lines() -> None:
    run_id = "20260901T101500Z-provider-v1-4f2a"
    manifest = make_manifest(run_id=run_id, model="openai/a-very-long-model-name", source="/a/long/way/" + "x" * 90)
    assert run_id in draw(print_runs, [manifest])


def test_an_unknown_cost_is_never_shown_as_nothing() -> None:
    assert format_cost(None) == "unknown cost"
    assert format_cost(0.0) == "$0.00"
    assert format_cost(0.0004) == "$0.0004"
    assert "unknown cost" in format_usage(Usage(requests=1, input_tokens=5), None)


def test_counts_are_shortened() -> None:
    assert [format_count(n) for n in (999, 1234, 1_234_567, 2e9)] == ["999", "1.2k", "1.2M", "2.0G"]


def test_progress_tells_done_failed_rate_time_left_in_flight_tokens_and_cost(
    capsys: pytest.CaptureFixture[str],
) -> None:
    plan = Plan(held=2, asked=5, answered=3, failed=1, usage=Usage(requests=3, input_tokens=3000), cost_usd=0.5)
    progress = Progress(plan, 10, lambda: "Overloaded.")
    progress.started = time.monotonic() - 3
    line = progress.describe()
    progress.close()
    for part in ("5 of 10 done", "1 failed", "1.0/s", "0:05 left", "2 in flight", "3.0k tokens in", "$0.5000"):
        assert part in line
    assert line.endswith("(trying again: Overloaded.)")
    assert capsys.readouterr().err == ""


def test_plain_lines_go_on_while_nothing_comes_back(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("extract.terminal.PLAIN_EVERY_S", 0.0)
    monkeypatch.setattr("extract.terminal.TICK_S", 0.01)
    progress = Progress(Plan(asked=3), 3, lambda: None)
    said, until = "", time.monotonic() + 5
    while not said and time.monotonic() < until:
        time.sleep(0.02)
        said = capsys.readouterr().err
    progress.close()
    assert "0 of 3 done, 0 failed, 0.0/s, 3 in flight" in said


@pytest.mark.skipif(not hasattr(os, "openpty"), reason="needs a pseudo-terminal")
def test_a_terminal_gets_a_bar_and_a_pipe_does_not(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "extract", "run", str(AUTHORED), "--engine", "rules", "--runs"]
    master, slave = os.openpty()
    done = subprocess.Popen(
        [*command, str(tmp_path / "a")], cwd=ROOT, stderr=slave, env={**os.environ, "TERM": "xterm"}
    )
    os.close(slave)
    seen = b""
    while True:
        try:
            chunk = os.read(master, 4096)
        except OSError:  # Linux says that the other side is closed with an error
            break
        if not chunk:
            break
        seen += chunk
    os.close(master)
    assert done.wait(60) == 0
    assert b"\x1b[" in seen
    assert "━".encode() in seen
    piped = subprocess.run([*command, str(tmp_path / "b")], cwd=ROOT, capture_output=True, text=True, check=True)
    assert "\x1b" not in piped.stderr
    assert "12 extracted, 0 failed" in piped.stderr
