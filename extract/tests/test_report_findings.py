"""Findings against small runs that were counted by hand."""

from collections.abc import Iterator
from typing import Any

import pytest

from extract.report.counting import count_interviews, parse_records
from extract.report.findings import Findings, describe_findings, describe_published, name_code
from extract.report.intervals import find_wilson_interval
from extract.tests.report_samples import FOUR, make_extraction, make_raw
from schemas.codebook import load_codebook


def describe(records: list[dict[str, Any]], least: int = 1) -> Findings:
    return describe_findings(count_interviews(records), load_codebook(), least)


def find_section(findings: Findings, section: str) -> dict[str, Any]:
    found: dict[str, Any] = next(one for one in findings.data["sections"] if one["id"] == section)
    return found


def rate(cell: dict[str, Any]) -> tuple[int, int]:
    return cell["k"], cell["n"]


def test_a_code_counts_an_interview_once_over_those_that_were_extracted() -> None:
    cells = find_section(describe(FOUR), "concerns")["cells"]
    assert rate(cells["unreliability"]["all"]) == (2, 3)
    assert rate(cells["unreliability"]["workforce"]) == (2, 2)
    assert rate(cells["job_income"]["creatives"]) == (0, 1)
    assert rate(find_section(describe(FOUR), "tasks")["cells"]["write_draft"]["all"]) == (1, 3)


def test_interviews_that_were_not_asked_are_no_part_of_the_base() -> None:
    culture = find_section(describe(FOUR), "workplace_culture")
    assert culture["asked"] == {"all": 2, "workforce": 1, "creatives": 1, "scientists": 0}
    assert rate(culture["cells"]["concealment"]["workforce"]) == (1, 1)


def test_cells_carry_the_wilson_interval() -> None:
    cell = find_section(describe(FOUR), "concerns")["cells"]["unreliability"]["all"]
    assert (cell["low"], cell["high"]) == pytest.approx(find_wilson_interval(2, 3), abs=1e-4)


def test_failures_are_counted_beside_the_extracted() -> None:
    groups = {group["id"]: group for group in describe(FOUR).data["groups"]}
    assert [groups[name]["extracted"] for name in ("all", "workforce", "creatives", "scientists")] == [3, 2, 1, 0]
    assert (groups["all"]["failed"], groups["scientists"]["failed"], groups["workforce"]["failed"]) == (1, 1, 0)


def test_attributes_count_interviews_by_code_and_over_all_codes() -> None:
    timing = find_section(describe(FOUR), "concerns")["attribute"]
    assert rate(timing["cells"]["unreliability"]["lived"]["all"]) == (1, 3)
    assert rate(timing["cells"]["unreliability"]["anticipated"]["all"]) == (1, 3)
    assert rate(timing["any"]["anticipated"]["all"]) == (1, 3)  # w2 has two anticipated concerns and counts once
    disposition = find_section(describe(FOUR), "tasks")["attribute"]
    assert {value: disposition["any"][value]["all"]["k"] for value in ("shared", "delegated", "tried")} == {
        "shared": 1,
        "delegated": 1,
        "tried": 0,
    }


def test_mode_and_leader_are_counted() -> None:
    mode, leader = find_section(describe(FOUR), "collaboration_style")["styles"]
    assert rate(mode["cells"]["learning"]["all"]) == (2, 3)
    assert rate(mode["cells"]["directive"]["workforce"]) == (1, 2)
    assert rate(leader["cells"]["shared"]["all"]) == (1, 3)


def find_pairs(findings: Findings) -> dict[frozenset[str], list[int | None]]:
    codes = [code["id"] for section in findings.data["sections"] for code in section["codes"]]
    return {frozenset((codes[a], codes[b])): row for a, b, row in findings.data["pairs"]}


def test_pairs_count_interviews_with_both_codes() -> None:
    pairs = find_pairs(describe(FOUR))
    assert pairs == {
        frozenset(("write_draft", "unreliability")): [1, 1, 0, 0],
        frozenset(("unreliability", "job_income")): [1, 1, 0, 0],
        frozenset(("concealment", "unreliability")): [1, 1, 0, 0],
        frozenset(("concealment", "job_income")): [1, 1, 0, 0],
    }


def test_of_several_repeats_the_first_is_counted() -> None:
    said = make_extraction(("concerns", "unreliability", "lived"))
    records = [make_raw("a", None, said), make_raw("a", None, make_extraction(), repeat=1)]
    findings = describe(records)
    assert rate(find_section(findings, "concerns")["cells"]["unreliability"]["all"]) == (1, 1)
    assert [group["id"] for group in findings.data["groups"]] == ["all"]


def test_a_code_that_the_codebook_lacks_is_shown_all_the_same() -> None:
    findings = describe([make_raw("a", None, make_extraction(("concerns", "sea_monsters", "lived")))])
    assert find_section(findings, "concerns")["cells"]["sea_monsters"]["all"]["k"] == 1


def test_many_cohorts_become_the_largest_and_the_others() -> None:
    records = [make_raw(f"{c}-{n}", f"c{c:02}", make_extraction()) for c in range(12) for n in range(20 - c)]
    groups = describe(records).data["groups"]
    assert [group["id"] for group in groups] == ["all", *(f"c{c:02}" for c in range(7)), "others"]
    assert groups[-1]["extracted"] == sum(20 - c for c in range(7, 12))


def test_a_cohort_called_all_is_not_mistaken_for_everyone() -> None:
    records = [make_raw("a", "all", make_extraction()), make_raw("b", "x", make_extraction())]
    assert [group["id"] for group in describe(records).data["groups"]] == ["all", "all (cohort)", "x"]


def make_small_cells() -> list[dict[str, Any]]:
    """12 interviews; 9 have unreliability (3 of them creatives), 2 have job_income, 1 has both."""
    said = [[("concerns", "unreliability", "lived")] for _ in range(9)] + [[] for _ in range(3)]
    said[0].append(("concerns", "job_income", "lived"))
    said[9].append(("concerns", "job_income", "lived"))
    cohort = ["workforce"] * 6 + ["creatives"] * 6
    return [make_raw(f"t{n}", cohort[n], make_extraction(*said[n])) for n in range(12)]


def find_numbers(value: Any) -> Iterator[int]:
    """Every count of interviews in the findings."""
    if isinstance(value, dict):
        for key, part in value.items():
            if key == "k":
                yield part
            elif key != "n":
                yield from find_numbers(part)
    elif isinstance(value, list):
        for part in value:
            yield from find_numbers(part)


def test_small_cells_are_not_in_the_data_at_all() -> None:
    findings = describe(make_small_cells(), least=5)
    assert min(find_numbers(findings.data)) >= 5
    assert find_section(findings, "concerns")["cells"]["job_income"] == {
        "all": None,
        "workforce": None,
        "creatives": None,
    }
    assert findings.data["pairs"] == []
    shown = find_section(findings, "concerns")["cells"]["unreliability"]
    assert shown["all"]["k"] == 9
    assert (shown["workforce"], shown["creatives"]) == (None, None)  # either would tell the other


def test_the_numbers_that_are_looked_for_are_there_by_default() -> None:
    findings = describe(make_small_cells())
    assert min(find_numbers(findings.data)) == 0
    assert find_pairs(findings) == {frozenset(("unreliability", "job_income")): [1, 0, 1]}  # all, creatives, workforce


def test_items_of_hidden_cells_are_known() -> None:
    findings = describe(make_small_cells(), least=5)
    assert findings.shows_item("all", "concerns", "unreliability", "lived")
    assert not findings.shows_item("all", "concerns", "job_income", "lived")


def test_damaged_lines_are_passed_over() -> None:
    lines = [b"{", b'{"failure": {}}', b'{"extraction": {"tasks": 1}}', b'{"failure": {"kind": "refusal"}}']
    assert list(parse_records(lines)) == [{"failure": {"kind": "refusal"}}]


def test_codes_are_named_as_people_read_them() -> None:
    assert [name_code(code) for code in ("write_draft", "learn_ai", "ip_authorship")] == [
        "Write draft",
        "Learn AI",
        "IP authorship",
    ]


# ---------------------------------------------------------------- published figures


def derive(records: list[dict[str, Any]], least: int = 1) -> dict[str, tuple[int, int] | None]:
    told = describe_published(count_interviews(records), least)
    return {figure["id"]: figure["own"] and rate(figure["own"]) for figure in told}


def test_published_figures_are_derived_from_the_codes() -> None:
    own = derive(FOUR)
    assert own["augmentation"] == (2, 3)
    assert own["automation"] == (1, 3)
    assert own["stigma_strict"] == (1, 2)  # concealment in w2; w1 was asked about concerns
    assert own["anxious"] == (1, 2)  # job_income, anticipated
    assert own["control"] == (1, 1)
    assert own["trust"] is None  # no scientist was extracted


def test_unclear_modes_are_neither_augmentation_nor_automation() -> None:
    assert derive([*FOUR, make_raw("x", "workforce", make_extraction(mode="unclear"))])["augmentation"] == (2, 3)


def test_a_lived_concern_is_not_anxiety_about_the_future() -> None:
    records = [make_raw("a", "workforce", make_extraction(("concerns", "job_income", "lived")))]
    assert derive(records)["anxious"] == (0, 1)


def test_limiting_use_alone_is_not_wanting_more_help() -> None:
    limit, more = ("future_wishes", "limit_use", "wish"), ("future_wishes", "idea_partner", "wish")
    records = [
        make_raw("a", "scientists", make_extraction(limit)),
        make_raw("b", "scientists", make_extraction(limit, more)),
        make_raw("c", "scientists", make_extraction(not_asked=("future_wishes",))),
    ]
    assert derive(records)["more_help"] == (1, 2)


def test_own_figures_of_few_interviews_are_hidden() -> None:
    assert set(derive(FOUR, least=5).values()) == {None}
