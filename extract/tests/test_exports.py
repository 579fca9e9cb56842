import json
import zipfile
from pathlib import Path
from xml.etree.ElementTree import fromstring

import openpyxl
import pytest

from extract.cli import EXPORT_FORMATS, main
from extract.errors import ExportError
from extract.exports import FORMATS, ExportPlan, check_target, export_tables, export_workbook
from extract.refi_qda import PROJECT_NAMESPACE
from extract.store import RunStore
from extract.tests.export_samples import HOSTILE, make_run
from schemas.codebook import DEFAULT_CODEBOOK, load_codebook


def export(store: RunStore, *arguments: str) -> int:
    return main(["export", str(store.path), *arguments])


def read_project(path: Path) -> tuple[list[str], dict[str, str]]:
    """The names of the users, and how often each source is selected or why not."""
    with zipfile.ZipFile(path) as archive:
        root = fromstring(archive.read("project.qde"))
    users = [user.get("name", "") for user in root.iter(f"{{{PROJECT_NAMESPACE}}}User")]
    sources = {}
    for source in root.iter(f"{{{PROJECT_NAMESPACE}}}TextSource"):
        description = source.find(f"{{{PROJECT_NAMESPACE}}}Description")
        selections = source.findall(f"{{{PROJECT_NAMESPACE}}}PlainTextSelection")
        sources[source.get("name", "")] = description.text or "" if description is not None else str(len(selections))
    return users, sources


def test_the_command_line_offers_every_format() -> None:
    assert EXPORT_FORMATS == FORMATS


@pytest.mark.parametrize("format", FORMATS)
def test_every_format_lands_in_the_runs_own_folder_and_says_where(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], format: str
) -> None:
    store, _ = make_run(tmp_path)
    assert export(store, "--to", format) == 0
    (made,) = (store.path / "exports").iterdir()
    assert made.name == store.path.name + {"xlsx": ".xlsx", "qdpx": ".qdpx", "qdc": ".qdc"}.get(format, f"-{format}")
    assert capsys.readouterr().out.startswith(f"{made}: ")


def test_what_is_said_counts_the_rows(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    store, _ = make_run(tmp_path)
    export(store, "--to", "csv", "--out", str(tmp_path / "out"))
    assert capsys.readouterr().out == f"{tmp_path / 'out'}: items 12, quotes 15, records 5\n"


def test_the_project_holds_the_first_answers_on_their_texts_and_says_what_failed(tmp_path: Path) -> None:
    store, _ = make_run(tmp_path)
    assert export(store, "--to", "qdpx", "--out", str(tmp_path / "p.qdpx")) == 0
    users, sources = read_project(tmp_path / "p.qdpx")
    assert users == ["m, prompt v1"]
    failure = sources.pop("refused")
    assert failure.startswith("Not extracted (refusal): =HYPERLINK")
    assert sources == {"hostile": "4", "plain": "4"}


def test_all_repeats_are_coders_of_their_own(tmp_path: Path) -> None:
    store, _ = make_run(tmp_path)
    export(store, "--to", "qdpx", "--all-repeats", "--out", str(tmp_path / "p.qdpx"))
    users, sources = read_project(tmp_path / "p.qdpx")
    assert users == ["m, prompt v1, repeat 0", "m, prompt v1, repeat 1"]
    assert (sources["hostile"], sources["plain"]) == ("4", "8")


def test_the_labels_that_the_run_was_given_are_used_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "talk.txt").write_text("Me: Hi?\n\nBaker: It drafts my newsletter and I worry about errors.")
    monkeypatch.chdir(tmp_path)
    run = ["run", "talk.txt", "--engine", "rules", "--interviewer", "Me", "--interviewee", "Baker"]
    assert main(run) == 0
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")  # and the source is found from another folder
    assert main(["export", "last", "--runs", "../runs", "--to", "qdpx", "--out", "p.qdpx"]) == 0
    assert int(read_project(Path("p.qdpx"))[1]["talk"]) > 0


def test_the_cohorts_of_the_run_are_sets(tmp_path: Path) -> None:
    store, _ = make_run(tmp_path)
    export(store, "--to", "qdpx", "--out", str(tmp_path / "p.qdpx"))
    with zipfile.ZipFile(tmp_path / "p.qdpx") as archive:
        root = fromstring(archive.read("project.qde"))
    (bakers,) = root.iter(f"{{{PROJECT_NAMESPACE}}}Set")
    assert (bakers.get("name"), len(bakers)) == ("bakers", 1)


def move_away(folder: Path) -> list[str]:
    (folder / "interviews").rename(folder / "elsewhere")
    return []


def move_and_name(folder: Path) -> list[str]:
    (folder / "interviews").rename(folder / "elsewhere")
    return ["--source", str(folder / "elsewhere")]


def change_a_text(folder: Path) -> list[str]:
    (folder / "interviews" / "plain.txt").write_text("User: Something else.")
    return []


def remove_a_text(folder: Path) -> list[str]:
    (folder / "interviews" / "plain.txt").unlink()
    return []


def test_texts_that_moved_are_found_where_source_says(tmp_path: Path) -> None:
    store, _ = make_run(tmp_path)
    assert export(store, "--to", "qdpx", *move_and_name(tmp_path)) == 0


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (move_away, "No such file or folder"),
        (change_a_text, "Transcript 'plain' is not the text that the run read"),
        (remove_a_text, "The text of transcript 'plain' is not in the source any more"),
    ],
)
def test_a_text_that_cannot_be_had_is_one_sentence_and_leaves_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], change: object, says: str
) -> None:
    store, _ = make_run(tmp_path)
    assert callable(change)
    assert export(store, "--to", "qdpx", *change(tmp_path)) == 1
    error = capsys.readouterr().err
    assert says in error
    assert "--source" in error
    assert error.count("\n") == 1
    assert list((store.path / "exports").iterdir()) == []


def test_a_run_that_read_standard_input_needs_a_source(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    store, _ = make_run(tmp_path, source="-", command=("run", "-"))
    assert export(store, "--to", "qdpx") == 1
    assert "from standard input. Name where they lie now with --source." in capsys.readouterr().err
    assert export(store, "--to", "qdpx", "--source", str(tmp_path / "interviews")) == 0


def test_a_codebook_that_changed_must_be_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    store, _ = make_run(tmp_path, codebook_sha256="00")
    for format in ("xlsx", "qdc", "qdpx"):
        assert export(store, "--to", format) == 1
        assert "Name the one of then with --codebook." in capsys.readouterr().err
    assert export(store, "--to", "qdc", "--codebook", str(DEFAULT_CODEBOOK)) == 0
    assert "is not the codebook of the run" in capsys.readouterr().err
    assert export(store, "--to", "parquet") == 0


def test_no_whole_interview_leaves_a_redacted_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    store, transcripts = make_run(tmp_path)
    assert export(store, "--to", "qdpx", "--redact") == 1
    assert "--redact cannot hold. Use --to xlsx" in capsys.readouterr().err
    sentences = [t.words(s) for t in transcripts for s in t.evidence.values() if len(t.words(s)) > 12]
    for format in ("csv", "jsonl"):
        export(store, "--to", format, "--redact", "--out", str(tmp_path / format))
        written = "".join(p.read_text(encoding="utf-8") for p in (tmp_path / format).iterdir())
        assert not [sentence for sentence in sentences if sentence in written]
        assert "jokes" not in written
        assert "write_draft" in written
    assert "jokes" in HOSTILE
    export(store, "--to", "xlsx", "--redact", "--out", str(tmp_path / "r.xlsx"))
    cells = [str(c) for s in openpyxl.load_workbook(tmp_path / "r.xlsx") for row in s.values for c in row]
    assert not [cell for cell in cells if "jokes" in cell and "newsletter" in cell]


@pytest.mark.parametrize("format", ["csv", "qdc"])
def test_nothing_is_overwritten_without_force(tmp_path: Path, capsys: pytest.CaptureFixture[str], format: str) -> None:
    store, _ = make_run(tmp_path)
    out = ["--to", format, "--out", str(tmp_path / "out")]
    assert export(store, *out) == 0
    before = {p: p.stat().st_ino for p in tmp_path.rglob("*")}
    assert export(store, *out) == 1
    assert "is there already. Replace it with --force" in capsys.readouterr().err
    assert {p: p.stat().st_ino for p in tmp_path.rglob("*")} == before
    assert export(store, *out, "--force") == 0
    assert {p.name for p in tmp_path.iterdir()} == {"interviews", "runs", "out"}


def test_force_never_removes_a_folder_with_other_files(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    store, _ = make_run(tmp_path)
    assert export(store, "--to", "csv", "--force", "--out", str(tmp_path)) == 1
    assert "holds other files, 'interviews' for one" in capsys.readouterr().err
    assert (tmp_path / "interviews" / "plain.txt").is_file()


def test_a_place_that_cannot_be_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    files = frozenset({"items.csv"})
    for target, own, says in (
        (tmp_path / "no" / "x", files, "There is no folder"),
        (tmp_path / "file", files, "is a file, and this export is a folder"),
        (tmp_path, frozenset[str](), "is a folder, and this export is a file"),
    ):
        with pytest.raises(ExportError, match=says):
            check_target(target, force=True, own_files=own)


def test_an_empty_folder_is_filled(tmp_path: Path) -> None:
    store, _ = make_run(tmp_path)
    (tmp_path / "out").mkdir()
    path, _ = export_tables(store, ExportPlan("jsonl", out=tmp_path / "out"))
    assert (path / "items.jsonl").is_file()


def test_what_was_there_stays_when_writing_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store, _ = make_run(tmp_path)
    plan = ExportPlan("xlsx", out=tmp_path / "x.xlsx", force=True)
    (tmp_path / "x.xlsx").write_text("precious")
    monkeypatch.setattr("extract.workbook.MAX_ROWS", 2)
    with pytest.raises(ExportError, match="would pass Excel's limit"):
        export_workbook(store, plan, load_codebook())
    assert (tmp_path / "x.xlsx").read_text() == "precious"
    assert {p.name for p in tmp_path.iterdir()} == {"interviews", "runs", "x.xlsx"}


def test_a_name_that_the_disk_refuses_is_one_sentence(tmp_path: Path) -> None:
    store, _ = make_run(tmp_path)
    for name in ("x" * 300, "x" * 250):
        with pytest.raises(ExportError, match="File name too long. Make room, or name another place"):
            export_tables(store, ExportPlan("csv", out=tmp_path / name))


def test_a_disk_that_is_full_is_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise OSError(28, "No space left on device")

    store, _ = make_run(tmp_path)
    monkeypatch.setattr("extract.tables.write_tables", refuse)
    with pytest.raises(ExportError, match=r"No space left on device\. Make room"):
        export_tables(store, ExportPlan("csv", out=tmp_path / "out"))
    assert not (tmp_path / "out").exists()


def test_import_codebook_writes_what_the_run_takes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    store, _ = make_run(tmp_path)
    export(store, "--to", "qdc", "--out", str(tmp_path / "c.qdc"))
    out = ["import-codebook", str(tmp_path / "c.qdc"), "--out", str(tmp_path / "codebook.toml")]
    assert main(out) == 0
    assert load_codebook(tmp_path / "codebook.toml").sections == load_codebook().sections
    assert main(out) == 1
    assert "is there already" in capsys.readouterr().err
    assert main([*out, "--force", "--title", "Mine", "--version", "7"]) == 0
    capsys.readouterr()
    assert main(out[:2]) == 0
    printed = capsys.readouterr().out
    assert printed.startswith('version = "1"\ntitle = "c"\n')
    mine = load_codebook(tmp_path / "codebook.toml")
    assert (mine.title, mine.version) == ("Mine", "7")


def test_the_manifest_in_an_export_is_the_runs(tmp_path: Path) -> None:
    store, _ = make_run(tmp_path)
    path, _ = export_tables(store, ExportPlan("parquet"))
    assert json.loads((path / "manifest.json").read_text()) == json.loads((store.path / "manifest.json").read_text())
