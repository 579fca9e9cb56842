"""Errors that reach a user. Every message says what is wrong, with the value, then what to do.

    VerbatimError
    ├── SourceError       the transcripts cannot be read at all
    ├── TranscriptError   one transcript is not usable; it becomes a failure record
    ├── PromptError       a prompt version that is missing, or does not render
    ├── EngineError       an engine that cannot be opened, or an account that a provider turns away
    ├── StoreError        a run that is missing, locked, or belongs to something else
    ├── GoldenError       a golden that is missing, malformed or stale
    ├── EvaluationError   runs that cannot be scored, compared or accepted as a baseline
    └── ExportError       an export that cannot be written, or a file that cannot be imported

`schemas.codebook.CodebookError` and `schemas.draft.DraftError` stand apart, since schemas import
nothing from here; the command line treats a CodebookError like these.
"""


class VerbatimError(Exception):
    """Base of all errors that this project raises on purpose."""


class SourceError(VerbatimError):
    """The source of the transcripts cannot be read at all."""


class TranscriptError(VerbatimError):
    """One transcript is not usable."""


class PromptError(VerbatimError):
    """A prompt version is missing, or does not render."""


class EngineError(VerbatimError):
    """An engine cannot be opened, or a provider turns the whole account away."""


class StoreError(VerbatimError):
    """A run is missing, locked, or belongs to something else."""


class GoldenError(VerbatimError):
    """A golden is missing, malformed or stale."""


class EvaluationError(VerbatimError):
    """Runs cannot be scored, compared, or accepted as a baseline."""


class ExportError(VerbatimError):
    """An export cannot be written, or a file cannot be imported."""
