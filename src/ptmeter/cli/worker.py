"""The command that works beside the application: webhooks, jobs, round after round."""

from __future__ import annotations

import signal
from datetime import timedelta
from pathlib import Path
from threading import Event
from typing import TYPE_CHECKING, Annotated

import typer

from ..domain.policy import Durability
from . import options
from .failures import ExitCode

if TYPE_CHECKING:
    from types import FrameType

Once = Annotated[bool, typer.Option("--once", help="Do one round and leave, as a timer would have it.")]
Plans = Annotated[
    Path | None,
    typer.Option("--plans", metavar="FILE", help="The plans; without, subscriptions are not renewed."),
]
Every = Annotated[
    float,
    typer.Option("--every", metavar="SECONDS", min=0.1, max=3600, help="How long to pause when idle."),
]


def worker(
    *,
    db: options.Database,
    card: options.CardFile = None,
    plans: Plans = None,
    key: options.StripeKey = "",
    once: Once = False,
    every: Every = 1.0,
    durability: options.Survival = Durability.STRICT,
    as_json: options.AsJson = False,
) -> int:
    """
    Look up what webhooks are about, and do the jobs that are due, until it is told to stop.

    With a key for Stripe it also charges automatic top-ups and reports usage that is billed afterwards. Run as many
    as you like: they share the work. SIGTERM and Ctrl-C end it after the round that is under
    way; killed in the middle of one, it leaves nothing half done.
    """
    from .writing import screen, write_json

    options.must_exist(db)
    chosen = options.policy(durability)
    with options.open_stripe(db, chosen, key, card=card, plans=plans) as meter:
        handlers = meter.payments.handlers if key else None
        if once:
            done = meter.worker.round(handlers=handlers)
            if as_json:
                write_json({"looked_up": done.looked_up, "done": done.done, "failed": done.failed})
            else:
                told = f"{done.looked_up:,} looked up; done: {', '.join(done.done) or 'nothing'}"
                screen().print(told, highlight=False)
            return ExitCode.OK if not done.failed else ExitCode.FAILED
        stopped = Event()

        def stop(_number: int, _frame: FrameType | None) -> None:
            stopped.set()

        signal.signal(signal.SIGTERM, stop)
        signal.signal(signal.SIGINT, stop)
        meter.worker.run(stopped.is_set, handlers=handlers, every=timedelta(seconds=every))
    return ExitCode.OK


EXAMPLES = ("ptmeter worker --plans plans.yaml", "ptmeter worker --once")
