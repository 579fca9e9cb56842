"""What every page of this project is made of: templates, libraries, data blocks, a policy, one file written whole.

Text from transcripts enters as JSON in a data block and leaves it through text nodes only. The page's own policy
(Content-Security-Policy) allows the scripts written here, by their hash, and no connection at all.
"""

import base64
import hashlib
import json
import os
from collections.abc import Callable, Iterable
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from extract.errors import StoreError

if TYPE_CHECKING:
    from markupsafe import Markup

TEMPLATES = Path(__file__).parent / "templates"
_LIBRARIES = [Path(__file__).parent / "vendor" / name for name in ("d3-7.9.2.min.js", "plot-0.6.17.min.js")]
_ESCAPES = {"<": "\\u003c", ">": "\\u003e", "&": "\\u0026", "\u2028": "\\u2028", "\u2029": "\\u2029"}


def render_html(
    name: str,
    *,
    scripts: Iterable[Path],
    styles: Iterable[Path],
    data: dict[str, Any],
    filters: dict[str, Callable[..., str]] | None = None,
    **values: Any,
) -> str:
    """A page from a template that extends `shell.html`, looked for where its scripts lie.

    `data` becomes the page's data blocks, one for each key; `filters` are more ways to write a number, and
    `values` what the template names.
    """
    import jinja2

    scripts = list(scripts)
    folders = list(dict.fromkeys([*(path.parent for path in scripts), TEMPLATES]))
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(folders),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    environment.filters.update(percent=_format_percent, count=_format_count, money=_format_money, **(filters or {}))
    libraries, own = _join(_LIBRARIES), '(() => {\n"use strict";\n' + _join(scripts) + "\n})();\n"
    return environment.get_template(name).render(
        policy=_make_policy(libraries, own),
        style=_mark_safe(_join(styles)),
        libraries=_mark_safe(libraries),
        script=_mark_safe(own),
        data={key: _mark_safe(escape_json(value)) for key, value in data.items()},
        **values,
    )


def _mark_safe(text: str) -> "Markup":
    """For files of this package, and for what `escape_json` made: nothing in it could end its element."""
    from markupsafe import Markup

    return Markup(text)  # noqa: S704


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


def _join(paths: Iterable[Path]) -> str:
    return "\n".join(_read(path) for path in paths)


@cache
def _read(path: Path) -> str:
    return path.read_text(encoding="utf-8")


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
