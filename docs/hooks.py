"""
What the pages say of the code and would say wrongly one day if it were written by hand: made when they are built.

A page holds `<!-- generated: commands -->` (or another name of `GENERATED`) where the text belongs. MkDocs loads
this file because mkdocs.yml names it under `hooks`.
"""

from __future__ import annotations

import inspect
import re
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

PLACE: Final = re.compile(r"<!-- generated: (\w+) -->")


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Put what is generated in its places."""
    return PLACE.sub(lambda found: GENERATED[found[1]](), markdown)


def commands() -> str:
    """Every command with its arguments and options, as `--help` has them."""
    from ptmeter.cli.app import COMMANDS, app
    from typer.main import get_command

    group: Any = get_command(app)
    examples = {function.__name__: lines for function, lines in COMMANDS}
    return "\n\n".join(_command(name, command, examples[name]) for name, command in group.commands.items())


def errors() -> str:
    """Every error with its code and what the command exits with."""
    from ptmeter.cli.failures import exit_code

    rows = [
        (
            f"[`{error.__name__}`](#ptmeter.{error.__name__})",
            f"`{error.code}`",
            "yes" if error.retryable else "no",
            str(int(exit_code(error.__new__(error)))),
        )
        for error in error_classes()
    ]
    return table(("error", "code", "retryable", "exit code"), rows)


def families() -> str:
    """How the models of each family are counted."""
    from ptmeter.providers.families import FAMILIES, SCALE

    rows = [
        (
            family.name,
            f"`{family.encoding}`",
            "its own" if family.exact else f"× {family.expected / SCALE:g}",
            "exact" if family.exact else f"× {family.high / SCALE:g}",
        )
        for family in FAMILIES
    ]
    return table(("family", "encoding", "factor", "bound"), rows)


def error_classes() -> Iterator[Any]:
    """The errors in the order in which they are written."""
    from ptmeter import errors as module

    for found in vars(module).values():
        if inspect.isclass(found) and issubclass(found, module.PtmeterError):
            yield found


def table(head: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    """A table in Markdown."""
    head = tuple(head)
    lines = (head, ("---",) * len(head), *rows)
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines)


def _command(name: str, command: Any, examples: Iterable[str]) -> str:
    arguments = [p for p in command.params if p.param_type_name == "argument"]
    options = [p for p in command.params if p.param_type_name == "option" and p.name != "help"]
    usage = " ".join((f"ptmeter {name}", *(p.metavar or p.name.upper() for p in arguments), "[OPTIONS]"))
    rows = [(f"`{p.metavar}`", p.help or "", "") for p in arguments]
    rows += [(_spelled(p), p.help or "", _default(p)) for p in options]
    return "\n\n".join(
        (
            f"## {name}",
            _prose(command.help),
            f"```sh\n{usage}\n```",
            table(("option", "meaning", "default"), rows),
            "```sh\n" + "\n".join(examples) + "\n```",
        )
    )


def _prose(text: str) -> str:
    return "\n\n".join(" ".join(part.split()) for part in text.split("\n\n"))


def _spelled(parameter: Any) -> str:
    kind = parameter.type_descriptor.annotation
    choices = "|".join(kind) if inspect.isclass(kind) and issubclass(kind, StrEnum) else ""
    value = "" if parameter.is_flag else parameter.metavar or choices or "TEXT"
    names = "/".join((*parameter.opts, *parameter.secondary_opts))
    return f"`{names}{' ' if value else ''}{value}`"


def _default(parameter: Any) -> str:
    if parameter.envvar:
        variable = f"`{parameter.envvar}`"
        return f"{variable}, or `{parameter.default}`" if parameter.default else f"{variable}; required"
    if parameter.required:
        return "required"
    return "" if parameter.default in (None, False) else f"`{parameter.default}`"


GENERATED: Final[Mapping[str, Callable[[], str]]] = {
    "commands": commands,
    "errors": errors,
    "families": families,
}
