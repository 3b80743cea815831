"""What was measured, as one table for people and as JSON for machines, and the aims beside the figures."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from rich.markup import escape
from rich.table import Table

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from .contest import Standing
    from .race import Race

HEADS: Final = (
    "what", "backend", "durability", "fsync µs", "callers", "processes", "wallets", "batch", "checks",
    "commands/s", "lowest–highest", "p50 ms", "p99 ms", "verify",
)  # fmt: skip
TEXTS: Final = 3
"""The first columns are text; the others are figures and flush right."""


def drawn(standings: Sequence[Standing], races: Sequence[Race], title: str) -> Table:
    """The table: what is slower than a rival or wrong is not hidden."""
    table = Table(title=title, title_justify="left", caption_justify="left")
    for number, head in enumerate(HEADS):
        table.add_column(head, justify="left" if number < TEXTS else "right", no_wrap=True)
    for standing in standings:
        table.add_row(*map(str, _cells(standing)))
    for race in races:
        admitted = "/".join(map(str, sorted(set(race.admitted))))
        admits = f"admitted {admitted} of 50"
        verdict = _verdict(race.problem or ("" if race.exact else admits))
        spread = f"{min(race.seconds):.2f}–{max(race.seconds):.2f} s"
        cells = (f"1,000 holds, {race.name}", race.backend, admits, "", "", "1", "1", "-", "on")
        table.add_row(*cells, f"{race.median:.2f} s", spread, "", "", verdict)
    return table


def _cells(standing: Standing) -> tuple[object, ...]:
    about = standing.contestant.about
    lowest, highest = (f"{pick(standing.rates, default=0):,.0f}" for pick in (min, max))
    told = (standing.contestant.name, about.backend, about.durability, f"{standing.fsync * 1e6:.0f}")
    told += (about.callers, about.processes, f"{about.wallets:,}")
    told += ("-" if standing.batch is None else f"{standing.batch:.1f}", about.checks)
    if standing.skipped:
        return (*told, "skipped", "", "", "", f"[yellow]{escape(standing.skipped)}[/]")
    latencies = (f"{standing.quantile(q) * 1e3:.1f}" for q in (0.5, 0.99))
    return (*told, f"{standing.rate:,.0f}", f"{lowest}–{highest}", *latencies, _verdict(standing.problem))


def _verdict(problem: str) -> str:
    return f"[bold red]{escape(problem)}[/]" if problem else "[green]clean[/]"


def as_json(standings: Sequence[Standing], races: Sequence[Race]) -> list[dict[str, Any]]:
    """Every row with everything it says, latencies in milliseconds."""
    found: list[dict[str, Any]] = []
    for standing in standings:
        about = standing.contestant.about
        latencies = {
            f"{name}_{label}_ms": standing.quantile(q, step) * 1e3
            for step, name in ((None, "all"), (0, "hold"), (1, "settle"))
            for label, q in (("p50", 0.5), ("p99", 0.99))
            if standing.timings and (step is None or step < len(standing.timings[0].took))
        }
        told = {name: getattr(about, name) for name in about.__slots__}
        told |= {"batch": standing.batch, "fsync_us": standing.fsync * 1e6}
        rates = {"rate": standing.rate, "rates": standing.rates}
        result = {"problem": standing.problem, "skipped": standing.skipped}
        found.append({"what": standing.contestant.name, **told, **rates, **latencies, **result})
    return found + [{"what": "race"} | {name: getattr(r, name) for name in r.__slots__} for r in races]


def aims(standings: Sequence[Standing], races: Sequence[Race]) -> Iterator[str]:
    """Each aim that this run can speak of, with the figure beside it."""
    rates = {
        (s.contestant.name, a.backend, a.callers, a.processes, a.wallets): s
        for s in standings
        if s.timings and (a := s.contestant.about)
    }

    def of(name: str, callers: int = 64, wallets: int = 1, backend: str = "PostgreSQL") -> Standing | None:
        return rates.get((name, backend, callers, 1, wallets))

    plain = of("(a) FOR UPDATE, 4 statements")
    for ours in ("ptmeter Meter", "ptmeter AsyncMeter"):
        hot, many = of(ours), of(ours, wallets=1_000)
        if hot and plain:
            yield _aim(f"{ours}, hot wallet ÷ (a)", hot.rate / plain.rate, 10, "x")
        if hot:
            yield _aim(f"{ours}, hot wallet on PostgreSQL", hot.rate, 5_000, " commands/s")
        if hot and many:
            yield _aim(f"{ours}, 1,000 wallets ÷ one", many.rate / hot.rate, 1, "x")
    file = of("ptmeter Meter", backend="SQLite")
    raw = of("raw sqlite3, the same rows and batches", callers=1, backend="SQLite")
    if file:
        yield _aim("SQLite, synchronous=FULL", file.rate, 3_000, " commands/s")
    if file and raw:
        yield _aim("SQLite ÷ raw sqlite3", file.rate / raw.rate, 0.6, "x")
    alone, cte = of("ptmeter Meter", callers=1), of("(b) one-statement CTE", callers=1)
    if alone and cte:
        for step, name in enumerate(("hold", "settle")):
            slower = alone.quantile(0.5, step) / cte.quantile(0.5, step)
            figures = f"p50 {alone.quantile(0.5, step) * 1e3:.2f} ms, p99 {alone.quantile(0.99, step) * 1e3:.2f} ms"
            yield _aim(f"one caller's {name} ({figures}) ÷ (b)", slower, 1.5, "x", most=True)
    for race in races:
        if race.backend == "PostgreSQL":
            yield _aim(f"1,000 holds ({race.name})", race.median, 0.35, " s", most=True)


def _aim(what: str, figure: float, wanted: float, unit: str, *, most: bool = False) -> str:
    met = figure <= wanted if most else figure >= wanted
    sign, colour = ("≤" if most else "≥"), ("green" if met else "yellow")
    said = f"{figure:,.2f}" if figure < 100 else f"{figure:,.0f}"
    return f"[{colour}]{'met ' if met else 'not '}[/] {what}: {said}{unit} (aim {sign} {wanted:,}{unit})"
