"""
A wire that fails in every way a network does: a TCP proxy between clients and their database.

It strikes one connection at a message of its client's (`Wire.strike`), or all of them until it is mended
(`Wire.out`), or it is merely slow (`Wire.latency`).
"""

from __future__ import annotations

import re
import socket
from contextlib import suppress
from enum import StrEnum
from threading import Event, Lock, Thread
from time import sleep
from typing import TYPE_CHECKING, Final, Self

from sqlalchemy import make_url

if TYPE_CHECKING:
    from re import Pattern
    from types import TracebackType

    from tests.backends import Driver

COMMIT: Final = re.compile(rb"COMMIT(?!TED)", re.IGNORECASE)
ROLLBACK: Final = re.compile(rb"ROLLBACK", re.IGNORECASE)
ANY: Final = re.compile(rb"")
PORTS: Final = {"postgresql": 5432, "mysql": 3306, "mariadb": 3306}
PATIENCE: Final = 10


class Fault(StrEnum):
    """What happens to the connection whose message is struck."""

    CUT_BEFORE = "cut_before"
    """The message never arrives, and both ends are closed."""
    CUT_AFTER = "cut_after"
    """The server carries the message out, its answer is lost, and both ends are closed."""
    DEAF = "deaf"
    """From this message on nothing reaches the server; both ends stay open."""
    FORGOTTEN = "forgotten"
    """The same, and the server does not even learn that its client is gone."""
    MUTE = "mute"
    """The message arrives, and from then on nothing comes back; both ends stay open."""
    SILENT = "silent"
    """From this message on nothing gets through in either direction; both ends stay open."""
    TORN_MESSAGE = "torn_message"
    """The server gets the first half of the message, and both ends are closed."""
    TORN_REPLY = "torn_reply"
    """The client gets the first bytes of the answer, less than one packet, and both ends are closed."""


ARRIVES: Final = frozenset({Fault.CUT_AFTER, Fault.MUTE, Fault.TORN_REPLY})
"""The faults under which the server carries out the message that was struck."""

STAYS_OPEN: Final = frozenset({Fault.DEAF, Fault.FORGOTTEN, Fault.MUTE, Fault.SILENT})
"""The faults that no socket tells anybody of."""

_TORN_REPLY_BYTES: Final = 3
"""Fewer than the header of a packet: five bytes on PostgreSQL, four on MySQL."""


class Wire:
    """
    Stands between clients and a server.

    ``latency`` is in seconds and holds for each direction. While ``out`` is true nothing gets through, on no
    connection, new ones included; one that has lost something meanwhile stays silent afterwards.
    """

    def __init__(self, url: str) -> None:
        parsed = make_url(url)
        port = parsed.port or PORTS[parsed.get_backend_name()]
        self._server = (parsed.host or "127.0.0.1", port)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._lines: list[_Line] = []
        self._armed: tuple[Fault, Pattern[bytes]] | None = None
        self._gate = Lock()
        self.latency = 0.0
        self.out = False
        self.was_struck = Event()
        here = parsed.set(host="127.0.0.1", port=self._listener.getsockname()[1])
        self.url = here.render_as_string(hide_password=False)
        self._accepting = Thread(target=self._accept, daemon=True)
        self._accepting.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._accepting.join(PATIENCE)
        self.hang_up()

    def strike(self, fault: Fault, at: Pattern[bytes] = COMMIT) -> None:
        """Let *fault* befall the next message that contains *at*, and only that one."""
        self.was_struck.clear()
        self._armed = (fault, at)

    def hang_up(self) -> None:
        """Close every connection."""
        for line in self._lines:
            line.close()

    def alive(self) -> int:
        """How many connections are open at both ends."""
        return sum(not line.closed for line in self._lines)

    def struck(self, message: bytes) -> Fault | None:
        """What befalls *message*; asked by the lines."""
        with self._gate:
            if self._armed is None or not self._armed[1].search(message):
                return None
            fault, self._armed = self._armed[0], None
        self.was_struck.set()
        return fault

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            self._lines.append(_Line(self, client, socket.create_connection(self._server)))


class _Line:
    """One client's connection."""

    def __init__(self, wire: Wire, client: socket.socket, server: socket.socket) -> None:
        self._wire, self._client, self._server = wire, client, server
        self._fault: Fault | None = None
        self._lost = False
        self._answered = Event()
        self.closed = False
        for end in (client, server):
            end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        Thread(target=self._speak, daemon=True).start()
        Thread(target=self._listen, daemon=True).start()

    def close(self) -> None:
        self.closed = True
        for end in (self._client, self._server):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            end.close()

    def _speak(self) -> None:
        with suppress(OSError):
            while data := self._client.recv(65_536):
                sleep(self._wire.latency)
                if self._swallowed():
                    continue
                if self._fault is None:
                    self._fault = self._wire.struck(data)
                if not self._forwarded(data):
                    break
        if self._fault is Fault.FORGOTTEN:
            self._client.close()
        else:
            self.close()

    def _forwarded(self, data: bytes) -> bool:
        """Pass on what the fault lets through; whether the line goes on."""
        match self._fault:
            case Fault.CUT_BEFORE:
                return False
            case Fault.TORN_MESSAGE:
                self._server.sendall(data[: len(data) // 2])
                return False
            case Fault.DEAF | Fault.FORGOTTEN | Fault.SILENT:
                return True
            case Fault.CUT_AFTER | Fault.TORN_REPLY:
                self._server.sendall(data)
                self._answered.wait(PATIENCE)
                return False
            case Fault.MUTE | None:
                self._server.sendall(data)
                return True

    def _listen(self) -> None:
        with suppress(OSError):
            while data := self._server.recv(65_536):
                sleep(self._wire.latency)
                if self._swallowed():
                    continue
                match self._fault:
                    case Fault.TORN_REPLY:
                        self._client.sendall(data[:_TORN_REPLY_BYTES])
                        break
                    case Fault.CUT_AFTER:
                        break
                    case Fault.MUTE | Fault.SILENT:
                        pass
                    case _:
                        self._client.sendall(data)
        self._answered.set()
        self.close()

    def _swallowed(self) -> bool:
        """Whether a message is lost because the wire is out, or because one was before it."""
        self._lost = self._lost or self._wire.out
        return self._lost


def without_encryption(url: str, driver: Driver) -> str:
    """The proxy has to be able to read what it strikes."""
    options = {"psycopg": {"sslmode": "disable"}, "asyncpg": {"ssl": "disable"}}
    named = make_url(url).update_query_dict(options.get(driver.scheme.partition("+")[2], {}))
    return named.render_as_string(hide_password=False)
