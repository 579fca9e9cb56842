"""Every other model through instructor: `openai/...`, `google/...`, `ollama/...`, any OpenAI-compatible address."""

import logging
from collections.abc import AsyncIterator, Mapping
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

STOPS = {
    "length": "max_tokens",
    "max_tokens": "max_tokens",
    "MAX_TOKENS": "max_tokens",
    "content_filter": "refusal",
    "refusal": "refusal",
    "SAFETY": "refusal",
    "PROHIBITED_CONTENT": "refusal",
    "model_context_window_exceeded": "context_window",
}


def open_provider(options: EngineOptions) -> LiveEngine:
    """The `provider` engine. `options.model` is `<provider>/<model>` as instructor names them.

    Raises EngineError for an unknown provider, one whose package or key is missing.
    """
    model = options.model or ""
    if "/" not in model:
        raise EngineError(f"No provider in --model {model!r}. Say for example openai/gpt-5-mini or ollama/llama3.1.")
    provider, _, name = model.partition("/")
    if not options.dry_run:
        _open_client(options, model)  # so that a missing key or package is said before anything is read
    parameters: dict[str, Any] = {"max_tokens": options.max_tokens}
    if options.base_url:
        parameters["base_url"] = options.base_url
    return LiveEngine(
        name="provider",
        model=model,
        parameters=parameters,
        connect=lambda: _connect(options, model),
        find_cost=_find_no_cost if options.base_url else open_prices(provider, name),
        concurrency=options.concurrency,
        policy=RetryPolicy(give_up_s=options.give_up_s),
    )


def _find_no_cost(_usage: Usage) -> None:
    """At another address the same model may have another price, or none."""


@asynccontextmanager
async def _connect(options: EngineOptions, model: str) -> AsyncIterator[Send]:
    client = _open_client(options, model)
    limit = "max_completion_tokens" if model.startswith("openai/") and not options.base_url else "max_tokens"
    try:
        yield _Sender(client, {limit: options.max_tokens}).send
    finally:
        close = getattr(client.client, "close", None)
        if close is not None:
            await close()


def _open_client(options: EngineOptions, model: str) -> Any:
    """An async instructor client that asks once; trying again is the live engine's business."""
    import instructor

    logging.getLogger("instructor").setLevel(logging.CRITICAL + 1)  # it logs what models and people wrote
    provider = model.partition("/")[0]
    key = find_key(f"{provider.upper()}_API_KEY", options.say)
    if not key and options.base_url and not find_key("OPENAI_API_KEY"):
        key = "none"
    given = {"api_key": key} if key else {}
    try:
        opener: Any = instructor.from_provider  # its overloads list models, not what a user may name
        client = opener(model, async_client=True, **given)
    except Exception as error:  # each provider's package raises types of its own
        raise EngineError(f"Cannot open {model!r}: {_find_first_line(error)}") from None
    inner = client.client
    for name, value in (("max_retries", 0), ("timeout", options.timeout_s), ("base_url", options.base_url)):
        if value is not None and hasattr(inner, name):
            setattr(inner, name, value)
    return client


class _Sender:
    def __init__(self, client: Any, limits: Mapping[str, int]) -> None:
        self.client, self.limits = client, limits

    async def send(self, request: Request, corrections: list[Correction]) -> Reply:
        from instructor.core.hooks import Hooks

        responses: list[Any] = []
        hooks = Hooks()
        hooks.on("completion:response", responses.append)
        system = {"role": "system", "content": request.system}
        text = None
        try:
            draft = await self.client.create(
                response_model=request.format.model,
                messages=[system, *render_messages(request, corrections)],
                max_retries=0,
                hooks=hooks,
                **self.limits,
            )
            text = draft.model_dump_json()
        except Exception as error:  # instructor wraps what each provider's package raises
            response = responses[-1] if responses else _find_completion(error)
            if response is None:
                raise _explain(error) from None
            responses.append(response)
        response = responses[-1]
        answer = text if text is not None else _find_text(response)
        return Reply(answer, _find_stop(response), _find_usage(response), *_find_names(response))


def _find_completion(error: BaseException) -> Any:
    """The response that an error carries: an answer came, though it could not be used."""
    return getattr(error, "last_completion", None)


def _explain(error: BaseException) -> ProviderError:
    """The ProviderError of what a provider's package raised, found below instructor's wrapping."""
    cause: BaseException = error
    while cause.__cause__ is not None and not hasattr(cause, "status_code"):
        if type(cause).__name__ in ("APITimeoutError", "APIConnectionError"):
            break
        cause = cause.__cause__
    status = getattr(cause, "status_code", None) or getattr(cause, "code", None)
    if isinstance(status, int):
        headers = getattr(getattr(cause, "response", None), "headers", None) or {}
        return classify_status(status, _find_first_line(cause), parse_retry_after(headers.get("retry-after")))
    if "timeout" in type(cause).__name__.lower():
        return ProviderError("timeout", "No answer in time.", retry=True)
    if isinstance(cause, OSError) or any(word in type(cause).__name__ for word in ("Connect", "Network", "Protocol")):
        return ProviderError("connection", f"The connection broke: {type(cause).__name__}.", retry=True)
    return ProviderError("server_error", f"{type(cause).__name__}: {_find_first_line(cause)}", retry=True)


def _find_text(response: Any) -> str:
    """The answer as it came, from an OpenAI, Anthropic or Google response."""
    choices = getattr(response, "choices", None)
    if choices:
        message = choices[0].message
        calls = getattr(message, "tool_calls", None)
        return str(calls[0].function.arguments if calls else message.content or "")
    blocks = getattr(response, "content", None)
    if isinstance(blocks, list):
        return "".join(_find_block_text(block) for block in blocks)
    return str(getattr(response, "text", None) or "")


def _find_block_text(block: Any) -> str:
    import json

    if getattr(block, "type", "") == "tool_use":
        return json.dumps(block.input)
    return str(getattr(block, "text", None) or "")


def _find_stop(response: Any) -> Any:
    choices = getattr(response, "choices", None) or getattr(response, "candidates", None)
    if choices and getattr(getattr(choices[0], "message", None), "refusal", None):
        return "refusal"
    reason = getattr(choices[0], "finish_reason", None) if choices else getattr(response, "stop_reason", None)
    return STOPS.get(str(getattr(reason, "name", reason)), "complete")


def _find_usage(response: Any) -> Usage:
    """Tokens of this one response. OpenAI and Google count cached input as part of the input."""
    used: Any = getattr(response, "usage", None)
    if hasattr(used, "prompt_tokens"):
        cached = getattr(getattr(used, "prompt_tokens_details", None), "cached_tokens", None) or 0
        return _make_usage(used.prompt_tokens - cached, cached, 0, used.completion_tokens)
    if hasattr(used, "input_tokens"):
        read = getattr(used, "cache_read_input_tokens", None) or 0
        written = getattr(used, "cache_creation_input_tokens", None) or 0
        return _make_usage(used.input_tokens, read, written, used.output_tokens)
    used = getattr(response, "usage_metadata", None)
    cached = getattr(used, "cached_content_token_count", None) or 0
    thought = getattr(used, "thoughts_token_count", None) or 0
    given = (getattr(used, "prompt_token_count", None) or 0) - cached
    return _make_usage(given, cached, 0, (getattr(used, "candidates_token_count", None) or 0) + thought)


def _make_usage(given: int, read: int, written: int, output: int) -> Usage:
    return Usage(
        requests=1,
        input_tokens=given,
        cache_read_tokens=read,
        cache_write_tokens=written,
        output_tokens=output,
    )


def _find_names(response: Any) -> tuple[str | None, str | None]:
    model = getattr(response, "model", None) or getattr(response, "model_version", None)
    name = getattr(response, "id", None) or getattr(response, "response_id", None)
    return (str(model) if model else None), (str(name) if name else None)


def _find_first_line(error: BaseException) -> str:
    message = getattr(error, "message", None) or str(error)
    return (str(message).strip().splitlines() or [type(error).__name__])[0][:300]
