"""What is hidden cannot be worked out from what is shown; linear algebra is the witness."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from extract.report.suppression import TOTAL, Cell, find_hidden


def add_totals(parts: dict[Cell, int]) -> dict[Cell, int]:
    table = dict(parts)
    for (row, column), count in parts.items():
        for cell in ((row, TOTAL), (TOTAL, column), (TOTAL, TOTAL)):
            table[cell] = table.get(cell, 0) + count
    return table


def find_determined(table: dict[Cell, int], hidden: set[Cell]) -> set[Cell]:
    """The hidden cells that the sums of rows and columns fix, by the rank of their equations."""
    unknown = sorted(hidden)
    lines = []
    for axis in (0, 1):
        for name in {cell[axis] for cell in table}:
            line = [cell for cell in table if cell[axis] == name]
            if any(cell[1 - axis] == TOTAL for cell in line):
                lines.append([(-1 if c[1 - axis] == TOTAL else 1) * (c in line) for c in unknown])
    if not unknown:
        return set()
    rank = np.linalg.matrix_rank(np.array(lines))
    fixed = set()
    for number, cell in enumerate(unknown):
        unit = np.eye(len(unknown))[number]
        if np.linalg.matrix_rank(np.vstack([np.array(lines), unit])) == rank:
            fixed.add(cell)
    return fixed


tables = st.integers(1, 6).flatmap(
    lambda rows: st.integers(1, 5).flatmap(
        lambda columns: st.lists(st.integers(0, 30), min_size=rows * columns, max_size=rows * columns).map(
            lambda counts: {(f"r{n // columns}", f"c{n % columns}"): count for n, count in enumerate(counts)}
        )
    )
)


@given(tables)
def test_no_small_cell_can_be_worked_out(parts: dict[Cell, int]) -> None:
    table = add_totals(parts)
    hidden = find_hidden(table, 5)
    assert {cell for cell, count in table.items() if count < 5} <= hidden
    assert not {cell for cell in find_determined(table, hidden) if 0 < table[cell] < 5}


def test_the_witness_sees_what_small_cells_alone_give_away() -> None:
    table = add_totals({("r", "a"): 2, ("r", "b"): 40, ("s", "a"): 30, ("s", "b"): 20})
    assert find_determined(table, {("r", "a")}) == {("r", "a")}


def test_one_small_cohort_takes_the_next_smallest_with_it() -> None:
    table = {("", "workforce"): 70, ("", "creatives"): 20, ("", "scientists"): 3, ("", TOTAL): 93}
    assert find_hidden(table, 5) == {("", "scientists"), ("", "creatives")}


def test_two_small_cells_are_not_told_by_their_sum() -> None:
    table = {("", "a"): 2, ("", "b"): 1, ("", "c"): 60, ("", "d"): 80, ("", TOTAL): 143}
    assert find_hidden(table, 5) == {("", "a"), ("", "b"), ("", "c")}


def test_a_cell_of_nobody_takes_no_other_with_it() -> None:
    table = {("lived", TOTAL): 80, ("anticipated", TOTAL): 0, (TOTAL, TOTAL): 80}
    assert find_hidden(table, 5) == {("anticipated", TOTAL)}


def test_a_cell_that_hangs_on_a_chain_of_others_is_covered() -> None:
    table = add_totals({("r0", "c0"): 1, ("r0", "c1"): 5, ("r1", "c0"): 5, ("r1", "c1"): 5})
    assert find_hidden(table, 5) == {("r0", "c0"), ("r0", "c1"), ("r1", "c0"), ("r1", "c1")}


def test_nothing_is_hidden_by_default() -> None:
    assert find_hidden({("", "a"): 0, ("", TOTAL): 0}, 1) == set()
