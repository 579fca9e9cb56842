"""The suite of DeepEval: a case an interview and a metric that needs no model. Copied to test_peer.py."""

from typing import Any

import pytest
from deepeval import assert_test
from deepeval.metrics import ExactMatchMetric
from deepeval.test_case import LLMTestCase

from evals.benchmarks.peers.asking import ask, load_cases


@pytest.mark.parametrize("case", load_cases())
def test_case(case: dict[str, Any]) -> None:
    answer = ask(case)["choices"][0]["message"]["content"]
    assert_test(LLMTestCase(input=case["user"], actual_output=answer, expected_output=answer), [ExactMatchMetric()])
