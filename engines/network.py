"""Network namespaces on a bridge: machines to whoever talks to them, processes of this one."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import re
import shutil
import signal
import subprocess
import uuid
from collections.abc import Iterator, Sequence
from pathlib import Path

from engines.fetch import MissingEngineError

# RFC 2544's range for benchmarks of network devices: no one's real network.
_RANGE = "198.18"
# Then the process that made it, in hexadecimal, then its number.
_PREFIX = "tagm"


@dataclasses.dataclass(frozen=True, slots=True)
class Host:
    """A namespace with an address; `namespace` is what `ip netns` calls it."""

    namespace: str
    address: str

    def start(self, command: Sequence[str], log: Path, **environment: str) -> subprocess.Popen:
        """A process inside, leader of its own process group; its output is added to `log`."""
        with log.open("ab") as stream:
            return subprocess.Popen(
                ["ip", "netns", "exec", self.namespace, *command],
                env={**os.environ, **environment},
                stdin=subprocess.DEVNULL,
                stdout=stream,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )


@contextlib.contextmanager
def hosts(count: int) -> Iterator[list[Host]]:
    """So many namespaces on a bridge of their own, which this machine is on too.

    Processes that are still in them are killed when the block ends.

    Raises:
        MissingEngineError: where namespaces cannot be made, as without root.
    """
    if shutil.which("ip") is None:
        raise MissingEngineError("network namespaces need `ip`, of the package iproute2")
    _clear_abandoned()
    run = f"{_PREFIX}{os.getpid():x}"
    subnet = _free_subnet()
    made = [Host(f"{run}-{n}", f"{subnet}.{n + 2}") for n in range(count)]
    try:
        _ip(f"link add {run} type bridge")
        _ip(f"addr add {subnet}.1/24 dev {run}")
        _ip(f"link set {run} up")
        for number, host in enumerate(made):
            _connect(host, run, f"{run}v{number}")
        yield made
    finally:
        for host in made:
            _clear(host.namespace)
        _try_ip(f"link del {run}")


def _connect(host: Host, bridge: str, cable: str) -> None:
    _ip(f"netns add {host.namespace}")
    _ip(f"link add {cable} type veth peer name eth0 netns {host.namespace}")
    _ip(f"link set {cable} master {bridge} up")
    _ip(f"-n {host.namespace} addr add {host.address}/24 dev eth0")
    _ip(f"-n {host.namespace} link set eth0 up")
    _ip(f"-n {host.namespace} link set lo up")


def _clear(namespace: str) -> None:
    for pid in _try_ip(f"netns pids {namespace}").split():
        with contextlib.suppress(ProcessLookupError):
            os.kill(int(pid), signal.SIGKILL)
    _try_ip(f"netns del {namespace}")


def _clear_abandoned() -> None:
    """What processes that were killed have left."""
    for line in _ip("netns list").splitlines():
        found = re.match(rf"({_PREFIX}([0-9a-f]+))-\d+", line)
        if found and not Path(f"/proc/{int(found[2], 16)}").exists():
            _clear(found[0])
            _try_ip(f"link del {found[1]}")


def _free_subnet() -> str:
    taken = _ip("-o -4 addr show")
    for _ in range(64):
        subnet = f"{_RANGE}.{uuid.uuid4().int % 256}"
        if f" {subnet}." not in taken:
            return subnet
    raise MissingEngineError(f"every subnet of {_RANGE}.0.0/16 that was tried is in use")


def _ip(arguments: str) -> str:
    done = subprocess.run(["ip", *arguments.split()], capture_output=True, text=True)
    if done.returncode:
        raise MissingEngineError(f"ip {arguments}: {done.stderr.strip()}")
    return done.stdout


def _try_ip(arguments: str) -> str:
    """For the end, when part of it may never have been made."""
    with contextlib.suppress(MissingEngineError):
        return _ip(arguments)
    return ""
