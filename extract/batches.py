"""The batches of a run: what its folder knows of them, what the provider says now, and how long it keeps them."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from extract.engines.batch_api import BatchApi, BatchMissingError, connect, parse_time, read_key
from extract.engines.batch_ledger import read_batches
from extract.engines.batch_rows import Batch
from extract.engines.live import ProviderError
from extract.errors import EngineError
from extract.store import RunStore

KEPT = timedelta(days=29)
"""How long the provider keeps results, from the creation of a batch."""
TIMEOUT_S = 60.0
_OVER = ("collected", "gone", "sending")


def list_batches(store: RunStore, base_url: str | None, *, offline: bool, cancel: bool) -> list[Batch]:
    """The batches of a run, oldest first; those that may have changed are asked for where there is a key.

    `cancel` ends those in progress. Raises EngineError where it cannot, or where the provider does not answer.
    """
    batches, key = read_batches(store.path), read_key()
    if cancel and (offline or not key):
        raise EngineError("Only the provider can cancel a batch. Set ANTHROPIC_API_KEY, and leave --offline out.")
    if offline or not key or all(batch.state in _OVER for batch in batches):
        return batches
    try:
        with connect(key, base_url, TIMEOUT_S) as api:
            return [batch if batch.state in _OVER else _ask(api, batch, cancel=cancel) for batch in batches]
    except ProviderError as error:
        raise EngineError(f"The provider does not answer: {error} See what is known here with --offline.") from None


def _ask(api: BatchApi, batch: Batch, *, cancel: bool) -> Batch:
    try:
        ask = api.cancel if cancel and batch.state == "in_progress" else api.retrieve
        fresh = ask(str(batch.id))
    except BatchMissingError:
        return replace(batch, state="gone")
    counts = {name: fresh["request_counts"][name] for name in ("succeeded", "errored", "expired", "canceled")}
    state = "gone" if fresh.get("archived_at") else fresh["processing_status"]
    return replace(batch, state=state, ended_at=fresh.get("ended_at"), **counts)


def print_batches(batches: Sequence[Batch]) -> None:
    """Two lines for each batch: its state and what came of its requests; its times and how long results remain."""
    moment = datetime.now(UTC)
    for batch in batches:
        print(f"{batch.id or 'id not known yet'}  {batch.state}")
        print(f"  {_describe_counts(batch)}{_describe_times(batch)}{describe_rest(batch, moment)}")


def _describe_counts(batch: Batch) -> str:
    counts = {"answered": batch.succeeded, "errored": batch.errored}
    counts |= {"expired": batch.expired, "canceled": batch.canceled, "stored": batch.collected}
    shown = ", ".join(f"{count:,} {name}" for name, count in counts.items() if count or name == "stored")
    return f"{batch.requests:,} requests: {shown}"


def _describe_times(batch: Batch) -> str:
    if batch.created_at is None or batch.expires_at is None:
        return "; looked for when the run goes on"
    ends = "" if batch.ended_at else f"; ends by {_format_time(batch.expires_at)}"
    return f"; created {_format_time(batch.created_at)}{ends}"


def describe_rest(batch: Batch, moment: datetime) -> str:
    """How long the results of a batch remain."""
    if batch.created_at is None or batch.state == "collected":
        return ""
    rest = parse_time(batch.created_at) + KEPT - moment
    if batch.state == "gone" or rest <= timedelta(0):
        return "; results are gone"
    shown = f"{rest.days} days" if rest.days > 1 else f"{rest // timedelta(hours=1)} hours"
    return f"; results remain for {shown}"


def _format_time(text: str) -> str:
    return parse_time(text).astimezone(UTC).strftime("%Y-%m-%d %H:%MZ")
