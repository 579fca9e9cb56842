import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from extract.engines import Completion
from extract.pipeline import Plan, close_manifest, describe_run, estimate_run, run_extraction
from extract.prompt import Prompt, Request
from extract.store import RunStore, create_run, open_run
from extract.tests.samples import BAKER, make_completion, make_prompt, make_transcript
from extract.transcripts import BadTranscript
from schemas.record import Failure, Record, Usage
from schemas.transcript import Transcript

TRANSCRIPTS = [make_transcript(f"t{n}", BAKER + f" That is all {n}.") for n in range(5)]


class CountingEngine:
    """Answers as the sample says, and counts what it is asked; refuses the ids in `refused`."""

    name = "rules"

    def __init__(self, model: str = "m", refused: Iterable[str] = (), cost_usd: float | None = None) -> None:
        self.model = model
        self.parameters: Mapping[str, Any] = {}
        self.refused = set(refused)
        self.cost_usd = cost_usd
        self.asked: list[tuple[str, int]] = []

    def complete(self, requests: Iterable[Request]) -> Iterator[Completion]:
        for request in requests:
            self.asked.append((request.transcript.id, request.repeat))
            if request.transcript.id in self.refused:
                yield Completion(request, failure=Failure(kind="refusal", message="No."), answer="No.")
                continue
            usage = Usage(requests=1, input_tokens=100, output_tokens=10)
            draft = make_completion(request).draft
            yield Completion(request, draft=draft, usage=usage, cost_usd=self.cost_usd, attempts=1)


def open_store(tmp_path: Path, prompt: Prompt, engine: CountingEngine) -> RunStore:
    return create_run(tmp_path, describe_run(prompt, engine, "here", 1))


def run(
    store: RunStore, engine: CountingEngine, transcripts: Iterable[Transcript | BadTranscript], **plan: Any
) -> tuple[list[Record], Plan]:
    made = Plan(**plan)
    with open_run(store.path) as opened:
        records = list(run_extraction(transcripts, make_prompt(), engine, opened, made))
        opened.write_manifest(close_manifest(opened, made))
    return records, made


def test_a_second_run_asks_for_nothing(tmp_path: Path) -> None:
    engine = CountingEngine()
    store = open_store(tmp_path, make_prompt(), engine)
    records, _ = run(store, engine, TRANSCRIPTS)
    assert [r.transcript_id for r in records] == ["t0", "t1", "t2", "t3", "t4"]
    again, plan = run(store, engine, TRANSCRIPTS)
    assert again == []
    assert plan.held == 5
    assert len(engine.asked) == 5


def test_a_changed_text_is_asked_again_and_an_added_one_once(tmp_path: Path) -> None:
    engine = CountingEngine()
    store = open_store(tmp_path, make_prompt(), engine)
    run(store, engine, TRANSCRIPTS)
    changed = make_transcript("t1", BAKER + " Something else.")
    run(store, engine, [TRANSCRIPTS[0], changed, make_transcript("t9", BAKER + " New.")])
    assert engine.asked[5:] == [("t1", 0), ("t9", 0)]
    assert len(list(open_run(store.path).read_records())) == 6


def test_a_failure_is_a_record_and_is_asked_again_only_when_told(tmp_path: Path) -> None:
    engine = CountingEngine(refused=["t2"])
    store = open_store(tmp_path, make_prompt(), engine)
    records, plan = run(store, engine, TRANSCRIPTS)
    assert [r.failure.kind for r in records if r.failure] == ["refusal"]
    assert plan.failed == 1
    run(store, engine, TRANSCRIPTS)
    assert len(engine.asked) == 5
    engine.refused.clear()
    run(store, engine, TRANSCRIPTS, retry_failed=True)
    assert engine.asked[5:] == [("t2", 0)]
    assert open_run(store.path).manifest.failures == 0


def test_a_bad_row_is_a_record_once_and_the_rest_goes_on(tmp_path: Path) -> None:
    engine = CountingEngine()
    store = open_store(tmp_path, make_prompt(), engine)
    rows: list[Transcript | BadTranscript] = [
        TRANSCRIPTS[0],
        BadTranscript("x", "a.csv, row 2: the text is empty."),
        TRANSCRIPTS[1],
    ]
    records, _ = run(store, engine, rows)
    assert [(r.transcript_id, r.failure.kind if r.failure else None) for r in records] == [
        ("t0", None),
        ("t1", None),
        ("x", "unreadable"),
    ]
    assert run(store, engine, rows)[0] == []


def test_repeats_ask_every_interview_so_often(tmp_path: Path) -> None:
    engine = CountingEngine()
    store = open_store(tmp_path, make_prompt(), engine)
    run(store, engine, TRANSCRIPTS[:2], repeats=3)
    assert engine.asked == [(t, k) for t in ("t0", "t1") for k in range(3)]
    run(store, engine, TRANSCRIPTS[:2], repeats=4)
    assert engine.asked[6:] == [("t0", 3), ("t1", 3)]


def test_the_same_text_under_another_id_is_not_paid_again(tmp_path: Path) -> None:
    engine = CountingEngine(cost_usd=0.5)
    store = open_store(tmp_path, make_prompt(), engine)
    run(store, engine, [make_transcript("a")])
    records, _ = run(store, engine, [make_transcript("a"), make_transcript("b")])
    assert len(engine.asked) == 1
    assert [(r.transcript_id, r.usage, r.extraction is not None) for r in records] == [("b", Usage(), True)]
    assert open_run(store.path).manifest.cost_usd == 0.5


@pytest.mark.parametrize("limit", [0.5, 1.0, 2.75, 4.0])
def test_a_money_limit_stops_before_it_is_passed(tmp_path: Path, limit: float) -> None:
    engine = CountingEngine(cost_usd=0.25)
    store = open_store(tmp_path, make_prompt(), engine)
    many = [make_transcript(f"m{n}", BAKER + f" Number {n}.") for n in range(30)]
    _, plan = run(store, engine, many, max_cost_usd=limit, find_cost=lambda usage: 0.3)
    assert 0 < plan.cost_usd <= limit
    assert plan.stopped is not None
    assert "--max-cost" in plan.stopped
    assert open_run(store.path).manifest.status == "stopped"
    _, plan = run(store, engine, many, max_cost_usd=100.0, find_cost=lambda usage: 0.3)
    assert len(engine.asked) == 30
    assert open_run(store.path).manifest.status == "complete"


def test_stopping_finishes_what_is_in_flight_and_begins_nothing_new(tmp_path: Path) -> None:
    engine = CountingEngine()
    store = open_store(tmp_path, make_prompt(), engine)
    plan = Plan()
    with open_run(store.path) as opened:
        for _ in run_extraction(TRANSCRIPTS, make_prompt(), engine, opened, plan):
            plan.stop("Ctrl-C")
    assert len(engine.asked) == 1
    assert plan.in_flight == 0


def test_the_manifest_holds_what_could_change_the_answer(tmp_path: Path) -> None:
    engine, prompt = CountingEngine(cost_usd=0.5), make_prompt()
    store = open_store(tmp_path, prompt, engine)
    run(store, engine, TRANSCRIPTS)
    manifest = json.loads((store.path / "manifest.json").read_text())
    assert manifest["prompt_sha256"] == prompt.hash
    assert manifest["schema_sha256"] == prompt.format.hash
    assert manifest["codebook_sha256"] == prompt.format.codebook.hash
    assert manifest["package_versions"]["pydantic"]
    assert (manifest["records"], manifest["failures"], manifest["cost_usd"]) == (5, 0, 2.5)
    assert manifest["usage"] == {
        "requests": 5,
        "input_tokens": 500,
        "cache_read_tokens": 0,
        "cache_write_tokens": 0,
        "output_tokens": 50,
    }
    assert len(manifest["transcripts_sha256"]) == 64


def test_the_digest_of_a_run_does_not_depend_on_the_order(tmp_path: Path) -> None:
    digests = []
    for transcripts in (TRANSCRIPTS, TRANSCRIPTS[::-1], TRANSCRIPTS[1:]):
        engine = CountingEngine()
        store = open_store(tmp_path, make_prompt(), engine)
        run(store, engine, transcripts)
        digests.append(open_run(store.path).manifest.transcripts_sha256)
    assert digests[0] == digests[1] != digests[2]


def test_an_estimate_counts_only_what_is_missing_and_caches_the_system_part_once(tmp_path: Path) -> None:
    engine, prompt = CountingEngine(), make_prompt()
    store = open_store(tmp_path, prompt, engine)
    run(store, engine, TRANSCRIPTS[:2])
    with open_run(store.path) as opened:
        count, usage = estimate_run(TRANSCRIPTS, prompt, engine, opened, Plan())
    assert count == usage.requests == 3
    assert usage.cache_read_tokens == 2 * usage.cache_write_tokens > 0


def test_an_estimate_prices_each_request_by_itself(tmp_path: Path) -> None:
    def find_cost(usage: Usage) -> float:
        return usage.whole_input_tokens * (5.0 if usage.requests > 1 else 1.0)  # long prompts cost more a token

    plan = Plan(find_cost=find_cost)
    _, usage = estimate_run(TRANSCRIPTS, make_prompt(), CountingEngine(), None, plan)
    assert plan.cost_usd == usage.whole_input_tokens
    assert plan.cost_known
