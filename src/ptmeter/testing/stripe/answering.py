"""Requests carried out: the verb is found, done under the lock, and answered once for each idempotency key."""

from __future__ import annotations

import logging
import re
from time import sleep
from typing import TYPE_CHECKING, Any, Final, NamedTuple, cast
from urllib.parse import unquote

from .idempotency import Answer, Answers
from .listing import expand
from .nouns import Call
from .passage import settle_at_once
from .refusals import RefusedError
from .values import part

if TYPE_CHECKING:
    from collections.abc import Iterable

    from .faults import Faults
    from .nouns import Route
    from .values import Obj
    from .world import World

logger = logging.getLogger("ptmeter.testing.stripe")
NAME: Final = re.compile(r"\\\{(\w+)\\\}")

UNSAVED: Final = frozenset({"parameter_missing", "parameter_invalid_integer"})
"""Codes of refusals that come before anything is executed: no key keeps them."""


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
            return refusal(refused), False
        if kept:
            return kept, True
        with self._answers.in_flight(request.key):
            answer = self._carried_out(request, latency)
            if part(answer.body, "error").get("code") not in UNSAVED:
                self._answers.keep(request.key, answer)
        return answer, False

    def keep(self, request: Request, answer: Answer) -> None:
        """Keep *answer* for who repeats the key of a request that failed while it was carried out."""
        if request.key is None or request.method != "POST":
            return
        if self._answers.replayed(request.key, request.path, request.params, at=self.world.now()) is None:
            self._answers.keep(request.key, answer)

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
                return refusal(refused)
            except Exception as bug:
                logger.exception("the fake could not carry out %s %s", request.method, request.path)
                return _broken(bug)
            finally:
                settle_at_once(world)

    def _verb(self, method: str, path: str, params: Obj) -> Obj:
        for wanted, pattern, verb in self._routes:
            if wanted == method and (found := pattern.fullmatch(path)):
                ids = {name: unquote(part) for name, part in found.groupdict().items()}
                return verb(self.world, Call(path, params, ids))
        raise RefusedError(f"Unrecognized request URL ({method}: {path}).", status=404)


def _broken(bug: Exception) -> Answer:
    """Return the answer to what the fake itself cannot do: an error that says so, never a made-up success."""
    message = f"The fake could not do that: {type(bug).__name__}: {bug}"
    return Answer(500, {"error": {"type": "api_error", "message": message}})


def refusal(refused: RefusedError) -> Answer:
    """Return the answer that tells of a refusal."""
    return Answer(refused.status, {"error": refused.error})
