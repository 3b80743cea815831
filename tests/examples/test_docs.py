"""Every block of the README and of the documentation runs, and shows what it prints."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Final

import pytest
from sybil import Sybil

from .blocks import blocks
from .stand_ins import anthropic_module, openai_module

ROOT: Final = Path(__file__).resolve().parent.parent.parent
PAGES: Final = (ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md")))

HIDDEN: Final = re.compile(r"^<!-- hidden$.*?^-->$", re.MULTILINE | re.DOTALL)

GLIMPSES: Final = {"README.md", "docs/index.md"}
"""Pages whose code is a glimpse of an application; on all others what a reader needs stands on the page."""


def named(page: Path) -> str:
    return page.relative_to(ROOT).as_posix()


@pytest.fixture
def provider_sdks(monkeypatch: pytest.MonkeyPatch) -> None:
    """SDKs that answer without a key or a network, in the providers' own shapes."""
    monkeypatch.setitem(sys.modules, "openai", openai_module())
    monkeypatch.setitem(sys.modules, "anthropic", anthropic_module())


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_the_blocks_of_a_page_run(
    page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, provider_sdks: None
) -> None:
    """A page's blocks run one after the other in an empty folder, and print what the page shows."""
    monkeypatch.chdir(tmp_path)
    document = Sybil([blocks]).parse(page)
    document.namespace.update(what_a_reader_has() if named(page) in GLIMPSES else {}, __name__="page")

    for example in document.examples():
        example.evaluate()


def what_a_reader_has() -> dict[str, Any]:
    """What an application has at hand before it meets ptmeter: a client, a request and its id."""
    return {
        "client": openai_module().OpenAI(),
        "messages": [{"role": "user", "content": "Why is the sky blue?"}],
        "request": SimpleNamespace(id="req-1"),
    }


@pytest.mark.parametrize("page", sorted((ROOT / "docs" / "how-to").glob("*.md")), ids=named)
def test_a_page_says_with_which_file_it_begins(page: Path) -> None:
    """A page that fills a database in a file says in its first lines that the file is a new one."""
    text = page.read_text(encoding="utf-8")
    files = re.findall(r'(?:Meter\.open|create_engine)\(\s*"sqlite:///(\w+\.db)"', re.sub(HIDDEN, "", text))

    if files and named(page) not in GLIMPSES:
        assert f"The page begins with a new file, `{files[0]}`." in "".join(text.splitlines()[:4])
        assert set(files) == {files[0]}
