"""Judges and runs that the tests of judging share: engines that decide without a model, a small run."""

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from evals.pairs import load_pairs
from evals.questions import load_judge_prompt
from extract.engines import Completion
from extract.grounding import ground_draft
from extract.pipeline import describe_run
from extract.prompt import Request
from extract.store import RunStore, create_run, open_run
from extract.tests.samples import ANSWER, BAKER, make_prompt, make_record, make_transcript
from schemas.codebook import load_codebook
from schemas.record import Usage
from schemas.verdict import Verdict

Decide = Callable[[Request], Verdict]
PROMPT = make_prompt()


class FakeJudge:
    """Decides by a function, and counts what it is asked. Every answer costs `cost_usd`."""

    name = "claude"

    def __init__(self, decide: Decide, model: str = "m", cost_usd: float = 0.001) -> None:
        self.decide, self.model, self.cost_usd = decide, model, cost_usd
        self.parameters: Mapping[str, Any] = {"max_tokens": 100}
        self.asked: list[str] = []

    def find_cost(self, usage: Usage) -> float | None:
        return self.cost_usd * usage.requests

    def complete(self, requests: Iterable[Request]) -> Iterator[Completion]:
        for request in requests:
            self.asked.append(request.user)
            answer = {"reason": "It says so.", "verdict": self.decide(request)}
            usage = Usage(requests=1, input_tokens=100, output_tokens=20)
            draft = request.format.model.model_validate(answer)
            yield Completion(request, draft=draft, usage=usage, cost_usd=self.cost_usd, attempts=1)


def know_the_labels() -> Decide:
    """A judge that gives every labelled pair its label, and any other item `supported`."""
    codebook = load_codebook()
    prompt = load_judge_prompt(codebook)
    pairs = load_pairs(codebook).pairs
    known = {prompt.render(p.question, model="m", parameters={}).user: p.label for p in pairs}
    return lambda request: known.get(request.user, "supported")


def toss_a_coin(request: Request) -> Verdict:
    """`supported` or `not` by the digest of the item: no relation to what it says."""
    return "supported" if hashlib.sha256(request.user.encode()).digest()[0] % 2 else "not"


def say_supported(_request: Request) -> Verdict:
    return "supported"


def make_run(runs: Path, interviews: int = 3) -> RunStore:
    """A run of the invented baker: 4 items an interview, their summaries told apart by a number."""
    store = create_run(runs, describe_run(PROMPT, FakeJudge(say_supported), "here", 1))
    with store:
        for n in range(interviews):
            append_interview(store, n)
    return open_run(store.path)


def append_interview(store: RunStore, n: int, **changes: Any) -> None:
    transcript = make_transcript(f"baker{n}", f"{BAKER} Number {n}.")
    draft: Any = {name: dict(part) for name, part in ANSWER.items()}
    for part in draft.values():
        part["items"] = [item | {"summary": f"{item['summary']} {n}"} for item in part["items"]]
    extraction = ground_draft(PROMPT.format.model.model_validate(draft), transcript)
    values: dict[str, Any] = {
        "request_hash": transcript.text_sha256,
        "extraction": extraction,
        "text_sha256": transcript.text_sha256,
    }
    store.append(make_record(transcript.id, **(values | changes)))
