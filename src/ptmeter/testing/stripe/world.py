"""All objects of one fake account, the time they go by, and the events their changes leave."""

from __future__ import annotations

from collections import Counter
from contextlib import contextmanager
from datetime import UTC, datetime
from threading import RLock
from typing import TYPE_CHECKING, Any

from .refusals import unknown
from .values import previous, shown

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Mapping

    from .settings import Settings
    from .values import Obj

    View = Callable[["World", Obj], Obj | None]


class World:
    """
    The objects, by kind and id; one lock guards them all.

    Args:
        settings: How the account is set up.
        clock: The time of what is on no test clock.
        views: By kind of object: what it shows beside what is stored, computed whenever it is shown.
        expansions: By kind and field: what ``expand[]`` puts into a field that no id stands in.
    """

    def __init__(
        self,
        settings: Settings,
        clock: Callable[[], datetime],
        *,
        views: Mapping[str, View],
        expansions: Mapping[tuple[str, str], View],
        seed: int = 0,
    ) -> None:
        self.settings = settings
        self.lock = RLock()
        self.request: Obj = {"id": None, "idempotency_key": None}
        self.announce: Callable[[Obj], None] = lambda _event: None
        self.expansions = expansions
        self.issued = Counter[str]()
        self.pages = "https://checkout.stripe.com"
        self.watched: list[Obj] = []
        self._clock = clock
        self._at: int | None = None
        self._views = views
        self._seed = seed
        self._kinds: dict[str, dict[str, Obj]] = {}

    def now(self, test_clock: str | None = None) -> int:
        """Return the time in whole seconds: a test clock's if one is named, a past one inside `at`."""
        if self._at is not None:
            return self._at
        if test_clock is not None:
            return int(self.get("test_helpers.test_clock", test_clock)["frozen_time"])
        return int(self._clock().timestamp())

    def moment(self) -> datetime:
        """Return the time in full."""
        return self._clock().astimezone(UTC)

    def identity(self, prefix: str) -> str:
        """Return a new id; the same run of requests is given the same ids."""
        self.issued[prefix] += 1
        return f"{prefix}_{self._seed:04d}{self.issued[prefix]:012d}"

    @contextmanager
    def supposing(self) -> Generator[None]:
        """Let the ids that a block takes be taken again: it says what would be, and keeps nothing."""
        issued = dict(self.issued)
        try:
            yield
        finally:
            self.issued.clear()
            self.issued.update(issued)

    def add(self, obj: Obj) -> Obj:
        """Keep *obj* under its kind and id."""
        self._kinds.setdefault(obj["object"], {})[obj["id"]] = obj
        return obj

    def drop(self, obj: Obj) -> None:
        """Forget *obj*."""
        self._kinds[obj["object"]].pop(obj["id"], None)

    def every(self, kind: str, **where: Any) -> list[Obj]:
        """Return the objects of *kind*, oldest first, whose fields are as stated."""
        return [
            obj
            for obj in self._kinds.get(kind, {}).values()
            if not obj.get("_deleted") and all(obj.get(name) == value for name, value in where.items())
        ]

    def get(self, kind: str, identity: str, param: str = "id", *, deleted: bool = False) -> Obj:
        """
        Return the object of *kind* with this id.

        Raises:
            RefusedError: There is none: 404, or 400 if *param* is another than the id in the path.
        """
        obj = self._kinds.get(kind, {}).get(identity)
        if obj is None or (obj.get("_deleted") and not deleted):
            noun = kind.rsplit(".", 1)[-1].replace("_", "")
            raise unknown(noun, identity, param, status=404 if param == "id" else 400)
        return obj

    def find(self, identity: str) -> Obj | None:
        """Return the object with this id, of whatever kind."""
        return next((kind[identity] for kind in self._kinds.values() if identity in kind), None)

    def shown(self, obj: Obj) -> Obj:
        """Return what a client sees of *obj*, as a copy."""
        if obj.get("_deleted"):
            return {"id": obj["id"], "object": obj["object"], "deleted": True}
        view = self._views.get(obj.get("object", ""))
        return shown(obj | (view(self, obj) or {}) if view else obj)

    def emit(self, kind: str, obj: Obj, before: Obj | None = None) -> Obj:
        """Note that something happened to *obj*, and have it announced to those who listen."""
        data: Obj = {"object": self.shown(obj | {"_deleted": False})}
        if before:
            data["previous_attributes"] = before
        event: Obj = {
            "id": self.identity("evt"),
            "object": "event",
            "api_version": self.settings.api_version,
            "created": int(self._clock().timestamp()),
            "data": data,
            "livemode": False,
            "pending_webhooks": 0,
            "request": dict(self.request),
            "type": kind,
        }
        self.announce(self.add(event))
        return event

    @contextmanager
    def changing(self, obj: Obj, event: str) -> Generator[Obj]:
        """Emit *event* with the ``previous_attributes`` afterwards, if anything that shows was changed."""
        before = self.shown(obj)
        yield obj
        if old := previous(before, self.shown(obj)):
            self.emit(event, obj, old)

    @contextmanager
    def at(self, moment: int) -> Generator[None]:
        """Let a block happen at a time that is over by now; its events are of now all the same."""
        self._at, outer = moment, self._at
        try:
            yield
        finally:
            self._at = outer

    @contextmanager
    def on_behalf_of(self, request: Obj) -> Generator[None]:
        """Stamp *request* on the events of a block."""
        self.request, outer = request, self.request
        try:
            yield
        finally:
            self.request = outer
