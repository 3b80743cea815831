"""The HTTP server: reads a request, has it carried out, and answers as Stripe does."""

from __future__ import annotations

import json
import re
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from time import sleep
from typing import TYPE_CHECKING, Any, Final, NamedTuple, cast
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


class Request(NamedTuple):
    """What is asked: a method, a path, parameters, and the key and the id it goes by."""

    method: str
    path: str
    params: Obj
    key: str | None
    id: str


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

    def answer(self, request: Request, *, latency: float = 0.0) -> tuple[Answer, bool]:
        """
        Carry a request out, or find what its idempotency key was answered; says whether it was that.

        Args:
            request: What is asked.
            latency: Seconds that carrying it out takes; meanwhile its key is in flight.
        """
        self.requests.append((request.method, request.path, request.params))
        if request.key is None or request.method != "POST":
            return self._carried_out(request, latency), False
        try:
            kept = self._answers.replayed(request.key, request.path, request.params, at=self.world.now())
        except RefusedError as refused:
            return _refusal(refused), False
        if kept:
            return kept, True
        with self._answers.in_flight(request.key):
            answer = self._carried_out(request, latency)
            self._answers.keep(request.key, answer)
        return answer, False

    def _carried_out(self, request: Request, latency: float) -> Answer:
        sleep(latency)
        world = self.world
        params = {name: value for name, value in request.params.items() if name != "expand"}
        asked: Any = request.params.get("expand") or []
        paths = cast("list[str]", asked if isinstance(asked, list) else [asked])
        with world.lock, world.on_behalf_of({"id": request.id, "idempotency_key": request.key}):
            try:
                answer = world.shown(self._verb(request.method, request.path, params))
                return Answer(200, expand(world, answer, paths))
            except RefusedError as refused:
                return _refusal(refused)
            finally:
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
        if fault and fault.before and fault.status is not None:
            sleep(fault.latency)
            self._fail(fault, request)
            return
        answer, replayed = self._answer(url.path, url.query, body, request, fault.latency if fault else 0.0)
        if fault and fault.status is not None:
            self._fail(fault, request)
            return
        self._send(answer.status, answer.body, request, {"Idempotent-Replayed": "true"} if replayed else {})

    def _answer(
        self, path: str, query: str, body: str, request: str, latency: float
    ) -> tuple[Answer, bool]:
        if not self.headers.get("Authorization"):
            return _refusal(RefusedError("You did not provide an API key.", status=401)), False
        try:
            params = read(query)
            if "json" in self.headers.get("Content-Type", ""):
                params |= cast("Obj", json.loads(body or "{}"))
            else:
                params |= read(body)
        except RefusedError as refused:
            return _refusal(refused), False
        except json.JSONDecodeError:
            return _refusal(RefusedError("Invalid JSON.")), False
        key = self.headers.get("Idempotency-Key")
        return self.server.api.answer(Request(self.command, path, params, key, request), latency=latency)

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
