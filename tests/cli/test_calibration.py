"""Commands for what settled calls taught."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from ptmeter import Calibration, Meter

if TYPE_CHECKING:
    from pathlib import Path

    from .conftest import Run

pytestmark = pytest.mark.sqlite


@pytest.fixture
def taught(db: str) -> str:
    """The ledger behind ``db``, which knows of 40 calls that took 1.35 times what was counted."""
    known = Calibration()
    for _ in range(40):
        known.learn("claude-sonnet-5", "chat", counted=1_000, used=1_350, answered=50)
    with Meter.open(db) as meter:
        meter.calibration.add(known)
    return db


def test_what_was_learnt_is_listed(run: Run, taught: str) -> None:
    """A row for the model and one for its route; a quantile that takes more calls is left open."""
    whole, chat = run("calibration", "list", "--json").json["calibration"]

    assert ("claude-sonnet-5", "", 40) == (whole["model"], whole["route"], whole["calls"])
    assert ("chat", 40, 50, 50, None) == tuple(
        chat[name] for name in ("route", "calls", "output_50", "output_95", "output_99")
    )
    assert 1.35 <= float(chat["input_ratio"]) < 1.35 * 33 / 32
    shown = run("calibration", "list").out
    assert "claude-sonnet-5" in shown
    assert "chat" in shown


def test_what_is_exported_can_be_imported(run: Run, taught: str, tmp_path: Path) -> None:
    """Imported into the ledger that it came from, all of it counts twice."""
    exported = run("calibration", "export").out
    file = tmp_path / "calibration.json"
    file.write_text(exported, encoding="utf-8")

    assert run("calibration", "import", str(file)).code == 0

    calls = [row["calls"] for row in run("calibration", "list", "--json").json["calibration"]]
    assert [80, 80] == calls
    assert json.loads(exported)["format"] == 1


@pytest.mark.parametrize("content", [None, b"\xff\xfe", b"{}", b"not json"])
def test_what_is_no_export_is_refused(run: Run, taught: str, tmp_path: Path, content: bytes | None) -> None:
    """Before anything is changed; the message says what is wrong."""
    file = tmp_path / "calibration.json"
    if content is not None:
        file.write_bytes(content)

    refused = run("calibration", "import", str(file))

    assert refused.code == 2
    assert "calibration" in refused.err


def test_nothing_is_made_where_there_is_no_database(run: Run, tmp_path: Path) -> None:
    """A mistyped file is an error, not an empty answer."""
    missing = tmp_path / "missing.db"

    assert run("calibration", "list", "--db", f"sqlite:///{missing}").code != 0
    assert not missing.exists()
