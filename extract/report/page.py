"""Findings and quotes -> one HTML file that asks nothing of any network.

Text from transcripts enters as JSON in a data block and leaves it through text nodes only. The page's own policy
(Content-Security-Policy) allows the scripts written here, by their hash, and no connection at all.
"""

import base64
import hashlib
import json
import os
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from extract.errors import StoreError

HERE = Path(__file__).parent
LIBRARIES = ("d3-7.9.2.min.js", "plot-0.6.17.min.js")
SCRIPTS = ("base.js", "charts.js", "findings.js", "quotes.js", "interview.js", "run.js", "start.js")
_ESCAPES = {"<": "\\u003c", ">": "\\u003e", "&": "\\u0026", "\u2028": "\\u2028", "\u2029": "\\u2029"}


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
    import jinja2
    from markupsafe import Markup

    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(HERE / "templates"),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    environment.filters.update(percent=_format_percent, count=_format_count, money=_format_money)
    libraries, own = "\n".join(_read(f"vendor/{name}") for name in LIBRARIES), _join_scripts()
    data = {"findings": page.findings, "operation": page.operation, "published": page.published}
    quotes = page.quotes or {}
    return environment.get_template("page.html").render(
        page=page,
        least=page.findings["least"],
        groups=page.findings["groups"],
        policy=_make_policy(libraries, own),
        style=Markup(_read("templates/page.css")),  # noqa: S704  files of this package, not data
        libraries=Markup(libraries),  # noqa: S704
        script=Markup(own),  # noqa: S704
        data=Markup(escape_json(data)),  # noqa: S704  escape_json leaves nothing that could end the block
        index=Markup(escape_json({key: quotes.get(key, []) for key in ("interviews", "items")})),  # noqa: S704
        texts=Markup(escape_json(quotes.get("texts", []))),  # noqa: S704
    )


def escape_json(value: Any) -> str:
    """JSON that can stand inside a script element: no `<`, `>`, `&`, U+2028 or U+2029 in it."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    for character, escape in _ESCAPES.items():
        text = text.replace(character, escape)
    return text


def write_page(html: str, path: Path) -> None:
    """Write the file under another name first, so that it is there whole or not at all. Raises StoreError."""
    fresh = path.with_name(f".{path.name}.{os.getpid()}.new")
    try:
        fresh.write_text(html, encoding="utf-8")
        fresh.replace(path)
    except OSError as error:
        fresh.unlink(missing_ok=True)
        raise StoreError(f"Cannot write {str(path)!r}: {error.strerror}. Choose another file with --out.") from None


@cache
def _read(name: str) -> str:
    return (HERE / name).read_text(encoding="utf-8")


def _join_scripts() -> str:
    return '(() => {\n"use strict";\n' + "\n".join(_read(f"templates/{name}") for name in SCRIPTS) + "\n})();\n"


def _make_policy(*scripts: str) -> str:
    hashes = " ".join(f"'sha256-{base64.b64encode(hashlib.sha256(s.encode()).digest()).decode()}'" for s in scripts)
    return f"default-src 'none'; script-src {hashes}; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"


def _format_percent(share: float) -> str:
    return f"{100 * share:.0f}%" if share == 0 or share >= 0.01 else f"{100 * share:.1f}%"


def _format_count(number: float) -> str:
    return f"{number:,.0f}"


def _format_money(cost_usd: float | None) -> str:
    if cost_usd is None:
        return "unknown"
    return f"${cost_usd:,.2f}" if cost_usd >= 1 or cost_usd == 0 else f"${cost_usd:.4f}"
