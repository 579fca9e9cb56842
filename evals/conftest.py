"""The options and fixtures of `pytest evals`, and the summary at its end."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import pytest

if TYPE_CHECKING:
    from evals.judge_report import JudgeReport
    from evals.suite import Suite
    from extract.pipeline import Plan

HERE = Path(__file__).parent
SUITE = pytest.StashKey["Suite"]()
GOLDEN_ID = "golden_id"
T = TypeVar("T")


def pytest_addoption(parser: pytest.Parser) -> None:
    """What can be chosen; without anything: the keyless rules on every golden, against the accepted run."""
    group = parser.getgroup("verbatim", "the evaluation suite")
    group.addoption("--engine", default="rules", help="how answers are got (default: rules)")
    group.addoption("--model", help="which model answers")
    group.addoption("--prompt", default="v1", help="prompt version or folder (default: v1)")
    group.addoption("--codebook", type=Path, help="a codebook of your own")
    group.addoption("--repeat", type=int, default=1, metavar="K", help="ask for every golden K times")
    group.addoption("--max-cost", type=float, metavar="USD", help="stop before this much is spent")
    group.addoption("--concurrency", type=int, default=50, metavar="N", help="most requests at once (default: 50)")
    group.addoption("--base-url", metavar="URL", help="another address of the same API")
    group.addoption("--retry-failed", action="store_true", help="ask again for what failed")
    group.addoption("--run", metavar="RUN", help="score this run as it is; asks nothing")
    group.addoption("--runs", type=Path, default=Path("runs"), metavar="DIR", help="where runs lie (default: runs)")
    group.addoption("--baseline", metavar="RUN", help="compare with this run, not with the accepted one")
    group.addoption("--set", action="append", default=[], metavar="NAME", help="only this set of goldens (repeatable)")
    group.addoption("--goldens", type=Path, metavar="DIR", help="where goldens lie (default: the project's)")
    group.addoption("--texts", metavar="SOURCE", help="where the goldens' transcripts are: a folder, or a Hub name")
    group.addoption("--judge", metavar="MODEL", help="ask this model whether the cited sentences support each item")
    group.addoption("--judge-floor", type=float, default=0.8, metavar="RATE", help="least supported (default: 0.8)")
    group.addoption("--judge-base-url", metavar="URL", help="another address of the judge's API")
    group.addoption("--require-goldens", type=int, metavar="N", help="fail where fewer goldens have their text")


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """`pytest evals` is the suite; the tests of this package itself run where they are named."""
    inner = [HERE / "tests", HERE / "benchmarks"]
    if collection_path not in inner:
        return None
    named = [Path(str(argument).split("::")[0]).resolve() for argument in config.args]
    return None if any(path == collection_path or collection_path in path.parents for path in named) else True


def pytest_configure(config: pytest.Config) -> None:
    """Work out what the options mean; nothing is read before a test of the suite is collected."""
    from evals.goldens import GOLDENS
    from evals.suite import Suite, SuiteOptions
    from schemas.codebook import DEFAULT_CODEBOOK

    get = config.getoption
    config.stash[SUITE] = Suite(
        SuiteOptions(
            engine=get("--engine"),
            model=get("--model"),
            prompt=get("--prompt"),
            codebook=get("--codebook") or DEFAULT_CODEBOOK,
            repeats=get("--repeat"),
            max_cost_usd=get("--max-cost"),
            concurrency=get("--concurrency"),
            base_url=get("--base-url"),
            retry_failed=get("--retry-failed"),
            runs=get("--runs"),
            run=get("--run"),
            baseline=get("--baseline"),
            sets=tuple(get("--set")),
            goldens=get("--goldens") or GOLDENS,
            texts=get("--texts"),
            strict=bool(get("strict")),
            judge=get("--judge"),
            judge_base_url=get("--judge-base-url"),
        )
    )


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Without --judge nothing is judged, and the test of it is not there."""
    if config.getoption("--judge") is None:
        items[:] = [item for item in items if "judging" not in getattr(item, "fixturenames", ())]


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """One test for each golden whose text is here."""
    if GOLDEN_ID not in metafunc.fixturenames:
        return
    suite = metafunc.config.stash[SUITE]
    goldens = _explain(lambda: suite.goldens)
    required = metafunc.config.getoption("--require-goldens")
    if required is not None and len(goldens.transcripts) < required:
        reasons = " ".join([*goldens.explain_missing(), *goldens.stale.values()])
        raise pytest.UsageError(
            f"--require-goldens {required}: only {len(goldens.transcripts)} goldens have their text. {reasons}"
        )
    with_stale = metafunc.definition.originalname == "test_golden_is_sound"
    stale = [name for name in goldens.stale if name not in goldens.transcripts] if with_stale else []
    metafunc.parametrize(GOLDEN_ID, [*goldens.transcripts, *stale], scope="session")


def _explain(ask: Callable[[], T]) -> T:
    """What `ask` gives; an error that is meant for the user ends the session in one line."""
    from extract.errors import VerbatimError
    from schemas.codebook import CodebookError

    try:
        return ask()
    except (VerbatimError, CodebookError) as error:
        raise pytest.UsageError(str(error)) from None


@pytest.fixture(scope="session")
def suite(request: pytest.FixtureRequest) -> "Suite":
    """The evaluation, with every answer in before the first test looks at it."""
    from extract.errors import VerbatimError
    from schemas.codebook import CodebookError

    config = request.config
    found = config.stash[SUITE]
    needed = [item for item in request.session.items if "suite" in getattr(item, "fixturenames", ())]
    named = {item.callspec.params.get(GOLDEN_ID) for item in needed if hasattr(item, "callspec")}
    asking = {item.name.split("[")[0] for item in needed} - {"test_golden_is_sound"}
    if None not in named:
        found.only = frozenset(filter(None, named))
    found.watch = _make_watch(config)
    try:
        if asking:
            _ = found.store
    except (VerbatimError, CodebookError) as error:
        pytest.exit(str(error), returncode=1)
    return found


@pytest.fixture(scope="session")
def judging(suite: "Suite") -> "JudgeReport":
    """What the judge of --judge says of the run."""
    from extract.errors import VerbatimError

    try:
        return suite.judging
    except VerbatimError as error:
        pytest.exit(str(error), returncode=1)


def _make_watch(config: pytest.Config) -> "Callable[[Plan, int], Callable[[], None]]":
    def watch(plan: "Plan", total: int) -> "Callable[[], None]":
        if config.getoption("--engine") == "rules" or hasattr(config, "workerinput"):
            return lambda: None
        from extract.terminal import Progress

        capture: Any = config.pluginmanager.getplugin("capturemanager")
        progress = Progress(plan, total)

        def noted() -> None:
            with capture.global_and_fixture_disabled():
                progress.update()
                if plan.held + plan.answered >= total:
                    progress.close()

        return noted

    return watch


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Tell the process that writes the summary which run this worker looked at."""
    config = session.config
    suite = config.stash.get(SUITE, None)
    output = getattr(config, "workeroutput", None)
    if output is not None and suite is not None and "store" in vars(suite):
        output["verbatim_run"] = str(suite.store.path)


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any, error: Any) -> None:  # noqa: ARG001  the hook's own names
    """The other end of the same, where tests run in parallel."""
    run = getattr(node, "workeroutput", {}).get("verbatim_run")
    suite = node.config.stash.get(SUITE, None)
    if run and suite is not None and "store" not in vars(suite):
        from extract.store import open_run

        vars(suite)["store"] = open_run(run)


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    """The scores of the run, the five worst interviews, and what was left out; nothing without the suite."""
    suite = config.stash.get(SUITE, None)
    if suite is None or not {"goldens", "store"} & vars(suite).keys() or hasattr(config, "workerinput"):
        return
    from evals.summary import render_markdown, summarise

    lines = summarise(suite) if "store" in vars(suite) else []
    lines += [*suite.goldens.explain_missing(), *suite.goldens.stale.values()]
    if not lines:
        return
    terminalreporter.section("goldens")
    for line in lines:
        terminalreporter.write_line(line)
    if vars(suite).get("judging"):
        from evals.judge_report import render_judge_report

        terminalreporter.section("judge")
        terminalreporter.write_line(render_judge_report(suite.judging))
    step_summary = os.environ.get("GITHUB_STEP_SUMMARY")
    if step_summary and "store" in vars(suite):
        with Path(step_summary).open("a", encoding="utf-8") as file:
            file.write(render_markdown(suite))
