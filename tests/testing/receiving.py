"""A receiver of webhooks that answers as it is told, and keeps what it was sent."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Condition, Thread
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Generator


@dataclass
class Receiver:
    """Answers with ``answers`` in turn, then with 200."""

    answers: list[int] = field(default_factory=list)
    received: list[tuple[bytes, str]] = field(default_factory=list)
    url: str = ""
    came: Condition = field(default_factory=Condition)

    def wait_for(self, count: int) -> list[tuple[bytes, str]]:
        with self.came:
            assert self.came.wait_for(lambda: len(self.received) >= count, timeout=20), self.received
            return list(self.received)


@contextmanager
def receiving(*answers: int) -> Generator[Receiver]:
    """Listen on a port of one's own for as long as the block lasts."""
    receiver = Receiver(list(answers))

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            with receiver.came:
                status = receiver.answers.pop(0) if receiver.answers else 200
                receiver.received.append((body, self.headers["Stripe-Signature"]))
                receiver.came.notify_all()
            self.send_response(status)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        receiver.url = f"http://127.0.0.1:{server.server_address[1]}/hook"
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        thread.start()
        try:
            yield receiver
        finally:
            server.shutdown()
            thread.join()
