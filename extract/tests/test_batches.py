"""The batches engine over real HTTP, against the loopback server's batch endpoints and their faults."""

import json
import sqlite3
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from extract.batches import describe_rest, list_batches
from extract.cli import main
from extract.engines import EngineOptions, LastingEngine, open_engine
from extract.engines.batch_api import _split_lines
from extract.engines.batch_ledger import FILE, Ledger, read_batches
from extract.engines.batch_rows import Batch, Past
from extract.engines.prices import open_prices
from extract.errors import EngineError, StoreError
from extract.store import RunStore, open_run
from extract.tests.batch_runner import (
    PROMPT,
    count_attempts,
    for_some,
    interrupt,
    kinds,
    make_transcripts,
    open_batches,
    run_all,
    start_run,
)
from extract.tests.loopback import Loopback
from extract.tests.loopback_faults import FaultKind, always, first_attempts
from extract.tests.samples import AUTHORED, BAKER, find_real_interviews, make_request, make_transcript
from extract.transcripts import Source, load_transcripts
from schemas.record import Usage
from schemas.transcript import Transcript

KEY = "sk-loopback-secret-0123456789"


@pytest.fixture(autouse=True)
def key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANTHROPIC_API_KEY", KEY)


@pytest.fixture
def server() -> Iterator[Loopback]:
    with Loopback(keep_bodies=True) as made:
        yield made


@pytest.fixture
def store(tmp_path: Path, server: Loopback) -> RunStore:
    return start_run(tmp_path / "runs", server.url)


# ---------------------------------------------------------------- the way through


def test_every_interview_is_answered_once_and_its_record_is_like_a_live_one(server: Loopback, store: RunStore) -> None:
    records, plan = run_all(store.path, open_batches(server.url), make_transcripts(7))
    assert kinds(records) == {"ok": 7}
    assert {r.transcript_id for r in records} == {f"t{n}" for n in range(7)}
    assert all(r.attempts == r.usage.requests == 1 and r.model == "claude-sonnet-5-5" for r in records)
    assert all(r.request_id and r.request_id.startswith("msgbatch_0001:") for r in records)
    assert count_attempts(server) == {"0": 7}
    assert plan.in_flight == 0
    [batch] = read_batches(store.path)
    assert (batch.state, batch.requests, batch.succeeded, batch.collected) == ("collected", 7, 7, 7)
    assert run_all(store.path, open_batches(server.url), make_transcripts(7))[0] == []
    assert len(server.batches.batches) == 1


def test_a_run_that_has_everything_opens_nothing(server: Loopback, store: RunStore) -> None:
    run_all(store.path, open_batches(server.url), make_transcripts(2))
    (store.path / FILE).unlink()
    assert run_all(store.path, open_batches("http://127.0.0.1:9"), make_transcripts(2))[0] == []
    assert not (store.path / FILE).exists()


def test_a_run_that_has_everything_keeps_no_text_of_interviews_with_its_batches(
    server: Loopback, store: RunStore
) -> None:
    engine = open_batches(server.url)
    server.batches.on_event = lambda name: engine.stop() if name == "retrieved" else None
    run_all(store.path, engine, make_transcripts(60))
    waiting = (store.path / FILE).stat().st_size
    run_all(store.path, open_batches(server.url), make_transcripts(60))
    assert (store.path / FILE).stat().st_size < min(40_000, waiting)
    assert [path.name for path in store.path.glob(f"{FILE}*")] == [FILE]


def test_results_come_in_another_order_and_still_belong_to_their_interviews(server: Loopback, store: RunStore) -> None:
    transcripts = [make_transcript(f"t{n}", f"{BAKER} {'More words. ' * n}") for n in range(20)]
    records, _ = run_all(store.path, open_batches(server.url), transcripts)
    by_id = {t.id: t for t in transcripts}
    assert [r.transcript_id for r in records] != list(by_id)
    for record in records:
        assert record.text_sha256 == by_id[record.transcript_id].text_sha256
        assert record.extraction is not None
        for section in record.extraction.sections.values():
            for item in section.items:
                for quote in item.quotes:
                    text = by_id[record.transcript_id].text
                    assert text[quote.start : quote.end] == quote.text


def test_a_batch_answer_and_a_live_answer_have_the_same_key_and_the_same_request(
    server: Loopback, store: RunStore
) -> None:
    batches, live = open_batches(server.url), open_engine("claude", EngineOptions(base_url=server.url))
    request = PROMPT.render(make_transcript(), model=batches.model, parameters=batches.parameters)
    again = PROMPT.render(make_transcript(), model=live.model, parameters=live.parameters)
    assert request.hash == again.hash
    list(live.complete([again]))
    run_all(store.path, batches, [make_transcript()])
    assert server.requests[0].body == server.requests[1].body


@pytest.mark.parametrize(
    ("options", "sizes"), [({"batch_requests": 3}, [3, 3, 2]), ({"batch_bytes": 60_000}, [2, 2, 2, 2])]
)
def test_batches_are_split_by_count_and_by_bytes(
    server: Loopback, store: RunStore, options: dict[str, int], sizes: list[int]
) -> None:
    server.batches.max_bytes = options.get("batch_bytes", 10**9)
    records, _ = run_all(store.path, open_batches(server.url, **options), make_transcripts(8))
    assert kinds(records) == {"ok": 8}
    assert [count for count, _ in server.batches.sizes] == sizes
    assert all(size <= server.batches.max_bytes for _, size in server.batches.sizes)
    assert count_attempts(server) == {"0": 8}


def test_a_provider_that_takes_less_gets_smaller_batches(server: Loopback, store: RunStore) -> None:
    server.batches.max_bytes = 120_000
    records, _ = run_all(store.path, open_batches(server.url), make_transcripts(9))
    assert kinds(records) == {"ok": 9}
    assert len(server.batches.sizes) > 2
    assert count_attempts(server) == {"0": 9}


def test_a_request_that_no_batch_can_hold_fails_alone(server: Loopback, store: RunStore) -> None:
    long = make_transcript("long", BAKER + " Word." * 12_000)
    engine = open_batches(server.url, batch_bytes=80_000)
    records, _ = run_all(store.path, engine, [*make_transcripts(2), long])
    assert kinds(records) == {"ok": 2, "context_window": 1}
    server.batches.max_bytes = 80_000  # and one that only the provider finds too large
    records, _ = run_all(store.path, open_batches(server.url), [make_transcript("longer", long.text + " End.")])
    assert kinds(records) == {"context_window": 1}
    assert open_run(store.path).manifest.usage.requests == 2


def test_one_text_under_two_ids_is_sent_and_paid_once(server: Loopback, store: RunStore) -> None:
    twins = [make_transcript("a"), make_transcript("b"), make_transcript("c", BAKER + " Else.")]
    records, plan = run_all(store.path, open_batches(server.url), twins)
    assert {r.transcript_id for r in records} == {"a", "b", "c"}
    assert all(r.extraction for r in records)
    assert count_attempts(server) == {"0": 2}
    assert plan.usage.requests == 2


def test_characters_that_end_lines_elsewhere_do_not_end_a_result(server: Loopback, store: RunStore) -> None:
    odd = make_transcript("odd", BAKER + " One\u2028two\x85three\x0cfour 🥐.")
    records, _ = run_all(store.path, open_batches(server.url), [odd])
    assert kinds(records) == {"ok": 1}


@settings(deadline=None)
@given(st.lists(st.text(max_size=8), max_size=6), st.integers(1, 5))
def test_lines_are_the_same_however_the_stream_is_cut(texts: list[str], step: int) -> None:
    body = b"".join(json.dumps({"t": t}).encode() + b"\n" for t in texts)
    chunks = [body[n : n + step] for n in range(0, len(body), step)]
    assert [line["t"] for line in _split_lines(chunks)] == texts


# ---------------------------------------------------------------- answers that are none


@pytest.mark.parametrize("kind", ["unknown_id", "wrong_schema", "empty_answer"])
def test_invalid_drafts_go_back_in_a_following_batch(tmp_path: Path, kind: FaultKind) -> None:
    with Loopback(plan=for_some(1, 3, fault=kind), keep_bodies=True) as server:
        folder = start_run(tmp_path, server.url).path
        records, _ = run_all(folder, open_batches(server.url), make_transcripts(5))
        assert kinds(records) == {"ok": 5}
        assert count_attempts(server) == {"0": 5, "1": 2}
        assert [count for count, _ in server.batches.sizes] == [5, 2]
        bodies = [seen.body for seen in server.requests[-2:]]
    assert all(body and [m["role"] for m in body["messages"]] == ["user", "assistant", "user"] for body in bodies)
    assert all(body and "That answer cannot be used" in body["messages"][-1]["content"] for body in bodies)
    again = next(r for r in records if r.transcript_id == "t1")
    assert again.attempts == again.usage.requests == 2
    assert again.cost_usd == pytest.approx((open_prices("anthropic", "claude-sonnet-5-5")(again.usage) or 0.0) / 2)


def test_after_two_re_asks_an_invalid_draft_is_a_failure_with_all_its_usage(tmp_path: Path) -> None:
    with Loopback(plan=always("unknown_id")) as server:
        folder = start_run(tmp_path, server.url).path
        records, _ = run_all(folder, open_batches(server.url), make_transcripts(2))
        assert count_attempts(server) == {"0": 2, "1": 2, "2": 2}
    assert kinds(records) == {"invalid_draft": 2}
    assert all(r.usage.requests == r.attempts == 3 and r.answer and "U99.9" in r.answer for r in records)


@pytest.mark.parametrize(
    ("fault", "kind", "says"),
    [
        ("batch_expired", "expired", "24 hours"),
        ("batch_canceled", "canceled", "canceled"),
        ("batch_overloaded", "overloaded", "Overloaded"),
        ("batch_invalid", "bad_request", "something is wrong"),
        ("batch_too_long", "context_window", "too long"),
        ("refusal", "refusal", "refused"),
        ("max_tokens", "max_tokens", "--max-tokens"),
    ],
)
def test_what_a_batch_did_not_answer_is_a_failure_that_retry_failed_asks_again(
    tmp_path: Path, fault: FaultKind, kind: str, says: str
) -> None:
    with Loopback(plan=for_some(2, fault=fault)) as server:
        folder = start_run(tmp_path, server.url).path
        records, _ = run_all(folder, open_batches(server.url), make_transcripts(4))
        assert kinds(records) == {"ok": 3, kind: 1}
        [failed] = [r for r in records if r.failure]
        assert failed.failure is not None
        assert says in failed.failure.message
        assert run_all(folder, open_batches(server.url), make_transcripts(4))[0] == []
        records, _ = run_all(folder, open_batches(server.url), make_transcripts(4), retry_failed=True)
        assert kinds(records) == {"ok": 1}
        assert [count for count, _ in server.batches.sizes] == [4, 1]
    assert open_run(folder).manifest.failures == 0


def test_results_that_are_gone_after_29_days_are_failures_and_nothing_is_sent_by_itself(
    server: Loopback, store: RunStore
) -> None:
    interrupt(server, store, "retrieved")
    server.batches.age(30)
    records, _ = run_all(store.path, open_batches(server.url), make_transcripts(4))
    assert kinds(records) == {"expired": 4}
    assert records[0].failure is not None
    assert "29 days" in records[0].failure.message
    assert "--retry-failed" in records[0].failure.message
    assert [batch.state for batch in read_batches(store.path)] == ["gone"]
    assert len(server.batches.batches) == 1
    records, _ = run_all(store.path, open_batches(server.url), make_transcripts(4), retry_failed=True)
    assert kinds(records) == {"ok": 4}


def test_a_deleted_batch_is_gone_too(server: Loopback, store: RunStore) -> None:
    interrupt(server, store, "retrieved")
    server.batches.batches.clear()
    records, _ = run_all(store.path, open_batches(server.url), make_transcripts(4))
    assert kinds(records) == {"expired": 4}


# ---------------------------------------------------------------- trouble on the way


def test_looking_survives_overload_errors_and_broken_connections(server: Loopback, store: RunStore) -> None:
    server.batches.polls_to_end = 3
    server.batches.poll_faults.extend(["overloaded", "reset", "server_error", "rate_limited", "reset"])
    server.batches.results_faults.extend(["overloaded", "cut", "server_error", "cut"])
    said: list[str] = []
    records, _ = run_all(store.path, open_batches(server.url, say=said.append), make_transcripts(6))
    assert kinds(records) == {"ok": 6}
    assert count_attempts(server) == {"0": 6}
    assert set(server.answered.values()) == {1}
    assert sum("Trouble with the provider (overloaded)" in line for line in said) == 1


@pytest.mark.parametrize("fault", ["reset_after", "overloaded_after"])
def test_a_batch_that_was_taken_though_the_answer_says_otherwise_is_found(
    server: Loopback, store: RunStore, fault: str
) -> None:
    for _ in range(3):  # others' batches, on more than one page of the list
        server.batches.add_foreign(6)
    server.batches.create_faults.append(fault)
    said: list[str] = []
    records, _ = run_all(store.path, open_batches(server.url, say=said.append), make_transcripts(6))
    assert kinds(records) == {"ok": 6}
    assert count_attempts(server) == {"0": 6}
    assert any("Found batch msgbatch_0004" in line for line in said)


def test_two_batches_of_one_size_that_were_cut_off_are_told_apart(server: Loopback, store: RunStore) -> None:
    server.batches.create_faults.extend(["reset_after", "overloaded_after"])
    records, _ = run_all(store.path, open_batches(server.url, batch_requests=3), make_transcripts(6))
    assert kinds(records) == {"ok": 6}
    assert count_attempts(server) == {"0": 6}
    assert [(batch.state, batch.collected) for batch in read_batches(store.path)] == [("collected", 3)] * 2


@pytest.mark.parametrize("fault", ["reset", "overloaded", "server_error", "rate_limited"])
def test_a_batch_that_was_not_taken_is_sent_again(server: Loopback, store: RunStore, fault: str) -> None:
    server.batches.create_faults.extend([fault, fault])
    records, _ = run_all(store.path, open_batches(server.url), make_transcripts(6))
    assert kinds(records) == {"ok": 6}
    assert count_attempts(server) == {"0": 6}


def test_anothers_batch_of_the_same_size_is_not_taken_for_ours(server: Loopback, store: RunStore) -> None:
    def interfere(name: str) -> None:
        if name == "creating" and len(server.batches.batches) == 0:
            server.batches.add_foreign(6)

    server.batches.on_event = interfere
    server.batches.create_faults.append("reset")
    records, _ = run_all(store.path, open_batches(server.url), make_transcripts(6))
    assert kinds(records) == {"ok": 6}
    assert count_attempts(server) == {"0": 6}


def test_while_a_batch_may_be_ours_its_requests_are_not_sent_again(server: Loopback, store: RunStore) -> None:
    said: list[str] = []
    engine = open_batches(server.url)

    def listen(message: str) -> None:
        said.append(message)
        if "may be the one" in message:
            engine.stop()

    engine.say = listen

    def interfere(name: str) -> None:
        if name == "creating":
            server.batches.add_foreign(6, ended=False)

    server.batches.on_event = interfere
    server.batches.create_faults.append("reset")
    records, _ = run_all(store.path, engine, make_transcripts(6))
    assert records == []
    assert server.batches.submitted == Counter()
    assert any("may be the one" in line for line in said)


@pytest.mark.parametrize(
    ("fault", "says"),
    [("unauthorised", "refuses the key"), ("bad_request", "refuses the batch"), ("missing", "address")],
)
def test_what_no_batch_can_get_past_is_one_sentence_and_leaves_nothing_on_its_way(
    server: Loopback, store: RunStore, fault: str, says: str
) -> None:
    server.batches.create_faults.append(fault)
    with pytest.raises(EngineError, match=says) as caught:
        run_all(store.path, open_batches(server.url), make_transcripts(3))
    assert "\n" not in str(caught.value)
    assert KEY not in str(caught.value)
    assert read_batches(store.path) == []
    assert kinds(run_all(store.path, open_batches(server.url), make_transcripts(3))[0]) == {"ok": 3}


def test_a_provider_that_stays_away_ends_the_command_but_loses_nothing(server: Loopback, store: RunStore) -> None:
    engine = open_batches(server.url)
    engine.pace = replace(engine.pace, patience_s=0.1)
    server.batches.polls_to_end = 5

    def go_away(name: str) -> None:
        if name == "created":
            server.batches.poll_faults.extend(["overloaded"] * 100)

    server.batches.on_event = go_away
    with pytest.raises(EngineError, match="run the same again"):
        run_all(store.path, engine, make_transcripts(3))
    server.batches.on_event = lambda name: None
    server.batches.poll_faults.clear()
    assert kinds(run_all(store.path, open_batches(server.url), make_transcripts(3))[0]) == {"ok": 3}
    assert count_attempts(server) == {"0": 3}


# ---------------------------------------------------------------- money


def test_usage_is_counted_at_the_price_of_a_batch(server: Loopback, store: RunStore) -> None:
    records, plan = run_all(store.path, open_batches(server.url), make_transcripts(3))
    full = open_prices("anthropic", "claude-sonnet-5-5")
    assert plan.cost_usd == pytest.approx(sum(full(r.usage) or 0.0 for r in records) / 2)
    assert plan.cost_usd > 0
    assert open_prices("anthropic", "claude-of-tomorrow", batch=True)(Usage(requests=1, input_tokens=1)) is None


def test_a_money_limit_bounds_every_batch_before_it_is_sent(server: Loopback, store: RunStore) -> None:
    engine = open_batches(server.url, max_tokens=1000)
    records, plan = run_all(store.path, engine, make_transcripts(40), max_cost_usd=0.05, max_tokens=1000)
    assert plan.stopped == "--max-cost 0.05 would be passed"
    assert 0 < plan.cost_usd <= 0.05
    assert 0 < len(records) < 40
    assert plan.in_flight == 0
    first, _ = server.batches.sizes[0]
    assert 0 < first < len(records)  # the first batch was bounded by the dearest outcome, later ones by what it cost


def test_a_limit_below_one_request_sends_nothing(server: Loopback, store: RunStore) -> None:
    _, plan = run_all(store.path, open_batches(server.url), make_transcripts(2), max_cost_usd=0.0001)
    assert plan.stopped is not None
    assert server.batches.sizes == []


# ---------------------------------------------------------------- looking


def test_the_batches_of_a_run_are_listed_with_what_remains(
    server: Loopback, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    command = ["run", str(AUTHORED), "--engine", "batches", "--limit", "3", "--base-url", server.url]
    runs = ["--runs", str(tmp_path)]
    assert main(["run", str(AUTHORED), "--engine", "rules", "--limit", "1", *runs]) == 0
    assert main(["batches", "last", *runs]) == 0
    assert "has sent no batches" in capsys.readouterr().out
    assert main([*command, *runs, "--dry-run"]) == 0
    assert "Nothing was asked" in capsys.readouterr().out
    store = start_run(tmp_path, server.url)
    interrupt(server, store, "created")
    found = list_batches(store, server.url, offline=True, cancel=False)
    assert [(batch.state, batch.requests) for batch in found] == [("in_progress", 4)]
    assert main(["batches", str(store.path), "--offline"]) == 0
    shown = capsys.readouterr().out
    assert "msgbatch_0001" in shown
    assert "4 requests: 0 stored; created 20" in shown
    assert "; ends by 20" in shown
    assert "results remain for 28 days" in shown
    server.batches.polls_to_end = 1
    [fresh] = list_batches(store, server.url, offline=False, cancel=False)
    assert (fresh.state, fresh.succeeded) == ("ended", 4)
    assert read_batches(store.path)[0].state == "in_progress"  # looking writes nothing
    monkeypatch.delenv("ANTHROPIC_API_KEY")
    with pytest.raises(EngineError, match="Set ANTHROPIC_API_KEY"):
        list_batches(store, server.url, offline=False, cancel=True)
    assert list_batches(store, server.url, offline=False, cancel=False)[0].state == "in_progress"


def test_a_canceled_batch_gives_failures_that_retry_failed_asks_again(server: Loopback, store: RunStore) -> None:
    interrupt(server, store, "created")
    server.batches.polls_to_end = 100
    [canceled] = list_batches(store, server.url, offline=False, cancel=True)
    assert canceled.canceled == 4
    records, _ = run_all(store.path, open_batches(server.url), make_transcripts(4))
    assert kinds(records) == {"canceled": 4}
    server.batches.polls_to_end = 1
    records, _ = run_all(store.path, open_batches(server.url), make_transcripts(4), retry_failed=True)
    assert kinds(records) == {"ok": 4}


@pytest.mark.parametrize(
    ("age", "state", "says"),
    [
        (timedelta(0), "ended", "; results remain for 29 days"),
        (timedelta(days=28), "ended", "; results remain for 24 hours"),
        (timedelta(days=30), "ended", "; results are gone"),
        (timedelta(days=1), "gone", "; results are gone"),
        (timedelta(days=1), "collected", ""),
    ],
)
def test_how_long_results_remain(age: timedelta, state: str, says: str) -> None:
    moment = datetime(2026, 9, 1, tzinfo=UTC)
    batch = Batch("n", "msgbatch_1", state, 1, 1, None, None, 0.0, (moment - age).isoformat())
    assert describe_rest(batch, moment) == says


# ---------------------------------------------------------------- the file


def test_a_request_comes_back_from_the_file_as_it_was(tmp_path: Path) -> None:
    request = make_request(make_transcript("ü/🥐", BAKER + " It’s “so”."), repeat=2)
    ledger = Ledger(tmp_path)
    assert ledger.ask(request, 10)
    batch = ledger.prepare(10, 1000, None)
    assert batch is not None
    [entry] = ledger.find_entries(batch.nonce)
    [again] = entry.requests
    assert (again.transcript, again.hash, again.user, again.repeat) == (
        request.transcript, request.hash, request.user, 2,
    )  # fmt: skip
    assert len(entry.name(batch.nonce)) <= 64
    assert entry.past == Past(entry.past.started_at)
    ledger.close()


def test_a_damaged_or_newer_file_is_one_sentence(server: Loopback, store: RunStore) -> None:
    (store.path / FILE).write_bytes(b"no database at all" * 100)
    for act in (
        lambda: run_all(store.path, open_batches(server.url), make_transcripts(1)),
        lambda: read_batches(store.path),
    ):
        with pytest.raises(StoreError, match="keep it"):
            act()
    (store.path / FILE).unlink()
    made = sqlite3.connect(store.path / FILE)
    made.execute("PRAGMA user_version = 9")
    made.close()
    with pytest.raises(StoreError, match="newer version"):
        run_all(store.path, open_batches(server.url), make_transcripts(1))


def test_the_engine_needs_a_key_and_a_run(monkeypatch: pytest.MonkeyPatch) -> None:
    engine = open_engine("batches")
    assert isinstance(engine, LastingEngine)
    assert not isinstance(open_engine("rules"), LastingEngine)
    with pytest.raises(EngineError, match="Attach it to a run"):
        next(iter(engine.complete([make_request()])))
    monkeypatch.delenv("ANTHROPIC_API_KEY")
    with pytest.raises(EngineError, match="Set ANTHROPIC_API_KEY"):
        open_engine("batches")


def test_250_real_interviews_with_faults_are_250_records_none_sent_twice(tmp_path: Path) -> None:
    source = Source(str(find_real_interviews()), limit=250)
    transcripts = [t for t in load_transcripts(source) if isinstance(t, Transcript)]
    with Loopback(plan=first_attempts(None)) as server:
        server.batches.create_faults.extend(["reset_after", "overloaded", "overloaded_after"])
        server.batches.results_faults.extend(["cut", "overloaded", "cut"])
        server.batches.poll_faults.extend(["reset", "server_error"])
        folder = start_run(tmp_path, server.url).path
        records, _ = run_all(folder, open_batches(server.url, batch_bytes=2_000_000), transcripts)
        assert kinds(records) == {"ok": 250}
        assert {r.transcript_id for r in records} == {t.id for t in transcripts}
        assert count_attempts(server) == {"0": 250}
        assert len(server.batches.batches) > 2
