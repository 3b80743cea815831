"""Tables on narrow screens: nothing that is read as a whole is broken, and nothing is left out."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest
from tests.facade.test_leaving import CONTRADICTION, MINI

from ptmeter import Meter, Usage, UsageInconsistentError
from ptmeter.cli.writing import screen, table
from ptmeter.testing import Clock

if TYPE_CHECKING:
    from .conftest import Run

pytestmark = pytest.mark.sqlite

NOTE = (
    "rated again (1): core transfer 2, 1 core -> 4 core; price 7f -> 8a, card 1 -> 1; ann: " + "why " * 20
)
LONG = "customer-of-the-northern-branch-in-reykjavik-0001"


@pytest.fixture(params=[80, 40])
def _narrow(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """A screen of so many columns."""
    monkeypatch.setenv("COLUMNS", str(request.param))


@pytest.fixture
def _in_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    """As wide as terminals are."""
    monkeypatch.setenv("COLUMNS", "80")


@pytest.mark.usefixtures("_narrow")
def test_amounts_are_whole_beside_a_long_note(run: Run, meter: Meter) -> None:
    """What a statement says of PT is there to the last digit, and so is the note, in several lines."""
    meter.funds.adjust("acme", core="3000000", reason=NOTE.strip(), key="t")

    shown = run("statement", "acme").out

    assert "…" not in shown
    assert re.search(r" 3,000,000 +3,000,100 +0 ", shown)
    assert set(NOTE.split()) <= set(shown.split())


@pytest.mark.usefixtures("_in_a_terminal", "meter")
def test_a_statement_fits_a_terminal(run: Run) -> None:
    """Where there is room, no line is longer than the screen is wide."""
    assert max(map(len, run("statement", "acme").out.splitlines())) <= 80


@pytest.mark.usefixtures("_narrow")
def test_keys_are_whole(run: Run, meter: Meter) -> None:
    """A call in quarantine is settled by the key that the list shows."""
    key = f"chat-{LONG}:2026-11-27T15:06:55.123456:retry-1"
    with pytest.raises(UsageInconsistentError):
        meter.record("acme", model=MINI, response=CONTRADICTION, key=key)

    shown = run("quarantine", "list").out

    assert key in shown
    assert "…" not in shown


@pytest.mark.usefixtures("_narrow")
def test_ids_are_whole(run: Run, meter: Meter) -> None:
    """A message is retried by the id that the list shows."""
    ends = datetime.now(UTC) + timedelta(hours=1)
    meter.funds.grant(LONG, core=1, source="trial", key="g", expires_at=ends)
    meter.alerts.scan()
    (message,) = meter.outbox.list(account=LONG)

    shown = run("outbox", "list").out

    assert message.id in shown
    assert "…" not in shown


@pytest.mark.usefixtures("_narrow")
def test_hashes_are_whole(run: Run, db: str) -> None:
    """What is to be published of a closed month stands in one line."""
    with Meter.open(db, clock=Clock(datetime(2024, 8, 5, tzinfo=UTC))) as meter:
        meter.funds.grant("acme", core=1, source="trial", key="t")
    found = run("periods", "close", "2024-08", "--by", "ann", "--json").json["hash"]

    for words in (("list",), ("show", "2024-08"), ("close", "2024-08", "--by", "ann")):
        assert found in run("periods", *words).out


@pytest.mark.usefixtures("_narrow")
def test_the_place_where_a_page_goes_on_is_whole(run: Run, meter: Meter) -> None:
    """A word is not broken within, in no line beside a table either."""
    place = run("statement", "acme", "--limit", "1", "--json").json["after"]

    assert f" {place}" in run("statement", "acme", "--limit", "1").out.replace("\n", " ")


@pytest.mark.usefixtures("_narrow")
def test_a_long_name_leaves_the_figures_their_room(run: Run, meter: Meter) -> None:
    """The name goes on in the next line; calls, revenue and cost are whole."""
    meter.funds.grant(LONG, core=10, source="trial", key="t")
    usage = Usage(input_uncached=1_000, output_text=100)
    meter.record(LONG, model=MINI, response=usage, key="1")

    shown = run("margins", "--by", "account").out

    assert "…" not in shown.split("platform")[0]
    assert re.search(r"\b1 +US\$0\.0100 +US\$0\.0002 +US\$0\.0098 ", shown)


def test_a_short_word_is_not_broken(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Text goes on in the next line between words, if they are no longer than names of models."""
    monkeypatch.setenv("COLUMNS", "20")
    made = table("t", "~model", ">PT", "~problem")
    made.add_row("gpt-4o-mini, batch", "1", "total_tokens is 26, not 25")
    screen().print(made)
    (first,) = capsys.readouterr().out.splitlines()[3:4]

    assert ["gpt-4o-mini,", "1", "total_tokens"] == first.split()[:3]


@pytest.mark.parametrize("width", [10, 30, 60, 200])
def test_one_place_decides_what_may_be_broken(
    width: int, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Columns of figures and keys stand in one line; the words of the others are all there, in order."""
    monkeypatch.setenv("COLUMNS", str(width))
    made = table("t", "~name", "id", ">PT", "~at", "~why")
    name, why = "müller-und-söhne-" * 3, "because of this and that " * 4
    made.add_row(name, "8f3a5be0c1d2e3f4", "1,234,567.000001", "2026-11-22 18:30:00", why)
    screen().print(made)
    first, *more = capsys.readouterr().out.splitlines()[3:]

    assert re.search(r" 8f3a5be0c1d2e3f4  1,234,567\.000001  2026-11-22 ?", first)
    assert name[:10] == first[:10]
    assert {"because", "of", "this", "and", "that"} <= set(" ".join((first, *more)).split())
