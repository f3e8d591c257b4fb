"""Push to the Hugging Face hub: whole commits, the manifest with the last."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from tagmine.errors import ConfigurationError
from tagmine.layout import MANIFEST, SOURCES, locked
from tagmine.manifest import read_manifest
from tagmine.redaction import redact
from tagmine.retries import retry
from tagmine.sources import read_sources
from tagmine.stores import StoreError, open_store
from tagmine.transfer import (
    LocalFile,
    ReportFile,
    Transferred,
    hash_file,
    pinned_file,
    refuse_other,
    stale_names,
)

_ADDRESS = re.compile(r"hf://datasets/([\w.-]+/[\w.-]+)((?:/[\w.-]+)*)/?", re.ASCII)
_COMMIT_FILES = 100
_COMMIT_BYTES = 5 << 30
_TIMEOUT_SECONDS = 10.0


def is_hub(url: str) -> bool:
    return url.startswith("hf://")


def check_hub(url: str) -> None:
    """Say at once what stands in the way of a repository, rather than after many tries.

    Raises:
        StoreError: when the hub cannot be reached or refuses.
    """
    from huggingface_hub import HfApi
    from huggingface_hub.errors import RepositoryNotFoundError

    repository = "/".join(url.removeprefix("hf://datasets/").split("/")[:2]).split("@")[0]
    try:
        HfApi().repo_info(repository, repo_type="dataset", timeout=_TIMEOUT_SECONDS)
    except RepositoryNotFoundError:
        raise StoreError(
            f"{url}: the hub has no such dataset, or it is private and the environment has no "
            "HF_TOKEN that may read it."
        ) from None
    except Exception as error:
        raise _unreachable(url, error) from None


def _unreachable(url: str, error: Exception) -> StoreError:
    from huggingface_hub.constants import HF_HUB_OFFLINE

    said = redact(f"{type(error).__name__}: {error}".strip(": ").split("\n")[0])
    offline = " HF_HUB_OFFLINE is set." if HF_HUB_OFFLINE else ""
    return StoreError(
        f"{url}: the hub cannot be reached or refuses ({said}).{offline} A token that may write is "
        "taken from HF_TOKEN. Run the same command again when it can be; what is there is kept."
    )


def push_to_hub(
    root: Path,
    url: str,
    sent: Path,
    beside: Mapping[str, Path],
    report: ReportFile = lambda *_: None,
) -> Transferred:
    """Push a datastore to a dataset repository, which is made private where there is none.

    What the repository has with the same hash is left. The last commit brings the manifest and
    takes away the datastore's files that it does not name; those of others stay.

    Args:
        root: the datastore's folder.
        url: hf://datasets/OWNER/NAME, or a folder in it.
        sent: the folder of its manifest, as `manifest_to_send` gives it.
        beside: further files by name, as `files_beside` gives them.
        report: told of each file.

    Raises:
        ConfigurationError: for another form of URL, or a place that holds something else.
        DatastoreError: for a file that is not what the manifest says.
        StoreError: when the hub cannot be reached or refuses, or has other bytes than were sent.
    """
    match = _ADDRESS.fullmatch(url)
    if match is None:
        raise ConfigurationError(f"{url}: give hf://datasets/OWNER/NAME, or a folder in it.")
    repository = _Repository(url, match[1], match[2].strip("/"))
    repository.prepare()
    with locked(root):
        manifest = read_manifest(sent)
        there = repository.hashes()
        refuse_other(there, open_store(url, "URL"), read_sources(root))
        # First, since it is what tells a later push whose half-finished folder this is.
        names = sorted(beside, key=lambda name: (name != SOURCES, name))
        files = [hash_file(name, beside[name]) for name in names]
        files += [pinned_file(root, card) for card in manifest.files()]
        missing = [file for file in files if not _same(file, there.get(file.name))]
        for batch in _batches(missing):
            repository.commit(batch, [])
        last = hash_file(MANIFEST, sent / MANIFEST)
        stale = stale_names(there, manifest, beside)
        if stale or not _same(last, there.get(MANIFEST)):
            missing.append(last)
            repository.commit([last], stale)
        repository.check([*files, last])
    for file in files:
        report(file.name, file.size)
    copied = sum(file.size for file in missing)
    return Transferred(len(missing), copied, len(files) + 1 - len(missing))


def _batches(files: Sequence[LocalFile]) -> Iterable[list[LocalFile]]:
    batch: list[LocalFile] = []
    for file in files:
        full = len(batch) == _COMMIT_FILES or sum(f.size for f in batch) + file.size > _COMMIT_BYTES
        if batch and full:
            yield batch
            batch = []
        batch.append(file)
    if batch:
        yield batch


def _same(file: LocalFile, there: tuple[int, str] | None) -> bool:
    """Whether the hub's size and hash are the file's: sha256 of large ones, git's of others."""
    if there is None or there[0] != file.size:
        return False
    return there[1] == file.sha256 or (len(there[1]) == 40 and there[1] == _git_hash(file))


def _git_hash(file: LocalFile) -> str:
    digest = hashlib.sha1(f"blob {file.size}\0".encode(), usedforsecurity=False)
    with file.path.open("rb") as stream:
        while chunk := stream.read(1 << 20):
            digest.update(chunk)
    return digest.hexdigest()


class _Repository:
    """A dataset repository, or a folder in one."""

    def __init__(self, url: str, name: str, folder: str) -> None:
        from huggingface_hub import HfApi

        self._api = HfApi()
        self._url = url
        self._name = name
        self._prefix = f"{folder}/" if folder else ""

    def prepare(self) -> None:
        """Make the repository, private, unless it is there."""
        try:
            self._api.create_repo(self._name, repo_type="dataset", private=True, exist_ok=True)
        except Exception as error:
            raise _unreachable(self._url, error) from None

    def hashes(self) -> dict[str, tuple[int, str]]:
        """Size and hash of every file below the prefix but hidden ones, such as the hub's own."""

        def read() -> dict[str, tuple[int, str]]:
            tree = self._api.list_repo_tree(self._name, repo_type="dataset", recursive=True)
            return {
                item.path.removeprefix(self._prefix): (
                    item.size,
                    item.lfs.sha256 if item.lfs else item.blob_id,
                )
                for item in tree
                if hasattr(item, "blob_id")
                and item.path.startswith(self._prefix)
                and not item.path.removeprefix(self._prefix).startswith(".")
            }

        return self._call(read)

    def commit(self, files: Sequence[LocalFile], deleted: Sequence[str]) -> None:
        """Add and delete files in one commit."""
        from huggingface_hub import CommitOperationAdd, CommitOperationDelete

        operations = [
            *(CommitOperationAdd(self._prefix + file.name, str(file.path)) for file in files),
            *(CommitOperationDelete(self._prefix + name) for name in deleted),
        ]
        message = f"tagmine push: {len(files)} files"
        self._call(
            lambda: self._api.create_commit(
                self._name, operations, commit_message=message, repo_type="dataset"
            )
        )

    def check(self, files: Sequence[LocalFile]) -> None:
        """Compare the hub's hashes with those of the files."""
        there = self.hashes()
        wrong = [file.name for file in files if not _same(file, there.get(file.name))]
        if wrong:
            raise StoreError(f"{self._url}: {wrong[0]} is not there as it was sent. Push again.")

    def _call(self, call):
        try:
            return retry(call, self._url)
        except Exception as error:
            raise _unreachable(self._url, error) from None
