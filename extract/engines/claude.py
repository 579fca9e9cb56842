"""Claude through the anthropic SDK: async, aiohttp, native structured output, prompt caching."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from extract.engines import EngineOptions
from extract.engines.limits import RetryPolicy, parse_retry_after
from extract.engines.live import (
    Correction,
    LiveEngine,
    ProviderError,
    Reply,
    Send,
    classify_status,
    render_messages,
)
from extract.engines.prices import open_prices
from extract.errors import EngineError
from extract.keys import find_key
from extract.prompt import Request
from schemas.record import Usage

DEFAULT_MODEL = "claude-sonnet-5-5"
STOPS = {"refusal": "refusal", "max_tokens": "max_tokens", "model_context_window_exceeded": "context_window"}


def open_claude(options: EngineOptions) -> LiveEngine:
    """The `claude` engine. Raises EngineError without a key."""
    key = find_key("ANTHROPIC_API_KEY", options.say)
    if not key and not options.dry_run:
        raise EngineError("No key for Claude. Set ANTHROPIC_API_KEY, or choose --engine rules, which needs none.")
    model = options.model or DEFAULT_MODEL
    return LiveEngine(
        name="claude",
        model=model,
        parameters={"max_tokens": options.max_tokens},
        connect=lambda: _connect(options, model, key),
        find_cost=open_prices("anthropic", model),
        concurrency=options.concurrency,
        policy=RetryPolicy(give_up_s=options.give_up_s),
    )


@asynccontextmanager
async def _connect(options: EngineOptions, model: str, key: str) -> AsyncIterator[Send]:
    import anthropic

    async with anthropic.AsyncAnthropic(
        api_key=key,
        base_url=options.base_url,
        max_retries=0,
        timeout=options.timeout_s,
        http_client=anthropic.DefaultAioHttpClient(),
    ) as client:
        yield _Sender(client, model, options.max_tokens).send


class _Sender:
    """Sends through the SDK's client, with bodies of our own making.

    System part and schema are the same for all requests of a run, and long. They are encoded once;
    `messages.create` would copy and encode each node of them every time, which takes longer than all the rest.
    """

    def __init__(self, client: Any, model: str, max_tokens: int) -> None:
        self.client, self.model, self.max_tokens = client, model, max_tokens
        self._heads: dict[tuple[str, str], bytes] = {}

    async def send(self, request: Request, corrections: list[Correction]) -> Reply:
        import anthropic
        import httpx2

        body = self._find_head(request) + _encode(render_messages(request, corrections)) + b"}"
        headers = {"content-type": "application/json"}
        try:
            raw = await self.client.post(
                "/v1/messages", cast_to=httpx2.Response, content=body, options={"headers": headers}
            )
            return parse_message(json.loads(raw.content), raw.headers)
        except (anthropic.APIError, ValueError) as error:
            raise explain_error(error) from None

    def _find_head(self, request: Request) -> bytes:
        """The body up to its messages."""
        key = (request.format.hash, request.system)
        if key not in self._heads:
            head = make_head(request, self.model, self.max_tokens)
            self._heads[key] = _encode(head)[:-1] + b',"messages":'
        return self._heads[key]


def make_head(request: Request, model: str, max_tokens: int) -> dict[str, Any]:
    """All of a request's body but its messages, live and in a batch alike: one hash stands for one body."""
    import anthropic

    schema = anthropic.transform_schema(request.format.json_schema)
    return {
        "model": model,
        "max_tokens": max_tokens,
        "system": [{"type": "text", "text": request.system, "cache_control": {"type": "ephemeral"}}],
        "output_config": {"format": {"type": "json_schema", "schema": schema}},
    }


def _encode(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace")


def parse_message(message: dict[str, Any], headers: Any) -> Reply:
    """The Reply in a response of the Messages API. Raises ValueError for another shape."""
    try:
        text = "".join(block["text"] for block in message["content"] if block["type"] == "text")
        used = message["usage"]
        usage = Usage(
            requests=1,
            input_tokens=used["input_tokens"],
            cache_read_tokens=used.get("cache_read_input_tokens") or 0,
            cache_write_tokens=used.get("cache_creation_input_tokens") or 0,
            output_tokens=used["output_tokens"],
        )
        stop: Any = STOPS.get(message["stop_reason"], "complete")
        return Reply(text, stop, usage, message.get("model"), headers.get("request-id"), headers)
    except (KeyError, TypeError) as error:
        raise ValueError(f"not a message: {error!r}") from None


def explain_error(error: Exception) -> ProviderError:
    """The ProviderError of an exception of the SDK. Raises EngineError for what no request can get past."""
    import anthropic

    if isinstance(error, anthropic.APIStatusError):
        wait = parse_retry_after(error.response.headers.get("retry-after"))
        return classify_status(error.status_code, find_message(error), wait)
    if isinstance(error, anthropic.APITimeoutError):
        return ProviderError("timeout", "No answer in time.", retry=True)
    if isinstance(error, anthropic.APIConnectionError):
        return ProviderError("connection", f"The connection broke: {error.__cause__!r}.", retry=True)
    return ProviderError("server_error", "The provider's answer was not JSON.", retry=True)


def find_message(error: Any) -> str:
    """What the provider says in an APIStatusError."""
    body = error.body
    if isinstance(body, dict) and isinstance(body.get("error"), dict):
        return str(body["error"].get("message") or error)
    return f"The provider answered {error.status_code}."
