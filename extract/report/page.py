"""Findings, operation and quotes of a run -> its page."""

from dataclasses import dataclass
from typing import Any

from extract.report.html import TEMPLATES, render_html

SCRIPTS = (
    "page.js",
    "base.js",
    "views.js",
    "drawing.js",
    "charts.js",
    "findings.js",
    "quotes.js",
    "transcript.js",
    "interview.js",
    "run.js",
    "start.js",
)


@dataclass(frozen=True)
class Page:
    """What a page is made of: all JSON. `quotes` is None where they are left out."""

    title: str
    findings: dict[str, Any]
    operation: dict[str, Any]
    published: list[dict[str, Any]]
    notes: list[str]
    quotes: dict[str, Any] | None


def render_page(page: Page) -> str:
    """The whole HTML file."""
    data: dict[str, Any] = {
        "data": {"findings": page.findings, "operation": page.operation, "published": page.published}
    }
    if page.quotes:
        data["index"] = {key: page.quotes[key] for key in ("interviews", "items")}
        data["texts"] = page.quotes["texts"]
    return render_html(
        "page.html",
        scripts=[TEMPLATES / name for name in SCRIPTS],
        styles=[TEMPLATES / "page.css"],
        data=data,
        page=page,
        least=page.findings["least"],
        groups=page.findings["groups"],
    )
