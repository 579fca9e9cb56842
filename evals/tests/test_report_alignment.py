"""Three columns: nothing is lost, nothing stands twice, and what A and B have alike stands in one row."""

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evals.matching import match_section
from evals.report.alignment import Row, align_pairs
from evals.tests.samples import make_item
from schemas.golden import GoldenItem

FIRST, SECOND, THIRD = (0, 20), (30, 60), (70, 90)


def align(golden: Sequence[GoldenItem], a: Sequence[GoldenItem], b: Sequence[GoldenItem]) -> list[Row]:
    return align_pairs(match_section(golden, a), match_section(golden, b))


def test_a_golden_item_stands_beside_what_each_side_has_for_it() -> None:
    golden = [make_item("verifies", FIRST), make_item("iterates", SECOND)]
    right, recoded, elsewhere = (
        make_item("verifies", FIRST),
        make_item("sets_role", FIRST),
        make_item("iterates", THIRD),
    )
    rows = align(golden, [right], [recoded, elsewhere])
    assert [row.golden for row in rows] == golden
    assert [(row.a.kind, row.b.kind) for row in rows if row.a and row.b] == [
        ("agreed", "other_code"),
        ("missed", "other_evidence"),
    ]
    assert rows[0].b is not None
    assert rows[0].b.got == recoded


def test_an_extra_that_both_found_stands_in_one_row() -> None:
    extra = make_item("verifies", FIRST)
    (row,) = align([], [extra], [extra])
    assert (row.golden, row.between, row.change) == (None, "agreed", "")
    assert row.a is not None
    assert row.b is not None
    assert (row.a.kind, row.b.kind) == ("extra", "extra")


def test_extras_that_differ_stand_together_only_where_the_matcher_pairs_them() -> None:
    rows = align([], [make_item("verifies", FIRST), make_item("iterates", SECOND)], [make_item("sets_role", FIRST)])
    assert [(row.between, row.change) for row in rows] == [("other_code", "differs"), (None, "extra_a")]
    (alone,) = align([], [], [make_item("verifies", FIRST)])
    assert (alone.a, alone.change) == (None, "extra_b")


@pytest.mark.parametrize(
    ("a", "b", "change"),
    [
        (["verifies"], ["verifies"], ""),
        ([], ["verifies"], "gained"),
        (["verifies"], [], "lost"),
        (["sets_role"], [], "differs"),
        (["sets_role"], ["iterates"], "differs"),
        ([], [], ""),
    ],
)
def test_a_change_is_what_only_one_side_agrees_on(a: list[str], b: list[str], change: str) -> None:
    mine, its = ([make_item(code, FIRST) for code in side] for side in (a, b))
    (row,) = align([make_item("verifies", FIRST)], mine, its)
    assert row.change == change


def test_another_attribute_on_one_side_is_a_difference_but_no_loss() -> None:
    lived, anticipated = (make_item("unreliability", FIRST, timing=timing) for timing in ("lived", "anticipated"))
    (row,) = align([lived], [lived], [anticipated])
    assert row.change == "differs"


def test_a_side_without_a_record_has_nothing_to_say() -> None:
    golden, extra = make_item("verifies", FIRST), make_item("iterates", SECOND)
    pairs = match_section([golden], [golden, extra])
    for rows in (align_pairs(pairs, None), align_pairs(pairs)):
        assert [(row.golden, row.b) for row in rows] == [(golden, None), (None, None)]
    assert [row.a for row in align_pairs(None, pairs)] == [None, None]


ITEMS = st.lists(
    st.builds(
        make_item,
        st.sampled_from(["verifies", "iterates", "sets_role"]),
        st.sampled_from([FIRST, SECOND, THIRD, (35, 55)]),
        summary=st.sampled_from(["x", "y"]),
    ),
    max_size=6,
)


@given(ITEMS, ITEMS, ITEMS)
def test_every_item_of_the_three_stands_in_exactly_one_row(
    golden: list[GoldenItem], a: list[GoldenItem], b: list[GoldenItem]
) -> None:
    rows = align(golden, a, b)
    assert [row.golden for row in rows if row.golden] == golden
    for side, pairs in ((a, [row.a for row in rows]), (b, [row.b for row in rows])):
        got = [pair.got for pair in pairs if pair and pair.got]
        assert sorted(map(id, got)) == sorted(map(id, side))
    assert all(row.golden or row.a or row.b for row in rows)
    for row in rows:
        assert all(pair is None or pair.golden is row.golden for pair in (row.a, row.b))
