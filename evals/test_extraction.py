"""Is the run sound, and is it no worse than the accepted one? Invariants per interview, quality in sum."""

from collections.abc import Callable, Iterable

import pytest

from evals.goldens import check_codes, check_evidence
from evals.judge_report import JudgeReport
from evals.matching import to_coding
from evals.scoring import SCOPES, Scope
from evals.suite import Suite
from extract.terminal import make_visible
from schemas.extraction import CollaborationStyle, Quote
from schemas.record import Record


def test_record_is_an_extraction(golden_id: str, suite: Suite) -> None:
    """Every golden was asked for, and none of its records is a failure."""
    failures = [record.failure for record in _find_records(suite, golden_id) if record.failure]
    _fail_for(f"{failure.kind}: {failure.message}" for failure in failures)


def test_extraction_follows_the_codebook(golden_id: str, suite: Suite) -> None:
    """Codes, attributes and statuses are the codebook's."""
    for record in _find_records(suite, golden_id):
        if record.extraction:
            _fail_for(check_codes(to_coding(record.extraction), suite.codebook))


def test_evidence_is_the_interviewee(golden_id: str, suite: Suite) -> None:
    """Every quote is the interviewee's own words, exactly where it says."""
    transcript = suite.goldens.transcripts[golden_id]
    golden = suite.goldens.files[golden_id].golden
    for record in _find_records(suite, golden_id):
        if record.extraction:
            _fail_for(check_evidence(to_coding(record.extraction), golden, transcript))
            _fail_for(
                f"{quote.sentence_id}: the quote is not what the transcript says there."
                for quote in _find_quotes(record)
                if quote.text not in ("", transcript.text[quote.start : quote.end])
            )


@pytest.mark.parametrize("scope", SCOPES)
def test_f1_not_below_baseline(scope: Scope, suite: Suite, record_property: Callable[[str, object], None]) -> None:
    """The grounded F1 is not worse than the accepted run's."""
    gate = suite.gates[scope]
    record_property("grounded_f1", round(gate.score.mean, 4))
    record_property("grounded_f1_low", round(gate.score.low, 4))
    record_property("grounded_f1_high", round(gate.score.high, 4))
    if gate.row:
        record_property("baseline_f1", round(gate.row.a.mean, 4))
        record_property("difference", round(gate.row.difference.interval.mean, 4))
        record_property("verdict", gate.row.verdict)
    _fail_for([gate.message] if gate.failed else [])


def test_evidence_supports_the_items(
    judging: JudgeReport, request: pytest.FixtureRequest, record_property: Callable[[str, object], None]
) -> None:
    """A calibrated judge finds enough items supported; one that is not calibrated never fails this."""
    floor = request.config.getoption("--judge-floor")
    record_property("judge_kappa", round(judging.calibration.binary_kappa.mean, 4))
    if judging.corrected:
        record_property("supported", round(judging.corrected.mean, 4))
    _fail_for([f"The corrected rate of supported items is surely below {floor:g}."] if judging.fails(floor) else [])


def _find_records(suite: Suite, golden_id: str) -> list[Record]:
    """The records of one golden. A run over other interviews has none, and that is said; a missing answer fails."""
    records = suite.records[golden_id]
    if not records and suite.options.run is not None:
        pytest.skip(f"run {suite.store.path.name} holds no record of this interview")
    stopped = suite.plan.stopped if suite.plan else None
    _fail_for([] if records else [f"Not asked: {stopped or 'the run ended before it'}."])
    return records


def _fail_for(problems: Iterable[str]) -> None:
    """Fail with the problems alone, a line each: they are about the run, and no traceback explains them."""
    if lines := [make_visible(problem) for problem in problems]:
        pytest.fail("\n".join(lines), pytrace=False)


def _find_quotes(record: Record) -> list[Quote]:
    assert record.extraction is not None
    style = record.extraction.sections["collaboration_style"]
    quotes = [quote for _, item in record.extraction.iterate_items() for quote in item.quotes]
    return [*quotes, *(style.mode_quotes if isinstance(style, CollaborationStyle) else ())]
