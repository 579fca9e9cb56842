"""Throughput: the same interviews from every library to a server of its own, at one latency."""

import json
import os
import urllib.request
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from evals.benchmarks.environments import PEERS
from evals.benchmarks.processes import ROOT, Budget, MeasurementError, run_program
from extract.prompt import PROMPTS, Prompt, load_examples, load_prompt, render_codebook
from extract.tests.loopback import LoopbackProcess
from extract.transcripts import Source, load_transcripts
from extract.turns import parse_transcript
from schemas.codebook import SECTIONS, load_codebook
from schemas.transcript import Transcript

SCRIPTS = {
    "bare_sdk": "bare_sdk.py",
    "ours": "ours.py",
    "instructor": "with_instructor.py",
    "pydantic_ai": "with_pydantic_ai.py",
    "inspect": "with_inspect.py",
    "curator": "with_curator.py",
    "langextract": "with_langextract.py",
}
AUTHORED = ROOT / "goldens" / "authored" / "transcripts"


def write_inputs(folder: Path, count: int) -> tuple[Path, Path]:
    """A table of interviews for us, and the same interviews as requests for those who only send."""
    transcripts = _load_interviews()
    prompt = load_prompt("v1", load_codebook())
    source, requests = folder / "interviews.jsonl", folder / "requests.jsonl"
    with source.open("w", encoding="utf-8") as rows:
        for n in range(count):
            text = transcripts[n % len(transcripts)].text + (f"\n\nUser: Number {n}." if n >= len(transcripts) else "")
            rows.write(json.dumps({"transcript_id": f"t{n}", "text": text}) + "\n")
    with requests.open("w", encoding="utf-8") as rendered:
        for n, transcript in enumerate(load_transcripts(Source(str(source)))):
            assert isinstance(transcript, Transcript)
            request = prompt.render(transcript, model="", parameters={})
            line = {"system": request.system, "user": request.user, "text": transcript.text}
            rendered.write(json.dumps(line | (_describe(prompt) if n == 0 else {})) + "\n")
    return source, requests


def _load_interviews() -> list[Transcript]:
    """The real interviews where VERBATIM_DATA has them, else the authored ones over and over."""
    real = Path(os.environ.get("VERBATIM_DATA", "none")) / "data" / "anthropic_interviewer"
    found = load_transcripts(Source(str(real if real.is_dir() else AUTHORED)))
    return [transcript for transcript in found if isinstance(transcript, Transcript)]


def _describe(prompt: Prompt) -> dict[str, Any]:
    """What all requests share: the schema; and for a library with a prompt of its own, codebook and worked examples."""
    examples = [{"text": text, "extractions": list(_copy(text, draft, prompt))} for text, draft in _load_examples()]
    codebook = "Code the interview. Copy the interviewee's words.\n\n" + render_codebook(prompt.format.codebook)
    return {"schema": prompt.format.json_schema, "codebook": codebook, "examples": examples}


def _load_examples() -> list[tuple[str, str]]:
    return load_examples(PROMPTS / "v1" / "examples")


def _copy(text: str, draft: str, prompt: Prompt) -> Iterator[dict[str, Any]]:
    """A worked example with its evidence as copied words."""
    transcript = parse_transcript(text, id="example")
    parsed = prompt.format.parse(draft, transcript)
    for section in SECTIONS:
        for item in getattr(parsed, section).items:
            words = transcript.words(transcript.evidence[item.evidence[0]])
            attributes = {"code": item.code, "summary": item.summary}
            yield {"extraction_class": section, "extraction_text": words, "attributes": attributes}


def measure_throughput(
    peer: str,
    *,
    inputs: Sequence[Path],
    requests: int,
    concurrency: int,
    latency: float,
    timeout_s: float,
    budget: Budget,
    folder: Path,
) -> dict[str, Any]:
    """One row: what one library needed, and what its server counted for one interview. Raises MeasurementError."""
    source, rendered = (_take(path, requests) for path in inputs)
    words = [source, concurrency, folder / "runs"] if peer == "ours" else [rendered, concurrency]
    with LoopbackProcess(latency_s=latency) as server:
        script = Path(__file__).parent / "peers" / SCRIPTS[peer]
        command = [PEERS[peer].python, script, server.url, *map(str, words)]
        scratch = {"TMPDIR": str(folder)}  # some leave caches and logs
        done = run_program(command, folder=folder, timeout_s=budget.bound(timeout_s), environment=scratch)
        with urllib.request.urlopen(f"{server.url}/stats") as answer:
            counted = json.load(answer)
    lines = [line for line in done.stdout.splitlines() if line.startswith('{"library"')]
    if not lines or not counted["answered"]:
        raise MeasurementError("it ended without a result")
    row: dict[str, Any] = json.loads(lines[-1])
    row["cpu_ms"] = 1000 * row.pop("cpu_s") / requests
    row["sent"] = counted["answered"]
    for name in ("input_tokens", "cached_tokens", "output_tokens", "sent_bytes", "received_bytes"):
        row[name] = counted[name] / counted["answered"]
    return row


def _take(path: Path, count: int) -> Path:
    """The first lines of an input, as a file of their own."""
    taken = path.with_stem(f"{path.stem}-{count}")
    if not taken.exists():
        lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
        taken.write_text("".join(lines[:count]), encoding="utf-8")
    return taken


def find_rounds(requests: int, concurrencies: Sequence[int]) -> list[tuple[int, int]]:
    """Pairs of requests and concurrency. A low concurrency gets fewer requests: ten rounds of answers measure it."""
    return [(min(requests, 10 * concurrency), concurrency) for concurrency in concurrencies]
