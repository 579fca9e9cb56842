"""Many machines on Ray: workers that each drive another engine, one account's limits over all of them.

Plain actors rather than Ray Data, since requests must come in lazily (money and Ctrl-C stop what has not begun),
answers go out in any order, and only what a dead worker had in flight may be asked again. Ray Data asks
whole blocks again, and its blocks wait for their slowest row.

The driver reads the interviews, renders and hashes them, and gives each worker what it has room for. Workers
keep the records (see `cluster_worker`) and tell the driver where; what a dead one had kept already is found in
its file, and the rest goes to another.
"""

import os
import secrets
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from itertools import chain, count, islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from extract.engines import Completion, Engine, EngineOptions, open_engine
from extract.engines.account import KINDS, Account
from extract.engines.cluster_worker import Outcome, Question, Report, Setup, Worker
from extract.engines.ray_start import start_ray
from extract.errors import EngineError
from extract.prompt import Request
from schemas.record import Failure, Record, Usage
from schemas.transcript import Transcript

if TYPE_CHECKING:
    from extract.store import RunStore

INNER = ("claude", "provider", "replay", "rules")
DEATHS_OF_A_REQUEST = 3
AT_ONCE = 32
"""Requests in one message to a worker."""
WAIT_S = 1.0


def open_cluster(options: EngineOptions) -> "ClusterEngine":
    """The `cluster` engine. Raises EngineError for an inner engine that it cannot drive or that cannot be opened."""
    if options.inner not in INNER:
        raise EngineError(f"The cluster cannot drive {options.inner!r}. Choose one of: {', '.join(INNER)}.")
    return ClusterEngine(options, open_engine(options.inner, options))


class ClusterEngine:
    """Asks through workers. `model` and `parameters` are the inner engine's, so a request's hash is the same
    as on one machine. Ray starts with the first request and ends with the process, or with `close`.
    """

    name = "cluster"

    def __init__(self, options: EngineOptions, inner: Engine) -> None:
        self.model, self.parameters = inner.model, inner.parameters
        self.find_cost: Callable[[Usage], float | None] | None = getattr(inner, "find_cost", None)
        self._options = options
        self._crew: _Crew | None = None
        self._folder: Path | None = None
        self._run_id = ""

    @property
    def trouble(self) -> str | None:
        """Why requests are tried again just now, for who watches."""
        return self._crew.trouble if self._crew else None

    def attach(self, store: "RunStore") -> None:
        """Let the workers keep their records in this run, where they see its folder."""
        if self._folder != store.path.resolve():
            self.close()
        self._folder, self._run_id = store.path.resolve(), store.manifest.run_id

    def complete(self, requests: Iterable[Request]) -> Iterator[Completion]:
        """Answer every request; see `Engine`."""
        requests = iter(requests)
        first = next(requests, None)
        if first is None:
            return
        self._crew = self._crew or _Crew(self._options, self._folder, self._run_id)
        try:
            yield from self._crew.work(chain([first], requests))
        except BaseException:  # what is in flight must not go on being paid
            self.close()
            raise

    def close(self) -> None:
        """Stop all workers, and Ray where it was started here."""
        if self._crew:
            self._crew.dismiss()
        self._crew = None


@dataclass
class _Member:
    """One worker as the driver knows it. `call` is the one call that is under way: to open, then to collect;
    `sent` are the messages to it that may not have arrived.
    """

    actor: Any
    shard: str
    call: Any
    is_open: bool = False
    kinds: set[int] = field(default_factory=set)
    asked: dict[int, Request] = field(default_factory=dict)
    sent: list[Any] = field(default_factory=list)


class _Crew:
    """The workers: gives them requests, collects what is done, replaces those that die."""

    def __init__(self, options: EngineOptions, folder: Path | None, run_id: str) -> None:
        self._options = options
        self._ray, self._started_here = start_ray(options.address)
        self._account = self._open_account()
        self._setup = Setup(options.inner, replace(options, dry_run=False), _find_keys(options), "", folder, run_id)
        workers = options.workers or sum(1 for node in self._ray.nodes() if node["Alive"])
        self._capacity = options.concurrency + max(4, options.concurrency // 4)
        options.say(f"Starting {workers} workers on Ray ...")
        self._members = [self._hire() for _ in range(workers)]
        self._most_deaths = max(3, 2 * workers)
        self._kinds: dict[tuple[str, str], int] = {}
        self._again: deque[tuple[int, Request]] = deque()
        self._deaths: dict[int, int] = {}
        self._deaths_in_a_row = 0
        self._tickets = count(1)
        self.trouble: str | None = None

    def work(self, requests: Iterator[Request]) -> Iterator[Completion]:
        """Answer every request, in any order."""
        pending = zip(self._tickets, requests, strict=False)
        while True:
            while self._hand_out(pending):
                yield from self._collect(0)
            busy = self._again or any(member.asked for member in self._members)
            if not busy and any(member.is_open for member in self._members):
                return  # there was room, and nothing left to give
            yield from self._collect(WAIT_S)

    def dismiss(self) -> None:
        """Kill all workers."""
        for member in self._members:
            self._ray.kill(member.actor)
        self._ray.kill(self._account)
        if self._started_here:
            self._ray.shutdown()

    # ------------------------------------------------------------ giving

    def _hand_out(self, pending: Iterator[tuple[int, Request]]) -> bool:
        """Give the emptiest worker some requests; False where there is no room or nothing to give."""
        member = min((m for m in self._members if m.is_open), key=lambda m: len(m.asked), default=None)
        room = self._capacity - len(member.asked) if member else 0
        if member is None or room <= 0:
            return False
        again = [self._again.popleft() for _ in range(min(room, AT_ONCE, len(self._again)))]
        given = again or list(islice(pending, min(room, AT_ONCE)))
        if given:
            questions = [self._pack(member, ticket, request) for ticket, request in given]
            member.asked.update(given)
            member.sent.append(member.actor.ask.remote(questions))
        return bool(given)

    def _pack(self, member: _Member, ticket: int, request: Request) -> Question:
        kind = self._kinds.setdefault((request.system, request.format.hash), len(self._kinds))
        if kind not in member.kinds:
            member.kinds.add(kind)
            member.sent.append(member.actor.learn.remote(kind, request.system, request.format))
        told = request.transcript
        bare = Transcript(told.id, told.text, told.turns, told.cohort)  # without what it has computed of itself
        return Question(ticket, kind, bare, request.user, request.repeat, request.hash)

    # ------------------------------------------------------------ collecting

    def _collect(self, timeout_s: float) -> Iterator[Completion]:
        """What the first worker that has something to say has done; one that died is replaced."""
        exceptions = self._ray.exceptions
        calls = {member.call: member for member in self._members}
        done, _ = self._ray.wait(list(calls), num_returns=1, timeout=timeout_s)
        for call in done:
            member = calls[call]
            try:
                report: Report = self._ray.get(call)
                self._check_sent(member)
            except exceptions.RayActorError as error:
                yield from self._bury(member, str(error))
                continue
            except exceptions.RayTaskError as error:
                raise EngineError(f"A worker failed: {error.cause!r}.") from None
            member.is_open = True
            member.call = member.actor.collect.remote()
            self.trouble = report.trouble
            yield from self._unpack(member, report.outcomes)
            if report.problem:
                raise EngineError(report.problem)

    def _check_sent(self, member: _Member) -> None:
        """A message that a worker could not read must not be waited for. Raises what went wrong there."""
        if member.sent:
            arrived, member.sent = self._ray.wait(member.sent, num_returns=len(member.sent), timeout=0)
            self._ray.get(arrived)

    def _unpack(self, member: _Member, outcomes: list[Outcome]) -> Iterator[Completion]:
        for ticket, values in outcomes:
            request = member.asked.pop(ticket)
            self._deaths_in_a_row = 0
            draft = values["draft"] and request.format.model.model_validate(values["draft"])
            yield Completion(request, **(values | {"draft": draft}))

    # ------------------------------------------------------------ dying

    def _bury(self, member: _Member, why: str) -> Iterator[Completion]:
        """Hire another worker; take what this one had kept, and ask the rest again."""
        self._ray.kill(member.actor)  # it may be out of reach only, and would go on asking
        self._members.remove(member)
        self._deaths_in_a_row += 1
        if self._deaths_in_a_row > self._most_deaths:
            raise EngineError(f"Workers die before they answer anything: {' '.join(why.split())[:500]}")
        self._members.append(self._hire())
        for ticket, completion in self._recover(member):
            del member.asked[ticket]
            yield completion
        self.trouble = f"A worker died; the {len(member.asked)} requests that it had are asked again."
        for ticket, request in member.asked.items():
            self._deaths[ticket] = self._deaths.get(ticket, 0) + 1
            if self._deaths[ticket] < DEATHS_OF_A_REQUEST:
                self._again.append((ticket, request))
                continue
            message = f"The worker that asked died, {DEATHS_OF_A_REQUEST} times."
            yield Completion(request, failure=Failure(kind="connection", message=message))

    def _recover(self, member: _Member) -> Iterator[tuple[int, Completion]]:
        """What a dead worker had kept and not told yet."""
        path = self._setup.folder and self._setup.folder / member.shard
        if not path or not path.exists():
            return
        asked = {(r.transcript.id, r.repeat, r.hash): (ticket, r) for ticket, r in member.asked.items()}
        with path.open("rb") as file:
            offset = 0
            for line in file:
                record = _parse(line)
                key = record and (record.transcript_id, record.repeat, record.request_hash)
                if record and key in asked:
                    ticket, request = asked.pop(key)
                    yield ticket, _restore(request, record, (member.shard, offset))
                offset += len(line)

    # ------------------------------------------------------------ hiring

    def _hire(self) -> _Member:
        stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%S%fZ")  # the driver's clock, so that names sort by time
        shard = f"records-{stamp}-{secrets.token_hex(3)}.jsonl"
        options = {"num_cpus": 1, "max_concurrency": 100, "scheduling_strategy": "SPREAD"}
        actor = self._ray.remote(Worker).options(**options).remote(replace(self._setup, shard=shard), self._account)
        return _Member(actor, shard, actor.open.remote())

    def _open_account(self) -> Any:
        """The one limiter, beside the driver: it must not die with a worker's machine."""
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

        options = self._options
        given = (options.requests_per_minute, options.tokens_per_minute, options.output_tokens_per_minute)
        here = NodeAffinitySchedulingStrategy(self._ray.get_runtime_context().get_node_id(), soft=False)
        wanted = {"num_cpus": 0, "max_concurrency": 10_000, "max_restarts": -1, "max_task_retries": -1}
        actor = self._ray.remote(Account).options(**wanted, scheduling_strategy=here)
        return actor.remote(dict(zip(KINDS, given, strict=True)))


def _find_keys(options: EngineOptions) -> Mapping[str, str]:
    """The keys in this environment that the inner engine may need."""
    names = {"claude": ("ANTHROPIC_API_KEY",), "provider": ("_API_KEY",)}.get(options.inner, ())
    return {name: value for name, value in os.environ.items() if name.endswith(names)}


def _parse(line: bytes) -> Record | None:
    try:
        return Record.model_validate_json(line) if line.endswith(b"\n") else None
    except ValidationError:
        return None


def _restore(request: Request, record: Record, stored_at: tuple[str, int]) -> Completion:
    return Completion(
        request,
        failure=record.failure,
        usage=record.usage,
        cost_usd=record.cost_usd,
        latency_s=record.latency_s,
        attempts=record.attempts,
        model=record.model,
        request_id=record.request_id,
        stored_at=stored_at,
    )
