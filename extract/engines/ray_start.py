"""Ray, connected or started: without telemetry, without a dashboard, and with this process's signals left alone."""

import os
import signal
import socket
from typing import Any

from extract.errors import EngineError

CONNECT_S = 10.0


def start_ray(address: str | None) -> tuple[Any, bool]:
    """Ray at an address, else at RAY_ADDRESS, else on this machine; and whether it was started here.

    Raises EngineError where Ray is not installed, or not there.
    """
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    try:
        import ray
    except ImportError:
        raise EngineError("Ray is not installed. Install it with: pip install '.[cluster]'") from None
    if ray.is_initialized():
        return ray, False
    address = address or os.environ.get("RAY_ADDRESS") or "local"
    _check_address(address)
    quiet: dict[str, Any] = {"log_to_driver": False, "logging_level": "ERROR"}
    if address == "local":
        quiet["include_dashboard"] = False
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        ray.init(address=address, **quiet)
    except (ConnectionError, ValueError, RuntimeError) as error:
        reason = (str(error).splitlines() or [repr(error)])[0].rstrip(".")
        raise EngineError(f"Cannot reach a Ray cluster at {address!r}: {reason}. Check --ray-address.") from None
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    return ray, address == "local"


def _check_address(address: str) -> None:
    """Raises EngineError where nobody listens at HOST:PORT: Ray itself would try for many minutes."""
    host, _, port = address.rpartition(":")
    if not port.isdigit() or "://" in address:
        return
    try:
        socket.create_connection((host.strip("[]"), int(port)), CONNECT_S).close()
    except (OSError, OverflowError) as error:
        raise EngineError(f"Cannot reach a Ray cluster at {address!r}: {error}. Check --ray-address.") from None
