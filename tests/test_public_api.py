"""The public names: complete, lazy, documented; and the errors as they are drawn."""

from __future__ import annotations

import ast
import inspect
import subprocess
import sys
from pathlib import Path

import pytest

import ptmeter
from ptmeter import errors

SOURCE = Path(ptmeter.__file__)
HEAVY = ("sqlalchemy", "pydantic", "tiktoken", "stripe", "genai_prices", "alembic", "openai", "anthropic")


def error_classes() -> list[type[errors.PtmeterError]]:
    found = vars(errors).values()
    return [each for each in found if isinstance(each, type) and issubclass(each, errors.PtmeterError)]


def test_all_names_are_there() -> None:
    """Every name in ``__all__`` can be imported, and is there once; ruff keeps them sorted."""
    assert len(set(ptmeter.__all__)) == len(ptmeter.__all__)
    assert [] == [name for name in ptmeter.__all__ if getattr(ptmeter, name, None) is None]


def test_type_checkers_see_the_same_names() -> None:
    """What type checkers see imported is what ``__all__`` says, and where the lazy import finds it."""
    tree = ast.parse(SOURCE.read_text(encoding="utf-8"))
    imported = {
        alias.name: node.module
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and node.level
        for alias in node.names
    }

    assert set(ptmeter.__all__) == set(imported)
    assert imported == ptmeter._HOME_OF


def test_an_unknown_name_is_an_attribute_error() -> None:
    """A name that is not there says so, as with any module."""
    with pytest.raises(AttributeError, match="no attribute 'Metre'"):
        _ = ptmeter.Metre


def test_importing_loads_nothing_heavy() -> None:
    """``import ptmeter`` loads no SDK, no database driver and no price list."""
    program = f"import sys, ptmeter; print([n for n in {HEAVY!r} if n in sys.modules])"
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)

    assert "[]" == ran.stdout.strip()


def test_the_meter_in_memory_needs_no_database() -> None:
    """A meter in memory works where SQLAlchemy is not loaded."""
    program = (
        "import sys; from ptmeter import Meter\n"
        "with Meter.open('memory://') as meter:\n"
        "    meter.funds.grant('acme', core=1, source='test', key='g')\n"
        "print('sqlalchemy' in sys.modules)"
    )
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)

    assert "False" == ran.stdout.strip()


def test_public_names_are_documented() -> None:
    """Every public class and function says what it is, and so does every public method."""
    undocumented: list[str] = []
    for name in ptmeter.__all__:
        value = getattr(ptmeter, name)
        undocumented += [] if inspect.getdoc(value) else [name]
        methods = inspect.getmembers(value, inspect.isfunction) if isinstance(value, type) else []
        undocumented += [
            f"{name}.{method}"
            for method, function in methods
            if not method.startswith("_") and not inspect.getdoc(function)
        ]

    assert [] == undocumented


def test_errors_have_codes_of_their_own() -> None:
    """Each error has a code that no other has, and a sentence that says what to do."""
    codes = [each.code for each in error_classes()]

    assert len(codes) == len(set(codes))
    assert [] == [each.__name__ for each in error_classes() if not each.__doc__]


def test_errors_are_drawn_as_they_are() -> None:
    """The tree at the top of errors.py names every error under its parent."""
    drawing = (errors.__doc__ or "").split("\n\n")[1]
    parent = ""
    drawn: dict[str, str] = {}
    for line in drawing.splitlines():
        names = line.replace("│", " ").replace("├── ", "").replace("└── ", "").split("(")[0].split()
        words = [word.strip("·") for word in line.replace("(", " (").split() if word.endswith("Error")]
        if "──" in line:
            parent = names[0]
            drawn[parent] = "PtmeterError"
            words = [word for word in words if word != parent]
        for word in words:
            drawn.setdefault(word, parent or "Exception")

    actual = {each.__name__: each.__bases__[0].__name__ for each in error_classes()}
    assert actual == drawn
