from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from evals.matching import find_overlap, match_section, share_sentence
from evals.tests.samples import make_item
from schemas.golden import GoldenItem, StoredSpan

SPANS = st.lists(st.integers(0, 30).map(lambda n: (n * 10, n * 10 + 9)), min_size=1, max_size=4, unique=True)
ITEMS = st.lists(
    st.builds(lambda code, spans: make_item(code, *spans), st.sampled_from("abcd"), SPANS), max_size=8
)  # fmt: skip


def count_grounded(golden: list[GoldenItem], got: list[GoldenItem]) -> int:
    return sum(pair.is_grounded for pair in match_section(golden, got))


def test_unrelated_lists_match_nothing() -> None:
    golden = [make_item("a", (0, 9)), make_item("b", (10, 19))]
    got = [make_item("c", (0, 9)), make_item("d", (40, 49))]
    assert count_grounded(golden, got) == 0


@given(ITEMS, st.randoms())
def test_any_permutation_matches_whole(items: list[GoldenItem], random: "object") -> None:
    shuffled = list(items)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    assert count_grounded(items, shuffled) == len(items)


@given(ITEMS, ITEMS)
def test_every_item_stands_in_exactly_one_pair(golden: list[GoldenItem], got: list[GoldenItem]) -> None:
    pairs = match_section(golden, got)
    assert [pair.golden for pair in pairs if pair.golden] == golden
    assert Counter(id(pair.got) for pair in pairs if pair.got) == Counter(id(item) for item in got)


@given(ITEMS, ITEMS)
def test_the_number_of_matches_does_not_depend_on_the_order_or_the_side(
    golden: list[GoldenItem], got: list[GoldenItem]
) -> None:
    found = count_grounded(golden, got)
    assert found == count_grounded(golden[::-1], got[::-1])
    assert found == count_grounded(got, golden)


@given(ITEMS, ITEMS)
def test_code_matches_are_the_multiset_intersection(golden: list[GoldenItem], got: list[GoldenItem]) -> None:
    same = sum(pair.golden is not None and pair.got is not None and pair.golden.code == pair.got.code
               for pair in match_section(golden, got))  # fmt: skip
    assert same == sum((Counter(i.code for i in golden) & Counter(i.code for i in got)).values())


def test_greedy_would_lose_a_pair() -> None:
    # Taken in order, the first golden item would take the second one's only partner.
    golden = [make_item("a", (0, 9), (20, 29)), make_item("a", (0, 9))]
    got = [make_item("a", (0, 9)), make_item("a", (20, 29))]
    assert count_grounded(golden, got) == 2


def test_assigning_before_the_threshold_would_lose_a_pair() -> None:
    # By overlap alone, long shared evidence under another code outweighs the short valid pair.
    golden = [make_item("a", (0, 9), (100, 199)), make_item("b", (100, 199))]
    got = [make_item("a", (0, 9), (300, 900)), make_item("c", (100, 199))]
    pairs = match_section(golden, got)
    assert [pair.kind for pair in pairs] == ["agreed", "other_code"]


def test_two_tasks_of_one_code_pair_by_disposition_where_evidence_allows_both() -> None:
    golden = [make_item("a", (0, 9), disposition="shared"), make_item("a", (0, 9), disposition="retained")]
    got = [make_item("a", (0, 9), disposition="retained"), make_item("a", (0, 9), disposition="shared")]
    assert [pair.kind for pair in match_section(golden, got)] == ["agreed", "agreed"]


def test_the_kinds_of_pairs() -> None:
    golden = [
        make_item("a", (0, 9), timing="lived"),
        make_item("b", (10, 19)),
        make_item("c", (20, 29)),
        make_item("d", (30, 39)),
    ]
    got = [
        make_item("a", (0, 9), timing="anticipated"),
        make_item("b", (50, 59)),
        make_item("x", (20, 29)),
        make_item("y", (70, 79)),
    ]
    kinds = [pair.kind for pair in match_section(golden, got)]
    assert kinds == ["attribute", "other_evidence", "other_code", "missed", "extra"]


def test_spans_of_two_splitters_are_one_sentence_when_they_share_half_of_the_shorter() -> None:
    assert share_sentence([(0, 100)], [(0, 40)])
    assert share_sentence([(0, 40)], [(20, 90)])
    assert not share_sentence([(0, 40)], [(38, 90)])
    assert not share_sentence([(0, 40)], [(40, 90)])
    assert not share_sentence([(5, 5)], [(5, 9)])


def test_overlap_is_the_jaccard_of_characters() -> None:
    assert find_overlap([(0, 10)], [(5, 15)]) == 5 / 15
    assert find_overlap([(0, 10), (20, 30)], [(20, 30), (0, 10)]) == 1
    assert find_overlap([], []) == 0


OVERLAPPING = st.lists(st.tuples(st.integers(0, 20), st.integers(0, 20)).map(sorted).map(tuple), max_size=4)


@given(OVERLAPPING, OVERLAPPING)
def test_overlap_counts_every_character_once(a: list[StoredSpan], b: list[StoredSpan]) -> None:
    left, right = ({n for start, end in spans for n in range(start, end)} for spans in (a, b))
    assert find_overlap(a, b) == (len(left & right) / len(left | right) if left | right else 0)
