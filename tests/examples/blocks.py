"""
The blocks of a page and what running one means.

``python``    runs in the page's own namespace; what it prints must stand in a ``text`` block right after it
``console``   lines after ``$`` are run as commands, the lines below each must be what it writes
``text``      what the block before it printed
``csv``, ``json``, ``yaml`` and ``python`` with a ``title="name"`` are written to a file of that name
``sh``, ``sql``, ``ini``   are read, not run

A ``python`` block after ``<!-- not run: why -->`` is only compiled. A comment that begins with ``hidden`` is
Python that is run and not shown. Times of day and what else differs from run to run is compared by its form.
"""

from __future__ import annotations

import io
import os
import re
import shlex
import subprocess
import sys
from contextlib import redirect_stdout
from pathlib import Path
from textwrap import dedent
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from sybil import Region

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sybil import Document, Example

FENCE: Final = re.compile(
    r"^(?:<!-- (?P<reason>not run: [^\n]+) -->\n)?"
    r"(?P<indent> *)```(?P<language>\w+)(?P<info>[^\n]*)\n(?P<body>.*?)^(?P=indent)```$"
    r"|^<!-- hidden\n(?P<hidden>.*?)^-->$",
    re.MULTILINE | re.DOTALL,
)
TITLE: Final = re.compile(r'title="([^"]+)"')
READ_ONLY: Final = frozenset({"sh", "sql", "ini"})
FILES: Final = frozenset({"csv", "json", "yaml"})

VARYING: Final = (
    (re.compile(r"\b2\d\d\d-\d\d-\d\d[T ]\d\d:\d\d(:\d\d(\.\d+)?(\+00:00)?)?"), "<time>"),
    (re.compile(r"\b[\d.,]+ s, [\d,]+ calls/s"), "<speed>"),
    (re.compile(r"[ ─]{2,}"), " "),
    (re.compile(r" +$", re.MULTILINE), ""),
)
"""What is never the same twice, and what stands for it when two outputs are compared."""

COMMANDS: Final = {"ptmeter": ("-m", "ptmeter.cli"), "pytest": ("-m", "pytest", "-p", "no:cacheprovider")}
WIDTH: Final = 92
"""Columns of the terminal that the pages show."""


class Block(NamedTuple):
    """One block of a page."""

    language: str
    text: str
    title: str | None = None
    reason: str | None = None


def blocks(document: Document) -> Iterator[Region]:
    """Find the blocks of a page, the hidden ones too."""
    run = _Run()
    for found in FENCE.finditer(document.text):
        if found["hidden"] is not None:
            block = Block("hidden", found["hidden"])
        else:
            title = TITLE.search(found["info"])
            block = Block(
                found["language"], dedent(found["body"]), title[1] if title else None, found["reason"]
            )
        yield Region(found.start(), found.end(), block, run.carry_out)


class _Run:
    """Carries the blocks of one page out, in order."""

    def __init__(self) -> None:
        self._printed = ""

    def carry_out(self, example: Example) -> str | None:
        """Run one block; returns what is wrong with it, if anything."""
        block: Block = example.parsed
        if block.language == "text":
            printed, self._printed = self._printed, ""
            return compared(shown=block.text, printed=printed)
        if unshown := self._printed.strip():
            return f"what the block before printed is not shown:\n{unshown}"
        match block.language:
            case "python" if block.reason:
                compile(block.text, example.path, "exec")
            case "python" if block.title:
                Path(block.title).write_text(block.text, encoding="utf-8")
            case "python" | "hidden":
                self._printed = _executed(block.text, example)
            case "console":
                return _commanded(block.text)
            case language if language in FILES and block.title:
                Path(block.title).write_text(block.text, encoding="utf-8")
            case language if language not in READ_ONLY | FILES:
                return f"a block of {language} is neither run nor named as one that is only read"
        return None


def compared(*, shown: str, printed: str) -> str | None:
    """What differs between what a page shows and what was printed, if anything."""
    if _constant(shown) == _constant(printed):
        return None
    return f"the page shows\n{shown}\nand this was printed\n{printed}"


def _constant(text: str) -> str:
    for pattern, stand_in in VARYING:
        text = pattern.sub(stand_in, text)
    return text.strip("\n")


def _executed(code: str, example: Example) -> str:
    printed = io.StringIO()
    line = example.line + (0 if example.parsed.language == "hidden" else 1)
    with redirect_stdout(printed):
        exec(compile("\n" * (line - 1) + code, example.path, "exec"), example.namespace)
    return printed.getvalue()


def _commanded(transcript: str) -> str | None:
    for command, shown in re.findall(r"^\$ ([^\n]*)\n((?:(?!\$ )[^\n]*\n)*)", transcript, re.MULTILINE):
        written = _written_by(command)
        if problem := compared(shown=shown, printed=written):
            return f"$ {command}\n{problem}"
    return None


def _written_by(command: str) -> str:
    """What a command writes on stdout and stderr; of several joined by ``;`` or ``|``, all."""
    environment = os.environ | {"COLUMNS": str(WIDTH), "NO_COLOR": "1", "PYTHONWARNINGS": "default"}
    for name, how in COMMANDS.items():
        program = shlex.join([sys.executable, *how])
        command = re.sub(rf"(^|[|;&] *){name}\b", lambda m, p=program: m[1] + p, command)
    done: Any = subprocess.run(
        ["/bin/sh", "-c", command],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
        timeout=120,
    )
    return done.stdout
