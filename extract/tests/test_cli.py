"""The command line as people type it: what each command says, on which stream, and its exit status."""

import json
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from extract.cli import main
from extract.store import open_run
from extract.tests.loopback import Loopback
from extract.tests.loopback_faults import always, first_attempts
from extract.tests.samples import AUTHORED, BAKER, ROOT

KEY = "sk-loopback-secret-0123456789"


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of its own to stand in, with one table of three interviews; keys are set."""
    monkeypatch.chdir(tmp_path)
    for name in ("ANTHROPIC_API_KEY", "OPENAI_API_KEY"):
        monkeypatch.setenv(name, KEY)
    rows = [{"transcript_id": f"t{n}", "text": f"{BAKER} Number {n}."} for n in range(3)]
    (tmp_path / "three.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return tmp_path


@pytest.fixture
def server() -> Iterator[Loopback]:
    with Loopback() as running:
        yield running


def call(*words: str) -> int:
    try:
        return main(words)
    except SystemExit as error:  # argparse ends in this way
        return int(str(error.code))


def find_runs() -> list[Path]:
    return sorted(Path("runs").glob("*")) if Path("runs").exists() else []


def read_lines(capsys: pytest.CaptureFixture[str]) -> list[str]:
    return capsys.readouterr().err.splitlines()


# ---------------------------------------------------------------- errors


@pytest.mark.parametrize(
    ("words", "status", "says"),
    [
        ([], 2, "COMMAND. See: python -m extract --help"),
        (["nope"], 2, "invalid choice: 'nope'"),
        (["run"], 2, "name a SOURCE, or --resume RUN"),
        (["run", "x", "--engine", "gpt"], 2, "invalid choice: 'gpt'"),
        (["run", "x", "--limit", "0"], 2, "'0' is not a whole number from 1"),
        (["run", "x", "--max-cost", "-1"], 2, "'-1' is not a number above 0"),
        (["run", "x", "--max-cost", "nan"], 2, "'nan' is not a number above 0"),
        (["run", "x", "--base-url", "localhost"], 2, "begins with http:// or https://"),
        (["run", "x", "--base-url", "http://me:secret@host"], 2, "may not hold a key or a password"),
        (["run", "x", "--from", "last"], 2, "--from is for --engine replay"),
        (["run", "x", "--lim", "3"], 2, "unrecognized arguments: --lim"),
        (["run", "nope.csv", "--engine", "rules"], 1, "No such file or folder: 'nope.csv'"),
        (["run", "nope/nope.csv", "--engine", "rules"], 1, "No such file or folder: 'nope/nope.csv'"),
        (["run", "three.jsonl", "--engine", "rules", "--ids", "t9"], 1, "No transcript 't9' in 'three.jsonl'"),
        (["run", "three.jsonl", "--engine", "rules", "--text-column", "x"], 1, "The columns are: transcript_id, text"),
        (["run", "three.jsonl", "--engine", "rules", "--model", "x"], 1, "has no model 'x'"),
        (["run", "three.jsonl", "--engine", "replay"], 1, "Name a run with --from"),
        (["run", "three.jsonl", "--engine", "rules", "--prompt", "v99"], 1, "Unknown prompt 'v99'. Choose one of: v1"),
        (["run", "three.jsonl", "--codebook", "nope.toml"], 1, "Cannot read the codebook 'nope.toml'"),
        (["run", "three.jsonl", "--model", "claude-unknown-9", "--max-cost", "1"], 1, "No price is known"),
        (["run", "--resume", "nope"], 1, "No run 'nope'. List them with"),
        (["show", "last"], 1, "No runs in 'runs' yet"),
        (["show", "nope"], 1, "No run 'nope'"),
        (["prompt", "nope", "--source", "three.jsonl"], 1, "No transcript 'nope'"),
        (["schema", "--codebook", "nope.toml"], 1, "Cannot read the codebook"),
    ],
)
def test_what_is_wrong_is_one_line_on_stderr_and_begins_no_run(
    words: list[str], status: int, says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert call(*words) == status
    captured = capsys.readouterr()
    assert captured.out == ""
    assert len(captured.err.splitlines()) == 1
    assert says in captured.err
    assert find_runs() == []


def test_a_codebook_that_is_malformed_is_one_line_with_its_place(capsys: pytest.CaptureFixture[str]) -> None:
    text = (ROOT / "schemas" / "codebook.toml").read_text().replace("[concerns]", "[worries]")
    Path("mine.toml").write_text(text)
    assert call("codebook", "--codebook", "mine.toml") == 1
    line = text.splitlines().index("[worries]") + 1
    assert f"mine.toml, line {line}: unknown section 'worries'" in read_lines(capsys)[0]


def test_an_account_that_is_turned_away_is_one_line_and_leaves_no_run(capsys: pytest.CaptureFixture[str]) -> None:
    with Loopback(plan=always("unauthorised")) as server:
        assert call("run", "three.jsonl", "--base-url", server.url) == 1
    lines = [line for line in read_lines(capsys) if " done, " not in line]
    assert len(lines) == 1
    assert "The provider refuses the key (401)" in lines[0]
    assert find_runs() == []


# ---------------------------------------------------------------- run


def test_a_run_says_what_it_did_and_how_to_see_it(capsys: pytest.CaptureFixture[str]) -> None:
    assert call("run", "three.jsonl", "--engine", "rules") == 0
    lines = read_lines(capsys)
    run = find_runs()[0]
    assert lines[0].startswith("3 new, 0 held already. rules, prompt v1, complete: 3 extracted, 0 failed")
    assert lines[-1] == f"Run: {run}   Look at it with: python -m extract show {run}"


def test_the_same_command_again_asks_for_nothing(server: Loopback, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["run", "three.jsonl", "--base-url", server.url]
    assert [call(*words), call(*words), call("run", "--resume", "last")] == [0, 0, 0]
    assert len(server.requests) == 3
    assert "0 new, 3 held already" in read_lines(capsys)[-2]
    assert len(find_runs()) == 1


def test_new_begins_another_run(capsys: pytest.CaptureFixture[str]) -> None:
    for words in ([], ["--new"]):
        assert call("run", "three.jsonl", "--engine", "rules", *words) == 0
    assert len(find_runs()) == 2


def test_more_of_the_same_source_goes_on_in_the_same_run_and_resume_repeats_the_newest(server: Loopback) -> None:
    words = ["run", "three.jsonl", "--base-url", server.url]
    assert call(*words, "--limit", "1") == 0
    assert call(*words, "--limit", "3", "--repeat", "2") == 0
    assert call("run", "--resume", "last") == 0
    manifest = open_run("last").manifest
    assert (manifest.records, manifest.repeats, len(server.requests)) == (6, 2, 6)
    assert "--repeat" in manifest.command


def test_resume_finds_its_source_from_another_folder(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert call("run", "three.jsonl", "--engine", "rules") == 0
    run = find_runs()[0].resolve()
    (here / "other").mkdir()
    monkeypatch.chdir(here / "other")
    assert call("run", "--resume", str(run)) == 0


def test_resume_alone_refuses_what_it_would_not_do(capsys: pytest.CaptureFixture[str]) -> None:
    assert call("run", "three.jsonl", "--engine", "rules") == 0
    assert call("run", "--resume", "last", "--model", "x") == 1
    assert "--model stays as the run began" in read_lines(capsys)[-1]


def test_a_run_made_otherwise_is_not_resumed(capsys: pytest.CaptureFixture[str]) -> None:
    assert call("run", "three.jsonl", "--engine", "rules") == 0
    assert call("run", "three.jsonl", "--engine", "claude", "--resume", "last") == 1
    assert "was made with another engine: 'rules', not 'claude'" in read_lines(capsys)[-1]


def test_failures_are_counted_by_kind_and_asked_again_only_when_told(capsys: pytest.CaptureFixture[str]) -> None:
    with Loopback(plan=first_attempts("refusal")) as server:
        words = ["run", "three.jsonl", "--base-url", server.url]
        assert [call(*words), call(*words)] == [1, 1]
        lines = read_lines(capsys)
        assert "Failed: 3 refusal." in lines
        assert any(line.endswith(f"run --resume {find_runs()[0]} --retry-failed") for line in lines)
        assert len(server.requests) == 3
        assert call("run", "--resume", "last", "--retry-failed") == 0
        assert len(server.requests) == 6
    assert "3 extracted, 0 failed" in read_lines(capsys)[0]


def test_unreadable_rows_are_to_be_mended_and_not_to_be_asked_again(capsys: pytest.CaptureFixture[str]) -> None:
    Path("rows.csv").write_text('id,text\n1,"User: I use AI to write."\n2,\n1,"User: Twice."\n')
    assert call("run", "rows.csv", "--engine", "rules") == 0
    lines = read_lines(capsys)
    assert "Failed: 2 unreadable." in lines
    assert not any("--retry-failed" in line for line in lines)
    Path("rows.csv").write_text('id,text\n1,"User: I use AI to write."\n2,"User: Mended."\n')
    assert call("run", "rows.csv", "--engine", "rules") == 0
    assert "1 new, 1 held already" in read_lines(capsys)[0]


def test_a_file_that_is_no_text_stops_with_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    Path("scan.txt").write_bytes(b"\x00\x01\x02" * 50)
    assert call("run", "scan.txt", "--engine", "rules") == 1
    assert "'scan.txt' is not text." in read_lines(capsys)[0]


def test_a_money_limit_ends_with_3_and_the_way_on_keeps_it(
    server: Loopback, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = [{"transcript_id": f"t{n}", "text": f"{BAKER} Number {n}."} for n in range(30)]
    Path("many.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    words = ["run", "many.jsonl", "--base-url", server.url, "--max-tokens", "1000", "--max-cost", "0.1"]
    assert call(*words) == 3
    manifest = open_run("last").manifest
    assert manifest.cost_usd is not None
    assert 0 < manifest.cost_usd <= 0.1
    assert manifest.status == "stopped"
    assert any(line.endswith(f"run --resume {find_runs()[0]} --max-cost 0.1") for line in read_lines(capsys))


def test_a_dry_run_says_requests_tokens_and_dollars_and_asks_nothing(
    server: Loopback, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("ANTHROPIC_API_KEY")
    assert call("run", "three.jsonl", "--base-url", server.url, "--dry-run", "--repeat", "2") == 0
    said = capsys.readouterr().out
    assert "6 requests to claude-sonnet-5-5, 0 held already." in said
    assert re.search(r"About [\d.]+k tokens in .* out: about \$\d", said)
    assert server.requests == []
    assert find_runs() == []
    assert call("run", "three.jsonl", "--model", "claude-unknown-9", "--dry-run") == 0
    assert "unknown cost" in capsys.readouterr().out


def test_ids_and_limit_choose(server: Loopback) -> None:
    words = ["run", "three.jsonl", "--base-url", server.url]
    assert call(*words, "--ids", "t2,t0") == 0
    assert {record.transcript_id for record in open_run("last").read_records()} == {"t0", "t2"}
    assert call(*words, "--limit", "1") == 0
    assert len(server.requests) == 2


def test_standard_input_is_an_interview() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "extract", "run", "-", "--engine", "rules"],
        input=BAKER.encode(), cwd=os.getcwd(), env={**os.environ, "PYTHONPATH": str(ROOT)}, capture_output=True,
        check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert [record.transcript_id for record in open_run("last").read_records()] == ["stdin"]


def test_a_codebook_of_ones_own_goes_the_whole_way(server: Loopback, capsys: pytest.CaptureFixture[str]) -> None:
    text = (ROOT / "schemas" / "codebook.toml").read_text()
    Path("mine.toml").write_text(text.replace("job_income", "lost_work").replace("unreliability", "not_trusted"))
    mine = ["--codebook", "mine.toml"]
    assert call("run", "three.jsonl", "--base-url", server.url, *mine) == 0
    assert call("run", "three.jsonl", "--engine", "rules", *mine) == 0
    assert call("schema", *mine) == 0
    shown = capsys.readouterr().out
    assert "lost_work" in shown
    assert "job_income" not in shown
    codes = {
        item.code
        for r in open_run(find_runs()[0]).read_records()
        if r.extraction
        for _, item in r.extraction.iterate_items()
    }
    assert codes <= set(re.findall(r"^(\w+) =", Path("mine.toml").read_text(), re.MULTILINE))
    assert call("run", "three.jsonl", "--base-url", server.url) == 0
    assert len(server.requests) == 6


def test_no_key_reaches_a_file_or_the_terminal(capsys: pytest.CaptureFixture[str], here: Path) -> None:
    with Loopback(plan=first_attempts("overloaded", "bad_json_answer", "refusal")) as server:
        call("run", "three.jsonl", "--base-url", server.url)
        openai = ["--engine", "provider", "--model", "openai/gpt-5-mini", "--base-url", f"{server.url}/v1"]
        call("run", "three.jsonl", *openai)
    captured = capsys.readouterr()
    assert KEY not in captured.out + captured.err
    assert len(find_runs()) == 2
    assert not [path for path in here.rglob("*") if path.is_file() and KEY.encode() in path.read_bytes()]


# ---------------------------------------------------------------- looking


def test_show_lists_a_run_and_shows_one_interview(capsys: pytest.CaptureFixture[str]) -> None:
    assert call("run", str(AUTHORED), "--engine", "rules") == 0
    capsys.readouterr()
    for name in ("last", find_runs()[0].name, str(find_runs()[0])):
        assert call("show", name) == 0
        assert "authored_work_02" in capsys.readouterr().out
    assert call("show", "last", "authored_work_02") == 0
    shown = capsys.readouterr().out
    assert "Future wishes" in shown
    assert re.search(r"U\d+\.\d+  “", shown)
    assert call("show", "last", "nobody") == 1
    assert "No transcript 'nobody' in run" in read_lines(capsys)[0]


def test_show_lists_the_first_interviews_of_a_large_run_and_says_how_to_see_the_rest(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert call("run", str(AUTHORED), "--engine", "rules") == 0
    monkeypatch.setattr("extract.commands.SHOWN", 5)
    monkeypatch.setattr("extract.terminal.PAGE", 4)
    capsys.readouterr()
    assert call("show", "last") == 0
    first = capsys.readouterr().out
    assert len(re.findall(r"^authored_", first, re.MULTILINE)) == 5
    assert first.endswith("\n7 more. See all with: python -m extract show last --all\n")
    assert call("show", "last", "--all") == 0
    shown = capsys.readouterr().out
    assert len(re.findall(r"^authored_", shown, re.MULTILINE)) == 12
    assert "more" not in shown


def test_runs_says_which_of_them_cannot_be_read(capsys: pytest.CaptureFixture[str]) -> None:
    assert call("run", "three.jsonl", "--engine", "rules") == 0
    (Path("runs") / "broken").mkdir()
    (Path("runs") / "broken" / "manifest.json").write_text("{")
    capsys.readouterr()
    assert call("runs") == 0
    out, said = capsys.readouterr()
    assert "three.jsonl" in out
    assert said.startswith("The manifest of run 'broken' cannot be read: ")


def test_runs_lists_them_oldest_first_and_says_when_there_are_none(capsys: pytest.CaptureFixture[str]) -> None:
    assert call("runs") == 0
    assert "No runs in 'runs' yet" in capsys.readouterr().out
    for words in ([], ["--new"]):
        call("run", "three.jsonl", "--engine", "rules", *words)
    made = [store.name for store in (open_run(run).path for run in find_runs())]
    capsys.readouterr()
    assert call("runs") == 0
    listed = capsys.readouterr().out
    assert all(name in listed for name in made)
    last = re.findall(r"^\d{8}T\d{6}Z\S+", listed, re.MULTILINE)[-1]
    assert call("show", "last") == 0
    assert last in capsys.readouterr().out


def test_schema_prints_json_and_codebook_every_code(capsys: pytest.CaptureFixture[str]) -> None:
    assert call("schema") == 0
    assert set(json.loads(capsys.readouterr().out)["properties"]) >= {"tasks", "concerns"}
    assert call("codebook") == 0
    shown = capsys.readouterr().out
    assert "unreliability: " in shown
    assert "## future_wishes" in shown


def test_prompt_shows_what_would_be_sent_with_its_token_count(capsys: pytest.CaptureFixture[str]) -> None:
    assert call("prompt", "t1", "--source", "three.jsonl") == 0
    shown = capsys.readouterr().out
    assert re.search(r"system \(v1, about \d+ tokens, cached\)", shown)
    assert re.search(r"user \(about \d+ tokens\)", shown)
    assert "[U1.2] It drafts my weekly newsletter and I rewrite the jokes." in shown


def test_the_demo_shows_its_own_run_even_after_others() -> None:
    def show_demo() -> str:
        return subprocess.run(
            [sys.executable, "-m", "extract", "demo"], env={**os.environ, "PYTHONPATH": str(ROOT)}, text=True,
            capture_output=True, check=True,
        ).stdout  # fmt: skip

    show_demo()
    time.sleep(1.01)  # run ids count seconds
    assert call("run", "three.jsonl", "--engine", "rules") == 0
    assert show_demo().lstrip().startswith("authored_work_02")
    assert len(find_runs()) == 2


def test_help_names_every_command_and_imports_nothing_heavy() -> None:
    code = (
        "import sys\nfrom extract.cli import main\n"
        "try: main(['--help'])\nexcept SystemExit: pass\n"
        "heavy = {'anthropic', 'instructor', 'openai', 'datasets', 'pydantic', 'rich', 'sentencex', 'ftfy', 'numpy'}\n"
        "print(sorted(heavy & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"
    for name in ("run", "show", "runs", "schema", "codebook", "prompt", "demo"):
        assert re.search(rf"^    {name} ", done.stdout, re.MULTILINE)


@pytest.mark.skipif(shutil.which("sh") is None, reason="needs a shell for its pipe")
def test_a_reader_that_stops_early_is_no_error() -> None:
    command = f"{sys.executable} -m extract schema | head -n 1; exit ${{PIPESTATUS:-0}}"
    done = subprocess.run(["sh", "-c", command], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.stdout == "{\n"
    assert done.stderr == ""
