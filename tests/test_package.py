"""The rules of the house that hold for its files, whatever the product does."""

from __future__ import annotations

import ast
import re
import shutil
import subprocess
import sys
import tomllib
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

ROOT = Path(__file__).resolve().parent.parent
SOURCES = sorted((ROOT / "src").rglob("*.py"))
TESTS = sorted({*ROOT.glob("tests/**/test_*.py"), *ROOT.glob("examples/**/test_*.py")})
REQUIREMENTS = sorted((ROOT / "requirements").glob("*.txt"))

LONGEST_MODULE = 400
LONGEST_FUNCTION = 60

# Said in words, so that this file does not hold what it forbids.
REGISTRY_HOSTS = {
    ".".join(words)
    for words in (
        ("pypi", "org"),
        ("pythonhosted", "org"),
        ("registry", "npmjs", "org"),
        ("registry", "yarnpkg", "com"),
        ("deb", "debian", "org"),
    )
}
REGISTRY_PATHS = re.compile(
    r"https?://(?:[^\s/]+@)?(?:files|registry|index|mirrors?)\.|https?://\S+/simple/?(?![\w-])"
)
MACHINE_PATHS = re.compile(r"(?<![\w.~-])/(?:root|work)/|(?<![\w.~-])/(?:Users|home)/\w+/\w")


def named(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


@cache
def tracked_texts() -> dict[str, str]:
    """Every text file that is, or on the next `git add` would be, in the repository."""
    git = shutil.which("git")
    if git is None or not (ROOT / ".git").exists():
        pytest.skip("not a git checkout")
    listing = [git, "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    names = subprocess.run(listing, cwd=ROOT, capture_output=True, text=True, check=True).stdout.split("\0")
    texts: dict[str, str] = {}
    for name in filter(None, names):
        path = ROOT / name
        if path.is_file() and b"\0" not in (content := path.read_bytes()):
            texts[name] = content.decode("utf-8", errors="replace")
    return texts


def configured_registry_hosts() -> set[str]:
    """The hosts this machine's own package clients ask, if they are set to any of their own."""
    answers = ""
    for command in (["npm", "config", "get", "registry"], [sys.executable, "-m", "pip", "config", "list"]):
        if shutil.which(command[0]):
            answers += subprocess.run(command, capture_output=True, text=True, check=False).stdout
    hosts = {urlsplit(url).hostname for url in re.findall(r"https?://[^\s'\"]+", answers)}
    return {host for host in hosts if host and host not in {"localhost", "127.0.0.1"}}


def lines_matching(pattern: re.Pattern[str]) -> list[str]:
    return [
        f"{name}:{number}: {line.strip()[:120]}"
        for name, text in tracked_texts().items()
        if pattern.search(text)
        for number, line in enumerate(text.splitlines(), 1)
        if pattern.search(line)
    ]


@cache
def tree_of(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"), filename=named(path))


def functions(paths: Iterable[Path]) -> Iterator[tuple[str, ast.FunctionDef | ast.AsyncFunctionDef]]:
    for path in paths:
        for node in ast.walk(tree_of(path)):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                yield f"{named(path)}:{node.lineno} {node.name}", node


# --- nothing ties the repository to one machine or one package index ---


def test_no_file_names_a_package_registry() -> None:
    """No file holds the address of a package registry: every machine installs from its own."""
    hosts = REGISTRY_HOSTS | configured_registry_hosts()
    pattern = re.compile("|".join([*map(re.escape, sorted(hosts)), REGISTRY_PATHS.pattern]))

    assert [] == lines_matching(pattern)


def test_no_file_names_a_path_of_one_machine() -> None:
    """No file holds an absolute path that exists only on its author's machine."""
    own = "|".join(re.escape(f"{path}/") for path in (ROOT, Path.home()) if path != Path("/"))
    pattern = re.compile(f"{MACHINE_PATHS.pattern}|(?<![\\w.~-])(?:{own})")

    assert [] == lines_matching(pattern)


@pytest.mark.parametrize("path", REQUIREMENTS, ids=named)
def test_pinned_requirements_have_hashes_and_no_urls(path: Path) -> None:
    """Each pinned requirement is an exact version with hashes, and says nothing of where to get it."""
    text = path.read_text(encoding="utf-8")
    entries = re.findall(r"^\w(?:[^\\\n]|\\\n)+", text, flags=re.MULTILINE)
    loose = [entry for entry in entries if "==" not in entry or "--hash=sha256:" not in entry]

    assert entries
    assert [] == loose
    assert "://" not in text
    assert not re.search(r"^-", text, flags=re.MULTILINE), "an option of the client, such as an index"


def test_the_lock_file_with_addresses_stays_out() -> None:
    """No lock file that records download addresses is in the repository."""
    locks = {"uv.lock", "poetry.lock", "pdm.lock", "package-lock.json", "yarn.lock"}

    assert set() == locks & {Path(name).name for name in tracked_texts()}


def test_actions_are_pinned_to_a_commit() -> None:
    """Each action in a workflow is pinned to a commit, with its version beside it: a tag can be moved."""
    uses = [
        line.strip()
        for name, text in tracked_texts().items()
        if name.startswith(".github/workflows/")
        for line in text.splitlines()
        if "uses:" in line
    ]

    assert uses
    assert [] == [line for line in uses if not re.search(r"@[0-9a-f]{40} # v\d+(\.\d+)*$", line)]


# --- what pyproject.toml promises ---


def test_the_extra_named_all_is_all() -> None:
    """The extra ``all`` brings every other extra."""
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    [everything] = extras.pop("all")

    assert f"ptmeter[{','.join(sorted(extras))}]" == everything


# --- the size and the names of things ---


def test_modules_are_short() -> None:
    """No module is longer than 400 lines."""
    lengths = {named(path): len(path.read_text(encoding="utf-8").splitlines()) for path in SOURCES}

    assert {} == {name: length for name, length in lengths.items() if length > LONGEST_MODULE}


def test_functions_are_short() -> None:
    """No function is longer than 60 lines, its docstring included."""
    lengths = {where: (node.end_lineno or 0) - node.lineno + 1 for where, node in functions(SOURCES)}

    assert {} == {where: length for where, length in lengths.items() if length > LONGEST_FUNCTION}


def test_modules_are_named_for_what_they_hold() -> None:
    """No module or package is a drawer for odds and ends."""
    drawers = {"common", "helper", "helpers", "misc", "util", "utils"}
    names = {part for path in SOURCES for part in path.relative_to(ROOT / "src").with_suffix("").parts}

    assert set() == drawers & {name.strip("_") for name in names}


def test_classes_are_named_for_what_they_are() -> None:
    """No class is called a manager, a service or a helper: those words say nothing."""
    empty = re.compile(r"(Manager|Service|Helper)s?$")

    assert [] == [
        f"{named(path)}:{node.lineno} {node.name}"
        for path in SOURCES
        for node in ast.walk(tree_of(path))
        if isinstance(node, ast.ClassDef) and empty.search(node.name)
    ]


def narrows_a_type(test: ast.expr) -> bool:
    match test:
        case ast.BoolOp(values=values):
            return all(map(narrows_a_type, values))
        case ast.UnaryOp(op=ast.Not(), operand=operand):
            return narrows_a_type(operand)
        case ast.Call(func=ast.Name(id="isinstance" | "callable" | "issubclass")):
            return True
        case ast.Compare(ops=[ast.Is() | ast.IsNot()]):
            return True
        case _:
            return False


def test_asserts_only_narrow_types() -> None:
    """An ``assert`` in the product says only what type a value has: ``python -O`` turns no law off."""
    product = [path for path in SOURCES if "testing" not in path.parts]  # that one ships tests
    assert [] == [
        f"{named(path)}:{node.lineno} {ast.unparse(node)}"
        for path in product
        for node in ast.walk(tree_of(path))
        if isinstance(node, ast.Assert) and not narrows_a_type(node.test)
    ]


def test_tests_state_their_claims() -> None:
    """Each test has a docstring: what is claimed, which the code then shows."""
    assert [] == [
        where
        for where, node in functions(TESTS)
        if node.name.startswith("test_") and not ast.get_docstring(node)
    ]
