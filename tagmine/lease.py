"""One writer at a time on an object store: a lease object that ends by itself."""

from __future__ import annotations

import contextlib
import json
import logging
import threading
import uuid
from collections.abc import Iterator

from tagmine.errors import ConfigurationError
from tagmine.stores import Store, StoreError

LEASE = ".tagmine-lease.json"
LEASE_SECONDS = 60.0
"""A lease that was not renewed for so long, by the store's clock, is a dead writer's."""
_RENEWALS = 4
_PROBE = ".tagmine-clock"
_LOG = logging.getLogger(__name__)


class Lease:
    """Held by one job; make one with `hold_lease`."""

    def __init__(self, store: Store, holder: str) -> None:
        self._store = store
        self._token = uuid.uuid4().hex
        self._record = json.dumps({"holder": holder, "token": self._token}).encode()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._renew, daemon=True, name="tagmine-lease")

    def check(self) -> None:
        """Stop before something is published that another job may be publishing, too.

        Raises:
            StoreError: when the lease was lost.
        """
        if self._owner() != self._token:
            raise StoreError(
                f"{self._store}: another tagmine job has taken over, since this one did not renew "
                "its lease in time. Nothing was published; run the same command again."
            )

    def _owner(self) -> str | None:
        return _read(self._store).get("token")

    def _renew(self) -> None:
        while not self._ended.wait(LEASE_SECONDS / _RENEWALS):
            try:
                if self._owner() != self._token:
                    return
                self._store.write(LEASE, self._record)
            except StoreError as error:
                # Whoever publishes looks again, and stops where it is lost.
                _LOG.warning("the lease was not renewed: %s", error)

    def take(self, holder: str) -> None:
        """Make the lease object, in the place of a dead one if need be."""
        if not self._store.create(LEASE, self._record) and self._owner() != self._token:
            self._take_over(holder)
        self._thread.start()

    def _take_over(self, holder: str) -> None:
        before = _read(self._store)
        # The holder's folder is locked by this process, so whoever wrote the lease is dead.
        if before.get("holder") != holder:
            age = _age(self._store)
            if age < LEASE_SECONDS:
                raise ConfigurationError(
                    f"{self._store}: another tagmine job, on another machine or with another "
                    f"cache, is writing to this datastore; it was last seen {age:.0f} s ago. Wait "
                    f"for it to end. If it was killed, run the command again after "
                    f"{LEASE_SECONDS:.0f} s."
                )
        self._store.delete(LEASE)
        if not self._store.create(LEASE, self._record) and self._owner() != self._token:
            raise ConfigurationError(
                f"{self._store}: another tagmine job began at the same moment. Wait for it to end."
            )

    def release(self) -> None:
        """End the renewals and delete the lease, if it is still held."""
        self._ended.set()
        self._thread.join()
        with contextlib.suppress(StoreError):
            if self._owner() == self._token:
                self._store.delete(LEASE)


def _read(store: Store) -> dict:
    if store.look_up(LEASE) is None:
        return {}
    try:
        record = json.loads(store.read(LEASE, most=4096))
    except (StoreError, ValueError):
        return {}
    return record if isinstance(record, dict) else {}


def _age(store: Store) -> float:
    """Seconds since the lease was renewed, by the store's clock and not by this machine's."""
    probe = f"{_PROBE}-{uuid.uuid4().hex}"
    store.write(probe, b"")
    try:
        now, then = store.look_up(probe), store.look_up(LEASE)
    finally:
        store.delete(probe)
    if then is None:
        return LEASE_SECONDS
    if now is None or now.modified is None or then.modified is None:
        return 0.0
    return now.modified - then.modified


@contextlib.contextmanager
def hold_lease(store: Store, holder: str) -> Iterator[Lease]:
    """Hold a store for one writer.

    Two machines that find the same dead lease may both take it over for a moment; the one whose
    lease was replaced stops before it publishes a manifest (`Lease.check`).

    Args:
        store: the folder of objects.
        holder: name of the folder on this machine that the caller has locked.

    Raises:
        ConfigurationError: when another job holds it.
    """
    lease = Lease(store, holder)
    lease.take(holder)
    try:
        yield lease
    finally:
        lease.release()
