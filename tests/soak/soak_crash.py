"""
Clients, sessions and whole servers that get SIGKILL in the middle of commits: nothing acknowledged is lost.

What is killed takes turns: a client's process (with whatever writes for it), one session of the server, the
postmaster alone, all of the server at once. A process that is killed leaves the operating system's cache as it
was, so this says nothing of a power cut: that is for ``fsync``, and for the disk.
"""

from __future__ import annotations

from collections import Counter
from random import Random
from time import sleep
from typing import TYPE_CHECKING

import pytest
from tests.soak.clusters import new_cluster
from tests.soak.evidence import check_at_rest, examine, fund

from ptmeter import Policy
from ptmeter.domain.policy import Durability

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.backends import Backend
    from tests.soak.clusters import Cluster
    from tests.soak.fleet import Clients

KINDS = ("client", "session", "postmaster", "server")
RELAXED = Policy(durability=Durability.RELAXED)
TOLD_BETWEEN = 15


def crash(kind: str, cluster: Cluster, clients: Clients) -> str:
    """Kill something, and have it back; returns what was hit."""
    if kind == "client":
        clients.kill(first=1)
        clients.start(cluster.url)
        return kind
    if kind == "session":
        hit = cluster.kill_backend()
        sleep(0.3)  # until the postmaster has noticed
        cluster.wait_until_up()
        return f"session in {hit.split()[0] if hit else 'nothing'}"
    if kind == "postmaster":
        cluster.kill_postmaster()
    else:
        cluster.kill()
    cluster.start()
    return kind


@pytest.mark.postgres
def soak_postgres_crashes(cycles: int, clients: Clients, say: Callable[[str], None]) -> None:
    """However clients, sessions and servers are killed, what was acknowledged is in the journal, once."""
    random, hit = Random(cycles), Counter[str]()
    with new_cluster() as cluster:
        cluster.create()
        cluster.start()
        fund(cluster.url)
        clients.start(cluster.url)
        clients.start(cluster.url)
        for cycle in range(cycles):
            clients.wait_until_told(TOLD_BETWEEN)
            sleep(random.random() / 5)
            hit[crash(KINDS[cycle % len(KINDS)], cluster, clients)] += 1
        clients.wait_until_told(TOLD_BETWEEN)
        clients.kill()

        finding = check_at_rest(cluster.url, clients.notes())

        say(f"{cycles} crashes ({dict(hit)}): {finding}")


@pytest.mark.parametrize("name", ["sqlite", "mysql", "postgres"])
@pytest.mark.parametrize("batches", [False, True], ids=["calls", "batches"])
def soak_killed_clients(
    name: str,
    batches: bool,
    cycles: int,
    backend_of: Callable[[str], Backend],
    clients: Clients,
    say: Callable[[str], None],
) -> None:
    """A client killed in the middle of its commits or batches leaves each of them done or not begun."""
    url = backend_of(name).empty()
    fund(url)
    kills = max(1, cycles // 4)
    for _ in range(kills):
        clients.start(url, batches=batches)
        clients.wait_until_told(TOLD_BETWEEN)
        sleep(Random(clients.started).random() / 5)
        clients.kill()

    finding = check_at_rest(url, clients.notes())

    say(f"{kills} kills: {finding}")


# --- the controls -------------------------------------------------------------------------------


@pytest.mark.postgres
def soak_a_server_that_acknowledges_too_early_is_noticed(
    clients: Clients, say: Callable[[str], None]
) -> None:
    """The control: with ``synchronous_commit=off``, what a crashed server had acknowledged is lost."""
    with new_cluster(synchronous_commit="off", wal_writer_delay="10s") as cluster:
        cluster.create()
        cluster.start()
        fund(cluster.url, RELAXED)
        clients.start(cluster.url, relaxed=True)
        clients.wait_until_told(20)
        cluster.halt("walwriter")
        clients.wait_until_told(20)
        cluster.kill()
        clients.kill()
        cluster.start()

        finding = examine(cluster.url, clients.notes())

    say(str(finding))
    assert finding.lost


@pytest.mark.sqlite
def soak_a_client_that_says_so_too_early_is_noticed(
    clients: Clients, backend_of: Callable[[str], Backend], say: Callable[[str], None]
) -> None:
    """The control: a client that notes its answers before it has them is caught when it is killed."""
    url = backend_of("sqlite").empty()
    fund(url)
    clients.start(url, too_early=True)
    clients.wait_until_told(100)
    clients.kill()

    finding = examine(url, clients.notes())

    say(str(finding))
    assert finding.lost
