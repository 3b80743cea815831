"""The command for margins: its table, its chart, and its pictures."""

from __future__ import annotations

import struct
import sys
from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET

import pytest

from ptmeter import Meter, Usage

if TYPE_CHECKING:
    from pathlib import Path

    from .conftest import Run

pytestmark = pytest.mark.sqlite

CALL = Usage(input_uncached=1_000, output_text=100)


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
    assert any(text and text.endswith("of $0.12") for text in texts)
    assert "no revenue" in texts


@pytest.mark.usefixtures("earned")
def test_the_picture_is_a_png(run: Run, tmp_path: Path) -> None:
    """At twice the size, for fine screens, if Pillow is there."""
    pytest.importorskip("PIL")
    file = tmp_path / "margins.png"
    assert 0 == run("margins", "--by", "account", "--png", str(file)).code
    head = file.read_bytes()[:24]

    assert (b"\x89PNG\r\n\x1a\n", (1_800, 352)) == (head[:8], struct.unpack(">II", head[16:]))


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
