"""The kinds of objects as a table, and what they have in common: create, retrieve, update, list, delete."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from .listing import page
from .refusals import missing
from .values import copied, merge

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from .values import Obj
    from .world import World

    Verb = Callable[["World", "Call"], Obj]


@dataclass(frozen=True, slots=True)
class Call:
    """One request: its parameters, and the ids in its path by name."""

    path: str
    params: Obj
    ids: Mapping[str, str] = field(default_factory=dict[str, str])

    @property
    def id(self) -> str:
        """The id of the object whose path this is."""
        return self.ids["id"]


@dataclass(frozen=True, slots=True)
class Route:
    """A method and a path with names in braces, and the verb that answers."""

    method: str
    path: str
    verb: Verb


@dataclass(frozen=True, slots=True, kw_only=True)
class Noun:
    """A kind of objects, as the API has it."""

    kind: str
    """What stands in ``object``."""
    prefix: str
    path: str
    blank: Mapping[str, Any]
    """Every field beside ``id``, ``object``, ``created`` and ``livemode``, with what it holds if nothing is said."""
    takes: tuple[str, ...] = ()
    """Parameters that are copied when one is created."""
    changes: tuple[str, ...] = ()
    """Those that are copied when it is updated."""
    needs: tuple[str, ...] = ()
    filters: tuple[str, ...] = ()
    """Parameters of its list that a field of the same name has to equal."""
    lacks: tuple[str, ...] = ()
    """Which of ``created`` and ``livemode`` it has not."""
    event: str = ""
    """What its events are called, if not by its kind."""

    @property
    def name(self) -> str:
        """The stem of its events: ``customer`` of ``customer.created``."""
        return self.event or self.kind


def make(world: World, noun: Noun, params: Obj | None = None, **fixed: Any) -> Obj:
    """
    Keep a new object: blank, then *params*, then what is *fixed*.

    Raises:
        RefusedError: A needed parameter is missing.
    """
    given = params or {}
    for name in noun.needs:
        if given.get(name) is None:
            raise missing(name)
    obj: Obj = {
        "id": "",
        "object": noun.kind,
        "created": world.now(),
        "livemode": False,
        **copied(noun.blank),
    }
    for name in noun.lacks:
        del obj[name]
    merge(obj, given, noun.takes)
    obj |= fixed
    obj["id"] = fixed.get("id") or world.identity(noun.prefix)
    return world.add(obj)


def remove(world: World, noun: Noun, obj: Obj) -> Obj:
    """Mark *obj* as deleted and say so: it is still found by its id, and shown as deleted."""
    world.emit(f"{noun.name}.deleted", obj)
    obj["_deleted"] = True
    return obj


def creating(noun: Noun) -> Verb:
    """Return the verb that creates one and emits ``.created``."""

    def create(world: World, call: Call) -> Obj:
        obj = make(world, noun, call.params)
        world.emit(f"{noun.name}.created", obj)
        return obj

    return create


def retrieving(noun: Noun) -> Verb:
    """Return the verb that shows one, if it was deleted, as that."""
    return lambda world, call: world.get(noun.kind, call.id, deleted=True)


def updating(noun: Noun) -> Verb:
    """Return the verb that updates one and emits ``.updated`` if that changed it."""

    def update(world: World, call: Call) -> Obj:
        obj = world.get(noun.kind, call.id)
        with world.changing(obj, f"{noun.name}.updated"):
            merge(obj, call.params, noun.changes)
        return obj

    return update


def deleting(noun: Noun) -> Verb:
    """Return the verb that deletes one and emits ``.deleted``."""
    return lambda world, call: remove(world, noun, world.get(noun.kind, call.id))


def listing(noun: Noun) -> Verb:
    """Return the verb that lists them, newest first."""

    def list_all(world: World, call: Call) -> Obj:
        where = {name: call.params[name] for name in noun.filters if call.params.get(name) is not None}
        return page(world.every(noun.kind, **where), call.params, call.path)

    return list_all


def resource(noun: Noun, **verbs: Verb | None) -> tuple[Route, ...]:
    """
    Return the routes of a noun: create, list, retrieve and update, as here or as *verbs* have it.

    ``delete=`` adds that; None leaves a verb out. Any other name is a path below the object: ``confirm=``.
    """
    one = f"{noun.path}/{{id}}"
    usual: dict[str, Verb | None] = {
        "create": creating(noun),
        "all": listing(noun),
        "retrieve": retrieving(noun),
        "update": updating(noun),
    }
    places = {
        "create": ("POST", noun.path),
        "all": ("GET", noun.path),
        "retrieve": ("GET", one),
        "update": ("POST", one),
        "delete": ("DELETE", one),
    }
    return tuple(
        Route(*places.get(name, ("POST", f"{one}/{name}")), verb)
        for name, verb in (usual | verbs).items()
        if verb is not None
    )
