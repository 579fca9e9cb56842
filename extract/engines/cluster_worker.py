"""One worker of the cluster: drives an engine with many requests in flight, and keeps its records in a file of its own.

Nothing here imports Ray; the actor is made of `Worker` in `cluster.py`. A worker whose machine sees the run's folder
appends each record to `records-<time>-<worker>.jsonl` there, on the disk before it is told of. One that
does not see it sends the whole answer, and the driver keeps it.
"""

import asyncio
import json
import os
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from extract.engines import Completion, Engine, EngineOptions, open_engine
from extract.engines.account import Cost, Gate
from extract.engines.live import LiveEngine
from extract.engines.records import make_record
from extract.errors import VerbatimError
from extract.prompt import Request
from schemas.draft import AnswerFormat
from schemas.transcript import Transcript

COLLECT_S = 1.0
"""How long a worker is silent at most."""
GATHER_S = 0.02
"""How long it gathers answers, so that many share one write to the disk and one message."""

Hold = Callable[[Request], Awaitable[Completion]]


@dataclass(frozen=True)
class Setup:
    """What a worker is told once. `shard` is the name of its file in `folder`, the folder of the run `run_id`."""

    engine: str
    options: EngineOptions
    keys: Mapping[str, str] = field(repr=False)
    shard: str = ""
    folder: Path | None = None
    run_id: str = ""


class Question(NamedTuple):
    """A request on its way to a worker; what many of them share is sent once, as `Worker.learn`."""

    ticket: int
    kind: int
    transcript: Transcript
    user: str
    repeat: int
    hash: str


class Outcome(NamedTuple):
    """What came of it: the values of a Completion, the draft as a dict. Draft and answer are None where they are
    stored.
    """

    ticket: int
    values: dict[str, Any]


class Report(NamedTuple):
    """What a worker has to say: what is done since it was last asked, its troubles, and why it cannot go on."""

    outcomes: list[Outcome]
    trouble: str | None
    problem: str | None


class RemoteLimits:
    """The cluster's one Account, as a worker reaches it."""

    def __init__(self, actor: Any) -> None:
        self._actor = actor

    async def take(self, wanted: list[Cost], correction: Cost, learned: Mapping[str, float]) -> int:
        """See `Limits`."""
        return int(await self._actor.take.remote(wanted, correction, learned))

    async def pause(self, seconds: float) -> None:
        """See `Limits`."""
        await self._actor.pause.remote(seconds)


class Worker:
    """Answers what it is given, in any order. All its methods run in one event loop."""

    def __init__(self, setup: Setup, account: Any) -> None:
        self._setup, self._account = setup, account
        self._stack = AsyncExitStack()
        self._kinds: dict[int, asyncio.Future[tuple[str, AnswerFormat]]] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._done: list[tuple[int, Completion]] = []
        self._news = asyncio.Event()
        self._problem: str | None = None

    async def open(self) -> Report:
        """Open the engine. A worker without keys of its own takes the driver's."""
        for name, value in self._setup.keys.items():
            os.environ.setdefault(name, value)
        try:
            self._engine = open_engine(self._setup.engine, self._setup.options)
            self._hold = await self._stack.enter_async_context(_open(self._engine, self._account))
        except VerbatimError as error:
            return Report([], None, str(error))
        folder = self._find_run()
        self._shard = Shard(folder / self._setup.shard) if folder else None
        return Report([], None, None)

    async def learn(self, kind: int, system: str, format: AnswerFormat) -> None:
        """Take in what all requests of one kind share: the system part, and the format of an answer."""
        self._find_kind(kind).set_result((system, format))

    async def ask(self, questions: list[Question]) -> None:
        """Begin to ask all of these."""
        for question in questions:
            task = asyncio.create_task(self._answer(question))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def collect(self) -> Report:
        """What is done since the last call; waits a moment for something."""
        try:
            async with asyncio.timeout(COLLECT_S):
                await self._news.wait()
            await asyncio.sleep(GATHER_S)
        except TimeoutError:
            pass
        self._news.clear()
        done, self._done = self._done, []
        outcomes = await asyncio.to_thread(self._keep, done)
        return Report(outcomes, getattr(self._engine, "trouble", None), self._problem)

    async def _answer(self, question: Question) -> None:
        try:
            system, format = await self._find_kind(question.kind)
            request = Request(question.transcript, format, system, question.user, question.repeat, question.hash)
            completion = await self._hold(request)
            self._done.append((question.ticket, completion))
        except VerbatimError as error:
            self._problem = str(error)
        except Exception as error:
            self._problem = f"A worker failed: {error!r}."
        self._news.set()

    def _find_kind(self, kind: int) -> "asyncio.Future[tuple[str, AnswerFormat]]":
        if kind not in self._kinds:
            self._kinds[kind] = asyncio.get_running_loop().create_future()
        return self._kinds[kind]

    def _find_run(self) -> Path | None:
        """The run's folder, where this machine sees it and not merely another of the same name."""
        folder = self._setup.folder
        try:
            found = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))["run_id"] if folder else None
        except (OSError, ValueError, KeyError, TypeError):
            return None
        return folder if found == self._setup.run_id else None

    def _keep(self, done: list[tuple[int, Completion]]) -> list[Outcome]:
        places: list[tuple[str, int]] | None = None
        if self._shard and done:
            try:
                places = self._shard.write([make_record(completion).to_line() for _, completion in done])
            except OSError:
                self._shard = None  # a full disk for one: the driver may have room, and says so if it has none
        if places is None:
            return [Outcome(ticket, _unfold(completion)) for ticket, completion in done]
        stored = zip(done, places, strict=True)
        return [
            Outcome(ticket, _unfold(completion) | {"draft": None, "answer": None, "stored_at": place})
            for (ticket, completion), place in stored
        ]


class Shard:
    """A file of records that one worker alone writes. Raises OSError."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file = -1
        self._end = 0

    def write(self, lines: list[bytes]) -> list[tuple[str, int]]:
        """Append whole lines and wait until the disk has them; the file's name and the offset of each."""
        if self._file < 0:
            self._file = os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_EXCL, 0o644)
        data = b"".join(lines)
        if os.write(self._file, data) < len(data):
            raise OSError(28, "No space left on device")
        os.fsync(self._file)
        places = []
        for line in lines:
            places.append((self.path.name, self._end))
            self._end += len(line)
        return places


@asynccontextmanager
async def _open(engine: Engine, account: Any) -> AsyncIterator[Hold]:
    """What holds one request to its end: live engines many at once behind the gate, others one by one in a thread."""
    if isinstance(engine, LiveEngine):
        async with engine.open_conversations(Gate(RemoteLimits(account)).guard) as conversations:
            yield conversations.hold
        return
    with ThreadPoolExecutor(1) as thread:

        async def hold(request: Request) -> Completion:
            loop = asyncio.get_running_loop()
            return await loop.run_in_executor(thread, lambda: next(iter(engine.complete([request]))))

        yield hold


def _unfold(completion: Completion) -> dict[str, Any]:
    values = {name: value for name, value in vars(completion).items() if name != "request"}
    return values | {"draft": completion.draft.model_dump() if completion.draft else None}
