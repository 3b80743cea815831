"""
Configuration as it was written, JSON or YAML, with the line of every place in it.

JSON is read by the standard library, and a scanner of its tokens finds the lines, so that errors name
them without PyYAML too. Either way nothing becomes a ``float``: a number with a decimal point is a problem.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import takewhile
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeAlias

from ..errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from yaml import MappingNode, Node

Source: TypeAlias = "str | os.PathLike[str] | Mapping[str, Any]"
"""Where configuration comes from: the path of a file, or what would be in it."""

Place: TypeAlias = tuple[str | int, ...]
"""The way to a value from the top of a document."""

DEEPEST: Final = 32
"""How far values may be nested; a YAML alias inside its own anchor goes on for ever."""

YAML_SUFFIXES: Final = frozenset({".yaml", ".yml"})

TOKEN: Final = re.compile(r'"(?:[^"\\]|\\.)*"|[{}\[\],:]|[^\s{}\[\],:"]+')
WHOLE_NUMBER: Final = re.compile(r"[-+]?(?:0|[1-9][0-9_]{0,40})")


class Problem(NamedTuple):
    """What is wrong at a place: a sentence that says what is expected there."""

    place: Place
    sentence: str


@dataclass(frozen=True, slots=True)
class Document:
    """What was written: its name, the value, the line of each place, and what is wrong already."""

    name: str
    value: Any
    lines: Mapping[Place, int] = field(default_factory=dict[Place, int])
    problems: tuple[Problem, ...] = ()

    def refusal(self, problems: Iterable[Problem]) -> ConfigurationError:
        """
        The error that names all *problems*, from the first line to the last.

        Where a field takes whole numbers alone, one with a decimal point is not to be written as text either.
        """
        told = {*problems}
        whole = {each.place for each in told if each.sentence.startswith("expected a whole number")}
        own = {each for each in self.problems if each.place not in whole}
        found = sorted({*own, *told}, key=lambda p: (self._line(p.place), written(p.place)))
        return ConfigurationError("\n".join(self._message(problem) for problem in found))

    def at(self, place: Place) -> str:
        """Say where a place is: the file, its line there if that is known, and its fields."""
        line = f":{self._line(place)}" if self.lines else ""
        return f"{self.name}{line}{f': {written(place)}' if place else ''}"

    def _message(self, problem: Problem) -> str:
        return f"{self.at(problem.place)}: {problem.sentence}"

    def _line(self, place: Place) -> int:
        """The line of a place, or of what it should be in."""
        known = (place[:length] for length in range(len(place), -1, -1))
        return next((self.lines[part] for part in known if part in self.lines), 1)


def written(place: Place) -> str:
    """Write a place as people do: ``plans.pro.allowance.core``, ``models[3].unit``."""
    text = ""
    for part in place:
        if isinstance(part, int):
            text += f"[{part}]"
        elif re.fullmatch(r"[\w-]+", part):
            text += f".{part}" if text else part
        else:
            text += f"[{part!r}]"
    return text


def read(source: Source, what: str) -> Document:
    """
    Read a document; *what* names one that is no file.

    Raises:
        ConfigurationError: There is no such file, or it is neither JSON nor YAML.
    """
    if isinstance(source, Mapping):
        found = _Found(what)
        value = found.copied(source, ())
        return Document(what, value, problems=tuple(found.problems))
    path, name = Path(source), os.fspath(source)
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except OSError as error:
        msg = f"{name}: expected a file that can be read: {error.strerror}"
        raise ConfigurationError(msg) from error
    except UnicodeDecodeError as error:
        msg = f"{name}: expected text in UTF-8: {error.reason} at byte {error.start}"
        raise ConfigurationError(msg) from error
    return _from_yaml(name, text) if path.suffix.lower() in YAML_SUFFIXES else from_json(name, text)


def from_json(name: str, text: str) -> Document:
    """
    Read a document written in JSON.

    Raises:
        ConfigurationError: It is not JSON.
    """
    try:
        value = json.loads(text, parse_float=str, parse_constant=str)
    except json.JSONDecodeError as error:
        msg = f"{name}:{error.lineno}: expected JSON: {error.msg}"
        raise ConfigurationError(msg) from error
    except (RecursionError, ValueError) as error:  # nested too deeply; a number of too many digits
        msg = f"{name}: expected JSON of a reasonable size: {error}"
        raise ConfigurationError(msg) from error
    found = _Found(name)
    tokens = iter([*_tokens(text)])
    _scan(*next(tokens), tokens, (), found)
    return Document(name, value, found.lines, tuple(found.problems))


@dataclass(slots=True)
class _Found:
    """What reading a document brings to light beside its value."""

    name: str
    lines: dict[Place, int] = field(default_factory=dict[Place, int])
    problems: list[Problem] = field(default_factory=list[Problem])

    def key(self, place: Place, line: int) -> None:
        if place in self.lines:
            self.problem(place, f"expected once, and it is on line {self.lines[place]} already")
        self.lines[place] = line

    def problem(self, place: Place, sentence: str) -> None:
        self.problems.append(Problem(place, sentence))

    def pointed(self, place: Place, text: str) -> None:
        self.problem(place, f'expected text or a whole number: write "{text}" in quotation marks')

    def check_depth(self, place: Place) -> None:
        if len(place) > DEEPEST:
            line = f":{self.lines[place]}" if place in self.lines else ""
            msg = f"{self.name}{line}: {written(place[:3])}: expected no values nested {DEEPEST} deep or deeper"
            raise ConfigurationError(msg)

    def copied(self, value: object, place: Place) -> Any:
        """Copy a value, so that what is changed in it later changes nothing that was read from it."""
        self.check_depth(place)
        if isinstance(value, Mapping):
            fields: Mapping[Any, object] = value  # pyright: ignore[reportUnknownVariableType]
            return {key: self.copied(item, (*place, key)) for key, item in self._named(fields, place)}
        if isinstance(value, list | tuple):
            items: list[object] = list(value)  # pyright: ignore[reportUnknownArgumentType]
            return [self.copied(item, (*place, index)) for index, item in enumerate(items)]
        if value is None or isinstance(value, str | int):
            return value
        if isinstance(value, float):
            self.pointed(place, str(value))
        else:
            self.problem(place, f"expected text, a whole number, a list or a mapping, not {value!r}")
        return str(value)

    def _named(self, value: Mapping[Any, object], place: Place) -> Iterator[tuple[str, object]]:
        for key, item in value.items():
            if isinstance(key, str):
                yield key, item
            else:
                self.problem(place, f"expected text as the name of a field, not {key!r}")


# --- JSON -------------------------------------------------------------------------------------


def _tokens(text: str) -> Iterator[tuple[str, int]]:
    line, end = 1, 0
    for match in TOKEN.finditer(text):
        line += text.count("\n", end, match.start())
        end = match.start()
        yield match[0], line


def _scan(token: str, line: int, tokens: Iterator[tuple[str, int]], place: Place, found: _Found) -> None:
    """Note the lines of a value that begins with *token*; that it is JSON is known already."""
    found.lines.setdefault(place, line)
    found.check_depth(place)
    if token == "{":
        for key, key_line in takewhile(lambda read: read[0] != "}", tokens):
            if key != ",":
                inner = (*place, json.loads(key))
                found.key(inner, key_line)
                next(tokens)  # the colon
                _scan(*next(tokens), tokens, inner, found)
    elif token == "[":
        items = (read for read in takewhile(lambda read: read[0] != "]", tokens) if read[0] != ",")
        for index, (item, item_line) in enumerate(items):
            _scan(item, item_line, tokens, (*place, index), found)
    elif token[0] != '"' and token not in {"true", "false", "null"} and not WHOLE_NUMBER.fullmatch(token):
        found.pointed(place, token)


# --- YAML -------------------------------------------------------------------------------------


def _from_yaml(name: str, text: str) -> Document:
    try:
        import yaml
    except ImportError as error:
        msg = f"{name}: YAML needs PyYAML: pip install 'ptmeter[yaml]', or write JSON"
        raise ConfigurationError(msg) from error
    try:
        node: Node | None = yaml.SafeLoader(text).get_single_node()
    except yaml.MarkedYAMLError as error:
        line = f":{error.problem_mark.line + 1}" if error.problem_mark else ""
        msg = f"{name}{line}: expected YAML: {error.problem}"
        raise ConfigurationError(msg) from error
    except yaml.YAMLError as error:
        msg = f"{name}: expected YAML: {' '.join(str(error).split())}"
        raise ConfigurationError(msg) from error
    found = _Found(name)
    value = None if node is None else _value(node, (), found)
    return Document(name, value, found.lines or {(): 1}, tuple(found.problems))


def _value(node: Node, place: Place, found: _Found) -> Any:
    """Return what JSON would have for *node*, dates as they are written."""
    import yaml

    found.lines.setdefault(place, node.start_mark.line + 1)
    found.check_depth(place)
    if isinstance(node, yaml.MappingNode):
        return {place[-1]: _value(item, place, found) for place, item in _fields(node, place, found)}
    if isinstance(node, yaml.SequenceNode):
        items: list[Node] = node.value
        return [_value(item, (*place, index), found) for index, item in enumerate(items)]
    text: str = node.value
    match node.tag.removeprefix("tag:yaml.org,2002:"):
        case "str" | "timestamp":
            return text
        case "null":
            return None
        case "bool":
            return text.lower() in {"yes", "true", "on"}
        case "int" if WHOLE_NUMBER.fullmatch(text):
            return int(text)
        case "float":
            found.pointed(place, text)
        case tag:
            found.problem(place, f"expected text or a whole number, not {text!r} as a YAML {tag}")
    return text


def _fields(node: MappingNode, place: Place, found: _Found) -> Iterator[tuple[Place, Node]]:
    pairs: list[tuple[Node, Node]] = node.value
    for key, value in pairs:
        if key.tag == "tag:yaml.org,2002:str":
            inner = (*place, key.value)
            found.key(inner, key.start_mark.line + 1)
            yield inner, value
        else:
            found.problem(
                place, f"expected text as the name of a field: write {key.value!r} in quotation marks"
            )
