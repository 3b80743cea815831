"""
Failover: the primary gets SIGKILL, its synchronous standby is promoted, and the clients go on there.

The clients know both addresses and look for the one that takes writes, as an application would. The old
primary then becomes the standby of the new one, and so on.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest
from tests.soak.clusters import DATABASE, new_cluster
from tests.soak.evidence import check_at_rest, examine, fund

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.soak.clusters import Cluster
    from tests.soak.fleet import Clients

TOLD_BETWEEN = 40
STREAMING = "SELECT 1 FROM pg_stat_replication WHERE state = 'streaming'"
IN_SYNC = "SELECT 1 FROM pg_stat_replication WHERE sync_state = 'sync'"

pytestmark = pytest.mark.postgres


@contextmanager
def pair(standbys: str) -> Iterator[tuple[Cluster, Cluster]]:
    """A primary and its standby, streaming; *standbys* is what a commit waits for."""
    settings = {"synchronous_standby_names": standbys, "wal_keep_size": "256MB"}
    with new_cluster(**settings) as primary, new_cluster(**settings) as standby:
        primary.create()
        primary.start()
        follow(standby, primary, IN_SYNC if standbys else STREAMING)
        yield primary, standby


def follow(standby: Cluster, primary: Cluster, state: str) -> None:
    """Make a standby of *primary*, and wait until it has reached *state*."""
    standby.copy_from(primary)
    standby.start()
    primary.wait_for(state)


def either(one: Cluster, other: Cluster) -> str:
    """A URL that leads to the one of the two that takes writes."""
    hosts = f"host={one.address}&host={other.address}"
    return f"postgresql://postgres@/{DATABASE}?{hosts}&target_session_attrs=read-write&connect_timeout=5"


def soak_promotions_of_a_synchronous_standby(
    failovers: int, clients: Clients, say: Callable[[str], None]
) -> None:
    """However often the primary dies and its standby takes over, what was acknowledged is there, once."""
    with pair("*") as both:
        primary, standby = both
        url = either(primary, standby)
        fund(url)
        clients.start(url)
        clients.start(url)
        for _ in range(failovers):
            clients.wait_until_told(TOLD_BETWEEN)
            primary.kill()
            standby.promote()
            primary, standby = standby, primary
            follow(standby, primary, IN_SYNC)
        clients.wait_until_told(TOLD_BETWEEN)
        clients.kill()

        finding = check_at_rest(url, clients.notes())

        say(f"{failovers} promotions: {finding}")


def soak_an_asynchronous_standby_is_noticed(clients: Clients, say: Callable[[str], None]) -> None:
    """The control: a standby that nobody waits for has not got all that was acknowledged."""
    with pair("") as (primary, standby):
        url = either(primary, standby)
        fund(url)
        clients.start(url)
        clients.wait_until_told(10)
        primary.halt("walsender")
        clients.wait_until_told(20)
        primary.kill()
        clients.kill()
        standby.promote()

        finding = examine(url, clients.notes())

        say(str(finding))
        assert finding.lost
