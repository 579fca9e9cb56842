from pathlib import Path

import pytest

from schemas.golden import Golden

STORED = sorted((Path(__file__).parents[2] / "goldens").glob("*/*.json"))
GOLDENS = [path for path in STORED if path.parent.name != "judge"]  # labelled pairs, which no golden is


def test_both_sets_ship() -> None:
    sets = [path.parent.name for path in GOLDENS]
    assert sets.count("authored") == 12
    assert sets.count("anthropic_interviewer") == 40


@pytest.mark.parametrize("path", GOLDENS, ids=lambda path: path.stem)
def test_every_stored_golden_is_valid(path: Path) -> None:
    golden = Golden.model_validate_json(path.read_bytes())
    assert golden.transcript_id == path.stem
    assert "A" in golden.codings
