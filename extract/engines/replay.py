"""The answers of a stored run once more: to work on prompts, grounding and scoring without a key."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from extract.engines import Completion, EngineOptions
from extract.errors import EngineError
from extract.prompt import Request
from extract.store import RunStore, open_run
from schemas.draft import DraftError
from schemas.record import Failure, Record


def open_replay(options: EngineOptions) -> "ReplayEngine":
    """The `replay` engine over the run that `--from` names. Raises EngineError without one."""
    if not options.run:
        raise EngineError("Nothing to replay. Name a run with --from RUN.")
    return ReplayEngine(open_run(options.run))


class ReplayEngine:
    """Answers with what a run holds for the same transcript text and repeat, whatever the prompt."""

    name = "replay"

    def __init__(self, store: RunStore) -> None:
        self.store = store
        self.model = store.manifest.model
        self.parameters: Mapping[str, Any] = {"run": store.manifest.run_id, **store.manifest.parameters}

    def complete(self, requests: Iterable[Request]) -> Iterator[Completion]:
        """Answer every request from the run; see `Engine`."""
        stored = {(r.text_sha256, r.repeat): r for r in self.store.read_records() if r.text_sha256}
        for request in requests:
            yield _replay(request, stored.get((request.transcript.text_sha256, request.repeat)))


def _replay(request: Request, record: Record | None) -> Completion:
    if record is None:
        message = "The replayed run has no answer for this transcript."
        return Completion(request, failure=Failure(kind="not_in_run", message=message))
    taken: dict[str, Any] = {
        "usage": record.usage,
        "cost_usd": record.cost_usd,
        "latency_s": record.latency_s,
        "attempts": record.attempts,
        "model": record.model,
        "request_id": record.request_id,
    }
    if record.draft is None:
        return Completion(request, failure=record.failure, answer=record.answer, **taken)
    try:
        draft = request.format.model.model_validate(record.draft)
        request.format.check(draft, request.transcript)
    except (DraftError, ValueError) as error:
        failure = Failure(kind="invalid_draft", message=" ".join(str(error).split())[:1000])
        return Completion(request, failure=failure, **taken)
    return Completion(request, draft=draft, **taken)
