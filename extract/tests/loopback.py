"""A loopback server that speaks the Messages and the Chat Completions API, with faults by plan.

In a test:                with Loopback(plan=first_attempts("overloaded")) as server: ... server.url
As a process of its own:  python -m extract.tests.loopback --latency 1.0   (prints its address first)
"""

import argparse
import asyncio
import contextlib
import hashlib
import json
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Self

from aiohttp import web

from extract.tests.loopback_answers import AnswerWriter, spoil
from extract.tests.loopback_batches import OUTCOMES, LoopbackBatches, make_outcome
from extract.tests.loopback_faults import STATUSES, Fault, Plan, no_faults, random_faults

STOPS = {
    "refusal": ("refusal", "content_filter"),
    "max_tokens": ("max_tokens", "length"),
    "context_window": ("model_context_window_exceeded", "length"),
}


@dataclass(frozen=True)
class Seen:
    """One request that came in: its place, message, attempt at that message, fault, and when (seconds)."""

    ordinal: int
    digest: str
    attempt: int
    fault: str | None
    at: float
    body: dict[str, Any] | None


class Loopback:
    """The server on 127.0.0.1 in a thread of its own. Counters may be read at any time.

    `answered` counts the valid answers for each message (by digest), so that a test can see that
    nothing was paid twice. `rate_per_s` answers 429 past so many requests in a second.
    """

    def __init__(
        self,
        *,
        plan: Plan = no_faults,
        latency_s: float = 0.0,
        keep_bodies: bool = False,
        rate_per_s: int | None = None,
        remaining: int = 4000,
        port: int = 0,
    ) -> None:
        self.plan, self.latency_s, self.keep_bodies = plan, latency_s, keep_bodies
        self.rate_per_s, self.remaining, self.port = rate_per_s, remaining, port
        self.requests: list[Seen] = []
        self.keys: set[str] = set()
        self.answered: Counter[str] = Counter()
        self.attempts: Counter[str] = Counter()
        self.used: Counter[str] = Counter()
        self.batches = LoopbackBatches(self._answer_in_batch)
        self.in_flight = 0
        self.peak_in_flight = 0
        self._systems: set[str] = set()
        self._started = time.monotonic()
        self._loop = asyncio.new_event_loop()
        self._ready = threading.Event()

    @property
    def url(self) -> str:
        """The server's address, without a path."""
        return f"http://127.0.0.1:{self.port}"

    def __enter__(self) -> Self:
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()
        self._ready.wait(10)
        return self

    def __exit__(self, *error: object) -> None:
        self._loop.call_soon_threadsafe(self._done.set)
        self._thread.join(10)

    def _serve(self) -> None:
        self._done = asyncio.Event()
        with contextlib.closing(self._loop):
            self._loop.run_until_complete(self._run())

    async def _run(self) -> None:
        app = web.Application(client_max_size=1 << 29)
        app.router.add_post("/v1/messages", self._wrap(self._message))
        app.router.add_post("/v1/chat/completions", self._wrap(self._chat))
        app.router.add_post("/v1/messages/count_tokens", self._count_tokens)
        app.router.add_get("/stats", self._stats)
        self.batches.add_routes(app)
        runner = web.AppRunner(app, access_log=None, handler_cancellation=True, shutdown_timeout=0.1)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", self.port, backlog=2048)
        await site.start()
        self.port = runner.addresses[0][1]
        self._ready.set()
        await self._done.wait()
        await runner.cleanup()

    # ------------------------------------------------------------ one request

    def _wrap(
        self, answer: Callable[[dict[str, Any], str, Fault | None], web.Response]
    ) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
        async def handle(request: web.Request) -> web.StreamResponse:
            self.in_flight += 1
            self.peak_in_flight = max(self.peak_in_flight, self.in_flight)
            try:
                return await self._answer(request, answer)
            finally:
                self.in_flight -= 1

        return handle

    async def _answer(
        self, request: web.Request, answer: Callable[[dict[str, Any], str, Fault | None], web.Response]
    ) -> web.StreamResponse:
        body = await request.json()
        message = _find_user_message(body)
        digest = hashlib.sha256(message.encode("utf-8", "replace")).hexdigest()
        if not any(name in request.headers for name in ("authorization", "x-api-key")):
            return self._fail(Fault("unauthorised"))
        self.keys.add(request.headers.get("x-api-key") or request.headers["authorization"].removeprefix("Bearer "))
        fault = self._note(body, digest)
        if self.latency_s:
            await asyncio.sleep(self.latency_s)
        if fault and fault.kind in STATUSES:
            return self._fail(fault)
        if fault and fault.kind == "bad_gateway_html":
            return web.Response(status=502, text="<html>Bad gateway</html>", content_type="text/html")
        if fault and fault.kind == "stall":
            await asyncio.sleep(fault.seconds)
        if fault and fault.kind == "reset":
            return _abort(request)
        response = answer(body, message, fault)
        if fault and fault.kind == "malformed_json_body":
            return web.Response(text="{not json", content_type="application/json")
        if fault and fault.kind in ("cut_mid_body", "slow_drip"):
            return await _send_badly(request, response, fault)
        if fault is None:
            self.answered[digest] += 1
            self._count_used(request, response)
        return response

    def _count_used(self, request: web.Request, response: web.Response) -> None:
        """What went over the wire and what would be paid, for both APIs under the same names."""
        assert isinstance(response.body, bytes)
        usage = json.loads(response.body).get("usage", {})
        given = ("input_tokens", "cache_creation_input_tokens", "cache_read_input_tokens", "prompt_tokens")
        self.used["input_tokens"] += sum(usage.get(name, 0) for name in given)
        self.used["cached_tokens"] += usage.get("cache_read_input_tokens", 0)
        self.used["output_tokens"] += usage.get("output_tokens", usage.get("completion_tokens", 0))
        self.used["sent_bytes"] += request.content_length or 0
        self.used["received_bytes"] += len(response.body)

    def _answer_in_batch(self, body: dict[str, Any]) -> dict[str, Any]:
        """The result of one request of a batch; the faults that concern one answer hold here too."""
        message = _find_user_message(body)
        digest = hashlib.sha256(message.encode("utf-8", "replace")).hexdigest()
        fault = self._note(body, digest)
        if fault and fault.kind in OUTCOMES:
            return make_outcome(fault.kind)
        response = self._message(body, message, fault)
        assert isinstance(response.body, bytes)
        if fault is None:
            self.answered[digest] += 1
        return {"type": "succeeded", "message": json.loads(response.body)}

    def _note(self, body: dict[str, Any], digest: str) -> Fault | None:
        attempt = self.attempts[digest]
        self.attempts[digest] += 1
        ordinal = len(self.requests)
        fault = self.plan(ordinal, digest, attempt)
        at = time.monotonic() - self._started
        if fault is None and self._is_too_fast(at):
            fault = Fault("rate_limited", retry_after="1")
        kept = body if self.keep_bodies else None
        self.requests.append(Seen(ordinal, digest, attempt, fault.kind if fault else None, at, kept))
        return fault

    def _is_too_fast(self, at: float) -> bool:
        if self.rate_per_s is None:
            return False
        recent = [seen for seen in self.requests[-2 * self.rate_per_s :] if at - seen.at < 1 and seen.fault is None]
        return len(recent) >= self.rate_per_s

    def _fail(self, fault: Fault) -> web.Response:
        status, kind, text = STATUSES[fault.kind]
        headers = {"request-id": "req_failed", **({"retry-after": fault.retry_after} if fault.retry_after else {})}
        error = {"type": "error", "error": {"type": kind, "message": text}}
        return web.json_response(error, status=status, headers=headers)

    # ------------------------------------------------------------ the two APIs

    def _message(self, body: dict[str, Any], message: str, fault: Fault | None) -> web.Response:
        wrong = {"temperature", "top_p", "top_k"} & body.keys()
        if wrong or body["messages"][-1]["role"] == "assistant":
            return self._fail(Fault("bad_request"))
        if not str(body["model"]).startswith("claude-"):
            return self._fail(Fault("not_found"))
        tool = (body.get("tools") or [{}])[0]
        asked = body.get("output_config", {}).get("format") or body.get("output_format") or {}  # the latter in beta
        schema = tool.get("input_schema") or asked.get("schema", {})
        text = _write(schema, message, fault)
        stop = STOPS[fault.kind][0] if fault and fault.kind in STOPS else "tool_use" if tool else "end_turn"
        block = {"type": "text", "text": text}
        if tool:
            block = {"type": "tool_use", "id": "toolu_1", "name": tool["name"], "input": _loads(text)}
        answer = {
            "id": f"msg_{len(self.requests)}",
            "type": "message",
            "role": "assistant",
            "model": body["model"],
            "content": [block],
            "stop_reason": stop,
            "stop_sequence": None,
            "usage": self._count_usage(body, message, text),
        }
        return web.json_response(answer, headers={"request-id": f"req_{len(self.requests)}", **self._limits()})

    def _count_usage(self, body: dict[str, Any], message: str, text: str) -> dict[str, Any]:
        """Tokens as a quarter of the characters; a cached system part is written once and read later."""
        system = body.get("system") or ""
        words = system if isinstance(system, str) else "".join(block["text"] for block in system)
        cached = isinstance(system, list) and any("cache_control" in block for block in system)
        known = words in self._systems
        self._systems.add(words)
        size = len(words) // 4
        rest = sum(len(json.dumps(part["content"])) for part in body["messages"]) // 4
        return {
            "input_tokens": rest + (0 if cached else size),
            "cache_creation_input_tokens": size if cached and not known else 0,
            "cache_read_input_tokens": size if cached and known else 0,
            "output_tokens": len(text) // 4,
            "service_tier": "standard",
        }

    def _limits(self) -> dict[str, str]:
        kinds = {"requests": self.remaining, "input-tokens": 400_000_000, "output-tokens": 80_000_000}
        names = ("limit", "remaining")
        return {f"anthropic-ratelimit-{kind}-{name}": str(left) for kind, left in kinds.items() for name in names}

    def _chat(self, body: dict[str, Any], message: str, fault: Fault | None) -> web.Response:
        tool = (body.get("tools") or [{}])[0].get("function")
        asked = body.get("response_format") or {}
        schema = tool["parameters"] if tool else asked.get("json_schema", {}).get("schema", {})
        text = _write(schema, message, fault)
        reply: dict[str, Any] = {"role": "assistant", "content": None if tool else text}
        if fault and fault.kind == "refusal":
            reply["refusal"] = "I will not."
        elif tool:
            call = {"name": tool["name"], "arguments": text}
            reply["tool_calls"] = [{"id": "call_1", "type": "function", "function": call}]
        stop = STOPS[fault.kind][1] if fault and fault.kind in STOPS else "tool_calls" if tool else "stop"
        given = sum(len(json.dumps(part.get("content"))) for part in body["messages"]) // 4
        answer = {
            "id": f"chatcmpl-{len(self.requests)}",
            "object": "chat.completion",
            "created": 1_800_000_000,
            "model": body["model"],
            "choices": [{"index": 0, "message": reply, "finish_reason": stop, "logprobs": None}],
            "usage": {
                "prompt_tokens": given,
                "completion_tokens": len(text) // 4,
                "total_tokens": given + len(text) // 4,
                "prompt_tokens_details": {"cached_tokens": given // 2, "audio_tokens": 0},
            },
        }
        return web.json_response(answer, headers={"x-request-id": f"req_{len(self.requests)}"})

    async def _count_tokens(self, request: web.Request) -> web.Response:
        return web.json_response({"input_tokens": len(await request.text()) // 4})

    async def _stats(self, request: web.Request) -> web.Response:
        faults = Counter(seen.fault or "none" for seen in self.requests)
        stats = {"requests": len(self.requests), "answered": sum(self.answered.values()), "faults": faults}
        twice = sum(1 for count in self.answered.values() if count > 1)
        return web.json_response({**stats, "messages": len(self.answered), "answered_twice": twice, **self.used})


def _find_user_message(body: dict[str, Any]) -> str:
    """The text of the first user message: in a re-ask it still holds the transcript."""
    content = next((part["content"] for part in body["messages"] if part["role"] == "user"), "")
    return content if isinstance(content, str) else "".join(block.get("text", "") for block in content)


def _write(schema: dict[str, Any], message: str, fault: Fault | None) -> str:
    answer = AnswerWriter(schema, message).write() if schema else {}
    return spoil(answer, fault.kind) if fault and answer else json.dumps(answer)


def _loads(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return {}


def _abort(request: web.Request) -> web.StreamResponse:
    assert request.transport is not None
    request.transport.abort()
    raise asyncio.CancelledError


async def _send_badly(request: web.Request, response: web.Response, fault: Fault) -> web.StreamResponse:
    """The body in drips over `fault.seconds`, or half of it and then a broken connection."""
    data = bytes(response.body) if isinstance(response.body, bytes | bytearray) else b""
    stream = web.StreamResponse(headers={"content-type": "application/json", "content-length": str(len(data))})
    await stream.prepare(request)
    if fault.kind == "cut_mid_body":
        await stream.write(data[: len(data) // 2])
        return _abort(request)
    step = max(1, len(data) // 20)
    for start in range(0, len(data), step):
        await stream.write(data[start : start + step])
        await asyncio.sleep(fault.seconds / 20)
    return stream


class LoopbackProcess:
    """The same server as a process of its own, so that its work is not counted as the client's."""

    def __init__(self, *, latency_s: float = 0.0, faults: str = "", seed: int = 0) -> None:
        self.command = [sys.executable, "-m", "extract.tests.loopback", "--latency", str(latency_s)]
        self.command += ["--faults", faults, "--seed", str(seed)]
        self.url = ""

    def __enter__(self) -> Self:
        self._process = subprocess.Popen(self.command, stdout=subprocess.PIPE, text=True)
        assert self._process.stdout is not None
        self.url = self._process.stdout.readline().strip()
        return self

    def __exit__(self, *error: object) -> None:
        self._process.terminate()
        self._process.communicate(timeout=10)


def main() -> None:
    """Serve until killed."""
    parser = argparse.ArgumentParser(prog="python -m extract.tests.loopback")
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--latency", type=float, default=0.0, help="seconds of one response")
    parser.add_argument("--faults", default="", help="rates, e.g. rate_limited=.05,reset=.01")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    pairs = [part.split("=") for part in options.faults.split(",") if part]
    rates: dict[Any, float] = {name: float(rate) for name, rate in pairs}
    plan = random_faults(options.seed, rates)
    with Loopback(plan=plan, latency_s=options.latency, port=options.port) as server:
        print(server.url, flush=True)
        threading.Event().wait()


if __name__ == "__main__":
    main()
