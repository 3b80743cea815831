"""A wire that can be cut: a TCP proxy that drops a connection at the moment its client commits."""

from __future__ import annotations

import re
import socket
from contextlib import suppress
from threading import Event, Thread
from typing import TYPE_CHECKING, Final, Self

from sqlalchemy import make_url

if TYPE_CHECKING:
    from types import TracebackType

COMMIT: Final = re.compile(rb"COMMIT(?!TED)", re.IGNORECASE)
PORTS: Final = {"postgresql": 5432, "mysql": 3306, "mariadb": 3306}
PATIENCE: Final = 10


class Wire:
    """
    Stands between clients and a server; ``cut`` says where the next COMMIT ends.

    ``"before"``: it never reaches the server. ``"after"``: the server carries it out, and its answer is lost.
    """

    def __init__(self, url: str) -> None:
        parsed = make_url(url)
        port = parsed.port or PORTS[parsed.get_backend_name()]
        self._server = (parsed.host or "127.0.0.1", port)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._lines: list[_Line] = []
        self.cut: str | None = None
        self.was_cut = Event()
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
        for line in self._lines:
            line.close()

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
        self._muted = False
        self._answered = Event()
        for end in (client, server):
            end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        Thread(target=self._speak, daemon=True).start()
        Thread(target=self._listen, daemon=True).start()

    def close(self) -> None:
        for end in (self._client, self._server):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            end.close()

    def _speak(self) -> None:
        with suppress(OSError):
            while data := self._client.recv(65_536):
                if self._wire.cut and COMMIT.search(data):
                    how, self._wire.cut = self._wire.cut, None
                    if how == "after":
                        self._muted = True
                        self._server.sendall(data)
                        self._answered.wait(PATIENCE)
                    self._wire.was_cut.set()
                    break
                self._server.sendall(data)
        self.close()

    def _listen(self) -> None:
        with suppress(OSError):
            while data := self._server.recv(65_536):
                if self._muted:
                    self._answered.set()
                else:
                    self._client.sendall(data)
        self.close()
