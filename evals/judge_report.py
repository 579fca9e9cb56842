"""What a judge says of a run, and the same as plain lines for a terminal, where texts are only data."""

import math
from collections.abc import Iterator
from dataclasses import dataclass

from evals.calibration import Calibration, Rate, correct_rate, measure_rate
from evals.uncertainty import Interval
from extract.terminal import format_usage, make_visible
from schemas.codebook import SECTIONS, Section
from schemas.extraction import Item
from schemas.record import Usage
from schemas.verdict import VERDICTS, Verdict

WORST = 5
WIDTH = 110
MOST_MISSING = 0.05


@dataclass(frozen=True)
class JudgedItem:
    """One item of a run and what the judge says of it; without a verdict, `reason` says why there is none."""

    transcript_id: str
    repeat: int
    section: Section
    item: Item
    verdict: Verdict | None
    reason: str


@dataclass(frozen=True)
class JudgeReport:
    """What a judge says of a run, how far it can be trusted, and what it took.

    `measured` is the share of the judged items that it calls supported, `corrected` the same without its
    known errors (None where it is no better than chance). The unit of both intervals is the interview.
    """

    run_id: str
    model: str
    prompt_version: str
    provenance: str
    calibration: Calibration
    items: tuple[JudgedItem, ...]
    failed_records: int
    asked: int
    held: int
    usage: Usage
    cost_usd: float | None
    stopped: str | None

    @property
    def clusters(self) -> dict[str, Rate]:
        """Supported of judged items, by interview."""
        grouped: dict[str, list[Verdict]] = {}
        for item in self.items:
            if item.verdict:
                grouped.setdefault(item.transcript_id, []).append(item.verdict)
        return {name: Rate(found.count("supported"), len(found)) for name, found in grouped.items()}

    @property
    def measured(self) -> Interval | None:
        """The rate as the judge gives it; None where nothing was judged."""
        return measure_rate(list(self.clusters.values()))

    @property
    def corrected(self) -> Interval | None:
        """The rate without the judge's known errors."""
        return correct_rate(list(self.clusters.values()), self.calibration)

    @property
    def missing(self) -> int:
        """Items without a verdict."""
        return sum(item.verdict is None for item in self.items)

    @property
    def objection(self) -> str | None:
        """Why nothing may rest on this report, in words; None if it may gate."""
        if self.stopped:
            return f"it was stopped ({self.stopped})"
        if self.missing > MOST_MISSING * len(self.items):
            return f"{self.missing} of {len(self.items)} items have no verdict"
        if not self.items:
            return "there is no item to judge"
        return self.calibration.objection

    @property
    def gates(self) -> bool:
        """Whether a decision may rest on it: enough pairs, and a kappa of .6 or more."""
        return self.objection is None

    def fails(self, floor: float) -> bool:
        """Whether the corrected rate is surely below `floor`. Never true of a judge that does not gate."""
        return self.gates and self.corrected is not None and self.corrected.high < floor

    def count(self, section: Section | None = None) -> dict[Verdict, int]:
        """Items with each verdict, of one section or of all."""
        found = [item.verdict for item in self.items if section in (None, item.section)]
        return {verdict: found.count(verdict) for verdict in VERDICTS}


def render_judge_report(report: JudgeReport) -> str:
    """The report as lines of text: verdicts, rates, calibration, whether it gates, the worst items."""
    lines = [
        f"Judge {report.model}, prompt {report.prompt_version}, on run {report.run_id}",
        *_render_verdicts(report),
        "",
        *_render_rates(report),
        "",
        *_render_calibration(report.calibration, report.provenance),
        "",
        _render_gate(report),
        *_render_worst(report),
        "",
        f"{report.asked} asked, {report.held} held already: {format_usage(report.usage, report.cost_usd)}.",
    ]
    return "\n".join(make_visible(line) for line in lines)


def _render_verdicts(report: JudgeReport) -> Iterator[str]:
    interviews = len({item.transcript_id for item in report.items})
    failed = f"; {report.failed_records} failed records have none" if report.failed_records else ""
    yield f"{len(report.items)} items of {interviews} interviews{failed}. Do the cited sentences support the item?"
    yield ""
    yield f"  {'':<20}{'supported':>10}{'partly':>8}{'not':>6}{'no verdict':>12}"
    for section in (*SECTIONS, None):
        counts = report.count(section)
        all_items = sum(section in (None, item.section) for item in report.items)
        supported, partly, no = (counts[verdict] for verdict in VERDICTS)
        name = section.replace("_", " ") if section else "all"
        yield f"  {name:<20}{supported:>10}{partly:>8}{no:>6}{all_items - supported - partly - no:>12}"


def _render_rates(report: JudgeReport) -> Iterator[str]:
    yield f"Supported, as the judge says    {_format_interval(report.measured)}"
    corrected = report.corrected
    if corrected is None and report.measured:
        yield "Supported, corrected            none: on the labelled pairs the judge is no better than chance"
    else:
        yield f"Supported, corrected            {_format_interval(corrected)}"
    yield "  (partly counts as not supported; 95% intervals; the unit is the interview)"


def _render_calibration(calibration: Calibration, provenance: str) -> Iterator[str]:
    pairs = len(calibration.outcomes)
    if not pairs:
        yield f"Not calibrated: no labelled pair was answered ({calibration.unanswered} were not)."
        return
    silent = f", {calibration.unanswered} more not answered" if calibration.unanswered else ""
    yield f"Calibration on {pairs} labelled pairs ({_format_rate(calibration.base_rate)} supported{silent})"
    yield f"  agreement {_format_rate(calibration.agreement)}"
    yield f"  kappa {_format_interval(calibration.kappa)} of the three labels"
    yield f"  kappa {_format_interval(calibration.binary_kappa)} of supported or not"
    yield f"  sensitivity {_format_rate(calibration.sensitivity)}, specificity {_format_rate(calibration.specificity)}"
    yield f"  {'label':<12}{'judge: supported':>18}{'partly':>8}{'not':>6}"
    for label in VERDICTS:
        supported, partly, no = (calibration.confusion[label, verdict] for verdict in VERDICTS)
        yield f"  {label:<12}{supported:>18}{partly:>8}{no:>6}"
    yield f"  Labels: {provenance}"


def _render_gate(report: JudgeReport) -> str:
    if report.gates:
        return "This judge may gate."
    return f"This judge does not gate: {report.objection}. Take its figures as a hint."


def _render_worst(report: JudgeReport) -> Iterator[str]:
    order = {"not": 0, "partly": 1}
    worst = sorted((i for i in report.items if i.verdict in order), key=lambda i: order[str(i.verdict)])
    if worst:
        yield ""
        yield f"Least supported ({min(WORST, len(worst))} of {len(worst)}):"
    for judged in worst[:WORST]:
        yield from _render_item(judged)


def _render_item(judged: JudgedItem) -> Iterator[str]:
    attribute = f" ({judged.item.attribute})" if judged.item.attribute else ""
    where = f"{judged.transcript_id}, {judged.section.replace('_', ' ')}, {judged.item.code}{attribute}"
    yield f"  {judged.verdict}: {_shorten(where)}"
    yield f"    {_shorten(judged.item.summary)}"
    for quote in judged.item.quotes:
        yield f"    {quote.sentence_id} “{_shorten(quote.text)}”"
    yield f"    Judge: {_shorten(judged.reason)}"


def _shorten(text: str) -> str:
    flat = " ".join(text.split())
    return flat if len(flat) <= WIDTH else flat[: WIDTH - 1] + "…"


def _format(value: float) -> str:
    return "undefined" if math.isnan(value) else f"{value:.2f}"


def _format_rate(rate: Rate) -> str:
    return f"{_format(rate.value)} ({rate.count} of {rate.of})"


def _format_interval(interval: Interval | None) -> str:
    if interval is None:
        return "none: nothing was judged"
    return f"{_format(interval.mean)} [{_format(interval.low)}, {_format(interval.high)}]"
