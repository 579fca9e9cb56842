import csv
import io
import json
import tracemalloc
from pathlib import Path
from typing import Any

import pytest

from extract.errors import SourceError
from extract.tests.samples import AUTHORED, BAKER, find_real_interviews, make_transcript
from extract.transcripts import BadTranscript, Source, count_rows, load_transcripts
from extract.turns import DEFAULT_LABELS
from schemas.transcript import Transcript


def load(path: Path | str, **options: Any) -> list[Transcript | BadTranscript]:
    return list(load_transcripts(Source(str(path), **options)))


def load_ids(path: Path | str, **options: Any) -> list[str]:
    return [found.id for found in load(path, **options)]


def write_csv(path: Path, rows: list[dict[str, str]], **options: Any) -> Path:
    with path.open("w", newline="", encoding=options.get("encoding", "utf-8")) as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return path


def write_parquet(path: Path, rows: list[dict[str, str]]) -> Path:
    import datasets

    datasets.Dataset.from_list(rows).to_parquet(str(path))
    return path


ROWS = [{"transcript_id": f"b{n}", "text": BAKER} for n in range(3)]


def test_tables_of_every_kind_give_the_same_transcripts(tmp_path: Path) -> None:
    jsonl = tmp_path / "a.jsonl"
    jsonl.write_text("".join(json.dumps(row) + "\n" for row in ROWS), encoding="utf-8")
    expected = [make_transcript(row["transcript_id"]) for row in ROWS]
    assert load(write_csv(tmp_path / "a.csv", ROWS)) == expected
    assert load(jsonl) == expected
    assert load(write_parquet(tmp_path / "a.parquet", ROWS)) == expected


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "cp1252"])
def test_text_files_and_tables_in_any_usual_encoding_give_the_same_transcript(tmp_path: Path, encoding: str) -> None:
    text = BAKER.replace("🥐", "– “croissants”")
    (tmp_path / "baker.txt").write_bytes(text.replace("\n", "\r\n").encode(encoding))
    table = write_csv(tmp_path / "t.csv", [{"id": "baker", "transcript": text}], encoding=encoding)
    expected = make_transcript("baker", text)
    assert load(tmp_path / "baker.txt") == [expected]
    assert load(table) == [expected]


def test_the_public_markdown_form_gives_its_id_and_the_clean_text(tmp_path: Path) -> None:
    path = tmp_path / "dialog_00248.md"
    path.write_text(f"# Dialog 00248\n\n**Transcript ID:** work_0469\n\n---\n\n{BAKER}\n", encoding="utf-8")
    assert load(path) == [make_transcript("work_0469")]
    bold = BAKER.replace("User:", "**User:**").replace("AI:", "**AI**:")
    path.write_text(f"# Dialog 00248\n**Transcript ID:** work_0469\n***\n{bold}\n", encoding="utf-8")
    assert load(path) == [make_transcript("work_0469")]


def test_a_folder_of_texts_takes_cohorts_from_its_sub_folders() -> None:
    found = load(AUTHORED)
    assert len(found) == 12
    assert {t.cohort for t in found} == {"workforce", "creatives", "scientists"}
    assert [t.cohort for t in load(AUTHORED, split="creatives")] == ["creatives"] * 3


def test_a_folder_in_the_layout_of_the_hub_is_read_by_split(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    for name in ("cats", "dogs"):
        write_csv(tmp_path / "data" / f"{name}.csv", [{"transcript_id": name, "text": BAKER}])
    splits = "".join(f"  - split: {name}\n    path: data/{name}.csv\n" for name in ("cats", "dogs"))
    (tmp_path / "README.md").write_text(f"---\nconfigs:\n- config_name: default\n  data_files:\n{splits}---\n")
    assert [(t.id, t.cohort) for t in load(tmp_path)] == [("cats", "cats"), ("dogs", "dogs")]
    assert load_ids(tmp_path, split="dogs") == ["dogs"]
    with pytest.raises(SourceError, match="No split 'birds'.*cats, dogs"):
        load(tmp_path, split="birds")


def test_standard_input_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    stream = io.TextIOWrapper(io.BytesIO(BAKER.encode()))
    monkeypatch.setattr("sys.stdin", stream)
    assert load("-") == [make_transcript("stdin")]
    stream.close()


def test_limit_and_ids_choose(tmp_path: Path) -> None:
    path = write_csv(tmp_path / "a.csv", ROWS)
    assert load_ids(path, limit=2) == ["b0", "b1"]
    assert load_ids(path, ids=frozenset(["b2"])) == ["b2"]
    with pytest.raises(SourceError, match="No transcript 'zz'"):
        load(path, ids=frozenset(["zz", "b1"]))


def test_a_bad_row_says_which_and_the_rest_goes_on(tmp_path: Path) -> None:
    rows = [*ROWS, {"transcript_id": "b0", "text": BAKER}, {"transcript_id": "e", "text": " "}]
    rows += [{"transcript_id": "m", "text": "AI: Only me."}, {"transcript_id": "last", "text": BAKER}]
    found = load(write_csv(tmp_path / "a.csv", rows))
    bad = [t for t in found if isinstance(t, BadTranscript)]
    assert [t.id for t in found if isinstance(t, Transcript)] == ["b0", "b1", "b2", "last"]
    assert ["row 4" in bad[0].reason, "row 5" in bad[1].reason, "row 6" in bad[2].reason] == [True] * 3
    assert "id 'b0' was used before" in bad[0].reason
    assert "empty" in bad[1].reason
    assert "no interviewee turn" in bad[2].reason
    assert len({t.id for t in found}) == 7


def test_a_damaged_line_of_jsonl_is_one_bad_row(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text(json.dumps(ROWS[0]) + "\n{torn\n" + json.dumps({**ROWS[1], "text": None}) + "\n")
    found = load(path)
    assert [isinstance(t, BadTranscript) for t in found] == [False, True, True]


def test_a_row_without_an_id_is_named_by_its_place(tmp_path: Path) -> None:
    assert load_ids(write_csv(tmp_path / "a.csv", [{"text": BAKER}])) == ["a.csv, row 1"]


def test_columns_of_other_names_can_be_named(tmp_path: Path) -> None:
    path = write_csv(tmp_path / "a.csv", [{"who": "x", "said": BAKER}])
    with pytest.raises(SourceError, match="No text column in a.csv. The columns are: who, said"):
        load(path)
    assert load_ids(path, text_column="said", id_column="who") == ["x"]
    with pytest.raises(SourceError, match="No column 'talk'"):
        load(path, text_column="talk")


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("none.csv", None, "No such file"),
        ("a.docx", b"x", "Cannot tell what"),
        ("a.csv", b"text,id\n\0\0", "not a text file"),
        ("a.csv", b"", "No text column"),
        ("a.csv", b"text,id\n", "No transcripts"),
        ("a.parquet", b"not parquet", "Cannot read"),
    ],
)
def test_a_source_that_cannot_be_read_is_one_sentence(
    tmp_path: Path, name: str, content: bytes | None, says: str
) -> None:
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(SourceError, match=says) as caught:
        load(tmp_path / name)
    assert "\n" not in str(caught.value)


def test_an_empty_folder_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="No transcripts in the folder"):
        load(tmp_path)


def test_a_hub_that_cannot_be_reached_is_said_with_a_way_out(monkeypatch: pytest.MonkeyPatch) -> None:
    import datasets.config
    import huggingface_hub.constants

    monkeypatch.setattr(datasets.config, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    said: list[str] = []
    with pytest.raises(SourceError, match="'nobody/nothing'.*local folder"):
        list(load_transcripts(Source("nobody/nothing"), said.append))
    assert "Asking the Hugging Face Hub" in said[0]


def test_rows_are_counted_where_a_quick_look_tells(tmp_path: Path) -> None:
    path = write_csv(tmp_path / "a.csv", ROWS)
    assert count_rows(Source(str(path))) == 3
    assert count_rows(Source(str(path), limit=2)) == 2
    assert count_rows(Source("some/dataset")) is None


def test_a_long_table_streams_in_flat_memory(tmp_path: Path) -> None:
    path = tmp_path / "long.csv"
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["id", "text"])
        writer.writerows((n, BAKER) for n in range(20_000))
    rows = load_transcripts(Source(str(path)))
    for _ in range(1_000):
        next(rows)
    tracemalloc.start()
    count = sum(1 for _ in rows)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert count == 19_000
    assert peak < 4_000_000  # bytes; ids cost some 70 each, texts nothing


def test_the_real_interviews_parse_whole() -> None:
    found = load(find_real_interviews())
    transcripts = [t for t in found if isinstance(t, Transcript)]
    assert len(transcripts) == len(found) == 1_210
    for transcript in transcripts:
        sides = [turn.speaker for turn in transcript.turns]
        assert sides[::2] == ["interviewer"] * len(sides[::2])
        assert sides[1::2] == ["interviewee"] * len(sides[1::2])
        assert all(transcript.text[s.start : s.end].strip() for s in transcript.evidence.values())


def test_the_real_goldens_point_into_the_real_interviews() -> None:
    folder = find_real_interviews()
    goldens = {}
    for path in (Path(__file__).parents[2] / "goldens" / "anthropic_interviewer").glob("*.json"):
        goldens[path.stem] = json.loads(path.read_text())
    found = load(folder, ids=frozenset(goldens))
    assert {t.id: t.text_sha256 for t in found if isinstance(t, Transcript)} == {
        name: golden["text_sha256"] for name, golden in goldens.items()
    }


def test_a_broken_copy_of_real_interviews_is_the_same_transcript() -> None:
    for transcript in load(find_real_interviews(), limit=60):
        assert isinstance(transcript, Transcript)
        broken = transcript.text.encode().decode("sloppy-windows-1252").replace("\n", "\r\n")
        from extract.turns import parse_transcript

        again = parse_transcript("\ufeff" + broken, id=transcript.id, cohort=transcript.cohort, labels=DEFAULT_LABELS)
        assert again == transcript
