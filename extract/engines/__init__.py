"""Engines: how requests become drafts. One signature for a live API, a replay and the keyless rules.

Only this package knows a provider. To add an engine, write a module with a class that has the
attributes and the method of `Engine`, and name it in `ENGINES`.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

from pydantic import BaseModel

from extract.errors import EngineError
from extract.prompt import Request
from schemas.record import Failure, Usage

if TYPE_CHECKING:
    from extract.store import RunStore

ENGINES = {
    "batches": "extract.engines.batches:open_batches",
    "claude": "extract.engines.claude:open_claude",
    "cluster": "extract.engines.cluster:open_cluster",
    "provider": "extract.engines.provider:open_provider",
    "replay": "extract.engines.replay:open_replay",
    "rules": "extract.engines.rules:open_rules",
}


@dataclass(frozen=True)
class Completion:
    """What came of one request: a checked draft of the request's format, or a failure. Exactly one of them is set.

    `usage` sums over all requests that were sent, `cost_usd` is None where the price is unknown,
    `latency_s` includes the waits between attempts, `answer` is the last text of a failed answer.
    `stored_at` is a file of the run's folder and an offset in it, where the engine has stored the record
    itself; draft and answer are there, and not here.
    """

    request: Request
    draft: BaseModel | None = None
    failure: Failure | None = None
    usage: Usage = Usage()
    cost_usd: float | None = None
    latency_s: float = 0.0
    attempts: int = 0
    model: str | None = None
    request_id: str | None = None
    answer: str | None = None
    stored_at: tuple[str, int] | None = None


class Engine(Protocol):
    """Anything that answers requests. `name`, `model` and `parameters` are kept in the manifest;
    `model` and `parameters` are part of every request's hash, so they hold what changes an answer.
    """

    name: str
    model: str
    parameters: Mapping[str, Any]

    def complete(self, requests: Iterable[Request]) -> Iterator[Completion]:
        """Answer every request, lazily and in any order. One request's trouble is its Completion's
        failure; only what stops all of them (a refused key) raises EngineError.
        """


@runtime_checkable
class StoringEngine(Engine, Protocol):
    """An engine that keeps something in the run's folder."""

    def attach(self, store: "RunStore") -> None:
        """Keep it in the folder of this run."""


@runtime_checkable
class LastingEngine(StoringEngine, Protocol):
    """An engine whose requests go on without the process that sent them; it keeps what is on its way there."""

    def stop(self) -> None:
        """Wait for nothing any more; what was sent goes on and is collected by a later `complete`."""


def _say_nothing(message: str) -> None:
    """Where nobody listens."""


@dataclass(frozen=True)
class EngineOptions:
    """What a user can say about an engine; each engine takes what it knows.

    `timeout_s` bounds one request, `base_url` is another address of the same API, `run` is the
    folder of the run that `replay` reads. Nothing is asked of an engine opened with `dry_run`, so it
    needs no key. `batch_requests` and `batch_bytes` bound one batch, `poll_s` is the first wait between
    two looks at it. `say` hears what an engine does while nothing comes back. Of the cluster: `inner` is
    the engine that its workers drive, `workers` how many there are, `address` where Ray is; the limits
    are the account's, for all workers together.
    """

    model: str | None = None
    concurrency: int = 50
    max_tokens: int = 8192
    timeout_s: float = 600.0
    base_url: str | None = None
    run: str | None = None
    give_up_s: float = 900.0
    dry_run: bool = False
    batch_requests: int = 100_000
    batch_bytes: int = 256_000_000
    poll_s: float = 5.0
    say: Callable[[str], None] = _say_nothing
    inner: str = "claude"
    workers: int | None = None
    address: str | None = None
    requests_per_minute: int | None = None
    tokens_per_minute: int | None = None
    output_tokens_per_minute: int | None = None


def open_engine(name: str, options: EngineOptions = EngineOptions()) -> Engine:
    """Open an engine by name; its libraries are imported now and not before. Raises EngineError."""
    if name not in ENGINES:
        raise EngineError(f"Unknown engine {name!r}. Choose one of: {', '.join(sorted(ENGINES))}.")
    module, function = ENGINES[name].split(":")
    engine: Engine = getattr(import_module(module), function)(options)
    return engine
