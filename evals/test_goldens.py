"""Is every golden sound? A wrong hash, a span outside the interviewee's words, an unknown code: one sentence each."""

from evals.goldens import check_golden
from evals.suite import Suite


def test_golden_is_sound(golden_id: str, suite: Suite) -> None:
    """The golden fits its text and the codebook."""
    stale = suite.goldens.stale.get(golden_id)
    assert stale is None, stale
    file = suite.goldens.files[golden_id]
    problems = check_golden(file, suite.goldens.transcripts[golden_id], suite.codebook)
    assert not problems, "\n".join(problems)
