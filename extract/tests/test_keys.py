from pathlib import Path

import pytest

from extract.engines import EngineOptions, open_engine
from extract.engines.live import shorten
from extract.errors import EngineError
from extract.keys import find_key, hide_keys
from extract.tests.loopback import Loopback
from extract.tests.samples import make_request

NAME = "ANTHROPIC_API_KEY"
KEY = "sk-from-a-file-0123456789"


@pytest.fixture(autouse=True)
def no_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (NAME, f"{NAME}_FILE", "OPENAI_API_KEY", "OPENAI_API_KEY_FILE"):
        monkeypatch.delenv(name, raising=False)


def write_key(tmp_path: Path, text: str = KEY + "\n", mode: int = 0o600) -> Path:
    path = tmp_path / "key"
    path.write_text(text)
    path.chmod(mode)
    return path


def test_the_environment_comes_first_then_the_file_that_it_names(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert find_key(NAME) == ""
    monkeypatch.setenv(f"{NAME}_FILE", str(write_key(tmp_path)))
    assert find_key(NAME) == KEY
    monkeypatch.setenv(NAME, " sk-of-the-environment ")
    assert find_key(NAME) == "sk-of-the-environment"


@pytest.mark.parametrize("mode", [0o644, 0o640, 0o604, 0o622])
def test_a_file_that_others_may_read_is_said_once_and_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mode: int
) -> None:
    path = write_key(tmp_path, mode=mode)
    monkeypatch.setenv(f"{NAME}_FILE", str(path))
    said: list[str] = []
    assert find_key(NAME, said.append) == find_key(NAME, said.append) == KEY
    assert said == [f"Others on this machine may read the key file '{path}'. Close it with: chmod 600 {path}"]


def test_a_closed_file_is_not_worth_a_word(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(f"{NAME}_FILE", str(write_key(tmp_path)))
    said: list[str] = []
    find_key(NAME, said.append)
    assert said == []


@pytest.mark.parametrize(
    ("text", "says"),
    [("", "holds 0 words"), ("KEY = sk-1", "holds 3 words"), (None, "No such file"), (b"\xff\xfe", "it is no text")],
)
def test_a_file_without_a_key_is_one_sentence_that_does_not_show_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str | bytes | None, says: str
) -> None:
    path = tmp_path / "key"
    if text is not None:
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
    monkeypatch.setenv(f"{NAME}_FILE", str(path))
    with pytest.raises(EngineError, match=says) as caught:
        find_key(NAME)
    assert "sk-1" not in str(caught.value)


def test_no_message_shows_a_key_from_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(f"{NAME}_FILE", str(write_key(tmp_path)))
    find_key(NAME)
    assert hide_keys(f"invalid {KEY}!") == "invalid [key]!"
    assert shorten(f"invalid {KEY}", 100) == "invalid [key]."


@pytest.mark.parametrize(
    ("engine", "model", "name"),
    [("claude", "claude-sonnet-5-5", NAME), ("provider", "openai/gpt-5-mini", "OPENAI_API_KEY"),
     ("provider", "anthropic/claude-haiku-5-5", NAME)],
)  # fmt: skip
def test_engines_ask_with_the_key_of_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, engine: str, model: str, name: str
) -> None:
    monkeypatch.setenv(f"{name}_FILE", str(write_key(tmp_path)))
    with Loopback() as server:
        base = server.url + ("/v1" if model.startswith("openai") else "")
        opened = open_engine(engine, EngineOptions(model=model, base_url=base))
        [completion] = opened.complete([make_request()])
        assert completion.failure is None
        assert server.keys == {KEY}
