"""Is every golden sound? A wrong hash, a span outside the interviewee's words, an unknown code: one sentence each."""

import pytest

from evals.goldens import check_golden
from evals.suite import Suite
from extract.terminal import make_visible


def test_golden_is_sound(golden_id: str, suite: Suite) -> None:
    """The golden fits its text and the codebook."""
    stale = suite.goldens.stale.get(golden_id)
    problems = [stale] if stale else []
    if not stale:
        file = suite.goldens.files[golden_id]
        problems = check_golden(file, suite.goldens.transcripts[golden_id], suite.codebook)
    if problems:
        pytest.fail(make_visible("\n".join(problems)), pytrace=False)
