"""One run on disk: its manifest (the header) and its records, one line per transcript and repeat."""

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from schemas.extraction import Extraction

FailureKind = Literal[
    "unreadable",
    "refusal",
    "max_tokens",
    "context_window",
    "invalid_draft",
    "bad_request",
    "rate_limited",
    "overloaded",
    "server_error",
    "connection",
    "timeout",
    "expired",
    "canceled",
    "not_in_run",
]
"""Why there is no extraction. `unreadable` is the transcript's fault, the others happened on the way;
`expired` and `canceled` are what a batch can do to a request."""

RunStatus = Literal["running", "complete", "stopped"]


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Usage(_Part):
    """Tokens, summed over all requests of a record. The whole input is the sum of the three inputs."""

    requests: int = 0
    input_tokens: int = 0
    cache_read_tokens: int = 0
    cache_write_tokens: int = 0
    output_tokens: int = 0

    def __add__(self, other: "Usage") -> "Usage":
        mine, its = self.model_dump(), other.model_dump()
        return Usage(**{name: mine[name] + its[name] for name in mine})

    @property
    def whole_input_tokens(self) -> int:
        """Input tokens at any price: uncached, read from the cache, written to it."""
        return self.input_tokens + self.cache_read_tokens + self.cache_write_tokens


class Failure(_Part):
    """Why a transcript has no extraction: a kind to count by, and one sentence."""

    kind: FailureKind
    message: str


class Record(_Part):
    """The outcome for one transcript and repeat: an extraction or a failure, and what it took.

    `latency_s` runs from the first request to the last answer, waiting between attempts included;
    `attempts` counts the requests sent. `cost_usd` is None where the price is unknown. `draft` is
    what the model wrote (sentence ids); `answer` is kept of a failure only, as it came.
    """

    transcript_id: str
    repeat: int = 0
    request_hash: str
    cohort: str | None = None
    text_sha256: str | None = None
    extraction: Extraction | None = None
    failure: Failure | None = None
    draft: dict[str, Any] | None = None
    answer: str | None = None
    model: str | None = None
    usage: Usage = Usage()
    cost_usd: float | None = None
    latency_s: float = 0.0
    attempts: int = 0
    request_id: str | None = None
    created_at: str

    def to_line(self) -> bytes:
        """The record as the line that a run's file holds."""
        return self.model_dump_json(exclude_none=True).encode("utf-8", "surrogatepass") + b"\n"


class Manifest(_Part):
    """Everything that could change a run's answers; then how far it came and what it took.

    `command` is what was typed after `python -m extract`; `--resume` repeats it.
    `transcripts_sha256` sums the hashes of all transcripts of the run, whatever their order.
    """

    version: int = 1
    run_id: str
    created_at: str
    engine: str
    model: str
    parameters: dict[str, Any]
    prompt_version: str
    prompt_sha256: str
    schema_sha256: str
    codebook_version: str
    codebook_sha256: str
    source: str
    command: tuple[str, ...] = ()
    repeats: int = 1
    code_commit: str | None = None
    package_versions: dict[str, str] = Field(default_factory=dict)
    status: RunStatus = "running"
    transcripts_sha256: str | None = None
    records: int = 0
    failures: int = 0
    usage: Usage = Usage()
    cost_usd: float | None = None
    finished_at: str | None = None
