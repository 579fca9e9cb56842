"""A judge: a second model that says whether an item's sentences support it, calibrated on labelled pairs."""

from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import replace
from pathlib import Path

from filelock import FileLock

from evals.calibration import Calibration
from evals.judge_report import JudgedItem, JudgeReport
from evals.pairs import PairSet, load_pairs
from evals.questions import JudgePrompt, load_judge_prompt, make_question
from extract.engines import Engine, EngineOptions, open_engine
from extract.errors import EngineError, EvaluationError
from extract.keys import find_key
from extract.pipeline import Plan, close_manifest, describe_run, estimate_requests, run_requests
from extract.prompt import Request
from extract.store import RUNS, RunStore, create_run, find_run
from schemas.codebook import Codebook, Section, load_codebook
from schemas.extraction import Item
from schemas.record import Record, Usage
from schemas.verdict import Verdict, VerdictDraft

FOLDER = "judges"
"""Verdicts lie in `<runs>/judges`, so that they are no runs among the runs of extractions."""

MAX_TOKENS = 4096
OUTPUT_TOKENS = 60
"""About what one verdict takes; for estimates."""

NO_JUDGE = "The rules engine finds cue phrases and cannot judge. Name a model, claude-haiku-5-5 for one."
Watch = Callable[[Plan, int], None]
"""Told how far the plan is, and how many requests there are in all."""


def open_judge(model: str, options: EngineOptions | None = None, engine: str | None = None) -> Engine:
    """The engine of a judge's model: `provider` for `<provider>/<model>`, else `claude`, or the one named.

    `options.model` and `options.max_tokens` are set here. Raises EngineError, for `rules` too.
    """
    if "rules" in (model, engine):
        raise EngineError(NO_JUDGE)
    given = replace(options or EngineOptions(), model=model, max_tokens=MAX_TOKENS)
    name = engine or ("provider" if "/" in model else "claude")
    if name == "claude" and not given.dry_run and not find_key("ANTHROPIC_API_KEY"):
        raise EngineError("No key for Claude. Set ANTHROPIC_API_KEY, or name another judge, openai/gpt-5-mini for one.")
    return open_engine(name, given)


def judge_run(
    store: RunStore,
    judge: Engine,
    *,
    runs: Path = RUNS,
    codebook: Codebook | None = None,
    pairs: PairSet | None = None,
    only: Collection[str] | None = None,
    max_cost_usd: float | None = None,
    retry_failed: bool = False,
    watch: Watch | None = None,
) -> JudgeReport:
    """Ask the judge about the labelled pairs and every item of a run that it was not asked about before.

    Verdicts are kept in one run store per judge (model, prompt, codebook) below `runs`, whichever run
    they are about: the pairs and unchanged items are paid once. Nothing begins that could pass
    `max_cost_usd`. `only` names the transcripts that matter.
    Raises EngineError, EvaluationError, GoldenError, StoreError.
    """
    asking = _Asking(store, judge, codebook or load_codebook(), pairs, only)
    find_cost = getattr(judge, "find_cost", None)
    _check_price(judge, find_cost, max_cost_usd)
    plan = Plan(
        retry_failed=retry_failed,
        max_cost_usd=max_cost_usd,
        find_cost=find_cost,
        max_tokens=judge.parameters.get("max_tokens", MAX_TOKENS),
    )
    folder = runs / FOLDER
    folder.mkdir(parents=True, exist_ok=True)
    with FileLock(folder / ".judge.lock"):  # parallel workers wait, then find all of it answered
        verdicts = _open_verdicts(asking.prompt, judge, folder)
        with verdicts:
            _ask(asking.requests, judge, verdicts, plan, watch)
    return _report(asking, {r.request_hash: r for r in verdicts.read_records()}, plan)


def estimate_judging(
    store: RunStore,
    judge: Engine,
    *,
    runs: Path = RUNS,
    codebook: Codebook | None = None,
    pairs: PairSet | None = None,
    retry_failed: bool = False,
) -> tuple[int, Usage, float | None]:
    """How many requests `judge_run` would send, about what they take, and dollars; asks nothing, writes nothing."""
    asking = _Asking(store, judge, codebook or load_codebook(), pairs)
    verdicts = find_run(runs / FOLDER, describe_run(asking.prompt, judge, FOLDER, 1))
    if verdicts:
        verdicts.load_index()
    plan = Plan(retry_failed=retry_failed, find_cost=getattr(judge, "find_cost", None))
    count, usage = estimate_requests(asking.requests, verdicts, plan, OUTPUT_TOKENS)
    return count, usage, plan.cost_usd if plan.cost_known else None


class _Asking:
    """What is to be asked: the labelled pairs first, without which the rest says little, then the items."""

    def __init__(
        self,
        store: RunStore,
        judge: Engine,
        codebook: Codebook,
        pairs: PairSet | None,
        only: Collection[str] | None = None,
    ) -> None:
        if judge.name == "rules":
            raise EngineError(NO_JUDGE)
        _check_codebook(store, codebook)
        self.run_id, self.judge = store.manifest.run_id, judge
        self.prompt = load_judge_prompt(codebook)
        self.pairs = pairs if pairs is not None else load_pairs(codebook)
        records = list(store.read_records(only))
        self.failed_records = sum(record.extraction is None for record in records)
        self.items = [
            (record, section, item, self._render(record.transcript_id, section, item))
            for record in records
            if record.extraction
            for section, item in record.extraction.iterate_items()
        ]
        self.paired = [
            (paired.label, self.prompt.render(paired.question, model=judge.model, parameters=judge.parameters))
            for paired in self.pairs.pairs
        ]

    def _render(self, transcript_id: str, section: Section, item: Item) -> Request:
        question = make_question(transcript_id, section, item)
        return self.prompt.render(question, model=self.judge.model, parameters=self.judge.parameters)

    @property
    def requests(self) -> list[Request]:
        """Each question once, however often a run repeats it."""
        asked = [*(request for _, request in self.paired), *(request for *_, request in self.items)]
        return list({request.hash: request for request in asked}.values())


def _check_codebook(store: RunStore, codebook: Codebook) -> None:
    if store.manifest.codebook_sha256 != codebook.hash:
        raise EvaluationError(
            f"Run {store.manifest.run_id!r} was made with another codebook "
            f"({store.manifest.codebook_sha256[:12]!r}, not {codebook.hash[:12]!r}). Name it: --codebook FILE."
        )


def _check_price(judge: Engine, find_cost: Callable[[Usage], float | None] | None, max_cost_usd: float | None) -> None:
    if max_cost_usd is None or find_cost is None:
        return
    if find_cost(Usage(requests=1, input_tokens=1, output_tokens=1)) is None:
        raise EvaluationError(f"No price is known for {judge.model!r}, so --max-cost cannot hold. Leave it out.")


def _open_verdicts(prompt: JudgePrompt, judge: Engine, folder: Path) -> RunStore:
    manifest = describe_run(prompt, judge, FOLDER, 1)
    return find_run(folder, manifest) or create_run(folder, manifest)


def _ask(requests: list[Request], judge: Engine, verdicts: RunStore, plan: Plan, watch: Watch | None) -> None:
    verdicts.write_manifest(verdicts.manifest.model_copy(update={"status": "running"}))
    try:
        for _ in run_requests(requests, judge, verdicts, plan):
            if watch:
                watch(plan, len(requests))
    except BaseException:
        plan.stop("an error")
        raise
    finally:
        closed = close_manifest(verdicts, plan)
        verdicts.write_manifest(closed.model_copy(update={"transcripts_sha256": None}))


def _report(asking: _Asking, records: dict[str, Record], plan: Plan) -> JudgeReport:
    answered = [(label, _read_verdict(records.get(request.hash))[0]) for label, request in asking.paired]
    outcomes = tuple((label, verdict) for label, verdict in answered if verdict)
    return JudgeReport(
        run_id=asking.run_id,
        model=asking.judge.model,
        prompt_version=asking.prompt.version,
        provenance=asking.pairs.provenance,
        calibration=Calibration(outcomes, len(answered) - len(outcomes)),
        items=tuple(_join(asking.items, records)),
        failed_records=asking.failed_records,
        asked=plan.answered,
        held=plan.held,
        usage=plan.usage,
        cost_usd=plan.cost_usd if plan.cost_known else None,
        stopped=plan.stopped,
    )


def _join(items: Iterable[tuple[Record, Section, Item, Request]], records: dict[str, Record]) -> Iterator[JudgedItem]:
    for record, section, item, request in items:
        verdict, reason = _read_verdict(records.get(request.hash))
        yield JudgedItem(record.transcript_id, record.repeat, section, item, verdict, reason)


def _read_verdict(record: Record | None) -> tuple[Verdict | None, str]:
    """The verdict that a record holds with its reason, or why there is none."""
    if record is None:
        return None, "not asked"
    if record.draft is None:
        return None, f"{record.failure.kind}: {record.failure.message}" if record.failure else "no answer"
    draft = VerdictDraft.model_validate(record.draft)
    return draft.verdict, " ".join(draft.reason.split())
