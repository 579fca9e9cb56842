"""Figures that were published on the same interviews, and how the nearest figure is read off the codes.

Published: Handa et al., "Introducing Anthropic Interviewer", 4 December 2025. Neither codebook nor prompts
nor intervals came with them, so a figure can be estimated again, not reproduced.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from extract.report.counting import Coded

COHORTS = frozenset({"workforce", "creatives", "scientists"})
AUGMENTATION = frozenset({"task_iteration", "thinking_partner", "learning", "validation"})
AUTOMATION = frozenset({"directive", "feedback_loop"})
OTHERS = frozenset(
    {
        "peer_adoption",
        "peer_learning",
        "peer_skepticism",
        "low_adoption",
        "concealment",
        "champion",
        "outside_expectations",
    }
)
"""Codes of workplace culture that are about other people, not about rules."""


@dataclass(frozen=True)
class Figure:
    """One published figure and its nearest reading from the codes.

    It holds for an interview with any of `codes` ("section/code", with `value` if given, or any code of a
    "section/*" but `without`), or with any of `styles`. Its base are the interviews where any of the sections
    came up; `among` narrows that to interviews with one of these modes. `published` is in percent; `text`
    is how it was worded.
    """

    id: str
    finding: str
    cohort: str | None
    published: float
    text: str
    derived: str
    codes: frozenset[str] = frozenset()
    value: str | None = None
    without: frozenset[str] = frozenset()
    styles: frozenset[tuple[str, str]] = frozenset()
    among: frozenset[str] = frozenset()

    def is_base(self, coded: "Coded") -> bool:
        """Whether the interview is one that the rate is taken over."""
        if self.among and coded.styles["mode"] not in self.among:
            return False
        return any(coded.came_up(section) for section in self.sections)

    def holds(self, coded: "Coded") -> bool:
        """Whether the interview has what the figure is about."""
        if self.styles & coded.styles.items():
            return True
        return any(
            self._names(section, code) and (self.value is None or self.value in values)
            for (section, code), values in coded.codes.items()
        )

    @property
    def sections(self) -> list[str]:
        """The sections it is read from."""
        style = ["collaboration_style"] if self.styles else []
        return sorted({code.split("/")[0] for code in self.codes} | set(style))

    def _names(self, section: str, code: str) -> bool:
        name = f"{section}/{code}"
        return name not in self.without and (name in self.codes or f"{section}/*" in self.codes)


def has_published_figures(source: str, cohorts: Iterable[str]) -> bool:
    """Whether a run is about the interviews that were published on, by the source's name and its cohorts."""
    found = set(cohorts)
    return "anthropicinterviewer" in re.sub(r"[^a-z]", "", source.lower()) and bool(found) and found <= COHORTS


def _codes(section: str, *codes: str) -> frozenset[str]:
    return frozenset(f"{section}/{code}" for code in codes)


_STRICT = _codes("workplace_culture", "peer_skepticism", "concealment") | _codes("concerns", "social_judgement")
_BROAD = _codes("workplace_culture", *OTHERS) | _codes("concerns", "social_judgement")
_STRICT_TEXT = "Strict: peer scepticism or concealment (culture), or social judgement (concerns)."
_BROAD_TEXT = "Broad: any culture code about other people, or social judgement (concerns)."
_MODES = "Of interviews whose mode is augmentation or automation; mixed, minimal and unclear are left out."

FIGURES: tuple[Figure, ...] = (
    Figure(
        id="augmentation",
        finding="Role of AI mainly augmentation",
        cohort=None,
        published=65,
        text="65%",
        derived=f"Mode task iteration, thinking partner, learning or validation. {_MODES}",
        styles=frozenset(("mode", mode) for mode in AUGMENTATION),
        among=AUGMENTATION | AUTOMATION,
    ),
    Figure(
        id="automation",
        finding="Role of AI mainly automation",
        cohort=None,
        published=35,
        text="35%",
        derived=f"Mode directive or feedback loop. {_MODES}",
        styles=frozenset(("mode", mode) for mode in AUTOMATION),
        among=AUGMENTATION | AUTOMATION,
    ),
    *(
        Figure(f"stigma_{name}", "Social stigma of using AI mentioned", "workforce", 69, "69%", text, codes)
        for name, text, codes in (("strict", _STRICT_TEXT, _STRICT), ("broad", _BROAD_TEXT, _BROAD))
    ),
    *(
        Figure(f"peers_{name}", "Manage peers' judgement", "creatives", 70, "70%", f"{text} {note}", codes)
        for name, text, codes in (("strict", _STRICT_TEXT, _STRICT), ("broad", _BROAD_TEXT, _BROAD))
        for note in ("This cohort was hardly asked about colleagues, so expect far less.",)
    ),
    Figure(
        id="control",
        finding="Want to stay in control",
        cohort="creatives",
        published=100,
        text="100%",
        derived="Leader human, or keeps the final say.",
        codes=_codes("collaboration_style", "keeps_final_say"),
        styles=frozenset({("leader", "human")}),
    ),
    Figure(
        id="anxious",
        finding="Anxious about AI's impact on their future",
        cohort="workforce",
        published=55,
        text="55%",
        derived="Concern job and income, skill atrophy or human connection, with timing anticipated.",
        codes=_codes("concerns", "job_income", "skill_atrophy", "human_connection"),
        value="anticipated",
    ),
    Figure(
        id="oversee",
        finding="Considered moving to overseeing AI",
        cohort="workforce",
        published=48,
        text="48%",
        derived="Future wish oversee role.",
        codes=_codes("future_wishes", "oversee_role"),
    ),
    Figure(
        id="trust",
        finding="Trust or reliability the primary barrier",
        cohort="scientists",
        published=79,
        text="79%",
        derived="Concern unreliability, primary or not: the codes do not rank.",
        codes=_codes("concerns", "unreliability"),
    ),
    Figure(
        id="limits",
        finding="Technical limits of AI a barrier",
        cohort="scientists",
        published=27,
        text="27%",
        derived="Concern capability limits.",
        codes=_codes("concerns", "capability_limits"),
    ),
    *(
        Figure(
            id=code,
            finding=finding,
            cohort="scientists",
            published=10,
            text="under 10%",
            derived=f"Concern {code.replace('_', ' ')}.",
            codes=_codes("concerns", code),
        )
        for code, finding in (
            ("rules_compliance", "Regulation a barrier"),
            ("skill_atrophy", "Skill atrophy a barrier"),
            ("cost_access", "Cost a barrier"),
        )
    ),
    Figure(
        id="more_help",
        finding="Want more help from AI",
        cohort="scientists",
        published=91,
        text="91%",
        derived="Any future wish but limit use.",
        codes=_codes("future_wishes", "*"),
        without=_codes("future_wishes", "limit_use"),
    ),
    Figure(
        id="writing",
        finding="Want help mainly with writing",
        cohort="scientists",
        published=33,
        text="about a third",
        derived="Future wish writing quality, main wish or not.",
        codes=_codes("future_wishes", "writing_quality"),
    ),
)
