"""`make bench` calls its scripts with flags that they have."""

from __future__ import annotations

import re
import subprocess
import sys
import tarfile
from pathlib import Path

from benchmarks.__main__ import plan
from benchmarks.swap_worth import main as swap_worth
from benchmarks.swap_worth import real_photos, table


def test_every_script_knows_its_flags(shared_data: Path):
    commands = plan(shared_data)
    assert len(commands) >= 6
    for module, *arguments in commands:
        done = subprocess.run(
            [sys.executable, "-m", module, "--help"], capture_output=True, text=True, check=True
        )
        flags = {word for word in arguments if word.startswith("--")}
        assert flags <= set(re.findall(r"--[a-z-]+", done.stdout)), module


def test_what_a_swap_is_worth_is_measured_as_the_guide_shows_it(tmp_path, capfd):
    scratch = ["--shared", str(tmp_path / "none"), "--folder", str(tmp_path)]
    assert swap_worth(["--count", "40", "--held-out", "12", *scratch]) == 0
    printed = capfd.readouterr().out
    rows = [line.split(" | ") for line in printed.splitlines() if line.startswith("| ")]
    assert [row[:2] for row in rows] == [
        [f"| {asked}", store]
        for asked in ("streets", "clothes")
        for store in ("general", "fashion", "general+fashion")
    ]
    # The columns of the guide: precision and recall, each at 5, 10 and 24.
    scores = [[float(cell.split()[0]) for cell in row[2:]] for row in rows]
    assert all(len(row) == 6 for row in scores)
    assert scores[0][0] > scores[1][0] and scores[4][3] > scores[3][3]
    guide = (Path(__file__).parents[1] / "docs/domains.md").read_text()
    assert "python -m benchmarks.swap_worth" in guide


def first_samples(shard: Path, count: int, target: Path) -> None:
    """The first samples of a shard as a shard."""
    target.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(shard) as archive, tarfile.open(target, "w") as taken:
        members = [member for member in archive if member.isfile()]
        keys = list(dict.fromkeys(member.name.split(".")[0] for member in members))[:count]
        for member in members:
            if member.name.split(".")[0] in keys:
                taken.addfile(member, archive.extractfile(member))


def test_a_catalogue_is_ahead_on_products_held_out_of_it(tmp_path, shared_data):
    for name, count in (
        ("coco-mini/coco-mini-train-0000.tar", 20),
        ("fashion/00000.tar", 100),
        ("fashion/00005.tar", 40),
    ):
        path = f"shards/{name}"
        first_samples(shared_data / path, count, tmp_path / "shared" / path)
    asked = real_photos(tmp_path, tmp_path / "shared")
    coco, shop, both = table(tmp_path, asked, ("coco-tags", "shop-tags")).splitlines()

    def ends(row: str) -> list[tuple[float, float]]:
        found = re.findall(r"\(([\d.]+) to ([\d.]+)\)", row)
        return [(float(low), float(high)) for low, high in found]

    # Beyond what the choice of the queries could do, at every cut, alone and stacked.
    for ahead in (shop, both):
        for (low, _), (_, high) in zip(ends(ahead), ends(coco), strict=True):
            assert low > high
