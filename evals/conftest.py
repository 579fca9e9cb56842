"""The options and fixtures of `pytest evals`, and the summary at its end."""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import pytest

from extract.command_line import read_address, read_amount, read_between, read_count

if TYPE_CHECKING:
    from evals.judge_report import JudgeReport
    from evals.suite import Suite
    from extract.engines import Engine
    from extract.pipeline import Plan

HERE = Path(__file__).parent
RUNS = Path(os.path.relpath(HERE.parent / "runs"))  # the project's, whatever folder pytest was begun in
SUITE = pytest.StashKey["Suite"]()
TOLD = pytest.StashKey[dict[str, Any]]()
GOLDEN_ID = "golden_id"


def pytest_addoption(parser: pytest.Parser) -> None:
    """What can be chosen; without anything: the keyless rules on every golden, against the accepted run."""
    group = parser.getgroup("verbatim", "the evaluation suite")
    group.addoption("--engine", default="rules", help="how answers are got (default: rules)")
    group.addoption("--model", help="which model answers")
    group.addoption("--prompt", default="v1", help="prompt version or folder (default: v1)")
    group.addoption("--codebook", type=Path, help="a codebook of your own")
    group.addoption("--repeat", type=read_count, default=1, metavar="K", help="ask for every golden K times")
    group.addoption("--max-cost", type=read_amount, metavar="USD", help="stop before this much is spent")
    group.addoption(
        "--concurrency", type=read_count, default=50, metavar="N", help="most requests at once (default: 50)"
    )
    group.addoption("--base-url", type=read_address, metavar="URL", help="another address of the same API")
    group.addoption("--retry-failed", action="store_true", help="ask again for what failed")
    group.addoption("--run", metavar="RUN", help="score this run as it is; asks nothing")
    group.addoption("--runs", type=Path, default=RUNS, metavar="DIR", help="where runs lie (default: runs)")
    group.addoption("--baseline", metavar="RUN", help="compare with this run, not with the accepted one")
    group.addoption("--set", action="append", default=[], metavar="NAME", help="only this set of goldens (repeatable)")
    group.addoption("--goldens", type=Path, metavar="DIR", help="where goldens lie (default: the project's)")
    group.addoption("--texts", metavar="SOURCE", help="where the goldens' transcripts are: a folder, or a Hub name")
    group.addoption("--judge", metavar="MODEL", help="ask this model whether the cited sentences support each item")
    group.addoption(
        "--judge-floor", type=read_between(0, 1), default=0.8, metavar="RATE", help="least supported (default: 0.8)"
    )
    group.addoption("--judge-base-url", type=read_address, metavar="URL", help="another address of the judge's API")
    group.addoption("--require-goldens", type=read_count, metavar="N", help="fail where fewer goldens have their text")


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
    """One test for each golden whose text is here; one that was named without its text is skipped with the reason."""
    if GOLDEN_ID not in metafunc.fixturenames:
        return
    config = metafunc.config
    suite = config.stash[SUITE]
    if problem := _find_problem(lambda: suite.goldens):
        raise pytest.Collector.CollectError(problem)
    goldens = suite.goldens
    required = config.getoption("--require-goldens")
    reasons = [*goldens.explain_missing(), *goldens.stale.values()]
    if required is not None and len(goldens.transcripts) < required:
        short = f"--require-goldens {required}: only {len(goldens.transcripts)} goldens have their text."
        raise pytest.Collector.CollectError(" ".join([short, *reasons]))
    with_stale = metafunc.definition.originalname == "test_golden_is_sound"
    stale = [name for name in goldens.stale if name not in goldens.transcripts] if with_stale else []
    lost = {name: reason for reason, names in goldens.missing.items() for name in names}
    named = [pytest.param(name, marks=pytest.mark.skip(reason=reason)) for name, reason in lost.items()
             if any(f"[{name}]" in argument for argument in config.args)]  # fmt: skip
    metafunc.parametrize(GOLDEN_ID, [*goldens.transcripts, *stale, *named], scope="session")


def _find_problem(ask: Callable[[], object]) -> str | None:
    """What is wrong, in a sentence that is meant for the user; None if nothing is."""
    from extract.errors import VerbatimError
    from schemas.codebook import CodebookError

    try:
        ask()
    except (VerbatimError, CodebookError) as error:
        return str(error)
    return None


def _stop(session: pytest.Session, reason: str, status: int = 1) -> NoReturn:
    """End the session with one line. A parallel worker may not leave by itself: it fails its test and asks to stop."""
    if not hasattr(session.config, "workerinput"):
        pytest.exit(reason, returncode=status)
    session.shouldfail = reason
    pytest.fail(reason, pytrace=False)


@pytest.fixture(scope="session")
def suite(request: pytest.FixtureRequest) -> "Suite":
    """The evaluation, with every answer in before the first test looks at it."""
    config, session = request.config, request.session
    found = config.stash[SUITE]
    needed = [item for item in session.items if "suite" in getattr(item, "fixturenames", ())]
    named = {item.callspec.params.get(GOLDEN_ID) for item in needed if hasattr(item, "callspec")}
    asking = {item.name.split("[")[0] for item in needed} - {"test_golden_is_sound"}
    if None not in named:
        found.only = frozenset(filter(None, named))
    found.watch = _make_watch(config)
    found.say = _make_say(config)
    if asking and (problem := _find_problem(found.prepare)):
        _stop(session, problem)
    if found.plan and found.plan.stopped == "Ctrl-C":
        kept = f"Stopped by Ctrl-C with {found.plan.answered} answered and kept; the same command asks for the rest."
        _stop(session, kept, pytest.ExitCode.INTERRUPTED)
    return found


@pytest.fixture(scope="session")
def judging(suite: "Suite", request: pytest.FixtureRequest) -> "JudgeReport":
    """What the judge of --judge says of the run."""
    if problem := _find_problem(lambda: suite.judging):
        _stop(request.session, problem)
    return suite.judging


def _disable_capture(config: pytest.Config) -> Any:
    """What is written inside reaches the terminal."""
    capture: Any = config.pluginmanager.getplugin("capturemanager")
    return capture.global_and_fixture_disabled() if capture else nullcontext()


def _make_say(config: pytest.Config) -> Callable[[str], None]:
    def say_now(text: str) -> None:
        from extract.terminal import say

        if not hasattr(config, "workerinput"):
            with _disable_capture(config):
                say(f"\n{text}")

    return say_now


def _make_watch(config: pytest.Config) -> Any:
    """Progress, and a Ctrl-C that lets what is in flight come back; neither for the rules, nor in a parallel worker."""

    @contextmanager
    def watch(plan: "Plan", total: int, engine: "Engine") -> Iterator[Callable[[], None]]:
        if engine.name == "rules" or hasattr(config, "workerinput"):
            yield lambda: None
            return
        from extract.command_line import catch_signals
        from extract.terminal import Progress

        with _disable_capture(config):
            progress = Progress(plan, total, lambda: getattr(engine, "trouble", None))
            restore = catch_signals(plan, engine)
            try:
                yield progress.update
            finally:
                progress.close()
                restore()

    return watch


# ---------------------------------------------------------------- the end


def _tell(config: pytest.Config) -> dict[str, Any]:
    """What the process that writes the summary must know of this one: the run, what it took, the judge's report."""
    suite = config.stash.get(SUITE, None)
    if suite is None or "store" not in vars(suite):
        return {}
    from evals.judge_report import render_judge_report
    from evals.summary import describe_asking

    judged = render_judge_report(suite.judging) if "judging" in vars(suite) else None
    answered = suite.plan.answered if suite.plan else 0
    return {"run": str(suite.store.path), "answered": answered, "asked": describe_asking(suite), "judged": judged}


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Tell the process that writes the summary what this worker looked at."""
    output = getattr(session.config, "workeroutput", None)
    if output is not None:
        output["verbatim"] = _tell(session.config)


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any, error: Any) -> None:  # noqa: ARG001  the hook's own names
    """The other end of the same: one worker asked, the others found it answered."""
    told = getattr(node, "workeroutput", {}).get("verbatim")
    if told:
        before = node.config.stash.get(TOLD, {"answered": -1, "judged": None})
        kept = told if told["answered"] > before["answered"] else before
        node.config.stash[TOLD] = kept | {"judged": told["judged"] or before["judged"]}


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    """The scores of the run, the five worst interviews, and what was left out; nothing without the suite."""
    suite = config.stash.get(SUITE, None)
    if suite is None or hasattr(config, "workerinput"):
        return
    told = config.stash.get(TOLD, None) or _tell(config)
    if not told and "goldens" not in vars(suite):
        return
    from evals.summary import render_markdown, summarise
    from extract.errors import VerbatimError

    lines: list[str] = []
    markdown = None
    try:
        if told:
            if "store" not in vars(suite):
                from extract.store import open_run

                vars(suite)["store"] = open_run(told["run"])
            width = terminalreporter._tw.fullwidth if terminalreporter.isatty else 140
            lines = [*summarise(suite, width, told["asked"]), ""]
            markdown = render_markdown(suite, told["judged"], told["asked"])
    except VerbatimError as error:
        lines = [str(error)]
    lines += [*suite.goldens.explain_missing(), *suite.goldens.stale.values()]
    _write_section(terminalreporter, "goldens", lines)
    _write_section(terminalreporter, "judge", (told.get("judged") or "").splitlines())
    _write_step_summary(terminalreporter, markdown)


def _write_section(terminalreporter: Any, title: str, lines: list[str]) -> None:
    while lines and not lines[-1]:
        lines.pop()
    if lines:
        terminalreporter.section(title)
    for line in lines:
        terminalreporter.write_line(line)


def _write_step_summary(terminalreporter: Any, markdown: str | None) -> None:
    """The same for the page of a CI job. A page that cannot be written costs nobody their result."""
    path = os.environ.get("GITHUB_STEP_SUMMARY")
    if not path or markdown is None:
        return
    try:
        with Path(path).open("a", encoding="utf-8") as file:
            file.write(markdown)
    except OSError as error:
        terminalreporter.write_line(f"GITHUB_STEP_SUMMARY: cannot write {path!r}: {error.strerror}.")
