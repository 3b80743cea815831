"""The mutants that `make mutate` makes: whatever a slip of the hand could be, and nothing that only people read."""

from __future__ import annotations

import ast
from pathlib import Path
from typing import Final

import pytest
from scripts.mutants import mutants

PACKAGE: Final = Path(__file__).parents[2] / "src" / "ptmeter"


def changed(source: str) -> set[str]:
    """The source after each of its mutants."""
    return {mutant.applied(source.encode()).decode() for mutant in mutants(source.encode())}


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("a < b", {"a  <=  b", "a  >=  b"}),
        ("a is None", {"a  is not  None"}),
        ("a <= b < c", {"a  <  b < c", "a  >  b < c", "a <= b  <=  c", "a <= b  >=  c"}),
        ("a + b", {"a  -  b"}),
        ("a and b", {"a  or  b", "((a))", "((b))"}),
        ("(a) or (b)", {"(a)  and  (b)", "((a))", "((b))"}),
        ("not a", {"(a)"}),
        ("min(a, b)", {"max(a, b)"}),
        ("f(a, key=b)", {"f(a, **{})"}),
        ("f(a, on=True)", {"f(a, on=False)"}),
        ("2", {"3", "(1)"}),
        ("a[b:]", {"a[:]"}),
        ("(a, b)", {"(*(), b)", "(a, *())"}),
        ("[x for x in y if x]", {"[x for x in y if True]", "[x for x in y if False]"}),
        ("a if b else c", {"a if True else c", "a if False else c", "a if not (b) else c"}),
        ("sorted(a, key=b)", {"list(a, key=b)", "sorted(a, **{})", "list(a)"}),
    ],
)
def test_an_expression_is_changed_in_every_place(source: str, expected: set[str]) -> None:
    """Comparisons, operators, conditions, arguments and figures: each becomes what it could have been."""
    assert {f"x = {each}" for each in expected} == changed(f"x = {source}")


def test_every_statement_is_left_out() -> None:
    """In a function, what is done is not done, and what is returned is not returned."""
    source = "def f(a):\n    a.b()\n    a.c = a\n    del a\n    return a"
    lines = source.splitlines()

    expected = {"\n".join([*lines[:n], "    pass", *lines[n + 1 :]]) for n in (1, 2, 3)}

    assert expected | {source.replace("return a", "return None")} == changed(source)


def test_a_guard_is_told_from_the_rest() -> None:
    """A condition on which something is raised, and the raising; not what is done otherwise."""
    source = b"def f(a):\n    if a < 1:\n        raise E\n    if a > 2:\n        return a"

    guards = {mutant.line(source) for mutant in mutants(source) if mutant.guard}

    assert {2, 3} == guards


@pytest.mark.parametrize(
    ("source", "weaker"),
    [
        ('T(CheckConstraint("a >= 0"), b)', {"T(*(), b)", 'T(CheckConstraint("a > 0"), b)'}),
        ('T(UniqueConstraint("a", "b", name="c"))', {"T(*())"}),
        ('Column("a", b, nullable=False)', {'Column("a", b, nullable=True)'}),
        ('Index("a", b, unique=True)', {'Index("a", b, unique=False)'}),
    ],
)
def test_constraints_of_a_table_are_guards(source: str, weaker: set[str]) -> None:
    """A CHECK, a unique key or a NOT NULL is dropped or weakened."""
    found = [mutant for mutant in mutants(source.encode()) if mutant.guard]

    assert weaker == {mutant.applied(source.encode()).decode() for mutant in found}


@pytest.mark.parametrize(
    "source",
    [
        '"""What it is, in 2 sentences."""',
        "import a",
        "def f(a: X < 1) -> 2: ...",
        "if TYPE_CHECKING:\n    a = 1",
        "def f():\n    msg = 'too much' + 'of it'",
        "zip(a, b, strict=True)",
        'T = TypeVar("T")',
    ],
)
def test_what_only_people_read_is_left_alone(source: str) -> None:
    """Nobody is harmed by another docstring, annotation or message."""
    assert set() == changed(source)


def test_every_mutant_is_python_and_another() -> None:
    """One that cannot be compiled would count as killed for nothing, and one that is none would survive."""
    source = (PACKAGE / "domain" / "lots.py").read_bytes()
    original = ast.dump(ast.parse(source))

    found = [ast.dump(ast.parse(mutant.applied(source))) for mutant in mutants(source)]

    assert len(found) > 50
    assert original not in found
