"""Commands for messages."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest

from ptmeter import Backoff, Message, Meter

if TYPE_CHECKING:
    from pathlib import Path

    from .conftest import Run

pytestmark = pytest.mark.sqlite


def refuse(message: Message) -> None:
    msg = "no route"
    raise OSError(msg)


@pytest.fixture
def dead(meter: Meter) -> str:
    """The id of a dead message of acme's; another is due, and a third was delivered."""
    for days, backoff in ((1, Backoff(attempts=1)), (2, None), (3, None)):
        ends = datetime.now(UTC) + timedelta(hours=days)
        meter.funds.grant(f"a{days}", core=1, source="trial", key="g", expires_at=ends)
        meter.alerts.scan()
        if days < 3:
            meter.outbox.deliver(refuse if backoff else lambda _: None, backoff=backoff)
    (message,) = meter.outbox.list(account="a1")
    return message.id


def test_messages_are_listed_by_what_has_become_of_them(run: Run, dead: str) -> None:
    """All, those of a state, of an account, of a topic; with what is wrong with the dead."""
    every = run("outbox", "list", "--json").json["messages"]
    (buried,) = run("outbox", "list", "--state", "dead", "--json").json["messages"]

    assert {"a1": "dead", "a2": "delivered", "a3": "pending"} == {m["account"]: m["state"] for m in every}
    assert (dead, "a1", "alert.expiring", 1) == tuple(
        buried[name] for name in ("id", "account", "topic", "attempts")
    )
    assert "OSError: no route" == buried["problem"]
    assert [] == run("outbox", "list", "--topic", "invoice.", "--json").json["messages"]
    assert 1 == len(run("outbox", "list", "--account", "a2", "--json").json["messages"])
    assert "no route" in run("outbox", "list").out


def test_a_dead_message_is_delivered_again(run: Run, dead: str, meter: Meter) -> None:
    """Retried it is due, and the next to deliver has it; one that is not there is an error."""
    assert "due" in run("outbox", "retry", "a1", dead).out
    assert "pending" == run("outbox", "retry", "a1", dead, "--json").json["state"]
    told: list[str] = []
    meter.outbox.deliver(lambda message: told.append(message.id))

    assert dead in told
    missing = run("outbox", "retry", "a2", dead, "--json")
    assert "message_not_found" == missing.error["code"]


def test_what_was_delivered_long_ago_is_dropped(run: Run, dead: str, meter: Meter, db: str) -> None:
    """In as many portions as it takes; what was delivered today stays, and less than a month is refused."""
    kept = run("outbox", "prune", "--json").json
    with Meter.open(db, clock=lambda: datetime.now(UTC) + timedelta(days=40)) as later:
        assert 1 == later.outbox.prune(older_than=timedelta(days=39))
    told = {each.account for each in meter.outbox.list()}
    refused = run("outbox", "prune", "--days", "31", "--json")

    assert {"dropped": 0} == kept
    assert {"a1", "a3"} == told
    assert "invalid_argument" == refused.error["code"]
    assert "0 messages dropped" in run("outbox", "prune", "--days", "32").out


def test_nothing_is_made_where_there_is_no_database(run: Run, tmp_path: Path) -> None:
    """A mistyped file is an error, not an empty answer."""
    missing = tmp_path / "missing.db"

    assert run("outbox", "list", "--db", f"sqlite:///{missing}").code != 0
    assert not missing.exists()
