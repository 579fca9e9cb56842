"""The arithmetic of ten million interviews, against numbers worked out by hand."""

import pytest

from evals.benchmarks.ten_million import Interview, find_hours, main
from schemas.record import Usage

USAGE = Usage(requests=10, input_tokens=30_000, cache_read_tokens=70_000, output_tokens=15_000)
INTERVIEW = Interview(USAGE, count=10, request_bytes=32_000, record_bytes=20_000, dollars={})


def test_hours_are_tokens_by_the_minute_and_the_cache_does_not_count() -> None:
    limits = {"requests": 4_000, "input tokens": 2_000_000, "output tokens": 400_000}
    hours = find_hours(10_000_000, INTERVIEW, limits)
    assert hours["requests"] == pytest.approx(10_000_000 / 4_000 / 60)
    assert hours["input tokens"] == pytest.approx(10_000_000 * 3_000 / 2_000_000 / 60) == 250
    assert hours["output tokens"] == pytest.approx(10_000_000 * 1_500 / 400_000 / 60) == 625


def test_every_number_is_printed(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.delenv("VERBATIM_DATA", raising=False)
    monkeypatch.setattr("sys.argv", ["ten_million", "--interviews", "1000", "--output-tokens-per-minute", "1500"])
    assert main() == 0
    printed = capsys.readouterr().out
    assert "Hours: 17, bound by output tokens; 0.0 interviews a second." in printed
    assert "claude-haiku-5-5: $" in printed
    assert "kB a record." in printed
