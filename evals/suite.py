"""The suite's one evaluation: goldens, the run that is looked at, the accepted baseline, the gates.

`conftest.py` makes one from the options of `pytest evals`; the tests ask it, and nothing here knows pytest.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from evals.baseline import BASELINE, load_baseline, name_engine, open_accepted
from evals.comparison import Comparison, Row, check_comparable, compare_scores
from evals.goldens import GOLDENS, GoldenSet, find_golden_paths, load_goldens
from evals.judge import judge_run, open_judge
from evals.judge_report import JudgeReport
from evals.scoring import SCOPES, RunScore, Scope, score_ceiling, score_records
from evals.uncertainty import Interval, find_mean_interval
from extract.engines import Engine, EngineOptions, open_engine
from extract.errors import EvaluationError
from extract.pipeline import Plan, close_manifest, describe_run, run_extraction
from extract.prompt import load_prompt
from extract.store import RUNS, RunStore, create_run, find_run, open_run
from schemas.codebook import DEFAULT_CODEBOOK, Codebook, load_codebook
from schemas.record import Record

SOURCE = "goldens"
"""What the manifest of a run over goldens names as its source, whichever goldens there are."""


Watch = Callable[[Plan, int, Engine], AbstractContextManager[Callable[[], None]]]


@dataclass(frozen=True)
class SuiteOptions:
    """What can be said on the command line of `pytest evals`. `run` is scored as it is: nothing is asked."""

    engine: str = "rules"
    model: str | None = None
    prompt: str = "v1"
    codebook: Path = DEFAULT_CODEBOOK
    repeats: int = 1
    max_cost_usd: float | None = None
    concurrency: int = 50
    base_url: str | None = None
    retry_failed: bool = False
    runs: Path = RUNS
    run: str | None = None
    baseline: str | None = None
    baseline_file: Path = BASELINE
    sets: tuple[str, ...] = ()
    goldens: Path = GOLDENS
    texts: str | None = None
    strict: bool = False
    judge: str | None = None
    judge_base_url: str | None = None


@dataclass(frozen=True)
class Gate:
    """Whether a scope may pass: `failed` with `message`, or passed, perhaps with a `warning`."""

    scope: Scope
    score: Interval
    row: Row | None
    failed: bool
    message: str
    warning: str | None = None


class Suite:
    """Everything is worked out once, when it is first asked for.

    `only` names the transcripts that are needed, where fewer than all are; `watch` is entered with the
    plan, the number of requests and the engine before the first one goes out, and gives a function to call
    after each; `say` hears why nothing happens.
    """

    def __init__(self, options: SuiteOptions) -> None:
        self.options = options
        self.only: frozenset[str] | None = None
        self.watch: Watch = lambda _plan, _total, _engine: nullcontext(lambda: None)
        self.say: Callable[[str], None] = lambda _text: None
        self.plan: Plan | None = None
        self.alone = "There is no accepted run to compare with."

    def prepare(self) -> None:
        """Find everything that can be wrong with the options now; a baseline that is not there before money is spent.

        Raises VerbatimError or CodebookError: a sentence for the user.
        """
        if self.options.baseline is not None:
            open_run(self.options.baseline, self.options.runs)
        if self.options.run is not None and not self.score.scores:
            raise EvaluationError(
                f"Run {self.store.path.name!r} holds no record of the {len(self.goldens.transcripts)} goldens whose "
                "text is here. Leave --run out to extract them."
            )
        _ = self.gates

    @cached_property
    def codebook(self) -> Codebook:
        """The codebook that goldens and extractions are checked against."""
        return load_codebook(self.options.codebook)

    @cached_property
    def goldens(self) -> GoldenSet:
        """The goldens of the chosen sets, with their texts where they can be had."""
        return load_goldens(find_golden_paths(self.options.sets, self.options.goldens), self.options.texts)

    @cached_property
    def store(self) -> RunStore:
        """The run that is looked at; what it lacks is asked for, all together, before this returns."""
        if self.options.run is not None:
            return open_run(self.options.run, self.options.runs)
        return self._extract()

    def _extract(self) -> RunStore:
        options = self.options
        if options.engine == "replay":
            raise EvaluationError("A replay asks nothing. Score its run with --run RUN.")
        prompt = load_prompt(options.prompt, self.codebook)
        engine_options = EngineOptions(model=options.model, concurrency=options.concurrency, base_url=options.base_url)
        engine = open_engine(options.engine, engine_options)
        if not self.goldens.transcripts:
            reasons = [*self.goldens.explain_missing(), *self.goldens.stale.values()]
            raise EvaluationError(" ".join(["There is no golden to extract.", *reasons]))
        find_cost = getattr(engine, "find_cost", None)
        plan = self.plan = Plan(
            repeats=options.repeats,
            retry_failed=options.retry_failed,
            max_cost_usd=options.max_cost_usd,
            find_cost=find_cost,
        )
        transcripts = [t for t in self.goldens.transcripts.values() if self.only is None or t.id in self.only]
        manifest = describe_run(prompt, engine, SOURCE, options.repeats)
        with self._lock_runs():  # parallel workers wait, then find all of it answered
            store = find_run(options.runs, manifest) or create_run(options.runs, manifest)
            with store, self.watch(plan, len(transcripts) * options.repeats, engine) as noted:
                try:
                    for _ in run_extraction(transcripts, prompt, engine, store, plan):
                        noted()
                finally:
                    store.write_manifest(close_manifest(store, plan))
        return store

    @contextmanager
    def _lock_runs(self) -> Iterator[None]:
        from filelock import FileLock, Timeout

        runs = self.options.runs
        lock = FileLock(runs / ".evals.lock")
        try:
            runs.mkdir(parents=True, exist_ok=True)
            try:
                lock.acquire(timeout=2)
            except Timeout:
                self.say(f"Another pytest evals is at work in {str(runs)!r}; waiting for it.")
                lock.acquire()
        except OSError as error:
            raise EvaluationError(
                f"Cannot write in {str(runs)!r}: {error.strerror}. Choose another with --runs."
            ) from None
        try:
            yield
        finally:
            lock.release()

    @cached_property
    def judging(self) -> JudgeReport:
        """What the judge says of the goldens' extractions. It shares the money limit. EvaluationError without one."""
        if self.options.judge is None:
            raise EvaluationError("There is no judge. Name one with --judge MODEL.")
        options = EngineOptions(concurrency=self.options.concurrency, base_url=self.options.judge_base_url)
        limit = self.options.max_cost_usd
        spent = self.plan.cost_usd if self.plan else 0.0
        return judge_run(
            self.store,
            open_judge(self.options.judge, options),
            runs=self.options.runs,
            codebook=self.codebook,
            only=frozenset(self.goldens.transcripts),
            max_cost_usd=None if limit is None else max(0.0, limit - spent),
            retry_failed=self.options.retry_failed,
        )

    @cached_property
    def records(self) -> Mapping[str, list[Record]]:
        """The records of the run by transcript, for the goldens whose text is here."""
        found: dict[str, list[Record]] = {name: [] for name in self.goldens.transcripts}
        for record in self.store.read_records(found):
            if self.options.run is not None or record.repeat < self.options.repeats:
                found[record.transcript_id].append(record)
        return found

    @cached_property
    def score(self) -> RunScore:
        """The run against the goldens."""
        records = [record for found in self.records.values() for record in found]
        return score_records(records, self.goldens.goldens, name_run(self.store))

    @cached_property
    def ceiling(self) -> RunScore:
        """Annotator B against annotator A on the scored interviews, where a golden has both."""
        scored = set(self.score.transcript_ids)
        return score_ceiling(golden for golden in self.goldens.goldens if golden.transcript_id in scored)

    @cached_property
    def baseline(self) -> RunScore | None:
        """The accepted run (or the one that --baseline names) against the same goldens; None without one.

        Raises EvaluationError where --baseline names a run over another codebook.
        """
        store = self._open_baseline()
        if store is None:
            return None
        try:
            check_comparable(store.manifest, self.store.manifest)
        except EvaluationError as error:
            if self.options.baseline is not None:
                raise
            self.alone = (
                f"Nothing is compared: {error} Or accept this run: python -m evals bless RUN --force --why TEXT."
            )
            return None
        records = store.read_records(self.goldens.transcripts)
        return score_records(records, self.goldens.goldens, f"baseline {name_run(store)}")

    def _open_baseline(self) -> RunStore | None:
        if self.options.baseline is not None:
            return open_run(self.options.baseline, self.options.runs)
        manifest = self.store.manifest
        accepted = load_baseline(self.options.baseline_file).find(manifest.engine, manifest.model)
        return open_accepted(accepted, self.options.baseline_file.parents[1]) if accepted else None

    @property
    def margin(self) -> float:
        """How far a score may fall, in F1."""
        return load_baseline(self.options.baseline_file).margin

    @cached_property
    def comparison(self) -> Comparison | None:
        """The baseline against the run; None without a baseline or with fewer than two shared interviews."""
        if self.baseline is None:
            return None
        shared = set(self.baseline.transcript_ids) & set(self.score.transcript_ids)
        if len(shared) < 2:
            interviews = "1 interview" if len(shared) == 1 else f"{len(shared)} interviews"
            self.alone = f"Nothing is compared: this run and {self.baseline.name} share {interviews}, and it takes two."
            return None
        return compare_scores(self.baseline, self.score, margin=self.margin)

    @cached_property
    def gates(self) -> dict[Scope, Gate]:
        """A gate for each scope."""
        return {scope: self._judge(scope) for scope in SCOPES}

    def _judge(self, scope: Scope) -> Gate:
        score = find_mean_interval(list(self.score.find_values(scope).values()))
        if not score.n:
            return Gate(scope, score, None, True, f"{scope}: nothing was scored.")
        if self.comparison is None:
            lost = self.baseline is None and self._open_baseline() is not None
            failed = lost and self.options.codebook == DEFAULT_CODEBOOK
            return Gate(scope, score, None, failed, self.alone, self.alone)
        return judge_row(self.comparison.rows[scope], score, self.margin, strict=self.options.strict)


def judge_row(row: Row, score: Interval, margin: float, *, strict: bool) -> Gate:
    """The gate of one row: worse fails; a drop past the margin that n cannot decide warns, or fails if strict."""
    difference = row.difference
    change = (
        f"{row.scope}: grounded F1 {row.a.mean:.3f} -> {row.b.mean:.3f}, difference {difference.interval.mean:+.3f} "
        f"[{difference.interval.low:+.3f}, {difference.interval.high:+.3f}]"
    )
    if row.verdict == "worse":
        return Gate(row.scope, score, row, True, f"{change}: worse than the accepted run.")
    if row.verdict == "inconclusive" and difference.interval.mean < -margin:
        needed = f"About {difference.needed_n}" if difference.needed_n else "More"
        warning = (
            f"{change}: past the margin of {margin:g}, but {difference.interval.n} interviews cannot tell. "
            f"{needed} interviews would decide."
        )
        return Gate(row.scope, score, row, strict, warning, None if strict else warning)
    return Gate(row.scope, score, row, False, change)


def name_run(store: RunStore) -> str:
    """A run as people know it: engine, model and prompt version."""
    manifest = store.manifest
    return f"{name_engine(manifest.engine, manifest.model)} {manifest.prompt_version}"
