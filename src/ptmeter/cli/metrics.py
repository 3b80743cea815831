"""The command that prints what waits for a person, for Prometheus to read."""

from __future__ import annotations

import sys

from ..domain.policy import Durability
from ..errors import ConfigurationError
from . import options
from .failures import ExitCode


def metrics(
    *,
    db: options.Database,
    prices: options.PricesFile = None,
    card: options.CardFile = None,
    durability: options.Survival = Durability.STRICT,
    as_json: options.AsJson = False,
) -> int:
    """
    Print gauges of the ledger in Prometheus' exposition format.

    Calls in quarantine, calls charged at a ceiling for want of a price, open
    holds, and webhooks that wait or are dead letters. Write them where node_exporter's textfile collector looks.
    """
    try:
        from ..telemetry.prometheus import MeterCollector, exposition
    except ImportError as missing:
        raise ConfigurationError(str(missing)) from missing
    options.must_exist(db)
    with options.open_meter(db, options.rate_card(card), options.policy(durability), prices) as meter:
        if as_json:
            from .writing import write_json

            samples = [each for family in MeterCollector(meter).collect() for each in family.samples]
            found = [{"name": s.name, "labels": dict(s.labels), "value": s.value} for s in samples]
            write_json({"metrics": found})
        else:
            sys.stdout.write(exposition(meter))
    return ExitCode.OK
