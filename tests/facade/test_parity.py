"""`AsyncMeter` takes the same arguments everywhere as `Meter`, and so does all that it hands out."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any

import pytest

from ptmeter import AsyncCall, AsyncMeter, Call, Meter
from ptmeter._async.alerts import AsyncAlerts
from ptmeter._async.checkpoints import AsyncCheckpoints
from ptmeter._async.funds import AsyncFunds
from ptmeter._async.margins import AsyncMargins
from ptmeter._async.mitigations import AsyncMitigations
from ptmeter._async.outbox import AsyncOutbox
from ptmeter._async.periods import AsyncPeriods
from ptmeter._async.prices import AsyncPrices
from ptmeter._async.quarantine import AsyncQuarantine
from ptmeter._async.referrals import AsyncReferrals
from ptmeter._async.subscriptions import AsyncSubscriptions
from ptmeter._async.top_ups import AsyncTopUps
from ptmeter._sync.alerts import Alerts
from ptmeter._sync.checkpoints import Checkpoints
from ptmeter._sync.funds import Funds
from ptmeter._sync.margins import Margins
from ptmeter._sync.mitigations import Mitigations
from ptmeter._sync.outbox import Outbox
from ptmeter._sync.periods import Periods
from ptmeter._sync.prices import Prices
from ptmeter._sync.quarantine import Quarantine
from ptmeter._sync.referrals import Referrals
from ptmeter._sync.subscriptions import Subscriptions
from ptmeter._sync.top_ups import TopUps

if TYPE_CHECKING:
    from collections.abc import Callable

TWINS = [
    (AsyncMeter, Meter),
    (AsyncCall, Call),
    (AsyncFunds, Funds),
    (AsyncSubscriptions, Subscriptions),
    (AsyncPeriods, Periods),
    (AsyncMargins, Margins),
    (AsyncMitigations, Mitigations),
    (AsyncCheckpoints, Checkpoints),
    (AsyncPrices, Prices),
    (AsyncOutbox, Outbox),
    (AsyncAlerts, Alerts),
    (AsyncTopUps, TopUps),
    (AsyncQuarantine, Quarantine),
    (AsyncReferrals, Referrals),
]
PROTOCOL = ("__init__", "__aenter__", "__aexit__", "__enter__", "__exit__")
OTHER_NAMES = {"aclose": "close", "__aenter__": "__enter__", "__aexit__": "__exit__"}


def functions(of: type) -> dict[str, Callable[..., Any]]:
    """Its public methods, and how it is made and entered."""
    return {
        name: getattr(of, name)
        for name, value in vars(of).items()
        if (name in PROTOCOL or not name.startswith("_")) and callable(getattr(of, name))
    }


def plain(annotation: object) -> str:
    """A type as the synchronous colour writes it."""
    return str(annotation).replace("Async", "")


def shape(function: Callable[..., Any]) -> list[tuple[object, ...]]:
    """Parameters with their kinds, defaults and types, then what is returned."""
    signature = inspect.signature(function)
    parameters = signature.parameters.values()
    return [
        *((p.name, p.kind, p.default, plain(p.annotation)) for p in parameters),
        ("return", plain(signature.return_annotation)),
    ]


@pytest.mark.parametrize(("asynchronous", "synchronous"), TWINS, ids=lambda twin: twin.__name__)
def test_twins_have_the_same_names(asynchronous: type, synchronous: type) -> None:
    """Every public method of one is there on the other, under its own way of closing and entering."""
    renamed = {OTHER_NAMES.get(name, name) for name in functions(asynchronous)}

    assert renamed == set(functions(synchronous))


@pytest.mark.parametrize(("asynchronous", "synchronous"), TWINS, ids=lambda twin: twin.__name__)
def test_twins_take_the_same_arguments(asynchronous: type, synchronous: type) -> None:
    """Parameters, their order, kinds, defaults and types are the same, and so is what comes back."""
    theirs = functions(synchronous)

    assert {
        OTHER_NAMES.get(name, name): shape(method) for name, method in functions(asynchronous).items()
    } == {name: shape(method) for name, method in theirs.items()}


@pytest.mark.parametrize(("asynchronous", "synchronous"), TWINS, ids=lambda twin: twin.__name__)
def test_only_one_twin_is_to_be_awaited(asynchronous: type, synchronous: type) -> None:
    """What moves or reads PT is a coroutine on one side and none on the other."""
    assert [] == [
        name for name, method in functions(synchronous).items() if inspect.iscoroutinefunction(method)
    ]
    assert [] == [
        name
        for name, method in functions(asynchronous).items()
        if name in {"hold", "settle", "void", "record", "balance", "grant", "subscribe", "may", "aclose"}
        and asynchronous is not AsyncCall
        and not inspect.iscoroutinefunction(method)
    ]
