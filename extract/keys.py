"""Keys of providers: from the environment, or from a file that it names. Never in a message, a run or a log."""

import os
import stat
from collections.abc import Callable
from pathlib import Path

from extract.errors import EngineError

_SUFFIXES = ("_API_KEY", "_TOKEN")
_read: set[str] = set()
"""Keys that came from files, so that `hide_keys` knows them."""
_warned: set[Path] = set()


def _say_nothing(_message: str) -> None:
    pass


def find_key(name: str, say: Callable[[str], None] = _say_nothing) -> str:
    """The key in the environment's `name`, else in the file that `name` + `_FILE` names; empty without either.

    `say` hears, once for each file, that others may read it. Raises EngineError where it cannot be read.
    """
    if key := os.environ.get(name, "").strip():
        return key
    named = os.environ.get(f"{name}_FILE", "").strip()
    if not named:
        return ""
    path = Path(named).expanduser()
    try:
        with path.open(encoding="utf-8") as file:
            is_open = os.name == "posix" and bool(os.fstat(file.fileno()).st_mode & (stat.S_IRWXG | stat.S_IRWXO))
            lines = file.read(10_000).split()
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "it is no text"
        raise EngineError(f"Cannot read the key file {named!r}: {reason}. Mend {name}_FILE, or set {name}.") from None
    if len(lines) != 1:
        raise EngineError(f"The key file {named!r} holds {len(lines)} words. Put the key in it, and nothing else.")
    if is_open and path not in _warned:
        _warned.add(path)
        say(f"Others on this machine may read the key file {named!r}. Close it with: chmod 600 {named}")
    _read.add(lines[0])
    return lines[0]


def hide_keys(text: str) -> str:
    """The text without any key that this process knows."""
    known = {value.strip() for name, value in os.environ.items() if name.endswith(_SUFFIXES)} | _read
    for key in sorted(known, key=len, reverse=True):
        if len(key) > 7:
            text = text.replace(key, "[key]")
    return text
