"""
What django-hordak takes to post; run by `hordak` in an interpreter that has it.

A hold is a transfer from the customer's account to one for what is held, a settle two more: what was used to
revenue, the rest back. hordak has no balance check, no idempotency and no holds of its own.
"""

from __future__ import annotations

import json
import sys
import threading
import time
from urllib.parse import urlsplit

import django  # pyright: ignore[reportMissingImports] - in an interpreter of its own
from django.conf import settings  # pyright: ignore[reportMissingImports]

NAMES = ("customer", "held", "revenue")


def set_up(url: str) -> None:
    """Configure Django as its own documentation does for hordak."""
    parts = urlsplit(url)
    database = {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": parts.path.lstrip("/"),
        "USER": parts.username or "",
        "PASSWORD": parts.password or "",
        "HOST": parts.hostname or "",
        "PORT": parts.port or 5432,
        "CONN_MAX_AGE": None,
    }
    settings.configure(
        DATABASES={"default": database},
        INSTALLED_APPS=["django.contrib.contenttypes", "django.contrib.auth", "mptt", "hordak"],
        USE_TZ=True,
        DEFAULT_AUTO_FIELD="django.db.models.AutoField",
        DEFAULT_CURRENCY="EUR",
        CURRENCIES=["EUR"],
    )
    django.setup()


def prepare() -> None:
    """Make the tables, the three accounts, and give the customer something."""
    from django.core.management import call_command  # pyright: ignore[reportMissingImports]
    from hordak.models import Account  # pyright: ignore[reportMissingImports]

    call_command("migrate", verbosity=0)
    for code, name in enumerate((*NAMES, "issuance"), 1):
        Account.objects.create(name=name, code=str(code), type="LI", currencies=["EUR"])


def run(callers: int, seconds: float) -> dict[str, object]:
    """Hold and settle in *callers* threads; returns the latencies by step."""
    from django.db import connection, transaction  # pyright: ignore[reportMissingImports]
    from hordak.models import Account  # pyright: ignore[reportMissingImports]
    from moneyed import Money  # pyright: ignore[reportMissingImports]

    customer, held, revenue = (Account.objects.get(name=name) for name in NAMES)
    three, two, one = (Money(amount, "EUR") for amount in (3, 2, 1))

    def hold() -> None:
        with transaction.atomic():
            customer.transfer_to(held, three)

    def settle() -> None:
        with transaction.atomic():
            held.transfer_to(revenue, one)
            held.transfer_to(customer, two)

    barrier = threading.Barrier(callers)
    took: tuple[list[float], list[float]] = ([], [])
    ends: list[float] = []

    def call() -> None:
        hold()
        settle()
        barrier.wait()
        begin = now = time.perf_counter()
        while now < begin + seconds:
            for step, times in zip((hold, settle), took, strict=True):
                step()
                before, now = now, time.perf_counter()
                times.append(now - before)
        ends.append(now - begin)
        connection.close()

    workers = [threading.Thread(target=call) for _ in range(callers)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    return {"took": took, "seconds": max(ends)}


def verify() -> str:
    """Whether all legs cancel out, and nothing is held any more."""
    from django.db import connection  # pyright: ignore[reportMissingImports]
    from hordak.models import Account  # pyright: ignore[reportMissingImports]

    with connection.cursor() as cursor:
        cursor.execute("SELECT coalesce(sum(coalesce(credit, 0) - coalesce(debit, 0)), 0) FROM hordak_leg")
        total = cursor.fetchone()[0]
    left = Account.objects.get(name="held").get_balance()
    return (
        ""
        if not total and not any(money.amount for money in left.monies())
        else f"{total} over, {left} held"
    )


if __name__ == "__main__":
    verb, url, *rest = sys.argv[1:]
    set_up(url)
    if verb == "prepare":
        prepare()
    elif verb == "run":
        print(json.dumps(run(int(rest[0]), float(rest[1]))))
    else:
        print(verify())
