"""What each command of the command line does. `cli.py` reads the options and catches the errors."""

import argparse
import json
import os
from collections.abc import Iterator
from dataclasses import replace
from itertools import islice
from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING

from extract.errors import ExportError, SourceError, StoreError

if TYPE_CHECKING:
    from extract.prompt import Prompt
    from extract.store import RunStore
    from extract.transcripts import BadTranscript, Source
    from schemas.codebook import Codebook
    from schemas.record import Manifest
    from schemas.transcript import Transcript

PROGRAM = "python -m extract"
AUTHORED = Path(os.path.relpath(Path(__file__).parents[1] / "goldens" / "authored" / "transcripts"))

SHOWN = 200
"""Interviews that `show RUN` lists without --all."""


def choose_source(options: argparse.Namespace) -> "Source":
    """The source that the options name, and how to read it."""
    from extract.transcripts import Source
    from extract.turns import DEFAULT_LABELS

    ids = [part.strip() for text in getattr(options, "ids", []) for part in text.split(",")]
    return Source(
        name=options.source,
        split=options.split,
        limit=options.limit,
        ids=frozenset(filter(None, ids)),
        labels=DEFAULT_LABELS.extend(options.interviewer, options.interviewee),
        text_column=options.text_column,
        id_column=options.id_column,
    )


def choose_codebook(options: argparse.Namespace) -> "Codebook":
    """The codebook that the options name. Raises CodebookError."""
    from schemas.codebook import DEFAULT_CODEBOOK, load_codebook

    return load_codebook(options.codebook or DEFAULT_CODEBOOK)


def choose_prompt(options: argparse.Namespace) -> "Prompt":
    """The prompt version that the options name, with its codebook filled in. Raises PromptError."""
    from extract.prompt import load_prompt

    return load_prompt(options.prompt, choose_codebook(options))


# ---------------------------------------------------------------- looking


def show(options: argparse.Namespace) -> int:
    """The interviews of a run in a table, or one with its quotes."""
    from extract.store import open_run
    from extract.terminal import open_console, print_overview, print_record

    store = open_run(options.run, options.runs)
    console = open_console()
    if options.id is None:
        limit = None if options.all else SHOWN
        print_overview(console, store.manifest, islice(store.read_records(), limit))
        rest = 0 if limit is None else store.count_records() - limit
        if rest > 0:
            print(f"\n{rest:,} more. See all with: {PROGRAM} show {quote(options.run)} --all")
        return 0
    found = list(store.read_records([options.id]))
    if not found:
        raise StoreError(
            f"No transcript {options.id!r} in run {store.path.name!r}. List them with: {PROGRAM} show {options.run}"
        )
    for record in found:
        print_record(console, record)
    return 0


def report(options: argparse.Namespace) -> int:
    """One HTML file of a run, and where it lies."""
    from extract.report.writing import Wish, write_report
    from extract.store import open_run
    from extract.terminal import say

    store = open_run(options.run, options.runs)
    out = options.out or store.path / "report.html"
    first = _read_command(options, store.manifest)
    wish = Wish(least=options.min_cell, redact=options.redact, sample=options.sample)
    source = None if first.source == "-" else choose_source(first)
    write_report(store, source, _find_codebook(first), out=out, wish=wish, notify=say)
    print(f"Report: {out} ({out.stat().st_size / 1e6:.1f} MB)")
    return 0


def _read_command(options: argparse.Namespace, manifest: "Manifest") -> argparse.Namespace:
    """The command that made a run, its source as it lies now."""
    words = manifest.command
    command = words if words and words[0] == "run" else ("run", manifest.source)
    first: argparse.Namespace = options.parse(command)
    first.source = options.source or manifest.source
    return first


def _find_codebook(options: argparse.Namespace) -> "Codebook":
    """The codebook of a command, or the one that ships with this where its file is gone."""
    from schemas.codebook import CodebookError, load_codebook

    try:
        return choose_codebook(options)
    except CodebookError:
        return load_codebook()


def runs(options: argparse.Namespace) -> int:
    """The runs of a folder in a table."""
    from extract.store import list_runs
    from extract.terminal import open_console, print_runs, say

    stores = list_runs(options.runs, say)
    if not stores:
        print(f"No runs in {str(options.runs)!r} yet. Make one with: {PROGRAM} run SOURCE")
        return 0
    print_runs(open_console(), [store.manifest for store in stores])
    return 0


def batches(options: argparse.Namespace) -> int:
    """The batches of a run; with a key, as the provider has them now."""
    from extract.batches import list_batches, print_batches
    from extract.store import open_run

    store = open_run(options.run, options.runs)
    base_url = options.parse(store.manifest.command).base_url if store.manifest.command else None
    found = list_batches(store, base_url, offline=options.offline, cancel=options.cancel)
    if not found:
        print(f"Run {store.path.name!r} has sent no batches. Send some with: {PROGRAM} run SOURCE --engine batches")
        return 0
    print_batches(found)
    return 0


def schema(options: argparse.Namespace) -> int:
    """The JSON schema that a model's answer follows."""
    from schemas.draft import DraftFormat

    print(json.dumps(DraftFormat(choose_codebook(options)).json_schema, indent=2))
    return 0


def codebook(options: argparse.Namespace) -> int:
    """The codebook as people and models read it."""
    from extract.prompt import render_codebook

    codebook = choose_codebook(options)
    print(f"# {codebook.title}\nVersion {codebook.version}, {codebook.hash[:12]}\n\n{render_codebook(codebook)}")
    return 0


def prompt(options: argparse.Namespace) -> int:
    """What would be sent for one interview."""
    from extract.prompt import estimate_tokens
    from extract.transcripts import BadTranscript, load_transcripts

    prompt = choose_prompt(options)
    source = replace(choose_source(options), ids=frozenset([options.id]))
    transcript = next(load_transcripts(source))
    if isinstance(transcript, BadTranscript):
        raise StoreError(transcript.reason)
    request = prompt.render(transcript, model="", parameters={})
    schema = json.dumps(prompt.format.json_schema)
    print(f"----- system ({prompt.version}, about {estimate_tokens(request.system)} tokens, cached) -----")
    print(request.system)
    print(f"\n----- user (about {estimate_tokens(request.user)} tokens) -----")
    print(request.user)
    print(f"\n----- schema: about {estimate_tokens(schema)} tokens; see {PROGRAM} schema -----")
    return 0


# ---------------------------------------------------------------- exchange


def export(options: argparse.Namespace) -> int:
    """A run as files that other programs open."""
    from extract import exports
    from extract.store import open_run

    store = open_run(options.run, options.runs)
    plan = exports.ExportPlan(
        format=options.to,
        out=options.out,
        force=options.force,
        redact=options.redact,
        all_repeats=options.all_repeats,
        crlf=options.crlf,
    )
    if plan.format in exports.FOLDERS:
        path, counts = exports.export_tables(store, plan)
    elif plan.format == "qdpx":
        transcripts = _load_run_transcripts(store, options)
        path, counts = exports.export_project(store, plan, _load_run_codebook(store, options), transcripts)
    else:
        write = exports.export_workbook if plan.format == "xlsx" else exports.export_codebook
        path, counts = write(store, plan, _load_run_codebook(store, options))
    print(f"{path}: {', '.join(f'{name} {count:,}' for name, count in counts.items())}")
    return 0


def _load_run_codebook(store: "RunStore", options: argparse.Namespace) -> "Codebook":
    """The codebook that a run was made with, or the one that `--codebook` names in its place."""
    from extract.terminal import say

    first = options.parse(store.manifest.command or ["run"])
    codebook = choose_codebook(options if options.codebook else first)
    if codebook.hash != store.manifest.codebook_sha256:
        if not options.codebook:
            raise ExportError("The codebook was changed since the run was made. Name the one of then with --codebook.")
        say(
            f"{options.codebook!r} is not the codebook of the run, whose version was "
            f"{store.manifest.codebook_version!r}. It is used as you named it."
        )
    return codebook


def _load_run_transcripts(store: "RunStore", options: argparse.Namespace) -> "Iterator[Transcript | BadTranscript]":
    """The interviews that a run read, from where it read them or from `--source`."""
    from extract.terminal import say
    from extract.transcripts import load_transcripts

    first = _read_command(options, store.manifest)
    if first.source == "-" and not options.source:
        raise ExportError("The run read its interviews from standard input. Name where they lie now with --source.")
    try:
        yield from load_transcripts(choose_source(first), say)
    except SourceError as error:
        raise ExportError(f"{error} Or name where the interviews lie now with --source.") from None


def import_codebook(options: argparse.Namespace) -> int:
    """A researcher's codebook as codebook.toml, to a file or standard output."""
    from extract import codebooks
    from extract.exports import check_target
    from extract.terminal import say

    mapping = codebooks.parse_mapping(options.map)
    codebook, notices = codebooks.import_codebook(options.file, mapping, title=options.title, version=options.version)
    for notice in notices:
        say(notice)
    text = codebooks.render_codebook_toml(codebook)
    if options.out is None:
        print(text, end="")
        return 0
    check_target(options.out, force=options.force)
    try:
        options.out.write_text(text, encoding="utf-8")
    except OSError as error:
        raise ExportError(f"Cannot write {str(options.out)!r}: {error.strerror}. Name another with --out.") from None
    count = sum(len(section.codes) for section in codebook.sections)
    print(f"{options.out}: {count} codes. Use it with: {PROGRAM} run SOURCE --codebook {options.out}")
    return 0
