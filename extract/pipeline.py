"""The main flow: transcripts -> prompt -> engine -> grounding -> run store."""

import hashlib
import json
import subprocess
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from extract.engines import Engine, StoringEngine
from extract.engines.records import make_record
from extract.prompt import Prompt, PromptVersion, Request, estimate_tokens
from extract.store import RunStore, now
from extract.transcripts import BadTranscript
from schemas.record import Failure, Manifest, Record, Usage
from schemas.transcript import Transcript

PACKAGES = ("anthropic", "instructor", "openai", "pydantic", "datasets", "sentencex", "ftfy", "genai-prices", "ray")
OUTPUT_TOKENS = 1500
"""About what one draft takes; for estimates before the first answer."""


def run_extraction(
    transcripts: Iterable[Transcript | BadTranscript], prompt: Prompt, engine: Engine, store: RunStore, plan: "Plan"
) -> Iterator[Record]:
    """Extract every transcript that the store does not hold yet; yield each record once it is stored."""
    yield from run_requests(_render_all(transcripts, prompt, engine, store, plan), engine, store, plan)


def run_requests(requests: Iterable[Request], engine: Engine, store: RunStore, plan: "Plan") -> Iterator[Record]:
    """Ask everything that the store does not hold yet; yield each record once it is stored.

    A record that the engine stored itself comes without what was extracted, which is in the run's files.
    """
    if isinstance(engine, StoringEngine):
        engine.attach(store)
    pending = _find_pending(requests, store, plan)
    while plan.begin_round():
        for completion in engine.complete(plan.admit(pending)):
            record = make_record(completion)
            if completion.stored_at is None:
                store.append(record)
            else:
                store.adopt(record, *completion.stored_at)
            plan.note(record)
            yield record
        yield from _store_settled(store, plan)


@dataclass
class Plan:
    """What a run is asked to do, and how far it is.

    `repeats` asks every transcript so often. `max_cost_usd` stops the run before it is passed: no
    request starts unless the money spent and the dearest outcome of all that are on their way
    stay below it. `stop` ends it: what is in flight is finished, nothing new begins.
    """

    repeats: int = 1
    retry_failed: bool = False
    max_cost_usd: float | None = None
    find_cost: Callable[[Usage], float | None] | None = None
    max_tokens: int = 8192
    stopped: str | None = None
    held: int = 0
    asked: int = 0
    answered: int = 0
    failed: int = 0
    cost_usd: float = 0.0
    cost_known: bool = True
    usage: Usage = Usage()
    transcripts: int = 0
    digest: int = 0
    settled: list[Record] = field(default_factory=list)
    _dearest: float = 0.0
    _more: bool = True
    _waiting: Request | None = None

    @property
    def in_flight(self) -> int:
        """Requests that have been handed to the engine and have not come back."""
        return self.asked - self.answered

    def stop(self, reason: str) -> None:
        """Begin nothing new."""
        self.stopped = self.stopped or reason

    def begin_round(self) -> bool:
        """Whether there may be something to ask. A round ends early where money in flight forbids more."""
        return self._more and self.stopped is None

    def admit(self, pending: Iterator[Request]) -> Iterator[Request]:
        """Hand out requests until they run out, the run is stopped, or the money in flight forbids more."""
        while self.stopped is None:
            request = self._waiting or next(pending, None)
            self._waiting = None
            if request is None:
                self._more = False
                return
            if not self._can_afford(request):
                self._waiting = request
                if self.in_flight == 0:
                    self.stop(f"--max-cost {self.max_cost_usd:g} would be passed")
                return
            self.asked += 1
            yield request

    def note(self, record: Record) -> None:
        """Count what came back."""
        self.answered += 1
        self.failed += record.failure is not None
        self.usage += record.usage
        if record.cost_usd is None:
            self.cost_known = self.cost_known and record.usage.requests == 0
        else:
            self.cost_usd += record.cost_usd
            self._dearest = max(self._dearest, record.cost_usd)

    def _can_afford(self, request: Request) -> bool:
        if self.max_cost_usd is None:
            return True
        each = self._dearest * 1.5 if self.answered >= 5 else estimate_cost(self, request, self.max_tokens) or 0.0
        return self.cost_usd + (self.in_flight + 1) * each <= self.max_cost_usd


def estimate_usage(request: Request, output_tokens: int) -> Usage:
    """About what a request takes: the system part written to the cache, the transcript, an answer."""
    system = estimate_tokens(request.system) + estimate_tokens(json.dumps(request.format.json_schema))
    return Usage(
        requests=1,
        input_tokens=estimate_tokens(request.user),
        cache_write_tokens=system,
        output_tokens=output_tokens,
    )


def estimate_cost(plan: Plan, request: Request, output_tokens: int) -> float | None:
    """US dollars for one request by estimate; None where the price is unknown."""
    return plan.find_cost(estimate_usage(request, output_tokens)) if plan.find_cost else None


def estimate_run(
    transcripts: Iterable[Transcript | BadTranscript],
    prompt: Prompt,
    engine: Engine,
    store: RunStore | None,
    plan: Plan,
) -> tuple[int, Usage]:
    """How many requests a run would send, and about what they take."""
    requests = (
        prompt.render(transcript, model=engine.model, parameters=engine.parameters, repeat=repeat)
        for transcript in transcripts
        if not isinstance(transcript, BadTranscript)
        for repeat in range(plan.repeats)
    )
    return estimate_requests(requests, store, plan, OUTPUT_TOKENS)


def estimate_requests(
    requests: Iterable[Request], store: RunStore | None, plan: Plan, output_tokens: int
) -> tuple[int, Usage]:
    """How many of them the store does not hold, and about what they take: the system part is cached once.

    Dollars go to `plan.cost_usd`, each request at a price of its own: long prompts may have a higher one.
    """
    count, total = 0, Usage()
    for request in requests:
        if store and store.holds(request.transcript.id, request.hash, retry_failed=plan.retry_failed):
            plan.held += 1
            continue
        usage = estimate_usage(request, output_tokens)
        if count:
            cached = {"cache_read_tokens": usage.cache_write_tokens, "cache_write_tokens": 0}
            usage = usage.model_copy(update=cached)
        cost = plan.find_cost(usage) if plan.find_cost else None
        plan.cost_usd += cost or 0.0
        plan.cost_known = plan.cost_known and cost is not None
        count, total = count + 1, total + usage
    return count, total


def _find_pending(requests: Iterable[Request], store: RunStore, plan: Plan) -> Iterator[Request]:
    for request in requests:
        if store.holds(request.transcript.id, request.hash, retry_failed=plan.retry_failed):
            plan.held += 1
        elif answered := store.find_answer(request.hash):
            _copy_answer(answered, request.transcript, plan)
        else:
            yield request


def _render_all(
    transcripts: Iterable[Transcript | BadTranscript], prompt: Prompt, engine: Engine, store: RunStore, plan: Plan
) -> Iterator[Request]:
    for transcript in transcripts:
        plan.transcripts += 1
        if isinstance(transcript, BadTranscript):
            _note_unreadable(transcript, store, plan)
            continue
        plan.digest += int(hashlib.sha256(f"{transcript.id}\0{transcript.text_sha256}".encode()).hexdigest(), 16)
        for repeat in range(plan.repeats):
            yield prompt.render(transcript, model=engine.model, parameters=engine.parameters, repeat=repeat)


def _copy_answer(answered: Record, transcript: Transcript, plan: Plan) -> None:
    """The same text under another id is the same request, and it has been paid."""
    own = {"transcript_id": transcript.id, "cohort": transcript.cohort, "created_at": now()}
    free = {"usage": Usage(), "cost_usd": None, "attempts": 0, "latency_s": 0.0}
    plan.settled.append(answered.model_copy(update=own | free))


def _note_unreadable(bad: BadTranscript, store: RunStore, plan: Plan) -> None:
    """A row that is no interview becomes a record too; a mended row makes another hash."""
    key = hashlib.sha256(f"unreadable\0{bad.reason}".encode("utf-8", "surrogatepass")).hexdigest()
    if store.holds(bad.id, key):
        plan.held += 1
        return
    failure = Failure(kind="unreadable", message=bad.reason)
    plan.settled.append(
        Record(transcript_id=bad.id, request_hash=key, cohort=bad.cohort, failure=failure, created_at=now())
    )


def _store_settled(store: RunStore, plan: Plan) -> Iterator[Record]:
    while plan.settled:
        record = plan.settled.pop(0)
        store.append(record)
        plan.asked += 1
        plan.note(record)
        yield record


# ---------------------------------------------------------------- the manifest


def describe_run(prompt: PromptVersion, engine: Engine, source: str, repeats: int) -> Manifest:
    """The manifest of a run that has not begun."""
    codebook = prompt.format.codebook
    return Manifest(
        run_id="",
        created_at=now(),
        engine=engine.name,
        model=engine.model,
        parameters=dict(engine.parameters),
        prompt_version=prompt.version,
        prompt_sha256=prompt.hash,
        schema_sha256=prompt.format.hash,
        codebook_version=codebook.version,
        codebook_sha256=codebook.hash,
        source=source,
        repeats=repeats,
        code_commit=_find_commit(),
        package_versions=_find_versions(),
    )


def close_manifest(store: RunStore, plan: Plan) -> Manifest:
    """The manifest as it stands at the end of a command: sums over all records of the run."""
    changes: dict[str, Any] = {
        "status": "complete" if plan.stopped is None else "stopped",
        "transcripts_sha256": f"{plan.digest % 2**256:064x}" if plan.stopped is None else None,
        **store.sum_up(),
        "finished_at": now(),
    }
    return store.manifest.model_copy(update=changes)


def _find_versions() -> dict[str, str]:
    found = {}
    for name in PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def _find_commit() -> str | None:
    """The commit of the code, with `+changes` where files differ from it; None outside a checkout."""
    here = Path(__file__).parent
    try:
        done = subprocess.run(
            ["git", "describe", "--always", "--abbrev=40", "--dirty=+changes", "--exclude=*"],
            cwd=here, capture_output=True, text=True, timeout=5, check=True,
        )  # fmt: skip
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip() or None
