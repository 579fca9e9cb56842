"""Nothing phones home: commands work without a network, and do not try to reach one."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from extract.tests.samples import ROOT

WATCHED = """
import os, runpy, sys

log = os.open(sys.argv.pop(1), os.O_WRONLY | os.O_APPEND | os.O_CREAT)

def watch(event, arguments):
    if event in ("socket.getaddrinfo", "socket.gethostbyname"):
        host = arguments[0]
    elif event in ("socket.connect", "socket.sendto", "socket.sendmsg") and isinstance(arguments[-1], tuple):
        host = arguments[-1][0]
    else:
        return
    if str(host) not in ("127.0.0.1", "::1", "localhost"):
        os.write(log, f"{event} {host}\\n".encode())

sys.addaudithook(watch)
del sys.argv[0]
runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
"""
"""Runs a module and notes every host that it looks up or talks to."""

COMMANDS = {
    "demo": ["extract", "demo", "--runs", "RUNS"],
    "pytest evals": ["pytest", "evals", "-q", "-p", "no:cacheprovider", "--runs", "RUNS"],
    "a local data set": ["extract", "run", "DATA", "--engine", "rules", "--runs", "RUNS"],
}


def run(command: list[str], tmp_path: Path, *prefix: str) -> tuple[subprocess.CompletedProcess[str], str]:
    """A command with its network watched, and what it tried to reach."""
    data, log = tmp_path / "data", tmp_path / "reached"
    data.mkdir()
    (data / "interviews.csv").write_text('transcript_id,text\nt1,"AI: Hello\nUser: I bake. I worry."\n')
    parquet = "import datasets; datasets.Dataset.from_csv('{0}/interviews.csv').to_parquet('{0}/interviews.parquet')"
    subprocess.run([sys.executable, "-c", parquet.format(data)], check=True, capture_output=True)
    names = {"RUNS": str(tmp_path / "runs"), "DATA": str(data / "interviews.parquet")}
    words = [names.get(word, word) for word in command]
    away = ("VERBATIM_DATA", "ANTHROPIC_API_KEY", "OPENAI_API_KEY", "HF_HUB_OFFLINE", "HF_HUB_DISABLE_TELEMETRY")
    environment = {name: value for name, value in os.environ.items() if name not in away}
    done = subprocess.run(
        [*prefix, sys.executable, "-c", WATCHED, str(log), *words],
        cwd=ROOT, env=environment, capture_output=True, text=True, check=False, timeout=300,
    )  # fmt: skip
    return done, log.read_text()


@pytest.mark.parametrize("name", COMMANDS)
def test_no_command_looks_up_or_talks_to_any_host(name: str, tmp_path: Path) -> None:
    done, reached = run(COMMANDS[name], tmp_path)
    assert done.returncode == 0, done.stderr + done.stdout
    assert reached == ""


@pytest.mark.parametrize("name", COMMANDS)
def test_commands_work_where_there_is_no_route(name: str, tmp_path: Path) -> None:
    apart = ("unshare", "--net")
    try:
        subprocess.run([*apart, "true"], check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("needs the right to make a network namespace (root on Linux)")
    done, reached = run(COMMANDS[name], tmp_path, *apart)
    assert done.returncode == 0, done.stderr + done.stdout
    assert reached == ""


def test_the_watch_sees_who_phones_home(tmp_path: Path) -> None:
    phones = "import socket\ntry: socket.create_connection(('192.0.2.1', 9), timeout=0.01)\nexcept OSError: pass\n"
    (tmp_path / "phones.py").write_text(phones)
    log = tmp_path / "log"
    environment = {**os.environ, "PYTHONPATH": str(tmp_path)}
    subprocess.run([sys.executable, "-c", WATCHED, str(log), "phones"], env=environment, check=True)
    assert "192.0.2.1" in log.read_text()


def test_reading_a_data_set_turns_the_hub_s_telemetry_off() -> None:
    code = (
        "from extract.transcripts import _import_datasets; _import_datasets()\n"
        "import datasets.config, huggingface_hub.constants as c\n"
        "print(c.HF_HUB_DISABLE_TELEMETRY, datasets.config.HF_UPDATE_DOWNLOAD_COUNTS)"
    )
    away = {name: value for name, value in os.environ.items() if not name.startswith("HF_")}
    done = subprocess.run([sys.executable, "-c", code], env=away, capture_output=True, text=True, check=True, cwd=ROOT)
    assert done.stdout.split() == ["True", "False"]
