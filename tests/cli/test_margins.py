"""The command for margins: its table, its chart, and its pictures."""

from __future__ import annotations

import struct
import sys
from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET

import pytest

from ptmeter import Meter, Money, Usage
from ptmeter.cli import margin_painting
from ptmeter.cli.margin_picture import COLOURS, COST, INK, LOSS, MARGIN, NAMES, Box, Layout, layout, svg
from ptmeter.domain.margins import Light, Margin, MarginGoals

if TYPE_CHECKING:
    from pathlib import Path

    from .conftest import Run

pytestmark = pytest.mark.sqlite

CALL = Usage(input_uncached=1_000, output_text=100)


NORTH = ("customer-of-the-northern-branch-0001", "customer-of-the-northern-branch-0002")


def line(name: str, revenue: str, cost: str) -> Margin:
    """A line of a report, in dollars."""
    money = {"revenue": Money.usd(revenue), "cost": Money.usd(cost)}
    return Margin(name=name, calls=1, charged={}, unvalued={}, goals=MarginGoals(), **money)


def bars(picture: Layout) -> list[Box]:
    """What is drawn of the lines, without the legend and the line at zero."""
    return [box for box in picture.boxes if box.y > 60 and box.width > 1]


@pytest.fixture
def earned(meter: Meter) -> Meter:
    """Acme used a PT of each kind of call that it paid for, zeta one that it was given."""
    meter.funds.grant("zeta", core=10, source="trial", key="z", paid=0)
    meter.record("acme", model="gpt-4o-mini", response=CALL, key="1")
    meter.record("acme", model="gpt-4o", response=CALL, key="2")
    meter.record("zeta", model="gpt-4o-mini", response=CALL, key="3")
    return meter


@pytest.mark.usefixtures("earned")
def test_margins_are_told_to_scripts_exactly(run: Run) -> None:
    """Money, shares and lights of each line, and of all together."""
    found = run("margins", "--by", "account", "--json").json

    acme, zeta = found["lines"]
    assert ("acme", 2, "0.115", "green", "0.75", "red") == (
        acme["name"],
        acme["calls"],
        acme["revenue"],
        acme["light"],
        acme["burn"],
        acme["burn_light"],
    )
    assert ("zeta", "0", "red", None) == (zeta["name"], zeta["revenue"], zeta["light"], zeta["share"])
    assert ["platform"] == [total["name"] for total in found["totals"]]
    assert ("account", None, None) == (found["by"], found["since"], found["until"])


@pytest.mark.usefixtures("earned")
def test_margins_are_shown_with_their_lights_and_a_chart(run: Run) -> None:
    """A row and a bar for each line: colours are named, for not everybody sees them."""
    shown = run("margins", "--by", "account").out

    assert "green" in shown
    assert "– red" in shown
    assert "█" * 20 in shown
    assert "platform" in shown.splitlines()[6]


def test_of_nothing_that_is_said(run: Run, meter: Meter) -> None:
    """A ledger in which nothing was charged, or a bare charge that nobody knows the value of."""
    assert "nothing was charged" in run("margins").out
    meter.settle(meter.hold("acme", core=2, key="h"), core=2, key="s")
    assert "2 core PT were charged for no call" in run("margins").out


@pytest.mark.usefixtures("earned")
def test_the_picture_is_an_svg_that_names_every_line(run: Run, tmp_path: Path) -> None:
    """Well-formed, with the names as text and a bar for each."""
    file = tmp_path / "margins.svg"
    assert 0 == run("margins", "--by", "account", "--svg", str(file)).code
    texts = [each.text for each in ET.parse(file).iter() if each.tag.endswith("text")]

    assert {"acme", "zeta"} <= set(texts)
    assert any(text and text.endswith("of US$0.12") for text in texts)
    assert any(text and text.startswith("no revenue, cost US$0.000") for text in texts)


@pytest.mark.usefixtures("earned")
def test_the_picture_is_a_png(run: Run, tmp_path: Path) -> None:
    """At twice the size, for fine screens, if Pillow is there."""
    pytest.importorskip("PIL")
    file = tmp_path / "margins.png"
    assert 0 == run("margins", "--by", "account", "--png", str(file)).code
    head = file.read_bytes()[:24]

    assert (b"\x89PNG\r\n\x1a\n", (1_800, 284)) == (head[:8], struct.unpack(">II", head[16:]))


@pytest.mark.usefixtures("earned")
def test_without_pillow_a_png_is_refused(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The error names what to install."""
    for name in ("PIL", "PIL.Image"):
        monkeypatch.setitem(sys.modules, name, None)

    assert "pip install 'ptmeter[pictures]'" in run("margins", "--png", str(tmp_path / "m.png")).err


@pytest.mark.usefixtures("earned")
def test_a_day_is_a_day(run: Run, tmp_path: Path) -> None:
    """What is no day, and a file that cannot be written, are named."""
    assert "--since takes a day" in run("margins", "--since", "yesterday").err
    assert "cannot be written" in run("margins", "--svg", str(tmp_path / "no" / "m.svg")).err
    assert [] == run("margins", "--until", "2001-01-01", "--json").json["lines"]


def test_a_gain_lies_between_the_cost_and_the_revenue() -> None:
    """Grey is as long as the cost, the light's colour goes on to the mark of the revenue."""
    cost, gain, revenue = bars(layout("t", [line("acme", "4", "1")]))

    assert (NAMES, 105, COST, False) == (cost.x, cost.width, cost.fill, cost.hatched)
    assert (NAMES + 105, 315, COLOURS[Light.GREEN]) == (gain.x, gain.width, gain.fill)
    assert (NAMES + 419, 2, INK) == (revenue.x, revenue.width, revenue.fill)


@pytest.mark.parametrize(("revenue", "begins"), [("0.64", 282), ("0", 0)])
def test_a_loss_looks_like_no_gain(revenue: str, begins: int) -> None:
    """Grey is as long as the cost all the same; of it, what is beyond the revenue is hatched."""
    cost, loss, mark = bars(layout("t", [line("acme", revenue, "0.95")]))

    assert (NAMES, 420, COST) == (cost.x, cost.width, cost.fill)
    assert (NAMES + begins, 420 - begins, LOSS, True) == (loss.x, loss.width, loss.fill, loss.hatched)
    assert NAMES + begins - 1 == mark.x


def test_revenue_that_was_taken_back_lies_left_of_zero() -> None:
    """The loss goes from there to the cost, and only the cost is grey."""
    cost, loss, _ = bars(layout("t", [line("acme", "-1", "3")]))

    assert (NAMES + 105, 315) == (cost.x, cost.width)
    assert (NAMES, 420) == (loss.x, loss.width)


def test_the_legend_names_all_that_is_drawn() -> None:
    """Every colour of a bar, and the hatching, is explained."""
    lines = [line("a", "4", "1"), line("b", "4", "1.8"), line("c", "4", "3"), line("d", "1", "3")]
    picture = layout("t", lines)
    legend = {(box.fill, box.hatched) for box in picture.boxes if box.y < 60}

    assert {(box.fill, box.hatched) for box in bars(picture)} <= legend


def test_long_names_are_told_apart() -> None:
    """Both ends are kept, an SVG says the whole, and nothing runs off its edge: its width is fixed."""
    drawn = ET.fromstring(svg(layout("t", [line(name, "1", "0.1") for name in (*NORTH, "W" * 60)])))
    titles = [each.text for each in drawn.iter() if each.tag.endswith("title")]
    texts = [each for each in drawn.iter() if each.tag.endswith("text") and "textLength" in each.attrib]

    assert {*NORTH, "W" * 60} <= set(titles)
    assert 3 == len({each.text for each in texts})
    assert all(text.attrib["textLength"] for text in texts)
    assert all(NAMES - 10 - int(text.attrib["textLength"]) >= MARGIN for text in texts)


def test_a_letter_that_no_font_has_is_told(
    run: Run, meter: Meter, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without a font of the system ü is painted as u; the command says so, and so does the picture."""
    pytest.importorskip("PIL")
    name, file = "Müller & Söhne", tmp_path / "m.png"
    meter.funds.grant(name, core=1, source="trial", key="z")
    meter.record(name, model="gpt-4o-mini", response=CALL, key="1")
    monkeypatch.setattr(margin_painting, "SYSTEM_FONTS", ())

    told = run("margins", "--by", "account", "--png", str(file))

    assert (0, True) == (told.code, "no font here has ö ü: " in told.err)
    assert 272 == struct.unpack(">II", file.read_bytes()[16:24])[1]


def test_a_font_of_the_system_draws_the_letters_of_names(tmp_path: Path) -> None:
    """If one of those that are looked for is there, no letter of Europe is lacking."""
    fonts = pytest.importorskip("PIL.ImageFont")
    try:
        fonts.truetype(margin_painting.SYSTEM_FONTS[0], 10)
    except OSError:
        pytest.skip("the font is not installed")

    picture = layout("t", [line("Müller & Söhne, Łódź, Αθήνα", "1", "0.1")])

    assert "" == margin_painting.write_png(picture, tmp_path / "m.png")


@pytest.mark.parametrize(("option", "file"), [("--png", "x.jpg"), ("--svg", "x.png")])
@pytest.mark.usefixtures("earned")
def test_a_picture_is_not_what_its_name_does_not_say(
    run: Run, tmp_path: Path, option: str, file: str
) -> None:
    """A name that ends otherwise is refused before anything is written."""
    found = run("margins", option, str(tmp_path / file))

    assert (2, True) == (found.code, f"does not end with .{option[2:]}" in found.err)
    assert not (tmp_path / file).exists()


@pytest.mark.usefixtures("earned")
def test_a_loss_is_seen_in_a_terminal(run: Run) -> None:
    """However small it is beside the longest bar, and it looks like nothing else; money has one form."""
    *_, acme, zeta = run("margins", "--by", "account").out.splitlines()

    assert "zeta  ▚" == zeta.rstrip()
    assert "▚" not in acme
    assert "-US$0.0002" in run("margins", "--by", "account").out


def test_names_beside_bars_keep_both_ends(run: Run, meter: Meter) -> None:
    """In a terminal too."""
    for name in NORTH:
        meter.funds.grant(name, core=1, source="trial", key=name)
        meter.record(name, model="gpt-4o-mini", response=CALL, key="1")
    last = [each.split()[0] for each in run("margins", "--by", "account").out.splitlines()[-2:]]

    assert {"customer-of-…n-branch-0001", "customer-of-…n-branch-0002"} == set(last)
