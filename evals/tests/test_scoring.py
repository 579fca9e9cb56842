import math

import pytest

from evals.scoring import Counts, score_ceiling, score_coding, score_records
from evals.tests.samples import make_coding, make_golden, make_item, make_record
from extract.errors import EvaluationError

TASKS = [
    make_item("a", (0, 9), disposition="shared"),
    make_item("b", (10, 19), disposition="tried"),
    make_item("c", (20, 29), disposition="tried"),
]


def test_unrelated_lists_score_0_and_a_permuted_list_scores_1() -> None:
    golden = make_coding(tasks=TASKS)
    other = make_coding(tasks=[make_item("x", (90, 99), disposition="tried")])
    assert score_coding(golden, other, transcript_id="t").find_f1("tasks") == 0
    assert score_coding(golden, make_coding(tasks=TASKS[::-1]), transcript_id="t").find_f1("tasks") == 1


def test_one_of_three_right_is_a_third() -> None:
    got = [TASKS[0], make_item("x", (40, 49), disposition="tried"), make_item("y", (50, 59), disposition="tried")]
    score = score_coding(make_coding(tasks=TASKS), make_coding(tasks=got), transcript_id="t")
    counts = score.counts["tasks"]
    assert counts == Counts(golden=3, got=3, code=1, grounded=1)
    assert [round(v, 3) for v in (counts.find_precision(), counts.find_recall(), counts.find_f1())] == [0.333] * 3


def test_a_right_code_on_other_evidence_counts_for_code_f1_only() -> None:
    golden, got = make_coding(concerns=[make_item("a", (0, 9))]), make_coding(concerns=[make_item("a", (50, 59))])
    score = score_coding(golden, got, transcript_id="t")
    assert (score.find_f1("concerns", "code"), score.find_f1("concerns", "grounded")) == (1, 0)


def test_a_section_that_is_empty_in_both_agrees_and_one_that_is_not_does_not() -> None:
    empty, full = make_coding(), make_coding(concerns=[make_item("a", (0, 9))])
    assert score_coding(empty, empty, transcript_id="t").find_f1("concerns") == 1
    assert score_coding(empty, full, transcript_id="t").find_f1("concerns") == 0
    assert score_coding(full, empty, transcript_id="t").find_f1("concerns") == 0


def test_a_failure_scores_0_everywhere_and_is_listed() -> None:
    golden = make_golden("t1", make_coding()), make_golden("t2", make_coding(tasks=TASKS))
    score = score_records([make_record("t1", None), make_record("t2", make_coding(tasks=TASKS))], golden)
    assert score.find_values() == {"t1": 0, "t2": 1}
    assert score.find_values("concerns") == {"t1": 0, "t2": 1}
    assert [f.failure for f in score.failures] == ["refusal: The model refused to answer."]


def test_goldens_that_the_run_does_not_cover_are_listed_and_other_records_left_out() -> None:
    goldens = [make_golden("t1", make_coding()), make_golden("t2", make_coding())]
    score = score_records([make_record("t2", make_coding()), make_record("stranger", make_coding())], goldens)
    assert (score.transcript_ids, score.missing) == (("t2",), ("t1",))


def test_a_record_of_another_text_is_refused() -> None:
    record = make_record("t1", make_coding(), text_sha256="1" * 64)
    with pytest.raises(EvaluationError, match=r"another text of 't1'.*Extract it again\."):
        score_records([record], [make_golden("t1", make_coding())])


def test_repeats_are_averaged_first_and_their_spread_is_known() -> None:
    golden = make_golden("t1", make_coding(tasks=TASKS))
    records = [make_record("t1", make_coding(tasks=TASKS)), make_record("t1", make_coding(), repeat=1)]
    score = score_records(records, [golden])
    assert score.find_values("tasks") == {"t1": 0.5}
    assert score.find_spread("tasks") == pytest.approx(0.5**0.5)
    assert score_records(records[:1], [golden]).find_spread() is None


def test_attributes_are_judged_on_matched_items_only() -> None:
    got = [make_item("a", (0, 9), disposition="delegated"), make_item("b", (70, 79), disposition="shared")]
    score = score_coding(make_coding(tasks=TASKS), make_coding(tasks=got, mode="mixed"), transcript_id="t")
    assert score.judgements["disposition"] == [("shared", "delegated")]
    assert score.judgements["mode"] == [("directive", "mixed")]
    assert score.judgements["status"].count(("not_asked", "not_asked")) == 4


def test_codes_and_confusions_over_all_interviews() -> None:
    golden = make_golden("t1", make_coding(concerns=[make_item("a", (0, 9)), make_item("b", (10, 19))]))
    got = make_coding(concerns=[make_item("a", (0, 9)), make_item("c", (10, 19)), make_item("d", (50, 59))])
    score = score_records([make_record("t1", got)], [golden])
    assert score.sum_counts("concerns") == Counts(golden=2, got=3, code=1, grounded=1)
    codes = score.score_codes()
    assert codes["concerns", "a"] == Counts(1, 1, 1, 1)
    assert codes["concerns", "b"] == Counts(golden=1)
    assert codes["concerns", "c"] == Counts(got=1)
    assert score.find_macro_f1() == 0.5
    assert score.count_confusions() == {("concerns", "b", "c"): 1}
    assert score.find_overlap() == 1


def test_the_ceiling_needs_both_annotators() -> None:
    full, empty = make_coding(tasks=TASKS), make_coding()
    both, one = make_golden("t1", full, A=full, B=empty), make_golden("t2", full)
    assert score_ceiling([both, one]).find_values("tasks") == {"t1": 0}
    assert math.isnan(score_ceiling([one]).find_overlap())
