"""The HTTP server: reads a request, has it carried out, and answers as Stripe does."""

from __future__ import annotations

import json
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from time import sleep
from typing import TYPE_CHECKING, Any, cast
from urllib.parse import urlsplit

from .answering import Api, Request, refusal
from .faults import DROP
from .forms import read
from .idempotency import Answer
from .pages import respond
from .refusals import RefusedError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from urllib.parse import SplitResult

    from .faults import Fault
    from .values import Obj


class Server(ThreadingHTTPServer):
    """One server on the loopback interface; each connection has a thread."""

    daemon_threads = True
    request_queue_size = 128
    closed = False

    def __init__(self, api: Api, port: int = 0) -> None:
        super().__init__(("127.0.0.1", port), _Handler)
        self.api = api

    def server_close(self) -> None:
        """Answer nobody any more, not even on connections that are kept alive."""
        self.closed = True
        super().server_close()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing of clients that went away."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = (
        -1
    )  # headers and body in one packet: in two, the second waits for the client's acknowledgement
    server: Server  # pyright: ignore[reportIncompatibleVariableOverride] - the only one it is made by

    def do_GET(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0)).decode("utf-8", "replace")
        url = urlsplit(self.path)
        if self.server.closed:
            self.close_connection = True
        elif url.path.startswith("/pay/"):
            self._show(url, body)
        else:
            self._respond(url, body)

    do_POST = do_DELETE = do_GET  # noqa: N815

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class's name
        """Keep the terminal to who runs the tests."""

    def _respond(self, url: SplitResult, body: str) -> None:
        api = self.server.api
        with api.world.lock:
            identity = api.world.identity("req")
        fault = api.faults.of(self.command, url.path)
        try:
            self._authorize()
            request = self._read(url, body, identity)
        except RefusedError as refused:
            self._send(refusal(refused), identity)
            return
        if fault is None or fault.status is None:
            answer, replayed = api.answer(request, latency=fault.latency if fault else 0.0)
            self._send(answer, identity, {"Idempotent-Replayed": "true"} if replayed else {})
            return
        if fault.before:
            sleep(fault.latency)
        else:
            api.answer(request, latency=fault.latency)
        self._fail(fault, request)

    def _authorize(self) -> None:
        given = self.headers.get("Authorization", "")
        if not given:
            raise RefusedError("You did not provide an API key.", status=401)
        if given.startswith("Bearer ") and not given.startswith(
            ("Bearer sk_", "Bearer rk_", "Bearer token_")
        ):
            raise RefusedError(f"Invalid API Key provided: {given[7:11]}***", status=401)

    def _read(self, url: SplitResult, body: str, identity: str) -> Request:
        params = read(url.query)
        if "json" in self.headers.get("Content-Type", ""):
            try:
                params |= cast("Obj", json.loads(body or "{}"))
            except json.JSONDecodeError:
                raise RefusedError("Invalid JSON.") from None
        else:
            params |= read(body)
        return Request(self.command, url.path, params, self.headers.get("Idempotency-Key"), identity)

    def _fail(self, fault: Fault, request: Request) -> None:
        if fault.status == DROP:
            self.close_connection = True
            return
        answer = Answer(fault.status or 500, fault.error())
        if fault.kept:
            self.server.api.keep(request, answer)
        self._send(answer, request.id, fault.headers)

    def _send(self, answer: Answer, request: str, headers: Mapping[str, str] | None = None) -> None:
        version = self.headers.get("Stripe-Version", self.server.api.world.settings.api_version)
        own = {"Content-Type": "application/json", "Request-Id": request, "Stripe-Version": version}
        if key := self.headers.get("Idempotency-Key"):
            own["Idempotency-Key"] = key
        self._write(answer.status, json.dumps(answer.body, indent=2).encode(), {**own, **(headers or {})})

    def _show(self, url: SplitResult, body: str) -> None:
        with self.server.api.world.lock:
            page = respond(self.server.api.world, self.command, url.path.rsplit("/", 1)[-1], read(body))
        headers = {"Location": page.location} if page.location else {}
        self._write(
            page.status, page.html.encode(), {"Content-Type": "text/html; charset=utf-8", **headers}
        )

    def _write(self, status: int, content: bytes, headers: Mapping[str, str]) -> None:
        self.send_response(status)
        for name, value in {"Content-Length": str(len(content)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(content)
