"""The labelled pairs that a judge is calibrated against: loaded, checked, and given their words."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from evals.questions import Question
from extract.errors import GoldenError, SourceError
from extract.transcripts import Source, load_transcripts
from schemas.codebook import ITEM_ATTRIBUTES, Codebook
from schemas.transcript import Transcript
from schemas.verdict import LabelledPair, LabelledPairs, Verdict

GOLDENS = Path(__file__).parents[1] / "goldens"
PAIRS = GOLDENS / "judge" / "pairs.json"
AUTHORED = GOLDENS / "authored" / "transcripts"


@dataclass(frozen=True)
class PairedQuestion:
    """A pair with its words in place of its spans."""

    pair: LabelledPair
    question: Question

    @property
    def label(self) -> Verdict:
        """What the careful reader said."""
        return self.pair.label


@dataclass(frozen=True)
class PairSet:
    """The pairs of one file. `provenance` says who labelled them."""

    codebook_version: str
    provenance: str
    pairs: tuple[PairedQuestion, ...]


def load_pairs(codebook: Codebook, path: Path = PAIRS, transcripts: Path = AUTHORED) -> PairSet:
    """Read the labelled pairs and check them against transcripts and codebook.

    A codebook of another version has other definitions, so that the labels say nothing about it: the set
    is then empty. Raises GoldenError for a file that cannot be read, a transcript that is missing or has
    another text, a span outside the interviewee's words, an unknown code or attribute, a repeated id.
    """
    stored = _read(path)
    if stored.codebook_version != codebook.version:
        return PairSet(stored.codebook_version, stored.provenance, ())
    found = _load_texts(stored, path, transcripts)
    seen: set[str] = set()
    for pair in stored.pairs:
        where = f"{path.name}, pair {pair.id!r}"
        if pair.id in seen:
            raise GoldenError(f"{where}: the id stands there twice. Give each pair one of its own.")
        seen.add(pair.id)
        _check_codes(where, pair, codebook)
        _check_spans(where, pair, found)
    paired = tuple(PairedQuestion(pair, _to_question(pair, found[pair.transcript_id])) for pair in stored.pairs)
    return PairSet(stored.codebook_version, stored.provenance, paired)


def _read(path: Path) -> LabelledPairs:
    try:
        return LabelledPairs.model_validate_json(path.read_bytes())
    except OSError as error:
        raise GoldenError(
            f"Cannot read the labelled pairs {str(path)!r}: {error.strerror}. Restore the file."
        ) from None
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(str(part) for part in first["loc"]) or "the file"
        raise GoldenError(f"{path.name}: {where}: {first['msg']}. Mend it, or restore the file.") from None


def _load_texts(stored: LabelledPairs, path: Path, folder: Path) -> dict[str, Transcript]:
    source = Source(str(folder), ids=frozenset(stored.transcripts))
    try:
        found = {t.id: t for t in load_transcripts(source) if isinstance(t, Transcript)}
    except SourceError as error:
        raise GoldenError(f"{path.name}: {error}") from None
    for name, sha256 in stored.transcripts.items():
        if name not in found or found[name].text_sha256 != sha256:
            raise GoldenError(f"{path.name}: the text of {name!r} has changed. Restore it, or label its pairs anew.")
    return found


def _check_codes(where: str, pair: LabelledPair, codebook: Codebook) -> None:
    section = codebook.find_section(pair.section)
    if pair.code not in {code.id for code in section.codes}:
        raise GoldenError(
            f"{where}: {pair.section} has no code {pair.code!r} in codebook version {codebook.version!r}. "
            "Mend the pair, or give a codebook with other codes another version."
        )
    name = ITEM_ATTRIBUTES.get(pair.section)
    values = {value.id for value in section.find_attribute(name).values} if name else {None}
    if pair.attribute not in values:
        raise GoldenError(f"{where}: {pair.attribute!r} is no {name or 'attribute'} of {pair.section}. Mend the pair.")


def _check_spans(where: str, pair: LabelledPair, transcripts: Mapping[str, Transcript]) -> None:
    if pair.transcript_id not in transcripts:
        raise GoldenError(f"{where}: no hash for {pair.transcript_id!r}. Add it under 'transcripts'.")
    turns = [t for t in transcripts[pair.transcript_id].turns if t.speaker == "interviewee"]
    if not pair.evidence:
        raise GoldenError(f"{where}: no evidence. A pair needs at least one span.")
    for start, end in pair.evidence:
        if start >= end or not any(turn.start <= start and end <= turn.end for turn in turns):
            raise GoldenError(f"{where}: [{start}, {end}) is not the interviewee's. Point into one of their turns.")


def _to_question(pair: LabelledPair, transcript: Transcript) -> Question:
    return Question(
        transcript_id=pair.transcript_id,
        section=pair.section,
        code=pair.code,
        attribute=pair.attribute,
        summary=pair.summary,
        evidence=tuple(transcript.text[start:end] for start, end in pair.evidence),
    )
