"""Claude through the anthropic SDK: async, aiohttp, native structured output, prompt caching."""

import json
import os
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
from extract.prompt import Request
from schemas.record import Usage

DEFAULT_MODEL = "claude-sonnet-5-5"
STOPS = {"refusal": "refusal", "max_tokens": "max_tokens", "model_context_window_exceeded": "context_window"}


def open_claude(options: EngineOptions) -> LiveEngine:
    """The `claude` engine. Raises EngineError without ANTHROPIC_API_KEY."""
    key = os.environ.get("ANTHROPIC_API_KEY", "").strip()
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
    def __init__(self, client: Any, model: str, max_tokens: int) -> None:
        self.client, self.model, self.max_tokens = client, model, max_tokens
        self._constants: dict[tuple[str, str], dict[str, Any]] = {}

    async def send(self, request: Request, corrections: list[Correction]) -> Reply:
        import anthropic

        try:
            raw = await self.client.messages.with_raw_response.create(
                model=self.model,
                max_tokens=self.max_tokens,
                messages=render_messages(request, corrections),
                extra_body=self._find_constant(request),
            )
            return parse_message(json.loads(await raw.read()), raw.headers)
        except (anthropic.APIError, ValueError) as error:
            raise explain_error(error) from None

    def _find_constant(self, request: Request) -> dict[str, Any]:
        """The part of the body that is the same for all requests of a run: system and schema, as the API takes them.

        It goes out as an extra body, since the SDK copies every node of what it is given otherwise.
        """
        import anthropic

        key = (request.format.hash, request.system)
        if key not in self._constants:
            schema = anthropic.transform_schema(request.format.json_schema)
            self._constants[key] = {
                "system": [{"type": "text", "text": request.system, "cache_control": {"type": "ephemeral"}}],
                "output_config": {"format": {"type": "json_schema", "schema": schema}},
            }
        return self._constants[key]


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
