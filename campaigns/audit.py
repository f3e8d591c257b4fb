"""Ask pip-audit which locked packages have known holes, and say where its database is not there.

    python -m campaigns.audit PIP_AUDIT LOCK …

pip-audit by itself reports packages that it could not look up below the words "No known
vulnerabilities found".
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import subprocess
import sys
from pathlib import Path


@dataclasses.dataclass(frozen=True, slots=True)
class Audit:
    """What pip-audit found of one lock.

    Attributes:
        holes: packages with known holes, and the names of these.
        asked: how many packages its database knows.
        skipped: packages that it does not know.
        problem: why nothing could be asked, or "".
    """

    holes: dict[str, tuple[str, ...]]
    asked: int
    skipped: tuple[str, ...]
    problem: str = ""


def audit(program: str, lock: Path) -> Audit:
    """What pip-audit says of a lock."""
    command = [program, "--requirement", str(lock), "--disable-pip", "--require-hashes"]
    done = subprocess.run([*command, "--format", "json"], capture_output=True, text=True)
    try:
        packages = json.loads(done.stdout)["dependencies"]
    except ValueError:
        said = done.stderr.strip().splitlines() or [f"exit {done.returncode}"]
        return Audit({}, 0, (), said[-1])
    skipped = tuple(one["name"] for one in packages if "skip_reason" in one)
    holes = {
        f"{one['name']} {one['version']}": tuple(hole["id"] for hole in one["vulns"])
        for one in packages
        if one.get("vulns")
    }
    asked = len(packages) - len(skipped)
    problem = "" if asked else "it knows none of the packages"
    return Audit(holes, asked, skipped, problem)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("program", metavar="PIP_AUDIT")
    parser.add_argument("locks", nargs="+", type=Path, metavar="LOCK")
    options = parser.parse_args()
    found = False
    for lock in options.locks:
        result = audit(options.program, lock)
        if result.problem:
            print(
                f"{lock.name}: NOT AUDITED: the database of pip-audit cannot be reached here "
                f"({result.problem}). Nothing is known of holes."
            )
            continue
        print(f"{lock.name}: {result.asked} packages asked for, {len(result.holes)} with holes")
        for package, names in sorted(result.holes.items()):
            print(f"  {package}: {', '.join(names)}")
        if result.skipped:
            print(f"  not in the database: {', '.join(result.skipped)}")
        found = found or bool(result.holes)
    return int(found)


if __name__ == "__main__":
    sys.exit(main())
