"""Build the Dockerfile where no registry of images is, and use what comes out.

    python -m campaigns.image [--work FOLDER] [--keep]

Needs root, debootstrap and buildah, as Debian has them. Its three bases are made here: a Debian
bookworm for CUDA's Ubuntu, the same with the Python that runs this in /usr/local for Python's
image, and a program that prints its arguments for Beam's boot. All else is the Dockerfile itself:
30 GB of disk and the downloads of requirements.lock. The image is removed afterwards.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from demo.shards import ShardOptions, write_shards

ROOT = Path(__file__).parents[1]
_CERTIFICATES = Path("/etc/ssl/certs/ca-certificates.crt")
# What Python's own image has and this base has not; the Dockerfile names its own for the last.
_PYTHON_LINKS_TO = (
    "ca-certificates",
    "libbz2-1.0",
    "libffi8",
    "liblzma5",
    "libsqlite3-0",
    "libssl3",
)
_BOOT = '#!/bin/sh\necho "boot $*"\n'
_USER = "10001"


class Builder:
    """buildah with a storage of its own, and no daemon."""

    def __init__(self, work: Path) -> None:
        self._storage = work / "storage"
        self._options = ["--root", str(self._storage), "--runroot", str(work / "run")]

    def __call__(self, *arguments: object, shown: bool = False) -> str:
        """What buildah prints.

        Raises:
            subprocess.CalledProcessError: when it fails; what it says is shown.
        """
        command = ["buildah", *self._options, *map(str, arguments)]
        environment = {**os.environ, "BUILDAH_ISOLATION": "chroot", "STORAGE_DRIVER": "overlay"}
        out = None if shown else subprocess.PIPE
        done = subprocess.run(command, check=True, stdout=out, text=True, env=environment)
        return (done.stdout or "").strip()

    def run(self, container: str, *command: object) -> str:
        """What a command in a container prints, its errors included."""
        return self("run", container, "--", "sh", "-c", '"$@" 2>&1', "sh", *command)

    def layers(self, image: str) -> list[tuple[int, str]]:
        """Bytes and maker of each layer that is not empty, the oldest first."""
        found = json.loads(self("inspect", "--type", "image", image))
        made_by = [
            step.get("created_by", "")
            for step in found["OCIv1"]["history"]
            if not step.get("empty_layer")
        ]
        stored = json.loads((self._storage / "overlay-layers" / "layers.json").read_text())
        sizes = {layer.get("diff-digest"): layer.get("diff-size", 0) for layer in stored}
        digests = found["OCIv1"]["rootfs"]["diff_ids"]
        return list(zip((sizes.get(digest, 0) for digest in digests), made_by, strict=True))


def make_bases(builder: Builder, work: Path) -> dict[str, str]:
    """The three bases, by the Dockerfile's name for each."""
    tree = work / "bookworm"
    if not tree.exists():
        half = work / "bookworm.new"
        shutil.rmtree(half, ignore_errors=True)
        mirror = "http://deb.debian.org/debian"
        subprocess.run(["debootstrap", "--variant=minbase", "bookworm", half, mirror], check=True)
        half.rename(tree)
    # Whole names, since of short ones some stand for images elsewhere.
    base = builder("from", "scratch")
    builder("add", base, tree, "/")
    builder("commit", base, "localhost/bookworm")
    python = builder("from", "localhost/bookworm")
    install = "apt-get update && apt-get install --yes --no-install-recommends "
    builder("run", python, "--", "sh", "-c", install + " ".join(_PYTHON_LINKS_TO))
    builder("add", python, sys.base_prefix, "/usr/local")
    # As Python's image does, for its shared library.
    builder("run", python, "--", "ldconfig")
    # A mirror that this machine trusts and asks is trusted and asked in there, too.
    builder("add", python, _CERTIFICATES, _CERTIFICATES)
    for name in ("PIP_CERT", "PIP_INDEX_URL"):
        if name in os.environ:
            builder("config", "--env", f"{name}={os.environ[name]}", python)
    builder("commit", python, "localhost/python")
    boot = work / "boot"
    boot.write_text(_BOOT)
    boot.chmod(0o755)
    beam = builder("from", "scratch")
    builder("add", beam, boot, "/opt/apache/beam/boot")
    builder("commit", beam, "localhost/beam")
    builder("rm", base, python, beam)
    names = {"CUDA_IMAGE": "bookworm", "PYTHON_IMAGE": "python", "BEAM_IMAGE": "beam"}
    return {argument: f"localhost/{name}" for argument, name in names.items()}


def check(builder: Builder, image: str, shards: Path) -> None:
    """Use an image as its user would.

    Raises:
        RuntimeError: for an answer that is not the expected one.
    """
    container = builder("from", image)
    builder("add", "--chown", _USER, container, shards, "/shards")
    entry = "docker-entrypoint.sh"
    asked = {
        ("id", "-u"): _USER,
        (entry, "--help"): "tagmine build",
        (entry, "tagmine-tuna", "--help"): "tagmine-tuna",
        (entry, "--id=7", "--logging_endpoint=x"): "boot --id=7 --logging_endpoint=x",
        (entry, "build", "/shards/*.tar", "--out", "/data/store", "--clip-model", "demo"): "images",
        (entry, "verify", "/data/store"): "60 found themselves",
    }
    for command, expected in asked.items():
        start = time.monotonic()
        said = builder.run(container, *command)
        print(f"{' '.join(command)}: {time.monotonic() - start:.0f} s", flush=True)
        if expected not in said:
            raise RuntimeError(f"{command} said, without {expected!r}:\n{said}")
    builder("rm", container)


def main() -> None:
    """Build, use, say how large it is, and remove it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--work", type=Path, help="folder of all that is made; removed if not given"
    )
    parser.add_argument("--keep", action="store_true", help="leave the image in --work")
    options = parser.parse_args()
    missing = [tool for tool in ("debootstrap", "buildah") if shutil.which(tool) is None]
    if missing or os.getuid() != 0:
        sys.exit(
            f"this needs root, debootstrap and buildah; missing: {', '.join(missing) or 'root'}"
        )
    with tempfile.TemporaryDirectory(prefix="tagmine-image-") as scratch:
        work = options.work or Path(scratch)
        work.mkdir(parents=True, exist_ok=True)
        builder = Builder(work)
        try:
            bases = make_bases(builder, work)
            arguments = [f"--build-arg={name}={image}" for name, image in bases.items()]
            builder(
                "bud",
                "--pull=never",
                "--layers",
                *arguments,
                "--tag",
                "localhost/tagmine",
                ROOT,
                shown=True,
            )
            for size, made_by in builder.layers("localhost/tagmine"):
                print(f"{size / 2**20:8,.0f} MiB  {made_by[:90]}")
            shards = Path(scratch) / "shards"
            write_shards(ShardOptions(out=shards, count=60, domain="street", shard_size=20))
            check(builder, "localhost/tagmine", shards)
        finally:
            if not options.keep:
                builder("rm", "--all")
                builder("rmi", "--all", "--force")


if __name__ == "__main__":
    main()
