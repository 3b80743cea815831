"""
The ``ptmeter`` command: set a ledger up, look into it, prove it, and try it out.

Its words are those of the library's public face; it owns how they are typed on a command line, how answers
are written (tables for people, one JSON document for scripts) and which exit code says what. It reads the
environment, which the library never does. It decides nothing about PT: every command is a few calls to a
`Meter`. Importing this module loads neither typer nor rich, which come with ``pip install 'ptmeter[cli]'``.
"""

from __future__ import annotations

import sys
from importlib import import_module
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Sequence

NEEDED: Final = ("rich", "typer")


def main(arguments: Sequence[str] | None = None) -> int:
    """Carry out a command line, this process's own if none is given; returns the exit code."""
    try:
        for name in NEEDED:
            import_module(name)
    except ModuleNotFoundError:
        sys.stderr.write("the ptmeter command needs typer and rich: pip install 'ptmeter[cli]'\n")
        return 2
    app = import_module(".app", __name__)
    code: int = app.run(sys.argv[1:] if arguments is None else arguments)
    return code
