"""The report as a file: what is in it, what is not, and that hostile text stays text."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from extract.cli import main
from extract.errors import StoreError
from extract.report.html import escape_json, write_page
from extract.report.published import has_published_figures
from extract.report.quotes import Sample
from extract.report.safety import make_safe
from extract.report.writing import Wish, write_report
from extract.store import RunStore
from extract.terminal import make_visible
from extract.tests.report_samples import FOUR, Blocks, make_extraction, make_raw, make_run, read_blocks
from extract.tests.samples import AUTHORED
from extract.transcripts import Source, load_transcripts
from schemas.codebook import load_codebook
from schemas.transcript import Transcript


def write(store: RunStore, source: Source | None = None, **wish: Any) -> tuple[str, Blocks]:
    out = store.path / "report.html"
    write_report(store, source, load_codebook(), out=out, wish=Wish(**wish), notify=lambda message: None)
    return out.read_text(encoding="utf-8"), read_blocks(out)


def test_the_page_names_no_address_and_loads_nothing(tmp_path: Path) -> None:
    _, blocks = write(make_run(tmp_path, FOUR))
    loading = ("src", "srcset", "action", "poster", "data")
    assert not [attrs for _, attrs in blocks.elements if any(name in attrs for name in loading)]
    links = [attrs["href"] for tag, attrs in blocks.elements if "href" in attrs]
    assert links
    assert all((link or "").startswith("#") for link in links)
    assert not [tag for tag, _ in blocks.elements if tag in ("link", "iframe", "img", "object", "embed")]
    policy = next(attrs["content"] for _, attrs in blocks.elements if attrs.get("http-equiv"))
    assert policy is not None
    assert policy.startswith("default-src 'none'; script-src 'sha256-")
    assert "http" not in policy


def test_the_page_without_data_is_at_most_a_megabyte_and_a_half(tmp_path: Path) -> None:
    html, blocks = write(make_run(tmp_path, FOUR))
    held = sum(len(json.dumps(data)) for data in blocks.data.values())
    assert len(html.encode()) - held < 1_500_000


HOSTILE = [
    "</script><script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    "<!-- <script>",
    "javascript:alert(1)",
    "line\u2028and\u2029paragraph & more",
]


def test_hostile_text_cannot_leave_its_data_block(tmp_path: Path) -> None:
    said = [
        make_raw(f"<b>{n}</b>", words, make_extraction(("concerns", "unreliability", "lived"), words=words))
        for n, words in enumerate(HOSTILE)
    ]
    failed = make_raw("bad", HOSTILE[0], None)
    failed["failure"]["message"] = HOSTILE[0]
    _, blocks = write(make_run(tmp_path, [*said, failed], source=HOSTILE[1]))
    assert sum(tag == "script" for tag, _ in blocks.elements) == 5
    assert not any("onerror" in attrs for _, attrs in blocks.elements)
    assert sorted(blocks.data["texts"]) == sorted([*HOSTILE, ""])


def test_escaped_json_reads_back_as_it_was() -> None:
    escaped = escape_json(HOSTILE)
    assert json.loads(escaped) == HOSTILE
    assert not re.search("[<>&\u2028\u2029]", escaped)


def test_direction_marks_and_controls_are_made_visible_as_in_the_terminal() -> None:
    text = "a\u202eb\u2066c\x07d\x1be\u200ff\n\tg\ud800h"
    assert make_safe(text) == make_visible(text)
    assert len(make_safe(text)) == len(text)


def test_quotes_are_found_in_the_text_that_is_loaded_again(tmp_path: Path) -> None:
    text = "Assistant: What 🥐 do you do?\n\nUser: I bake 🥐. It writes.\n\nAI: Thanks."
    folder = tmp_path / "talks"
    folder.mkdir()
    (folder / "baker.txt").write_text(text, encoding="utf-8")
    source = Source(str(folder))
    transcript = next(load_transcripts(source))
    assert isinstance(transcript, Transcript)
    sentence = transcript.evidence["U1.2"]
    words = transcript.words(sentence)
    extraction = make_extraction(("concerns", "unreliability", "lived"))
    quote = {"sentence_id": "U1.2", "start": sentence.start, "end": sentence.end, "text": words}
    extraction["concerns"]["items"][0]["quotes"] = [quote]
    extraction["collaboration_style"]["mode_quotes"] = []
    record = make_raw("baker", None, extraction, text_sha256=transcript.text_sha256)
    _, blocks = write(make_run(tmp_path, [record]), source)
    units = blocks.data["texts"][0].encode("utf-16-le")
    start, end = blocks.data["index"]["items"][0][4]
    assert units[2 * start : 2 * end].decode("utf-16-le") == words == "It writes."
    turns = blocks.data["index"]["interviews"][0][5]
    said = [units[2 * turns[n + 1] : 2 * turns[n + 2]].decode("utf-16-le") for n in range(0, len(turns), 3)]
    assert said == ["What 🥐 do you do?", "I bake 🥐. It writes.", "Thanks."]


def test_a_text_that_has_changed_is_not_taken(tmp_path: Path) -> None:
    (tmp_path / "w1.txt").write_text("User: Something else altogether.", encoding="utf-8")
    record = make_raw("w1", None, make_extraction(("concerns", "unreliability", "lived")), text_sha256="0" * 64)
    html, blocks = write(make_run(tmp_path, [record]), Source(str(tmp_path / "w1.txt")))
    assert blocks.data["texts"] == ["Yes."]
    assert "could not be read again" in html


def test_a_source_that_is_gone_leaves_the_quotes(tmp_path: Path) -> None:
    html, blocks = write(make_run(tmp_path, FOUR), Source(str(tmp_path / "nowhere.csv")))
    assert len(blocks.data["index"]["items"]) == 6
    assert "could not be read again" in html


def test_redacted_pages_hold_no_quote_no_summary_no_name_and_no_path(tmp_path: Path) -> None:
    store = make_run(tmp_path, FOUR, source="/home/someone/talks", command=("run", "/home/someone/talks"))
    html, blocks = write(store, redact=True)
    for secret in ("Yes.", "about unreliability", "about write_draft", "/home/someone", "It said no.", '"w1"', '"w2"'):
        assert secret not in html
    assert set(blocks.data) == {"data"}
    whole, _ = write(store)
    assert all(secret in whole for secret in ("Yes.", "about unreliability", "/home/someone", "It said no."))


def test_items_of_small_cells_are_left_out_of_the_data(tmp_path: Path) -> None:
    common, rare = ("concerns", "unreliability", "lived"), ("concerns", "job_income", "lived")
    records = [make_raw(f"t{n}", None, make_extraction(common, *([rare] if n < 2 else []))) for n in range(8)]
    _, blocks = write(make_run(tmp_path, records), least=5)
    summaries = {item[3] for item in blocks.data["index"]["items"]}
    assert summaries == {"about unreliability"}


def test_failures_of_few_interviews_are_told_by_no_number(tmp_path: Path) -> None:
    records = [make_raw(f"t{n}", None, make_extraction(), latency_s=float(n + 1)) for n in range(8)]
    store = make_run(tmp_path, [*records, make_raw("f", None, None)], failures=1)
    told = write(store, least=5)[1].data["data"]["operation"]
    assert told["failures"] == [{"kind": "refusal", "count": None}]
    assert "failures" not in told["manifest"]
    assert told["failed"] == []
    assert {count for _, _, count in told["latency"]["bars"]} == {None}
    assert write(store)[1].data["data"]["operation"]["manifest"]["failures"] == 1


def test_a_large_run_is_sampled_and_the_page_says_so(tmp_path: Path) -> None:
    records = [make_raw(f"t{n:03}", None, make_extraction(("concerns", "unreliability", "lived"))) for n in range(40)]
    store = make_run(tmp_path, records)
    html, blocks = write(store, sample=10)
    assert len(blocks.data["index"]["interviews"]) == 10
    assert blocks.data["data"]["findings"]["groups"][0]["extracted"] == 40
    assert "a random sample of 10 of them" in html
    assert write(store, sample=10)[0] == html


def test_every_interview_is_as_likely_to_be_drawn() -> None:
    drawn = [0] * 20
    for shift in range(400):
        sample = Sample(5)
        for n in range(20):
            sample.add({"repeat": 0, "n": (n + shift) % 20})
        for record in sample.records:
            drawn[record["n"]] += 1
    assert sum(drawn) == 2000
    assert set(drawn) == {100}  # shifted through all places, each is drawn equally often
    assert len({record["n"] for record in sample.records}) == 5


def test_published_figures_stand_beside_runs_on_those_interviews_only(tmp_path: Path) -> None:
    cohorts = ["workforce", "creatives", "scientists"]
    assert has_published_figures("Anthropic/AnthropicInterviewer", cohorts)
    assert has_published_figures("/data/anthropic_interviewer", ["workforce"])
    assert not has_published_figures("/data/anthropic_interviewer", ["bakers"])
    assert not has_published_figures("/data/bakers", cohorts)
    assert "view-published" not in write(make_run(tmp_path, FOUR))[0].split("<script>")[0]
    html = write(make_run(tmp_path, FOUR, source="Anthropic/AnthropicInterviewer"))[0].split("<script>")[0]
    assert "CC BY 4.0" in html
    assert "They are estimates" in html


def test_the_run_is_told_with_its_failures_and_times(tmp_path: Path) -> None:
    timed = [make_raw(f"t{n}", None, make_extraction(), latency_s=float(n), attempts=1 + n % 2) for n in range(1, 9)]
    html, blocks = write(make_run(tmp_path, [*timed, make_raw("f", None, None, attempts=3)]))
    told = blocks.data["data"]["operation"]
    assert told["failures"] == [{"kind": "refusal", "count": 1}]
    assert told["attempts"] == [[1, 4], [2, 4], [3, 1]]
    assert (told["latency"]["median"], told["latency"]["largest"]) == (5.0, 8.0)
    assert sum(bar[2] for bar in told["latency"]["bars"]) == 8
    assert "It said no." in html


def test_the_command_writes_into_the_run_and_says_where(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    runs = ["--runs", str(tmp_path)]
    assert main(["run", str(AUTHORED), "--engine", "rules", *runs]) == 0
    assert main(["report", "last", *runs]) == 0
    path = Path(capsys.readouterr().out.removeprefix("Report: ").split(" (")[0])
    assert path.parent.parent == tmp_path
    texts = read_blocks(path).data["texts"]
    assert len(texts) == len(list(AUTHORED.rglob("*.txt")))
    assert all("User:" in text for text in texts)


def test_a_run_from_standard_input_is_not_read_again(tmp_path: Path) -> None:
    store = make_run(tmp_path, FOUR, source="-", command=("run", "-"))
    assert main(["report", str(store.path)]) == 0
    assert "could not be read again" in (store.path / "report.html").read_text(encoding="utf-8")


def test_turns_are_the_same_without_their_sentences() -> None:
    source = Source(str(AUTHORED))
    for whole, bare in zip(load_transcripts(source), load_transcripts(source, sentences=False), strict=True):
        assert isinstance(whole, Transcript)
        assert isinstance(bare, Transcript)
        assert bare.text_sha256 == whole.text_sha256
        assert [(t.id, t.start, t.end) for t in bare.turns] == [(t.id, t.start, t.end) for t in whole.turns]
        assert not bare.evidence


def test_a_place_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match=r"Cannot write '.*report.html': .*Choose another file with --out"):
        write_page("", tmp_path / "nowhere" / "report.html")


def test_nothing_half_written_is_left(tmp_path: Path) -> None:
    write_page("whole", tmp_path / "report.html")
    assert [path.name for path in tmp_path.iterdir()] == ["report.html"]
