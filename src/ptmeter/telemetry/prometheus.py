"""
Gauges of what waits for somebody, read from the database whenever Prometheus asks.

A counter in a process knows what that process did; these queues are everybody's and outlive all of them, so they
are read where they are kept. Needs the extra ``prometheus``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

try:
    from prometheus_client import CollectorRegistry, generate_latest
    from prometheus_client.core import GaugeMetricFamily
except ImportError as missing:
    _MSG = "metrics for Prometheus need prometheus-client: pip install 'ptmeter[prometheus]'"
    raise ImportError(_MSG, name=missing.name) from missing

from ..domain.inbox import EventState

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from .._sync import Meter

GAUGES: Final[Mapping[str, tuple[str, Sequence[str]]]] = {
    "ptmeter_quarantine_open": ("Calls whose usage contradicts itself and nobody has decided about.", ()),
    "ptmeter_quarantine_oldest_seconds": ("How long the oldest of them has waited.", ()),
    "ptmeter_unpriced_calls": (
        "Calls charged at a ceiling that want a price, or to be rated again.",
        ("model",),
    ),
    "ptmeter_unpriced_pt": ("PT that those were charged.", ("model", "unit")),
    "ptmeter_open_holds": ("Holds that are neither settled, voided nor expired.", ()),
    "ptmeter_webhooks_waiting": ("Webhook events whose subject is to be looked up.", ()),
    "ptmeter_webhooks_waiting_oldest_seconds": ("How long the oldest of them has waited.", ()),
    "ptmeter_webhooks_dead": ("Webhook events that are dead letters.", ()),
    "ptmeter_webhooks_dead_oldest_seconds": ("How long ago the oldest of them came in.", ()),
    "ptmeter_open_holds_overdue_seconds": (
        "How long the oldest hold that is due has waited to be swept.",
        (),
    ),
}
"""Names of the gauges, what each says, and its labels."""


class MeterCollector:
    """
    The gauges of one ledger: ``REGISTRY.register(MeterCollector(meter))``.

    Each scrape asks the database, in transactions that only read, from the thread that scrapes. Quarantine, open holds
    and webhook events are counted by an index. Calls charged at a ceiling are rated again one by one to know which still wait;
    where there may be a great many turn them off with ``unpriced=False``.
    """

    def __init__(self, meter: Meter, *, unpriced: bool = True) -> None:
        """*meter* is a synchronous one, which the collector does not close."""
        self._meter = meter
        self._names = [name for name in GAUGES if unpriced or not name.startswith("ptmeter_unpriced")]

    def describe(self) -> Iterator[GaugeMetricFamily]:
        """The gauges without figures: to be registered a collector need not ask the database."""
        return (_gauge(name) for name in self._names)

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """
        The gauges as they stand now.

        Raises:
            StorageError: The database could not be read: no figure is better than an old one.
            ConfigurationError: A rate card was put together in code, so calls cannot be rated again by it.
        """
        found = {name: _gauge(name) for name in self._names}
        waiting, holds = self._meter.quarantine.backlog(), self._meter.open_holds()
        found["ptmeter_quarantine_open"].add_metric((), waiting.open)
        oldest = (waiting.at - waiting.oldest_at).total_seconds() if waiting.oldest_at else 0.0
        found["ptmeter_quarantine_oldest_seconds"].add_metric((), oldest)
        found["ptmeter_open_holds"].add_metric((), holds.open)
        events = self._meter.webhooks.backlog()
        for name, state, since in (
            ("ptmeter_webhooks_waiting", EventState.WAITING, events.oldest_waiting),
            ("ptmeter_webhooks_dead", EventState.DEAD, events.oldest_dead),
        ):
            found[name].add_metric((), events.counts.get(state, 0))
            age = (waiting.at - since).total_seconds() if since else 0.0
            found[f"{name}_oldest_seconds"].add_metric((), max(0.0, age))
        overdue = (holds.at - holds.first_due_at).total_seconds() if holds.first_due_at else 0.0
        found["ptmeter_open_holds_overdue_seconds"].add_metric((), max(0.0, overdue))
        for model in self._meter.prices.unpriced() if "ptmeter_unpriced_calls" in found else ():
            found["ptmeter_unpriced_calls"].add_metric((model.model,), model.waiting)
            for unit, amount in model.parked.items():
                found["ptmeter_unpriced_pt"].add_metric((model.model, unit), float(amount.whole))
        yield from found.values()


def exposition(meter: Meter, *, unpriced: bool = True) -> str:
    """What Prometheus would read now, as text."""
    registry = CollectorRegistry()
    registry.register(MeterCollector(meter, unpriced=unpriced))
    return generate_latest(registry).decode()


def _gauge(name: str) -> GaugeMetricFamily:
    says, labels = GAUGES[name]
    return GaugeMetricFamily(name, says, labels=list(labels))
