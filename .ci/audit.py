"""Known vulnerabilities in what we depend on, by pip-audit; says so where the service cannot be asked.

The argument is the program. Exit status 1 where there is a vulnerability; 0 where there is none, or where
nothing could be looked up, which is not the same and is said.
"""

import json
import subprocess
import sys


def main(program: str) -> int:
    """Look up every pinned dependency."""
    command = [
        program,
        "-r",
        "constraints.txt",
        "--no-deps",
        "--disable-pip",
        "--format",
        "json",
        "--progress-spinner=off",
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    try:
        found = json.loads(done.stdout)["dependencies"]
    except (ValueError, KeyError):
        reason = (done.stderr.strip().splitlines() or ["no output"])[-1]
        print(f"pip-audit could not ask its service, so no dependency was checked: {reason[:200]}")
        return 0
    skipped = [one for one in found if "skip_reason" in one]
    bad = [one for one in found if one.get("vulns")]
    for one in bad:
        ids = ", ".join(vulnerability["id"] for vulnerability in one["vulns"])
        fixes = sorted({fix for vulnerability in one["vulns"] for fix in vulnerability["fix_versions"]})
        print(f"{one['name']} {one['version']}: {ids}. Fixed in: {', '.join(fixes) or 'no version yet'}.")
    print(f"pip-audit: {len(found) - len(skipped)} of {len(found)} dependencies looked up, {len(bad)} vulnerable.")
    if skipped:
        name = skipped[0]["name"]
        print(
            f"{len(skipped)} were not checked, {name!r} for one: the service does not answer here, or knows them not."
        )
        print("Before a release, run this where the service can be reached.")
    return int(bool(bad))


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1]))
