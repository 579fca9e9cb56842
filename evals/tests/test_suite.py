"""`pytest evals` as people run it: a process of its own, over real HTTP where a model is asked."""

import os
import re
import shutil
import signal
import subprocess
import sys
import time
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from pathlib import Path

import pytest

from evals.golden_file import write_golden
from evals.tests.samples import make_coding, make_item
from extract.tests.loopback import Loopback
from extract.tests.loopback_faults import always
from extract.tests.samples import BAKER, make_transcript
from schemas.golden import Golden

ROOT = Path(__file__).parents[2]
NAMES = ("ada", "ben", "cleo", "dora")


def add_golden(goldens: Path, name: str) -> None:
    """An invented interview with its golden, in the set `own`."""
    transcript = make_transcript(name, BAKER.replace("bakery", f"bakery called {name}"))
    (goldens / "own" / "transcripts").mkdir(parents=True, exist_ok=True)
    (goldens / "own" / "transcripts" / f"{name}.txt").write_text(transcript.text)
    span = transcript.evidence["U2.1"]
    coding = make_coding(concerns=[make_item("unreliability", (span.start, span.end), timing="lived")])
    golden = Golden(
        version=1, transcript_id=name, cohort="", dataset="invented", text_sha256=transcript.text_sha256,
        text_chars=len(transcript.text), codebook_version="1", codings={"A": coding, "B": coding}, adjudicated=coding,
        provenance="Invented.",
    )  # fmt: skip
    write_golden(goldens / "own" / f"{name}.json", golden)


@pytest.fixture
def goldens(tmp_path: Path) -> Path:
    for name in NAMES:
        add_golden(tmp_path / "goldens", name)
    return tmp_path / "goldens"


@pytest.fixture
def server() -> Iterator[Loopback]:
    with Loopback() as server:
        yield server


def run_suite(*arguments: object, cwd: Path = ROOT, **variables: str) -> subprocess.CompletedProcess[str]:
    """One `pytest evals` with a clean environment."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PYTEST", "GITHUB"))}
    command = [sys.executable, "-m", "pytest", "evals", "-p", "no:cacheprovider", *map(str, arguments)]
    environment = {**kept, "ANTHROPIC_API_KEY": "test-key", **variables}
    return subprocess.run(command, check=False, cwd=cwd, env=environment, capture_output=True, text=True, timeout=300)


def ask(goldens: Path, server: Loopback, *more: object) -> subprocess.CompletedProcess[str]:
    runs = goldens.parent / "runs"
    options = ("--goldens", goldens, "--runs", runs, "--engine", "claude", "--base-url", server.url)
    return run_suite(*options, *more)


def test_unchanged_requests_are_never_asked_again(goldens: Path, server: Loopback) -> None:
    first = ask(goldens, server)
    assert "4 asked, 0 held already" in first.stdout
    assert len(server.requests) == 4
    again = ask(goldens, server)
    assert "0 asked, 4 held already" in again.stdout
    assert len(server.requests) == 4

    edited = (goldens / "own" / "ada.json").read_text().replace("lived", "anticipated")
    (goldens / "own" / "ada.json").write_text(edited)
    ask(goldens, server)
    assert len(server.requests) == 4

    add_golden(goldens, "zoe")
    ask(goldens, server)
    assert len(server.requests) == 5

    prompt = goldens.parent / "mine"
    shutil.copytree(ROOT / "extract" / "prompts" / "v1", prompt)
    (prompt / "system.md").write_text((prompt / "system.md").read_text() + "\nBe brief.")
    ask(goldens, server, "--prompt", prompt)
    assert len(server.requests) == 10

    ask(goldens, server)
    assert len(server.requests) == 10
    assert max(server.answered.values()) == 2  # once for each prompt


def test_repeats_are_asked_and_only_the_new_ones(goldens: Path, server: Loopback) -> None:
    ask(goldens, server, "--repeat", 1)
    assert "8 asked, 4 held already" in ask(goldens, server, "--repeat", 3).stdout
    assert len(server.requests) == 12
    assert "Repeats are averaged; their spread" in ask(goldens, server, "--repeat", 3).stdout
    assert "Repeats are averaged" not in ask(goldens, server, "--repeat", 1).stdout  # the others are not scored


def test_all_requests_go_out_before_the_first_test_looks(goldens: Path) -> None:
    with Loopback(latency_s=0.5) as server:
        ask(goldens, server)
        arrived = [seen.at for seen in server.requests]
        assert len(arrived) == 4
        assert max(arrived) - min(arrived) < 0.5  # the last was there before the first was answered


def test_only_what_the_chosen_tests_need_is_asked(goldens: Path, server: Loopback) -> None:
    ask(goldens, server, "-k", "ben")
    assert len(server.requests) == 1
    ask(goldens, server, "-k", "concerns")
    assert len(server.requests) == 4


def test_parallel_workers_ask_once(goldens: Path, server: Loopback) -> None:
    done = ask(goldens, server, "-n", "2")
    assert len(server.requests) == 4
    assert "grounded F1" in done.stdout
    assert max(server.answered.values()) == 1


def test_a_failure_fails_its_interview_and_counts_as_0(goldens: Path) -> None:
    with Loopback(plan=always("refusal")) as server:
        done = ask(goldens, server, "-rf")
    assert done.returncode == 1
    assert "FAILED evals/test_extraction.py::test_record_is_an_extraction[ada]" in done.stdout
    assert "4 records failed. A failure counts as 0." in done.stdout
    assert re.search(r"^all +\.000", done.stdout, re.MULTILINE)


def test_batches_answer_the_suite_and_are_not_sent_again(goldens: Path, server: Loopback) -> None:
    options = ("--goldens", goldens, "--runs", goldens.parent / "runs", "--base-url", server.url, "--engine", "batches")
    assert "4 asked, 0 held already" in run_suite(*options).stdout
    assert "0 asked, 4 held already" in run_suite(*options).stdout
    assert len(server.batches.batches) == 1


def test_a_money_limit_stops_before_it_and_says_so(goldens: Path, server: Loopback) -> None:
    done = ask(goldens, server, "--max-cost", "0.000001")
    assert done.returncode == 1
    assert server.requests == []
    assert "Stopped: --max-cost 1e-06 would be passed" in done.stdout


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("--engine", "gpt"), "Unknown engine 'gpt'"),
        (("--set", "mine"), "No golden set 'mine'"),
        (("--run", "nowhere"), "No run 'nowhere'"),
        (("--prompt", "v99"), "Unknown prompt 'v99'"),
        (("--require-goldens", "99"), "--require-goldens 99: only"),
        (("--goldens", "nowhere"), "No folder 'nowhere'"),
        (("--baseline", "nowhere"), "No run 'nowhere'"),
        (("--engine", "replay"), "Score its run with --run RUN"),
        (("--repeat", "0"), "'0' is not a whole number from 1"),
        (("--max-cost", "-1"), "'-1' is not a number above 0"),
        (("--codebook", "nowhere.toml"), "Cannot read the codebook 'nowhere.toml'"),
    ],
)
def test_a_wrong_option_is_one_sentence_and_a_status(tmp_path: Path, arguments: tuple[str, ...], says: str) -> None:
    done = run_suite(*arguments, "--runs", tmp_path)
    assert done.returncode not in (0, 5)
    assert says in done.stdout + done.stderr
    assert not re.search("Traceback|INTERNALERROR|conftest.py", done.stdout + done.stderr)


def test_a_baseline_that_is_not_there_is_said_before_anything_is_asked(goldens: Path, server: Loopback) -> None:
    assert "No run 'nowhere'" in ask(goldens, server, "--baseline", "nowhere").stdout
    assert server.requests == []


def test_parallel_workers_end_in_one_sentence_too(goldens: Path) -> None:
    done = run_suite("--goldens", goldens, "--engine", "claude", "-n", "2", "--runs", goldens, ANTHROPIC_API_KEY="")
    assert done.returncode != 0
    assert "No key for Claude" in done.stdout
    assert not re.search("Traceback|INTERNALERROR|During handling", done.stdout + done.stderr)


def test_no_key_is_one_sentence(goldens: Path) -> None:
    done = run_suite("--goldens", goldens, "--engine", "claude", "--runs", goldens.parent, ANTHROPIC_API_KEY="")
    assert done.returncode == 1
    assert "No key for Claude. Set ANTHROPIC_API_KEY" in done.stdout


def test_rules_on_every_golden_are_no_worse_than_the_accepted_run(tmp_path: Path) -> None:
    done = run_suite(
        "--runs", tmp_path, "--junitxml", tmp_path / "junit.xml", GITHUB_STEP_SUMMARY=str(tmp_path / "step.md")
    )
    assert done.returncode == 0, done.stdout
    assert re.search(r"^all .* no worse$", done.stdout, re.MULTILINE)
    assert len(re.findall(r"^authored_\w+  \.\d+  golden", done.stdout, re.MULTILINE)) <= 5
    properties = ET.parse(tmp_path / "junit.xml").iter("property")
    scores = {p.get("name"): p.get("value") for p in properties}
    assert scores.keys() >= {"grounded_f1", "grounded_f1_low", "baseline_f1", "difference", "verdict"}
    assert scores["verdict"] == "no worse"
    written = (tmp_path / "step.md").read_text()
    assert "| grounded F1 | score |" in written
    assert "| all |" in written


def test_a_stored_run_is_scored_without_asking_anything(tmp_path: Path) -> None:
    run_suite("--runs", tmp_path, "--set", "authored")
    (run,) = (path.parent for path in tmp_path.glob("*/manifest.json"))
    before = (run / "records.jsonl").read_bytes()
    done = run_suite("--run", run, "--baseline", run, "-k", "concerns", "--set", "authored")
    assert done.returncode == 0
    assert re.search(r"^concerns .* \+0\.000 .* no worse$", done.stdout, re.MULTILINE)
    assert (run / "records.jsonl").read_bytes() == before


def test_missing_texts_are_said_once_at_the_end(tmp_path: Path) -> None:
    done = run_suite("--runs", tmp_path, VERBATIM_DATA="")
    assert done.returncode == 0
    assert done.stdout.count("40 of 52 goldens are left out") == 1
    assert run_suite("--runs", tmp_path, "--require-goldens", "52", VERBATIM_DATA="").returncode != 0


def test_the_suite_is_quiet_where_none_of_it_is_collected() -> None:
    command = [sys.executable, "-m", "pytest", "schemas/tests/test_golden.py", "-q", "-p", "no:cacheprovider"]
    done = subprocess.run(command, check=False, cwd=ROOT, capture_output=True, text=True, timeout=100)
    assert "goldens" not in done.stdout
    command += ["--engine", "rules"]
    wrong = subprocess.run(command, check=False, cwd=ROOT, capture_output=True, text=True, timeout=100)
    assert "unrecognized arguments: --engine" in wrong.stderr
    collected = run_suite("--collect-only", "-q")
    assert "test_evidence_is_the_interviewee[authored_work_01]" in collected.stdout
    assert "test_f1_not_below_baseline[concerns]" in collected.stdout
    assert "evals/tests" not in collected.stdout


def test_a_test_that_is_named_is_skipped_with_the_reason_where_its_text_is_missing(tmp_path: Path) -> None:
    named = "evals/test_extraction.py::test_evidence_is_the_interviewee[work_0469]"
    command = [sys.executable, "-m", "pytest", named, "--runs", str(tmp_path), "-p", "no:cacheprovider"]
    kept = {name: value for name, value in os.environ.items() if name != "VERBATIM_DATA"}
    done = subprocess.run(command, check=False, cwd=ROOT, env=kept, capture_output=True, text=True, timeout=100)
    assert done.returncode == 0
    assert re.search(r"SKIPPED \[1\] .*their text, Anthropic/AnthropicInterviewer, is not here", done.stdout)


def test_one_interview_alone_is_scored_beside_its_own_ceiling_and_not_compared(tmp_path: Path, goldens: Path) -> None:
    done = run_suite("--goldens", goldens, "--runs", tmp_path, "-k", "ada")
    assert done.returncode == 0
    assert "rules v1: 1 interview scored (1 own), 0 records failed." in done.stdout
    assert re.search(r"^all +\S+ +- +1\.00 ", done.stdout, re.MULTILINE)
    assert done.stdout.count("warning: Nothing is compared: this run and baseline rules v1 share 0 interviews") == 1


def test_a_run_over_none_of_the_goldens_fails(goldens: Path, tmp_path: Path) -> None:
    run_suite("--goldens", goldens, "--runs", tmp_path)
    (run,) = (path.parent for path in tmp_path.glob("*/manifest.json"))
    done = run_suite("--run", run, "--set", "authored")
    assert done.returncode == 1
    assert "holds no record of the 12 goldens" in done.stdout


def test_a_codebook_of_your_own_is_scored_and_not_compared(tmp_path: Path) -> None:
    codebook = tmp_path / "mine.toml"
    text = (ROOT / "schemas" / "codebook.toml").read_text()
    codebook.write_text(text.replace('version = "1"', 'version = "mine"'))
    assert codebook.read_text() != text
    done = run_suite("--codebook", codebook, "--runs", tmp_path, "--set", "authored", "-k", "f1")
    assert done.returncode == 0
    assert "were made with different codebooks" in done.stdout
    run = next(path.parent for path in tmp_path.glob("*/manifest.json"))
    refused = run_suite("--baseline", run, "--runs", tmp_path / "more", "--set", "authored", "-k", "f1")
    assert refused.returncode == 1
    assert "were made with different codebooks" in refused.stdout


def test_a_step_summary_that_cannot_be_written_costs_nobody_the_result(tmp_path: Path, goldens: Path) -> None:
    place = str(tmp_path / "nowhere" / "step.md")
    done = run_suite("--goldens", goldens, "--runs", tmp_path, GITHUB_STEP_SUMMARY=place)
    assert done.returncode == 0
    assert f"GITHUB_STEP_SUMMARY: cannot write {place!r}" in done.stdout


def test_ctrl_c_keeps_what_came_and_the_same_command_asks_for_the_rest(goldens: Path) -> None:
    with Loopback(latency_s=1.0) as server:
        options = ("--goldens", goldens, "--runs", goldens.parent / "runs", "--engine", "claude", "--concurrency", "1")
        command = [sys.executable, "-m", "pytest", "evals", "-p", "no:cacheprovider", *map(str, options)]
        environment = os.environ | {"ANTHROPIC_API_KEY": "test-key"}
        process = subprocess.Popen(
            [*command, "--base-url", server.url], cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True
        )
        while len(server.requests) < 2:
            time.sleep(0.01)
        process.send_signal(signal.SIGINT)
        shown, _ = process.communicate(timeout=100)
        assert process.returncode == 2
        assert "Stopped by Ctrl-C with 2 answered and kept" in shown
        assert "2 asked, 2 held already" in ask(goldens, server).stdout
        assert len(server.requests) == 4


def copy_project(folder: Path) -> Path:
    for name in ("schemas", "extract", "evals", "goldens", "runs/baseline"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__", "tests"))
    shutil.copy(ROOT / "pyproject.toml", folder)
    (folder / "evals" / "tests").mkdir()
    return folder


def test_rules_that_got_worse_fail_and_unchanged_ones_pass(tmp_path: Path) -> None:
    project = copy_project(tmp_path)
    assert run_suite(cwd=project).returncode == 0
    cues = project / "extract" / "engines" / "rules.toml"
    lines = cues.read_text().splitlines()
    start = next(n for n, line in enumerate(lines) if line.startswith("[concerns."))
    end = next(n for n, line in enumerate(lines) if line.startswith("[future_wishes."))
    lost = ['strong = "zzyzx"' if line.startswith("strong") else "" if line.startswith("weak") else line
            for line in lines[start:end]]  # fmt: skip
    cues.write_text("\n".join([*lines[:start], *lost, *lines[end:]]))
    done = run_suite("-rf", cwd=project)
    assert done.returncode == 1
    assert "FAILED evals/test_extraction.py::test_f1_not_below_baseline[concerns]" in done.stdout
    assert "worse than the accepted run" in done.stdout
