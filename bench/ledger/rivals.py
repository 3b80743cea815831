"""
What the hand-written rivals on PostgreSQL have in common: two tables, callers, and a check of the sums.

A rival posts what ptmeter posts, a hold and then its settle, by adding to three columns of a wallet and
inserting a row. It has no lots, hash chain, idempotency or expiry.
"""

from __future__ import annotations

import itertools
import random
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeAlias

import psycopg

from . import databases
from .callers import threads
from .contest import About, Contestant, Course

if TYPE_CHECKING:
    from collections.abc import Callable, Generator
    from contextlib import ExitStack

    from .callers import Steps, Timing

GRANTED: Final = 10**15

SCHEMA: Final = f"""
CREATE TABLE wallet (
    wallet_id int PRIMARY KEY, available bigint NOT NULL CHECK (available >= 0), held bigint NOT NULL CHECK (held >= 0),
    spent bigint NOT NULL, seq bigint NOT NULL) WITH (fillfactor = 20);
CREATE TABLE journal (
    wallet_id int, seq bigint, id uuid NOT NULL UNIQUE, free bigint NOT NULL, held bigint NOT NULL, spent bigint NOT NULL,
    booked_at timestamptz NOT NULL DEFAULT clock_timestamp(), PRIMARY KEY (wallet_id, seq));
INSERT INTO wallet SELECT number, {GRANTED}, 0, 0, 0 FROM generate_series(1, %s) AS number;
"""

CHECK: Final = f"""
SELECT count(*) FROM wallet LEFT JOIN (
    SELECT wallet_id, count(*) AS rows, max(journal.seq) AS last, sum(free) AS free, sum(held) AS held, sum(spent) AS spent
    FROM journal GROUP BY wallet_id) AS booked USING (wallet_id)
WHERE available - {GRANTED} <> coalesce(free, 0) OR wallet.held <> coalesce(booked.held, 0)
    OR wallet.spent <> coalesce(booked.spent, 0) OR seq <> coalesce(rows, 0) OR seq <> coalesce(last, 0)
"""


class Change(NamedTuple):
    """What a command adds to a wallet, in micro-PT."""

    free: int
    held: int
    spent: int


HOLD: Final = Change(-3_000_000, 3_000_000, 0)
SETTLE: Final = Change(2_000_000, -3_000_000, 1_000_000)

Post: TypeAlias = "Callable[[psycopg.Connection[Any], int, Change], None]"
"""Post a change to the wallet of that number, durably; raises if there is not enough."""


def contestants(
    name: str, post: Post, *, prepare: str = "", alone: bool = False, autocommit: bool = True
) -> list[Contestant]:
    """A rival with 64 callers on one wallet and on a thousand; *alone*: with one caller, too."""
    places = [(64, 1), (64, 1_000), *([(1, 1)] if alone else [])]
    return [
        Contestant(
            name,
            about(callers, wallets),
            partial(_course, post, prepare, callers=callers, wallets=wallets, autocommit=autocommit),
        )
        for callers, wallets in places
    ]


def about(callers: int, wallets: int, checks: str = "on") -> About:
    """What is to be known of a rival on PostgreSQL."""
    durability = databases.durability("PostgreSQL")
    return About(
        backend="PostgreSQL", durability=durability, callers=callers, wallets=wallets, checks=checks
    )


@contextmanager
def new_tables(wallets: int) -> Generator[str]:
    """A database with the rivals' tables and so many rich wallets; yields its URL."""
    with databases.postgres() as url:
        with psycopg.connect(url) as connection:
            connection.execute((SCHEMA % wallets).encode())
        yield url


def verify(url: str) -> str:
    """Whether every wallet is the sum of its journal and the numbers have no gap."""
    with psycopg.connect(url) as connection:
        found = connection.execute(CHECK.encode()).fetchone()
    wrong = found[0] if found else "all"
    return f"{wrong} wallets are not the sum of their journal" if wrong else ""


@contextmanager
def _course(post: Post, prepare: str, *, callers: int, wallets: int, autocommit: bool) -> Generator[Course]:
    with new_tables(wallets) as url:
        if prepare:
            with psycopg.connect(url) as connection:
                connection.execute(prepare.encode())

        def make(number: int, stack: ExitStack) -> Steps:
            return _steps(stack.enter_context(psycopg.connect(url, autocommit=autocommit)), number)

        def _steps(connection: psycopg.Connection[Any], number: int) -> Steps:
            connection.prepare_threshold = 1
            chosen = random.Random(number)
            wallet = (chosen.randint(1, wallets) for _ in itertools.count())
            both = itertools.chain.from_iterable((each, each) for each in wallet)
            return (
                lambda: post(connection, next(both), HOLD),
                lambda: post(connection, next(both), SETTLE),
            )

        def run(seconds: float) -> Timing:
            timing = threads(make, callers=callers, seconds=seconds)
            return replace(timing, commits=timing.commands)

        yield Course(run, partial(verify, url))
