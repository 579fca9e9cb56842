"""The seam: every engine by name, what the prices know, and answers replayed from a stored run."""

from pathlib import Path
from typing import Any

import pytest

from extract.engines import ENGINES, Completion, Engine, EngineOptions, open_engine
from extract.engines.prices import open_prices
from extract.errors import EngineError
from extract.pipeline import Plan, describe_run, run_extraction
from extract.store import RunStore, create_run
from extract.tests.samples import BAKER, make_prompt, make_request, make_transcript
from schemas.record import Failure, Record, Usage

USAGE = Usage(requests=1, input_tokens=1000, cache_read_tokens=5000, cache_write_tokens=2000, output_tokens=500)


@pytest.fixture
def stored(tmp_path: Path) -> RunStore:
    """A run over two interviews that the rules answered."""
    engine, prompt = open_engine("rules"), make_prompt()
    store = create_run(tmp_path, describe_run(prompt, engine, "here", 1))
    with store:
        for _ in run_extraction(
            [make_transcript(), make_transcript("t2", BAKER + " Yes.")], prompt, engine, store, Plan()
        ):
            pass
    return store


@pytest.mark.parametrize("name", sorted(ENGINES))
def test_every_engine_opens_by_name(name: str, stored: RunStore, monkeypatch: pytest.MonkeyPatch) -> None:
    for key in ("ANTHROPIC_API_KEY", "OPENAI_API_KEY"):
        monkeypatch.setenv(key, "sk-test-0123456789")
    models = {"provider": "openai/gpt-5-mini"}
    engine = open_engine(name, EngineOptions(model=models.get(name), run=str(stored.path)))
    assert engine.name == name
    assert engine.model
    assert callable(engine.complete)
    assert isinstance(dict(engine.parameters), dict)


def test_the_command_line_offers_every_engine_and_no_other() -> None:
    from extract.cli import ENGINE_NAMES

    assert set(ENGINE_NAMES) == set(ENGINES)


def test_an_unknown_engine_names_the_known_ones() -> None:
    with pytest.raises(EngineError, match=f"Unknown engine 'gpt'. Choose one of: {', '.join(sorted(ENGINES))}."):
        open_engine("gpt")


def test_an_engine_without_requests_answers_nothing(stored: RunStore) -> None:
    for engine in (open_engine("rules"), open_engine("replay", EngineOptions(run=str(stored.path)))):
        assert list(engine.complete([])) == []


# ---------------------------------------------------------------- prices


def test_cache_reads_and_writes_have_prices_of_their_own() -> None:
    find_cost = open_prices("anthropic", "claude-sonnet-5-5")

    def price(**tokens: int) -> float:
        return find_cost(Usage(requests=1, **tokens)) or 0.0

    plain = price(input_tokens=1_000_000)
    assert 0 < price(cache_read_tokens=1_000_000) < plain < price(cache_write_tokens=1_000_000)
    each = price(input_tokens=1000) + price(cache_read_tokens=5000) + price(cache_write_tokens=2000)
    assert find_cost(USAGE) == pytest.approx(each + price(output_tokens=500))


@pytest.mark.parametrize(("provider", "model"), [("anthropic", "claude-unknown-9"), ("nobody", "x"), (None, "x")])
def test_an_unknown_price_is_unknown_and_never_nothing(provider: str | None, model: str) -> None:
    assert open_prices(provider, model)(USAGE) is None


@pytest.mark.parametrize("model", ["claude-sonnet-5-5", "claude-sonnet-4-5", "claude-haiku-5-5", "claude-opus-5-5"])
@pytest.mark.parametrize("size", [1, 7, 300])
def test_a_cost_is_what_the_price_list_says(model: str, size: int) -> None:
    import genai_prices

    usage = Usage(**{kind: count * size for kind, count in USAGE.model_dump().items()})
    listed = genai_prices.Usage(
        input_tokens=usage.whole_input_tokens,
        cache_read_tokens=usage.cache_read_tokens,
        cache_write_tokens=usage.cache_write_tokens,
        output_tokens=usage.output_tokens,
    )
    price = genai_prices.calc_price(listed, model_ref=model, provider_id="anthropic").total_price
    assert open_prices("anthropic", model)(usage) == pytest.approx(float(price))


def test_no_tokens_cost_nothing() -> None:
    assert open_prices("anthropic", "claude-sonnet-5-5")(Usage()) == 0


# ---------------------------------------------------------------- replay


def replay(store: RunStore, **changes: Any) -> Completion:
    engine: Engine = open_engine("replay", EngineOptions(run=str(store.path)))
    return next(iter(engine.complete([make_request(**changes)])))


def test_a_replay_gives_the_stored_draft_of_the_same_text(stored: RunStore) -> None:
    done = replay(stored)
    record = next(r for r in stored.read_records() if r.transcript_id == "baker")
    assert done.draft is not None
    assert done.draft.model_dump() == record.draft


def test_a_replay_of_what_was_never_asked_is_a_failure_of_its_own_kind(stored: RunStore) -> None:
    for done in (replay(stored, transcript=make_transcript("x", BAKER + " More.")), replay(stored, repeat=1)):
        assert done.failure is not None
        assert done.failure.kind == "not_in_run"


def append(store: RunStore, **changes: Any) -> None:
    first = next(r for r in store.read_records() if r.transcript_id == "baker")
    with store:
        store.append(Record.model_validate(first.model_dump() | {"request_hash": "cd" * 32} | changes))


def test_a_replayed_failure_stays_that_failure(stored: RunStore) -> None:
    failure = Failure(kind="refusal", message="No.")
    append(stored, failure=failure, extraction=None, draft=None, usage=USAGE)
    done = replay(stored)
    assert (done.failure, done.usage) == (failure, USAGE)


def test_a_stored_draft_that_no_longer_validates_is_an_invalid_draft(stored: RunStore) -> None:
    append(stored, draft={"tasks": "nothing like it"})
    done = replay(stored)
    assert done.failure is not None
    assert done.failure.kind == "invalid_draft"
