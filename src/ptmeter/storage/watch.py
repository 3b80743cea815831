"""
Nobody waits for ever: connections whose transaction takes longer than anybody's patience are cut.

A server that has gone without a word (a dead network, a frozen machine) leaves a blocking driver waiting
for an answer that never comes. Cut from here, the wait ends with the error of a lost connection.
"""

from __future__ import annotations

from contextlib import contextmanager, suppress
from threading import Lock, Thread
from time import monotonic, sleep
from typing import TYPE_CHECKING, Any

from .dialects import cut

if TYPE_CHECKING:
    from collections.abc import Generator

    from sqlalchemy import Connection


class Watch:
    """Looks now and then at what is under way; its thread ends when nothing is."""

    def __init__(self, patience: float) -> None:
        """*patience* is in seconds."""
        self._patience = patience
        self._under_way: dict[int, tuple[float, Any]] = {}
        self._gate = Lock()
        self._thread: Thread | None = None

    @contextmanager
    def over(self, connection: Connection, until: float) -> Generator[None]:
        """Watch over what is done on *connection*, which is cut if it is not done *until* then (monotonic)."""
        watched = (until, connection.connection.driver_connection)
        with self._gate:
            self._under_way[id(watched)] = watched
            if self._thread is None:
                self._thread = Thread(target=self._serve, name="ptmeter-watch", daemon=True)
                self._thread.start()
        try:
            yield
        finally:
            del self._under_way[id(watched)]

    def _serve(self) -> None:
        pause = min(1.0, self._patience / 4)
        idle_since = monotonic()
        while True:
            sleep(pause)
            now = monotonic()
            for until, driver_connection in list(self._under_way.values()):
                idle_since = now
                if until < now:
                    with suppress(Exception):  # whatever its driver says: it came to its end at this moment
                        cut(driver_connection)
            with self._gate:
                if not self._under_way and now - idle_since > self._patience:
                    self._thread = None
                    return
