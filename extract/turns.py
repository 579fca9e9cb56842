"""Text -> Transcript: one form for one interview, its turns by their labels, its sentences at exact offsets."""

import re
from collections.abc import Iterable
from dataclasses import dataclass, field

from extract.errors import SourceError, TranscriptError
from schemas.transcript import Sentence, Speaker, Transcript, Turn


@dataclass(frozen=True)
class Labels:
    """The speaker labels that open a turn, without their colon."""

    interviewer: tuple[str, ...] = ("Assistant", "AI")
    interviewee: tuple[str, ...] = ("User",)
    pattern: re.Pattern[str] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        both = set(self.interviewer) & set(self.interviewee)
        if both:
            raise SourceError(f"{sorted(both)[0]!r} is named as interviewer and as interviewee. Name it once.")
        names = sorted({*self.interviewer, *self.interviewee}, key=len, reverse=True)
        alternatives = "|".join(re.escape(name) for name in names)
        object.__setattr__(self, "pattern", re.compile(rf"^({alternatives})[ \t]*:", re.MULTILINE))

    def extend(self, interviewer: Iterable[str], interviewee: Iterable[str]) -> "Labels":
        """These labels and others, as a user names them (a colon at the end is dropped)."""
        more = [tuple(name.strip().rstrip(":").strip() for name in names) for names in (interviewer, interviewee)]
        if not all(all(names) for names in more):
            raise SourceError("A speaker label is empty. Name it as it stands before the colon.")
        return Labels((*self.interviewer, *more[0]), (*self.interviewee, *more[1]))


DEFAULT_LABELS = Labels()


def parse_transcript(
    text: str, *, id: str, cohort: str | None = None, labels: Labels = DEFAULT_LABELS, sentences: bool = True
) -> Transcript:
    """Turn the text of one interview into turns and, unless `sentences` is False, their sentences.

    Every span holds `transcript.text[start:end]`. Raises TranscriptError for an empty text and for
    one without an interviewee's turn.
    """
    text = normalise_text(text)
    if not text:
        raise TranscriptError("the text is empty. Remove the row or fill it.")
    turns = _split_turns(text, labels, sentences=sentences)
    if not any(turn.speaker == "interviewee" and turn.start < turn.end for turn in turns):
        raise TranscriptError(_explain_no_interviewee(text, labels))
    return Transcript(id=id, text=text, turns=tuple(turns), cohort=cohort)


def normalise_text(text: str) -> str:
    """One form for one interview: no BOM, LF line ends, wrong code pages mended, no white space around."""
    text = text.lstrip("\ufeff").replace("\r\n", "\n").replace("\r", "\n")
    if not text.isascii() and _UNUSUAL.search(text):
        text = _mend_encoding(text)
    return text.strip("\ufeff \t\n\r\f\v\u00a0\u2028\u2029").strip()


_UNUSUAL = re.compile("[^\x00-\x7f‘’“”–—]")
"""Every text gone through a wrong code page holds one of these: a character takes two bytes or more in UTF-8, and
in each code page at least one of them becomes another mark than the six. Looked for first, since it is quick."""
_CONTROLS = re.compile("[\x80-\x9f\ud800-\udfff]")


def _mend_encoding(text: str) -> str:
    """Undo UTF-8 that was read through another code page; a clean text comes back unchanged."""
    import ftfy
    from ftfy.badness import is_bad

    if not is_bad(text) and not _CONTROLS.search(text):
        return text
    config = ftfy.TextFixerConfig(
        unescape_html=False,
        remove_terminal_escapes=False,
        fix_latin_ligatures=False,
        fix_character_width=False,
        uncurl_quotes=False,
        fix_line_breaks=False,
        fix_surrogates=True,
        remove_control_chars=False,
        normalization=None,
        explain=False,
        max_decode_length=len(text) + 1,
    )
    return ftfy.fix_text(text, config)


def _split_turns(text: str, labels: Labels, *, sentences: bool) -> list[Turn]:
    marks = list(labels.pattern.finditer(text))
    counts: dict[Speaker, int] = {"interviewer": 0, "interviewee": 0}
    turns = []
    ends = [*(mark.start() for mark in marks[1:]), len(text)]
    for mark, last in zip(marks, ends, strict=False):
        speaker: Speaker = "interviewer" if mark[1] in labels.interviewer else "interviewee"
        counts[speaker] += 1
        start, end = _trim(text, mark.end(), last)
        turn_id = f"{'I' if speaker == 'interviewer' else 'U'}{counts[speaker]}"
        said = _split_sentences(text, start, end, turn_id) if sentences and speaker == "interviewee" else ()
        turns.append(Turn(turn_id, speaker, start, end, said))
    return turns


def _split_sentences(text: str, start: int, end: int, turn_id: str) -> tuple[Sentence, ...]:
    from sentencex import get_sentence_boundaries

    sentences: list[Sentence] = []
    for found in get_sentence_boundaries("en", text[start:end]):
        first, last = _trim(text, start + found["start_index"], start + found["end_index"])
        if first < last:
            sentences.append(Sentence(f"{turn_id}.{len(sentences) + 1}", first, last))
    return tuple(sentences)


def _trim(text: str, start: int, end: int) -> tuple[int, int]:
    """The span without white space at its ends."""
    if start < end and not text[start].isspace() and not text[end - 1].isspace():
        return start, end
    piece = text[start:end]
    start += len(piece) - len(piece.lstrip())
    return start, max(start, start + len(piece.strip()))


def _explain_no_interviewee(text: str, labels: Labels) -> str:
    seen = list(dict.fromkeys(re.findall(r"^([^\W\d_][\w .'-]{0,30}?)[ \t]*:", text, re.MULTILINE)))[:5]
    known = ", ".join(f"{name}:" for name in labels.interviewee)
    others = [name for name in seen if name not in (*labels.interviewer, *labels.interviewee)]
    hint = f" Lines begin with {', '.join(map(repr, others))}." if others else ""
    return (
        f"no interviewee turn (no line with words after {known}).{hint}"
        " Name the labels with --interviewer and --interviewee."
    )
