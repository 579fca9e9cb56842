"""The live engines over real HTTP, against the loopback server and its faults."""

import json
import time
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest

from extract.engines import Completion, Engine, EngineOptions, open_engine
from extract.errors import EngineError
from extract.prompt import Request
from extract.tests.loopback import Loopback
from extract.tests.loopback_faults import Fault, FaultKind, Plan, always, by_ordinal, first_attempts, random_faults
from extract.tests.samples import BAKER, find_real_interviews, make_prompt, make_transcript
from extract.transcripts import Source, load_transcripts
from schemas.record import Usage
from schemas.transcript import Transcript

KEY = "sk-loopback-secret-0123456789"
ENGINES = ("claude", "openai", "anthropic")


@pytest.fixture(autouse=True)
def keys(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("ANTHROPIC_API_KEY", "OPENAI_API_KEY"):
        monkeypatch.setenv(name, KEY)


def open_to(server: Loopback, which: str = "claude", **options: Any) -> Engine:
    name = "claude" if which == "claude" else "provider"
    model = {"claude": "claude-sonnet-5-5", "openai": "openai/gpt-5-mini", "anthropic": "anthropic/claude-haiku-5-5"}
    base = server.url + ("/v1" if which == "openai" else "")
    values: dict[str, Any] = {"model": model[which], "base_url": base, "give_up_s": 20.0} | options
    return open_engine(name, EngineOptions(**values))


def make_requests(count: int = 1) -> Iterator[Request]:
    prompt = make_prompt()
    for n in range(count):
        yield prompt.render(make_transcript(f"t{n}", f"{BAKER} Number {n}."), model="m", parameters={})


def ask(plan: Plan, which: str = "claude", count: int = 1, **options: Any) -> tuple[list[Completion], Loopback]:
    with Loopback(plan=plan, keep_bodies=True) as server:
        return list(open_to(server, which, **options).complete(make_requests(count))), server


def ask_one(plan: Plan, which: str = "claude", **options: Any) -> tuple[Completion, Loopback]:
    completions, server = ask(plan, which, **options)
    assert len(completions) == 1
    return completions[0], server


@pytest.mark.parametrize("which", ENGINES)
def test_an_answer_becomes_a_checked_draft_with_its_usage(which: str) -> None:
    completion, server = ask_one(first_attempts(), which)
    assert completion.failure is None
    assert completion.draft is not None
    completion.request.format.check(completion.draft, completion.request.transcript)
    assert (completion.attempts, len(server.requests)) == (1, 1)
    assert completion.usage.requests == 1
    assert completion.usage.output_tokens > 0
    assert completion.model in ("claude-sonnet-5-5", "gpt-5-mini", "claude-haiku-5-5")
    assert completion.request_id
    assert completion.latency_s > 0


@pytest.mark.parametrize("which", ENGINES)
@pytest.mark.parametrize(
    "kind", ["rate_limited", "overloaded", "server_error", "bad_gateway_html", "reset", "cut_mid_body"]
)
def test_passing_trouble_is_asked_again_until_it_is_over(which: str, kind: FaultKind) -> None:
    completion, server = ask_one(first_attempts(kind, kind), which)
    assert completion.draft is not None
    assert completion.attempts == len(server.requests) == 3
    assert completion.usage.requests == 1


def test_a_body_that_is_not_json_is_asked_again() -> None:
    completion, server = ask_one(first_attempts("malformed_json_body"))
    assert completion.draft is not None
    assert len(server.requests) == 2


@pytest.mark.parametrize("which", ENGINES)
def test_an_answer_that_stalls_is_given_up_and_asked_again(which: str) -> None:
    completion, server = ask_one(first_attempts("stall"), which, timeout_s=0.5)
    assert completion.draft is not None
    assert len(server.requests) == 2


@pytest.mark.parametrize("which", ENGINES)
@pytest.mark.parametrize(
    ("kind", "told"),
    [
        ("unknown_id", "there is no sentence 'U99.9'"),
        ("interviewer_id", "'I1' is the interviewer's"),
        ("repeated_code", "is used 2 times"),
        ("wrong_schema", "tasks.items.0.code"),
        ("bad_json_answer", "Invalid JSON"),
        ("empty_answer", "Field required"),
    ],
)
def test_a_draft_that_does_not_validate_goes_back_with_what_is_wrong(which: str, kind: FaultKind, told: str) -> None:
    if which == "anthropic" and kind in ("bad_json_answer", "empty_answer"):
        told = "Field required"  # there an answer is a tool's input, which is always an object
    completion, server = ask_one(first_attempts(kind), which)
    assert completion.draft is not None
    assert completion.usage.requests == completion.attempts == 2
    body = server.requests[1].body
    assert body is not None
    roles = [message["role"] for message in body["messages"] if message["role"] != "system"]
    assert roles == ["user", "assistant", "user"]
    assert told in json.dumps(body["messages"][-1]["content"]).replace("\\u2019", "'")


@pytest.mark.parametrize("which", ENGINES)
def test_after_two_re_asks_an_invalid_draft_is_a_failure_with_its_answer_and_all_its_usage(which: str) -> None:
    completion, server = ask_one(always("unknown_id"), which)
    assert completion.failure is not None
    assert completion.failure.kind == "invalid_draft"
    assert "U99.9" in completion.failure.message
    assert completion.answer is not None
    assert "U99.9" in completion.answer
    assert completion.usage.requests == len(server.requests) == 3


@pytest.mark.parametrize("which", ENGINES)
@pytest.mark.parametrize("kind", ["refusal", "max_tokens"])
def test_a_refusal_and_a_cut_answer_are_failures_and_not_asked_again(which: str, kind: FaultKind) -> None:
    completion, server = ask_one(always(kind), which)
    assert completion.failure is not None
    assert completion.failure.kind == kind
    assert len(server.requests) == 1
    assert completion.usage.output_tokens > 0


def test_a_full_context_window_is_a_failure_of_its_own_kind() -> None:
    completion, server = ask_one(always("context_window"))
    assert completion.failure is not None
    assert completion.failure.kind == "context_window"
    assert len(server.requests) == 1


@pytest.mark.parametrize("which", ENGINES)
def test_a_bad_request_fails_that_record_only(which: str) -> None:
    completions, _ = ask(by_ordinal({0: "bad_request"}), which, count=3, concurrency=1)
    assert Counter(c.failure.kind if c.failure else "ok" for c in completions) == {"ok": 2, "bad_request": 1}


@pytest.mark.parametrize("which", ENGINES)
@pytest.mark.parametrize(
    ("kind", "says"),
    [("unauthorised", "refuses the key"), ("forbidden", "refuses the key"), ("not_found", "Check --model")],
)
def test_what_no_request_can_get_past_stops_the_run_with_one_sentence(which: str, kind: FaultKind, says: str) -> None:
    with pytest.raises(EngineError, match=says) as caught:
        ask(always(kind), which, count=20)
    assert "\n" not in str(caught.value)
    assert KEY not in str(caught.value)


def test_an_empty_account_stops_the_run() -> None:
    with pytest.raises(EngineError, match="wants payment"):
        ask(always("credit"))


def test_trouble_that_does_not_pass_becomes_a_failure_after_its_time() -> None:
    completion, _ = ask_one(always("overloaded"), give_up_s=1.0)
    assert completion.failure is not None
    assert completion.failure.kind == "overloaded"
    assert completion.usage == Usage()


def test_retry_after_is_honoured() -> None:
    started = time.monotonic()
    completion, _ = ask_one(first_attempts(Fault("rate_limited", retry_after="1")))
    assert completion.draft is not None
    assert time.monotonic() - started >= 1.0


def test_an_endless_retry_after_does_not_hold_the_run() -> None:
    completion, _ = ask_one(first_attempts(Fault("rate_limited", retry_after="3600")), give_up_s=30.0)
    assert completion.failure is not None
    assert completion.failure.kind == "rate_limited"


def test_usage_adds_up_over_re_asks_and_keeps_cache_reads_and_writes_apart() -> None:
    completion, _ = ask_one(first_attempts("unknown_id"))
    assert completion.usage.cache_write_tokens > 1000
    assert completion.usage.cache_read_tokens == completion.usage.cache_write_tokens
    assert completion.cost_usd is not None
    assert completion.cost_usd > 0


def test_an_unknown_price_is_unknown() -> None:
    completion, _ = ask_one(first_attempts(), model="claude-of-tomorrow")
    assert completion.draft is not None
    assert completion.cost_usd is None
    completion, _ = ask_one(first_attempts(), "openai")
    assert completion.cost_usd is None  # another address may ask another price


def test_the_request_is_what_the_provider_documents() -> None:
    _, server = ask_one(first_attempts())
    body = server.requests[0].body
    assert body is not None
    assert body["system"][-1]["cache_control"] == {"type": "ephemeral"}
    assert body["output_config"]["format"]["type"] == "json_schema"
    assert set(body) == {"model", "max_tokens", "system", "messages", "output_config"}
    assert body["messages"][0]["content"].startswith("<transcript>")


@pytest.mark.parametrize("ceiling", [1, 4, 40])
def test_the_concurrency_is_a_ceiling(ceiling: int) -> None:
    with Loopback(latency_s=0.05) as server:
        done = list(open_to(server, concurrency=ceiling).complete(make_requests(80)))
        assert len(done) == 80
        assert server.peak_in_flight <= ceiling
        assert server.peak_in_flight >= min(ceiling, 10)


def test_a_limited_account_is_followed_and_every_request_answered_once() -> None:
    with Loopback(rate_per_s=40, latency_s=0.02) as server:
        done = list(open_to(server, concurrency=50).complete(make_requests(100)))
        assert all(c.draft for c in done)
        assert set(server.answered.values()) == {1}
        assert sum(1 for seen in server.requests if seen.fault) < 100


def test_requests_are_taken_lazily() -> None:
    taken: list[int] = []

    def endless() -> Iterator[Request]:
        for n, request in enumerate(make_requests(10_000)):
            taken.append(n)
            yield request

    with Loopback() as server:
        completions = iter(open_to(server, concurrency=5).complete(endless()))
        for _ in range(10):
            next(completions)
        assert len(taken) < 40
        completions.close()  # type: ignore[attr-defined]


def test_250_real_interviews_with_faults_are_250_answers_none_twice() -> None:
    folder = find_real_interviews()
    prompt = make_prompt()
    transcripts = [t for t in load_transcripts(Source(str(folder), limit=250)) if isinstance(t, Transcript)]
    rates: dict[FaultKind, float] = {"rate_limited": 0.05, "overloaded": 0.05, "server_error": 0.02, "reset": 0.01}
    with Loopback(plan=random_faults(7, rates, retry_after="0.2"), latency_s=0.02) as server:
        engine = open_to(server, concurrency=50)
        requests = (prompt.render(t, model="m", parameters={}) for t in transcripts)
        done = list(engine.complete(requests))
        faults = Counter(seen.fault for seen in server.requests)
    assert len(done) == 250
    assert all(c.draft for c in done)
    assert {c.request.transcript.id for c in done} == {t.id for t in transcripts}
    assert list(server.answered.values()) == [1] * 250
    assert all(faults[kind] for kind in rates)


@pytest.mark.parametrize(
    ("name", "options", "says"),
    [
        ("gpt", {}, "Unknown engine 'gpt'. Choose one of: batches, claude, cluster, provider, replay, rules"),
        ("provider", {"model": "gpt-5"}, "No provider in --model 'gpt-5'"),
        ("provider", {"model": "nobody/x"}, "Cannot open 'nobody/x'"),
        ("replay", {}, "Name a run with --from"),
    ],
)
def test_an_engine_that_cannot_be_opened_is_one_sentence(name: str, options: dict[str, Any], says: str) -> None:
    with pytest.raises(EngineError, match=says):
        open_engine(name, EngineOptions(**options))


def test_without_a_key_claude_names_the_way_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ANTHROPIC_API_KEY")
    with pytest.raises(EngineError, match="Set ANTHROPIC_API_KEY, or choose --engine rules"):
        open_engine("claude")
