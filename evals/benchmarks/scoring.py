"""`python -m evals.benchmarks.scoring`: the time to score 1,250 records against 1,250 goldens.

The records and goldens are those of the accepted baseline, repeated; reading and parsing both is counted.
"""

import json
import tempfile
import time
from pathlib import Path

from evals.baseline import load_baseline, open_accepted
from evals.goldens import find_golden_paths, load_golden
from evals.scoring import score_records
from schemas.golden import Golden
from schemas.record import Record

COUNT = 1250


def main() -> None:
    """Print seconds for reading, for scoring, and the mean score (which must be the baseline's)."""
    accepted = load_baseline().accepted["rules"]
    records = {record.transcript_id: record for record in open_accepted(accepted).read_records()}
    goldens = [golden for path in find_golden_paths() if (golden := load_golden(path)).transcript_id in records]
    with tempfile.TemporaryDirectory() as folder:
        paths = _write(Path(folder), goldens, list(records.values()))
        started = time.perf_counter()
        read_goldens = [Golden.model_validate_json(line) for line in paths[0].open("rb")]
        read_records = [Record.model_validate_json(line) for line in paths[1].open("rb")]
        read = time.perf_counter()
        score = score_records(read_records, read_goldens)
        values = score.find_values()
        done = time.perf_counter()
    mean = sum(values.values()) / len(values)
    print(f"{len(values)} interviews: read in {read - started:.2f} s, scored in {done - read:.2f} s, mean {mean:.3f}")


def _write(folder: Path, goldens: list[Golden], records: list[Record]) -> tuple[Path, Path]:
    paths = folder / "goldens.jsonl", folder / "records.jsonl"
    by_id = {record.transcript_id: record for record in records}
    with paths[0].open("w") as g, paths[1].open("w") as r:
        for number in range(COUNT):
            golden = goldens[number % len(goldens)]
            name = f"{golden.transcript_id}-{number}"
            g.write(json.dumps(golden.model_dump(mode="json", exclude_none=True) | {"transcript_id": name}) + "\n")
            record = by_id[golden.transcript_id].model_copy(update={"transcript_id": name})
            r.write(record.model_dump_json(exclude_none=True) + "\n")
    return paths


if __name__ == "__main__":
    main()
