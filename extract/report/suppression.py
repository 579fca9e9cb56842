"""Which cells of a table are left out, so that nobody can be picked out of a small group.

A cell with fewer interviews than the least is hidden. So is a cell that would give a hidden one away by
subtraction from a total (complementary suppression). What the shown cells determine is found exactly: rows and
columns are the nodes of a graph, hidden cells its edges, and a hidden cell is determined if and only if its
edge is a bridge (Gusfield, "A graph theoretic approach to statistical data security", SIAM J. Comput. 17, 1988).
A cell of no interviews is hidden as well, but may be worked out: nobody stands in it.
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping

TOTAL = "*"
Cell = tuple[str, str]
"""(row, column); `TOTAL` names the row and the column that hold the sums."""
Line = tuple[int, str]
"""(0, row) or (1, column)."""


def find_hidden(table: Mapping[Cell, int], least: int) -> set[Cell]:
    """The cells of a table of counts to leave out; none if `least` is 1 or less."""
    if least <= 1:
        return set()
    lines = _find_lines(table)
    hidden = {cell for cell, count in table.items() if count < least}
    while cover := next(_find_covers(table, lines, hidden, least), None):
        hidden.add(cover)
    return hidden


def _find_lines(table: Mapping[Cell, int]) -> dict[Line, list[Cell]]:
    """Rows and columns whose total is in the table: only they tell anything about their parts."""
    lines: dict[Line, list[Cell]] = defaultdict(list)
    for cell in sorted(table):
        for axis in (0, 1):
            lines[axis, cell[axis]].append(cell)
    return {line: cells for line, cells in lines.items() if any(cell[1 - line[0]] == TOTAL for cell in cells)}


def _find_covers(
    table: Mapping[Cell, int], lines: Mapping[Line, list[Cell]], hidden: set[Cell], least: int
) -> Iterator[Cell]:
    """Cells to hide next, as long as something hidden can be worked out from what is shown."""
    for line in lines:
        secret = [cell for cell in lines[line] if cell in hidden]
        parts_only = all(cell[1 - line[0]] != TOTAL for cell in secret)
        if secret and parts_only and 0 < sum(table[cell] for cell in secret) < least:
            yield from _list_shown(lines[line], table, hidden, line[0])
    for cell in sorted(hidden):
        if not 0 < table[cell] < least:
            continue
        sides = [_find_reach(node, cell, hidden, lines) for node in _find_nodes(cell, lines)]
        if sides[0].isdisjoint(sides[1]):
            yield from _list_links(sides, table, hidden, lines)


def _list_shown(cells: list[Cell], table: Mapping[Cell, int], hidden: set[Cell], axis: int) -> list[Cell]:
    """What may be hidden of a line: its smallest part first, its total last."""
    shown = [cell for cell in cells if cell not in hidden]
    return sorted(shown, key=lambda cell: (cell[1 - axis] == TOTAL, table[cell], cell))


def _list_links(
    sides: list[set[Line | None]], table: Mapping[Cell, int], hidden: set[Cell], lines: Mapping[Line, list[Cell]]
) -> list[Cell]:
    """Shown cells that would join both sides once more if they were hidden, the smallest part first."""
    shown = {cell: _find_nodes(cell, lines) for cell in table if cell not in hidden}
    links = [
        cell for cell, (a, b) in shown.items() if (a in sides[0] and b in sides[1]) or (a in sides[1] and b in sides[0])
    ]
    return sorted(links or shown, key=lambda cell: (TOTAL in cell, table[cell], cell))


def _find_nodes(cell: Cell, lines: Mapping[Line, list[Cell]]) -> list[Line | None]:
    """The two lines of a cell; lines without a total, which tell nothing, are one node, None."""
    return [line if line in lines else None for line in enumerate(cell)]


def _find_reach(
    start: Line | None, without: Cell, hidden: set[Cell], lines: Mapping[Line, list[Cell]]
) -> set[Line | None]:
    """The nodes that hang together with `start` by hidden cells other than one."""
    edges = [_find_nodes(cell, lines) for cell in hidden if cell != without]
    reached, changed = {start}, True
    while changed:
        changed = False
        for a, b in edges:
            if (a in reached) != (b in reached):
                reached |= {a, b}
                changed = True
    return reached
