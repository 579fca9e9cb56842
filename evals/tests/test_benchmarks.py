"""The benchmarks work from one end to the other; how fast anything is, is no test."""

import json
import sys
import time
from pathlib import Path

import pytest

from evals.benchmarks import environments
from evals.benchmarks.__main__ import main
from evals.benchmarks.answers import compute_answers
from evals.benchmarks.environments import Peer, install
from evals.benchmarks.processes import Budget, MeasurementError, run_program
from evals.benchmarks.results import STARTUP, render_table
from extract.tests.loopback_answers import AnswerWriter

STARTS_ANOTHER = """
import pathlib, subprocess
process = subprocess.Popen(["sleep", "60"])
pathlib.Path("pid").write_text(str(process.pid))
process.wait()
"""


def test_a_quick_run_measures_us_and_the_bare_sdk_and_writes_the_tables(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("VERBATIM_DATA", raising=False)
    words = ["--quick", "--only", "bare_sdk,ours", "--requests", "20", "--concurrency", "10", "--latency", "0.05"]
    assert main([*words, "--results", str(tmp_path)]) == 0
    results = json.loads((tmp_path / "quick.json").read_text())
    bare, ours = results["throughput"][0]["rows"]
    assert bare["answered"] == ours["answered"] == 20
    assert 0 < bare["cached_tokens"] < bare["input_tokens"] == ours["input_tokens"]
    assert ours["library"].startswith("verbatim")
    (suite,) = results["suites"]
    assert suite["cases"] == 12
    assert "left_out" not in suite
    assert [row["command"].split()[-1] for row in results["startup"]] == ["pass", "--help", "--help"]
    page = (tmp_path / "quick.md").read_text()
    assert f"| {ours['library']} | 20 |" in page
    assert results["machine"]["date"] in page


def test_a_peer_that_does_not_install_is_left_out_with_pips_reason(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(environments, "HOME", tmp_path)
    with pytest.raises(MeasurementError, match=r"does not install: .*no_such_folder"):
        install(Peer("nobody", ("./no_such_folder",)))
    assert not (tmp_path / "nobody" / "installed").exists()


def test_an_installed_peer_is_not_installed_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(environments, "HOME", tmp_path)
    (tmp_path / "somebody").mkdir()
    (tmp_path / "somebody" / "installed").write_text("a==1\nb==2")
    install(Peer("somebody", ("a==1", "b==2")))
    assert [path.name for path in (tmp_path / "somebody").iterdir()] == ["installed"]


def test_a_program_that_is_not_done_in_time_ends_with_all_it_started(tmp_path: Path) -> None:
    with pytest.raises(MeasurementError, match="not done in 2 s"):
        run_program([sys.executable, "-c", STARTS_ANOTHER], folder=tmp_path, timeout_s=2)
    assert not _is_running(int((tmp_path / "pid").read_text()))


def _is_running(pid: int) -> bool:
    """Whether the process still does anything; an ended one may wait to be collected."""
    status = Path(f"/proc/{pid}/stat")
    deadline = time.monotonic() + 5
    while (found := status.exists() and status.read_text().split()[2] != "Z") and time.monotonic() < deadline:
        time.sleep(0.05)
    return found


def test_a_program_that_fails_says_its_last_line(tmp_path: Path) -> None:
    with pytest.raises(MeasurementError, match="^no such thing$"):
        run_program([sys.executable, "-c", "raise SystemExit('first\\nno such thing')"], folder=tmp_path, timeout_s=30)


def test_nothing_is_started_when_the_time_for_all_is_used_up() -> None:
    assert Budget(100).bound(7) == 7
    assert 90 < Budget(100).bound(500) <= 100
    with pytest.raises(MeasurementError, match="used up"):
        Budget(0.5).bound(7)


def test_a_row_that_was_left_out_says_why() -> None:
    rows: list[dict[str, object]] = [
        {"name": "fast", "command": "fast", "seconds": 0.25},
        {"name": "gone", "left_out": "it broke"},
    ]
    assert render_table(STARTUP, rows).splitlines()[2:] == ["| `fast` | 0.25 |", "| gone | left out: it broke |"]


def test_ids_take_fewer_tokens_than_the_quotes_they_stand_for() -> None:
    computed = compute_answers()
    assert computed["interviews"] == 12
    assert computed["ids_tokens"] < computed["langextract_tokens"]
    assert computed["ids_tokens"] < computed["quotes_tokens"]
    assert computed["bare_text_tokens"] < computed["numbered_text_tokens"]


def test_who_asks_for_extractions_gets_sentences_of_the_interview() -> None:
    attributes = {"type": "object", "properties": {"code": {"enum": ["write_draft"]}}}
    kind = {"type": "object", "properties": {"tasks": {"type": "string"}, "tasks_attributes": attributes}}
    schema = {"properties": {"extractions": {"type": "array", "items": kind}}}
    said = "I draft letters with it every week. I never let it sign them for me."
    written = AnswerWriter(schema, f"Q: User: An example that is not meant.\nA: {{}}\n\nQ: User: {said}\nA: ").write()
    assert [item["tasks"].strip() in said for item in written["extractions"]] == [True, True]
    assert written["extractions"][0]["tasks_attributes"] == {"code": "write_draft"}
