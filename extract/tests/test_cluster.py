"""The cluster: on two local nodes where Ray is installed, and the driver's and workers' own parts without it."""

import asyncio
import contextlib
import importlib.util
import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from extract.engines import EngineOptions, StoringEngine, open_engine
from extract.engines.cluster_worker import Question, Report, Setup, Worker
from extract.errors import EngineError
from extract.pipeline import describe_run
from extract.store import RunStore, create_run
from extract.tests.samples import BAKER, ROOT, make_prompt, make_request, make_transcript

RULES = EngineOptions(inner="rules")
NEEDS_RAY = pytest.mark.skipif(importlib.util.find_spec("ray") is None, reason="needs Ray: pip install '.[cluster]'")


@pytest.fixture(scope="module")
def facts(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """What `cluster_runner` saw, and no process of it left."""
    command = [sys.executable, "-m", "extract.tests.cluster_runner", str(tmp_path_factory.mktemp("cluster"))]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONWARNINGS": "ignore"}
    runner = subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    try:
        said, told = runner.communicate(timeout=240)
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(runner.pid, signal.SIGKILL)
    assert runner.returncode == 0, told[-5000:]
    return json.loads(said.splitlines()[-1])


@NEEDS_RAY
def test_two_nodes_give_the_records_of_one_machine_byte_for_byte(facts: Any) -> None:
    compared = facts["compared"]
    assert compared["same"]
    assert 0 < compared["failed"] < 60
    assert compared["requests"][0] == compared["requests"][1]


@NEEDS_RAY
def test_the_files_of_all_workers_are_read_as_one_run_and_never_asked_again(facts: Any) -> None:
    compared = facts["compared"]
    assert compared["files"] >= 2
    assert compared["read_as_one"]
    assert compared["asked_again"] == 5  # the five interviews that were new


@NEEDS_RAY
@pytest.mark.parametrize("known", ["given", "learned"])
def test_the_account_s_limit_is_held_by_all_workers_together(facts: Any, known: str) -> None:
    measured = facts["limits"][known]
    assert measured["rate"] == pytest.approx(40, rel=0.05)
    assert measured["busiest"] <= 44


@NEEDS_RAY
def test_a_limit_of_tokens_is_held_too(facts: Any) -> None:
    measured = facts["limits"]["tokens"]
    assert measured["rate"] == pytest.approx(measured["limit"], rel=0.05)


@NEEDS_RAY
def test_a_node_killed_at_half_loses_nothing_and_repeats_at_most_what_was_in_flight(facts: Any) -> None:
    killed = facts["killed"]
    assert (killed["records"], killed["lines"]) == (240, 240)
    assert killed["asked_twice"] <= killed["in_flight"] == 25


@NEEDS_RAY
def test_a_request_whose_workers_die_three_times_is_a_failure_and_asked_no_more(facts: Any) -> None:
    dying = facts["dying"]
    assert dying == {"failures": ["The worker that asked died, 3 times."], "records": 3, "asked": 9}


@NEEDS_RAY
def test_a_refused_key_stops_the_cluster_in_one_sentence(facts: Any) -> None:
    assert facts["refused"] == "The provider refuses the key (401): invalid x-api-key. Check the key and its rights."


@NEEDS_RAY
def test_without_a_folder_that_all_see_the_drafts_come_back_through_the_driver(facts: Any) -> None:
    assert facts["without_folder"] == 20


# ---------------------------------------------------------------- without Ray


@pytest.fixture
def store(tmp_path: Path) -> RunStore:
    return create_run(tmp_path, describe_run(make_prompt(), open_engine("cluster", RULES), "here", 1))


def work(setup: Setup, count: int = 3) -> list[dict[str, Any]]:
    """What a worker over the rules says of so many interviews."""

    async def run() -> list[dict[str, Any]]:
        worker = Worker(setup, None)
        assert await worker.open() == Report([], None, None)
        await worker.ask([make_question(n) for n in range(count)])
        await worker.learn(0, "system", make_prompt().format)  # a message may overtake another
        outcomes: list[Any] = []
        while len(outcomes) < count:
            report = await worker.collect()
            assert report.problem is None
            outcomes += report.outcomes
        return [outcome.values for outcome in sorted(outcomes)]

    return asyncio.run(run())


def make_question(number: int) -> Question:
    transcript = make_transcript(f"t{number}", f"{BAKER} Number {number}.")
    request = make_prompt().render(transcript, model="rules", parameters={})
    return Question(number, 0, transcript, request.user, 0, request.hash)


def make_setup(store: RunStore, **changes: Any) -> Setup:
    shard = "records-20260901T101500000000Z-a1b2c3.jsonl"
    values: dict[str, Any] = {"shard": shard, "folder": store.path, "run_id": store.manifest.run_id}
    return Setup("rules", RULES, {}, **(values | changes))


def test_a_worker_keeps_its_records_and_tells_where(store: RunStore) -> None:
    outcomes = work(make_setup(store))
    assert all(values["draft"] is None for values in outcomes)
    for number, values in enumerate(outcomes):
        file, offset = values["stored_at"]
        line = (store.path / file).read_bytes()[offset:].split(b"\n")[0]
        assert json.loads(line)["transcript_id"] == f"t{number}"
    assert [record.transcript_id for record in store.read_records()] == ["t0", "t1", "t2"]
    with store:
        assert store.holds("t1", make_question(1).hash)
        assert store.find_answer(make_question(2).hash) is not None


@pytest.mark.parametrize("changes", [{"folder": None}, {"folder": Path("/no/such")}, {"run_id": "another"}])
def test_a_worker_that_does_not_see_the_run_sends_the_drafts(store: RunStore, changes: dict[str, Any]) -> None:
    outcomes = work(make_setup(store, **changes))
    assert all(values["draft"] and values["stored_at"] is None for values in outcomes)
    assert list(store.path.glob("records-*")) == []


def test_a_worker_whose_disk_refuses_sends_the_drafts(store: RunStore) -> None:
    setup = make_setup(store)
    (store.path / setup.shard).mkdir()
    assert all(values["draft"] for values in work(setup))


def test_a_worker_that_cannot_open_its_engine_says_why() -> None:
    setup = Setup("replay", EngineOptions(run="/no/such"), {})
    report = asyncio.run(Worker(setup, None).open())
    assert report.problem is not None
    assert "/no/such" in report.problem


def test_a_key_of_the_worker_s_own_is_kept_and_none_is_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANTHROPIC_API_KEY", "sk-own")
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    setup = Setup("rules", RULES, {"ANTHROPIC_API_KEY": "sk-driver", "OPENAI_API_KEY": "sk-driver"})
    asyncio.run(Worker(setup, None).open())
    assert (os.environ["ANTHROPIC_API_KEY"], os.environ["OPENAI_API_KEY"]) == ("sk-own", "sk-driver")
    monkeypatch.delenv("OPENAI_API_KEY")
    assert "sk-" not in repr(setup)


def test_a_request_has_the_hash_that_it_has_on_one_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANTHROPIC_API_KEY", "sk-loopback")
    alone, cluster = open_engine("claude"), open_engine("cluster")
    assert (alone.model, alone.parameters) == (cluster.model, cluster.parameters)
    assert isinstance(cluster, StoringEngine)
    assert not isinstance(alone, StoringEngine)


@pytest.mark.parametrize("inner", ["cluster", "gpt"])
def test_an_engine_that_a_worker_cannot_drive_is_refused(inner: str) -> None:
    with pytest.raises(EngineError, match=f"The cluster cannot drive '{inner}'. Choose one of: claude, provider"):
        open_engine("cluster", EngineOptions(inner=inner))


def test_an_address_where_no_ray_is_is_one_sentence() -> None:
    pytest.importorskip("ray", reason="needs Ray: pip install '.[cluster]'")
    engine = open_engine("cluster", EngineOptions(inner="rules", address="127.0.0.1:1"))
    with pytest.raises(EngineError, match=r"Cannot reach a Ray cluster at '127.0.0.1:1': .* Check --ray-address."):
        list(engine.complete([make_request()]))


def test_without_requests_no_ray_is_started() -> None:
    assert list(open_engine("cluster", RULES).complete([])) == []


def test_without_ray_the_way_to_get_it_is_named(tmp_path: Path) -> None:
    (tmp_path / "ray.py").write_text("raise ImportError")
    command = [sys.executable, "-m", "extract", "run", str(ROOT / "goldens" / "authored" / "transcripts")]
    command += ["--engine", "cluster", "--inner-engine", "rules", "--runs", str(tmp_path / "runs")]
    environment = {**os.environ, "PYTHONPATH": f"{tmp_path}:{ROOT}"}
    done = subprocess.run(command, check=False, env=environment, capture_output=True, text=True, timeout=60)
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1] == (
        "python -m extract: Ray is not installed. Install it with: pip install '.[cluster]'"
    )
    assert list((tmp_path / "runs").iterdir()) == []
