"""Goldens: load them, find the texts they were coded on, check them, and say what is missing and why."""

import os
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from pydantic import ValidationError

from extract.errors import GoldenError, SourceError
from extract.transcripts import BadTranscript, Source, load_transcripts
from schemas.codebook import ITEM_ATTRIBUTES, SECTION_ATTRIBUTES, Codebook, SectionCodes
from schemas.golden import Coding, Golden, GoldenSection, GoldenStyle
from schemas.transcript import Transcript

GOLDENS = Path(os.path.relpath(Path(__file__).parents[1] / "goldens"))
DATA_VARIABLE = "VERBATIM_DATA"
_CHANGED = "the transcript's text has changed since it was coded. Code it again."


@dataclass(frozen=True)
class GoldenFile:
    """One golden on disk: its set is the name of its folder."""

    path: Path
    golden: Golden

    @property
    def set(self) -> str:
        """The set it belongs to: `authored`, `anthropic_interviewer`, or one of your own."""
        return self.path.parent.name


@dataclass(frozen=True)
class GoldenSet:
    """Goldens with their transcripts by id, and why the others have none.

    `missing` holds a sentence for every reason why texts cannot be had, with the goldens that it keeps
    out; `stale` a sentence for each golden that is malformed or whose text is another one now.
    """

    files: dict[str, GoldenFile] = field(default_factory=dict)
    transcripts: dict[str, Transcript] = field(default_factory=dict)
    missing: dict[str, tuple[str, ...]] = field(default_factory=dict)
    stale: dict[str, str] = field(default_factory=dict)

    @property
    def goldens(self) -> list[Golden]:
        """The goldens whose text is here, in the order of their files."""
        return [file.golden for name, file in self.files.items() if name in self.transcripts]

    def explain_missing(self) -> list[str]:
        """One sentence for every reason why goldens have no text."""
        whole = len(self.files)
        return [f"{len(ids)} of {whole} goldens are left out: {reason}" for reason, ids in self.missing.items()]


def find_golden_paths(sets: Iterable[str] = (), root: Path = GOLDENS) -> list[Path]:
    """The files of some sets (all if none is named), in order. Raises GoldenError for an unknown set."""
    if not root.is_dir():
        raise GoldenError(f"No folder {str(root)!r}. Name one that holds sets of goldens with --goldens.")
    known = sorted(
        path.name for path in root.iterdir() if path.is_dir() and path.name != "judge" and any(path.glob("*.json"))
    )
    if not known:
        raise GoldenError(
            f"{str(root)!r} holds no set of goldens: a folder of .json files. Name another with --goldens."
        )
    names = list(sets) or known
    for name in names:
        if name not in known:
            raise GoldenError(f"No golden set {name!r} in {str(root)!r}. Choose one of: {', '.join(known)}.")
    return [path for name in names for path in sorted((root / name).glob("*.json"))]


def load_golden(path: Path) -> Golden:
    """Read a golden. Raises GoldenError, naming file and item, for one that is not readable."""
    try:
        golden = Golden.model_validate_json(path.read_bytes())
    except OSError as error:
        raise GoldenError(f"Cannot read the golden {str(path)!r}: {error.strerror}. Name one that exists.") from None
    except ValidationError as error:
        found = error.errors(include_url=False)[0]
        where = ".".join(map(str, found["loc"])) or "the file"
        raise GoldenError(f"{path}: {where}: {found['msg']}. Mend it, or pack it again.") from None
    if golden.transcript_id != path.stem:
        raise GoldenError(f"{path}: transcript_id is {golden.transcript_id!r}, not the file's name. Rename the file.")
    return golden


def load_goldens(paths: Sequence[Path], text_source: str | None = None) -> GoldenSet:
    """Read goldens and find their texts, each checked by its hash.

    `text_source` is a folder, file or Hub name that holds the texts. Without it, a set that ships its
    transcripts is read from there, and `Anthropic/AnthropicInterviewer` from the folder that
    VERBATIM_DATA names. Nothing is raised: what is wrong stands in `missing` and `stale`.
    """
    files, stale = _load_files(paths)
    groups: dict[tuple[Path, str, str], list[GoldenFile]] = defaultdict(list)
    for file in files.values():
        groups[file.path.parent, file.golden.dataset, file.golden.cohort].append(file)
    transcripts: dict[str, Transcript] = {}
    missing: dict[str, tuple[str, ...]] = defaultdict(tuple)
    for group in groups.values():
        found, reason = _load_group(group, text_source)
        for file in group:
            name = file.golden.transcript_id
            if name not in found:
                missing[reason] += (name,)
            elif found[name].text_sha256 != file.golden.text_sha256:
                stale[name] = f"{file.path}: {_CHANGED}"
            else:
                transcripts[name] = found[name]
    return GoldenSet(files, {name: transcripts[name] for name in files if name in transcripts}, dict(missing), stale)


def _load_files(paths: Sequence[Path]) -> tuple[dict[str, GoldenFile], dict[str, str]]:
    files: dict[str, GoldenFile] = {}
    stale: dict[str, str] = {}
    for path in paths:
        try:
            golden = load_golden(path)
        except GoldenError as error:
            stale[path.stem] = str(error)
            continue
        if golden.transcript_id in files:
            stale[path.stem] = f"{path}: set {files[path.stem].set!r} has {path.stem!r} too. Keep one of them."
        files[golden.transcript_id] = GoldenFile(path, golden)
    return files, stale


def _load_group(group: Sequence[GoldenFile], text_source: str | None) -> tuple[dict[str, Transcript], str]:
    """The transcripts of goldens that share a source, and why others are missing."""
    goldens = {file.golden.transcript_id: file.golden for file in group}
    try:
        source = _find_source(group[0], text_source)
        found = {t.id: replace(t, cohort=goldens[t.id].cohort) for t in _load_texts(source, set(goldens))}
    except SourceError as error:
        return {}, str(error)
    return found, f"their transcripts are not in {source!r}."


def _find_source(file: GoldenFile, text_source: str | None) -> str:
    """Where the text of a golden should be. Raises SourceError where nothing says so."""
    shipped = file.path.parent / "transcripts"
    if shipped.is_dir():
        return str(shipped)
    if text_source is not None:
        return _narrow(Path(text_source), file.golden.cohort) or text_source
    dataset = file.golden.dataset
    if Path(dataset).exists():
        return dataset
    data = os.environ.get(DATA_VARIABLE, "").strip()
    hint = f"Set {DATA_VARIABLE} to a folder that holds the data set, or name it (or {dataset}, to ask the Hub)"
    if not data:
        raise SourceError(f"their text, {dataset}, is not here. {hint} with --texts.")
    for folder in (Path(data) / "data" / _to_folder(dataset), Path(data) / _to_folder(dataset), Path(data)):
        if found := _narrow(folder, file.golden.cohort):
            return found
    raise SourceError(f"{DATA_VARIABLE}={data!r} does not hold {dataset}. {hint} with --texts.")


def _to_folder(dataset: str) -> str:
    """`Anthropic/AnthropicInterviewer` as a local folder is called: `anthropic_interviewer`."""
    name = dataset.rsplit("/", 1)[-1]
    return "".join(f"_{c.lower()}" if c.isupper() and i else c.lower() for i, c in enumerate(name))


def _narrow(folder: Path, cohort: str) -> str | None:
    """The one table of a data set's folder that holds a cohort: much faster to read than all of it."""
    if not folder.is_dir():
        return None
    tables = sorted(folder.rglob("*.csv"))
    fitting = [path for path in tables if cohort and path.name.startswith(cohort)]
    return str(fitting[0]) if len(fitting) == 1 else str(folder) if tables else None


def _load_texts(source: str, wanted: set[str]) -> Iterator[Transcript]:
    """The wanted transcripts that a source holds; that it lacks some is no error here."""
    left = set(wanted)
    try:
        for transcript in load_transcripts(Source(source, ids=frozenset(wanted))):
            if isinstance(transcript, BadTranscript):
                raise SourceError(f"{transcript.reason}")
            left.discard(transcript.id)
            yield transcript
    except SourceError:
        if left == wanted or not Path(source).exists():
            raise


# ---------------------------------------------------------------- checks


def check_golden(file: GoldenFile, transcript: Transcript | None, codebook: Codebook) -> list[str]:
    """Everything that is wrong with a golden, one sentence each, naming file and item; empty if nothing is.

    Without its transcript, spans are only checked against its length.
    """
    golden = file.golden
    problems = []
    if golden.codebook_version != codebook.version:
        problems.append(
            f"{file.path}: coded with codebook {golden.codebook_version!r}, not {codebook.version!r}. Code it again."
        )
    if transcript is not None and transcript.text_sha256 != golden.text_sha256:
        return [*problems, f"{file.path}: {_CHANGED}"]
    for name, coding in [*golden.codings.items(), ("adjudicated", golden.adjudicated)]:
        where = f"{file.path}: {name}" if name == "adjudicated" else f"{file.path}: coding {name}"
        problems.extend(f"{where}, {problem}" for problem in check_coding(coding, golden, transcript, codebook))
    return problems


def check_coding(coding: Coding, golden: Golden, transcript: Transcript | None, codebook: Codebook) -> Iterator[str]:
    """What is wrong with one coding, as `section.items.3: ...`."""
    yield from check_codes(coding, codebook)
    yield from check_evidence(coding, golden, transcript)


def check_codes(coding: Coding, codebook: Codebook) -> Iterator[str]:
    """Codes, attributes and statuses that the codebook does not know, or that do not go together."""
    for section in codebook.sections:
        yield from _check_section(section, coding.sections[section.id])


def check_evidence(coding: Coding, golden: Golden, transcript: Transcript | None) -> Iterator[str]:
    """Items without evidence, and spans outside the text or the interviewee's words."""
    for name, part in coding.sections.items():
        spans = [(f"{name}.items.{n}", item.evidence) for n, item in enumerate(part.items)]
        yield from (f"{where}: there is no evidence. Name at least one sentence." for where, e in spans if not e)
        if isinstance(part, GoldenStyle):
            spans.append((f"{name}.mode_evidence", part.mode_evidence))
        for where, evidence in spans:
            for start, end in evidence:
                if problem := _check_span(start, end, golden, transcript):
                    yield f"{where}: {problem}"


def _check_section(section: SectionCodes, part: GoldenSection) -> Iterator[str]:
    codes = {code.id for code in section.codes}
    if bool(part.items) != (part.status == "discussed") and section.id not in SECTION_ATTRIBUTES:
        yield f"{section.id}: status is {part.status!r} with {len(part.items)} items. Change the status."
    seen: set[str] = set()
    for number, item in enumerate(part.items):
        where = f"{section.id}.items.{number}"
        if item.code not in codes:
            yield f"{where}: the codebook has no code {item.code!r} in {section.id}. Code it again."
        if item.code in seen and section.id != "tasks":
            yield f"{where}: code {item.code!r} stands there twice. Merge them into one item."
        seen.add(item.code)
        wanted = ITEM_ATTRIBUTES.get(section.id)
        for name in ITEM_ATTRIBUTES.values():
            value = getattr(item, name)
            known = [v.id for v in section.find_attribute(name).values] if name == wanted else [None]
            if value not in known:
                yield f"{where}: {name} is {value!r}. It must be one of: {', '.join(map(str, known))}."
    for name in SECTION_ATTRIBUTES.get(section.id, ()):
        known = [v.id for v in section.find_attribute(name).values]
        if getattr(part, name) not in known:
            yield f"{section.id}.{name} is {getattr(part, name)!r}. It must be one of: {', '.join(known)}."


def _check_span(start: int, end: int, golden: Golden, transcript: Transcript | None) -> str | None:
    if not 0 <= start < end <= golden.text_chars:
        return f"the span [{start}, {end}] is not in the text of {golden.text_chars} characters. Code it again."
    if transcript is None:
        return None
    turns = [turn for turn in transcript.turns if turn.speaker == "interviewee"]
    if not any(turn.start <= start and end <= turn.end for turn in turns):
        return f"the span [{start}, {end}] is not in the interviewee's words. Code it again."
    return None
