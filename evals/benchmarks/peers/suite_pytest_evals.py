"""The suite of pytest-evals: a case an interview, then its analysis. Copied to test_peer.py and run there."""

from typing import Any

import pytest

from evals.benchmarks.peers.asking import ask, load_cases


@pytest.mark.eval(name="extraction")
@pytest.mark.parametrize("case", load_cases())
def test_case(case: dict[str, Any], eval_bag: Any) -> None:
    eval_bag.answer = ask(case)
    assert eval_bag.answer["choices"]


@pytest.mark.eval_analysis(name="extraction")
def test_analysis(eval_results: Any) -> None:
    assert all(result.result.answer["choices"] for result in eval_results)
