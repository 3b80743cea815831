"""The HTTP server: reads a request, has it carried out, and answers as Stripe does."""

from __future__ import annotations

import json
import re
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any, Final, cast
from urllib.parse import unquote, urlsplit

from .faults import DROP
from .forms import read
from .idempotency import Answer, Answers
from .listing import expand
from .nouns import Call, Route
from .passage import settle_at_once
from .refusals import RefusedError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from .faults import Fault, Faults
    from .values import Obj
    from .world import World

NAME: Final = re.compile(r"\\\{(\w+)\\\}")


class Api:
    """The routes of a world, its faults and its idempotency keys: a request in, an answer out."""

    def __init__(self, world: World, routes: Iterable[Route], faults: Faults) -> None:
        self.world = world
        self.faults = faults
        self.requests: list[tuple[str, str, Obj]] = []
        self._answers = Answers()
        self._routes = [
            (route.method, re.compile(NAME.sub(r"(?P<\1>[^/]+)", re.escape(route.path))), route.verb)
            for route in routes
        ]

    def answer(
        self, method: str, path: str, params: Obj, key: str | None, request: str
    ) -> tuple[Answer, bool]:
        """Carry a request out, or find what its idempotency key was answered; says whether it was that."""
        self.requests.append((method, path, params))
        if key is None or method != "POST":
            return self._carried_out(method, path, params, key, request), False
        try:
            if kept := self._answers.replayed(key, path, params, at=self.world.now()):
                return kept, True
        except RefusedError as refused:
            return _refusal(refused), False
        with self._answers.in_flight(key):
            answer = self._carried_out(method, path, params, key, request)
            self._answers.keep(key, answer)
        return answer, False

    def _carried_out(self, method: str, path: str, params: Obj, key: str | None, request: str) -> Answer:
        world = self.world
        stamp = {"id": request, "idempotency_key": key}
        paths = params.pop("expand", [])
        with world.lock, world.on_behalf_of(stamp):
            try:
                answer = world.shown(self._verb(method, path, params))
                return Answer(200, expand(world, answer, paths if isinstance(paths, list) else [paths]))
            except RefusedError as refused:
                return _refusal(refused)
            finally:
                params |= {"expand": paths} if paths else {}
                settle_at_once(world)

    def _verb(self, method: str, path: str, params: Obj) -> Obj:
        for wanted, pattern, verb in self._routes:
            if wanted == method and (found := pattern.fullmatch(path)):
                ids = {name: unquote(part) for name, part in found.groupdict().items()}
                return verb(self.world, Call(path, params, ids))
        raise RefusedError(f"Unrecognized request URL ({method}: {path}).", status=404)


def _refusal(refused: RefusedError) -> Answer:
    return Answer(refused.status, {"error": refused.error})


class Server(ThreadingHTTPServer):
    """One server on the loopback interface; each connection has a thread."""

    daemon_threads = True
    request_queue_size = 128

    def __init__(self, api: Api, port: int = 0) -> None:
        super().__init__(("127.0.0.1", port), _Handler)
        self.api = api

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing of clients that went away."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Server  # pyright: ignore[reportIncompatibleVariableOverride] - the only one it is made by

    def do_GET(self) -> None:
        self._respond()

    do_POST = do_DELETE = do_GET  # noqa: N815

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class's name
        """Keep the terminal to who runs the tests."""

    def _respond(self) -> None:
        api, url = self.server.api, urlsplit(self.path)
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0)).decode("utf-8", "replace")
        with api.world.lock:
            request = api.world.identity("req")

        fault = api.faults.of(self.command, url.path)
        if fault and fault.latency:
            time.sleep(fault.latency)
        if fault and fault.before and fault.status is not None:
            self._fail(fault, request)
            return
        answer, replayed = self._answer(url.path, url.query, body, request)
        if fault and fault.status is not None:
            self._fail(fault, request)
            return
        self._send(answer.status, answer.body, request, {"Idempotent-Replayed": "true"} if replayed else {})

    def _answer(self, path: str, query: str, body: str, request: str) -> tuple[Answer, bool]:
        if not self.headers.get("Authorization"):
            refused = RefusedError("You did not provide an API key.", status=401)
            return _refusal(refused), False
        try:
            params = read(query)
            if "json" in self.headers.get("Content-Type", ""):
                params |= cast("Obj", json.loads(body or "{}"))
            else:
                params |= read(body)
        except (RefusedError, json.JSONDecodeError) as refused:
            unread = refused if isinstance(refused, RefusedError) else RefusedError("Invalid JSON.")
            return _refusal(unread), False
        return self.server.api.answer(
            self.command, path, params, self.headers.get("Idempotency-Key"), request
        )

    def _fail(self, fault: Fault, request: str) -> None:
        if fault.status == DROP:
            self.close_connection = True
            return
        self._send(fault.status or 500, fault.error(), request, fault.headers)

    def _send(self, status: int, body: Mapping[str, Any], request: str, headers: Mapping[str, str]) -> None:
        content = json.dumps(body, indent=2).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.send_header("Request-Id", request)
        version = self.headers.get("Stripe-Version", self.server.api.world.settings.api_version)
        self.send_header("Stripe-Version", version)
        if key := self.headers.get("Idempotency-Key"):
            self.send_header("Idempotency-Key", key)
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(content)
