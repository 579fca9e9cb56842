"""The peers, each in a virtual environment of its own below `.bench/`, made once."""

import sys
from dataclasses import dataclass
from pathlib import Path

from evals.benchmarks.processes import ROOT, MeasurementError, run_program

HOME = ROOT / ".bench"
INSTALL_S = 400.0


@dataclass(frozen=True)
class Peer:
    """One library we are measured against. Without requirements it runs in this project's own environment."""

    name: str
    requirements: tuple[str, ...] = ()

    @property
    def bin(self) -> Path:
        """Where its programs lie."""
        return HOME / self.name / "bin" if self.requirements else Path(sys.executable).parent

    @property
    def python(self) -> Path:
        """Its Python."""
        return self.bin / "python" if self.requirements else Path(sys.executable)


PEERS = {
    peer.name: peer
    for peer in (
        Peer("bare_sdk"),
        Peer("ours"),
        Peer("instructor", ("instructor==1.17.0", "anthropic==2.12.0")),
        Peer("pydantic_ai", ("pydantic-ai-slim[anthropic,cli]==2.68.0",)),
        Peer("inspect", ("inspect-ai==0.3.285", "anthropic==2.13.0")),
        Peer("curator", ("bespokelabs-curator==0.1.31",)),
        Peer("langextract", ("langextract[openai]==1.7.1",)),
        Peer("pytest_evals", ("pytest-evals==0.3.4", "pytest==9.*", "pytest-xdist==3.*")),
        Peer("deepeval", ("deepeval==4.3.1",)),
    )
}


def install(peer: Peer) -> None:
    """Make the peer's environment, if it is not there. Raises MeasurementError with pip's reason where that fails."""
    wanted, mark = "\n".join(peer.requirements), HOME / peer.name / "installed"
    if not peer.requirements or (mark.is_file() and mark.read_text() == wanted):
        return
    HOME.mkdir(exist_ok=True)
    make = [sys.executable, "-m", "venv", "--clear", HOME / peer.name]
    fill = [peer.python, "-m", "pip", "--disable-pip-version-check", "install", "-q", *peer.requirements]
    try:
        for command in (make, fill):
            run_program(command, folder=HOME, timeout_s=INSTALL_S, environment={"PYTHONPATH": ""})
    except MeasurementError as reason:
        raise MeasurementError(f"does not install: {reason}") from None
    mark.write_text(wanted)
