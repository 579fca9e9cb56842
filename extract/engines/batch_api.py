"""The Message Batches API through the anthropic SDK: bodies are streamed up, results are streamed down."""

import json
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Any

from extract.engines.claude import explain_error, find_message
from extract.engines.live import ProviderError
from extract.keys import find_key

HEAD, TAIL = b'{"requests":[\n', b"\n]}"
SEPARATOR = b",\n"
LIST_PAGE = 100


def read_key() -> str:
    """The provider's key, or nothing."""
    return find_key("ANTHROPIC_API_KEY")


class BatchMissingError(Exception):
    """The provider knows no such batch, or keeps its results no more."""


class BatchTooLargeError(Exception):
    """The provider takes no body of this size."""


class BatchApi:
    """The calls that the engine needs, on plain dictionaries. All raise ProviderError, or EngineError for
    what no request can get past; nothing is retried here.
    """

    def __init__(self, client: Any) -> None:
        self.client = client

    def create(self, lines: Iterable[bytes], size: int) -> dict[str, Any]:
        """Send a batch of rendered requests; `size` is the length of the whole body. Raises BatchTooLargeError."""
        headers = {"content-type": "application/json", "content-length": str(size)}
        with _translated():
            # `messages.batches.create` would hold the whole body in memory
            return _check(
                self.client.post(
                    "/v1/messages/batches", cast_to=object, content=_join(lines), options={"headers": headers}
                )
            )

    def retrieve(self, batch_id: str) -> dict[str, Any]:
        """The state of a batch. Raises BatchMissingError."""
        with _translated():
            return _check(self.client.messages.batches.retrieve(batch_id).to_dict(mode="json"))

    def cancel(self, batch_id: str) -> dict[str, Any]:
        """Ask the provider to end a batch; what it has answered by then is kept. Raises BatchMissingError."""
        with _translated():
            return _check(self.client.messages.batches.cancel(batch_id).to_dict(mode="json"))

    def find_newest(self) -> dict[str, Any] | None:
        """The newest batch of the account's workspace, or None."""
        with _translated():
            page = self.client.messages.batches.list(limit=1)
            return _check(page.data[0].to_dict(mode="json")) if page.data else None

    def list_since(self, seen_id: str | None, seen_at: str | None) -> Iterator[dict[str, Any]]:
        """The batches created after the one that was seen, newest first; all of them where none was."""
        with _translated():
            for batch in self.client.messages.batches.list(limit=LIST_PAGE):
                made = _check(batch.to_dict(mode="json"))
                if made["id"] == seen_id or (seen_at and parse_time(made["created_at"]) < parse_time(seen_at)):
                    return
                yield made

    def read_results(self, batch_id: str) -> Iterator[dict[str, Any]]:
        """The results of a batch that has ended, one after the other, in any order. Raises BatchMissingError."""
        import anthropic

        with _translated():
            try:
                opened = self.client.messages.batches.with_streaming_response.results(batch_id)
                with opened as response:
                    yield from _split_lines(response.iter_bytes())
            except anthropic.AnthropicError as error:
                if isinstance(error, anthropic.APIError):
                    raise
                raise BatchMissingError("the batch has no results") from None

    def find_first_custom_id(self, batch_id: str) -> str | None:
        """The custom_id of any one result. Raises BatchMissingError."""
        results = self.read_results(batch_id)
        try:
            return next((str(result.get("custom_id")) for result in results), None)
        finally:
            results.close()  # type: ignore[attr-defined]


def parse_time(text: str) -> datetime:
    """A time of the provider, with or without parts of a second, which do not sort as text."""
    return datetime.fromisoformat(text)


@contextmanager
def connect(key: str, base_url: str | None, timeout_s: float) -> Iterator[BatchApi]:
    """The provider's API, which retries nothing by itself."""
    import anthropic

    with anthropic.Anthropic(api_key=key, base_url=base_url, max_retries=0, timeout=timeout_s) as client:
        yield BatchApi(client)


def _join(lines: Iterable[bytes]) -> Iterator[bytes]:
    yield HEAD
    for number, line in enumerate(lines):
        yield SEPARATOR + line if number else line
    yield TAIL


def count_bytes(sizes: int, requests: int) -> int:
    """The length of a body whose lines are so many bytes together."""
    return len(HEAD) + sizes + len(SEPARATOR) * (requests - 1) + len(TAIL)


def _split_lines(chunks: Iterable[bytes]) -> Iterator[dict[str, Any]]:
    """Only a line feed ends a line: text may hold every other character that ends one elsewhere."""
    rest: list[bytes] = []
    for chunk in chunks:
        first, *others = chunk.split(b"\n")
        rest.append(first)
        for part in others:
            if line := b"".join(rest).strip():
                yield _check(json.loads(line))
            rest = [part]
    if line := b"".join(rest).strip():
        yield _check(json.loads(line))


def _check(value: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise ValueError(f"not an object: {value!r:.80}")
    return value


@contextmanager
def _translated() -> Iterator[None]:
    """The SDK's errors as ours."""
    import anthropic
    import httpx2

    try:
        yield
    except (anthropic.APIError, ValueError) as error:
        status = getattr(error, "status_code", None)
        if status in (404, 410):
            raise BatchMissingError(find_message(error)) from None
        if status == 413:
            raise BatchTooLargeError(find_message(error)) from None
        raise explain_error(error) from None
    except httpx2.HTTPError as error:
        raise ProviderError("connection", f"The connection broke: {error!r}.", retry=True) from None
