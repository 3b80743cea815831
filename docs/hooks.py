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
    from typer.main import get_command

    from ptmeter.cli import periods, prices
    from ptmeter.cli.app import COMMANDS, app

    group: Any = get_command(app)
    groups = {"periods": periods.COMMANDS, "prices": prices.COMMANDS}
    parts = {
        f"{name} ": (group.commands.pop(name).commands, of)
        for name, of in groups.items()
    }
    parts = {"": (group.commands, COMMANDS)} | parts
    return "\n\n".join(
        _command(f"{of}{name}", command, examples)
        for of, (those, with_examples) in parts.items()
        for (name, command), (_, examples) in zip(
            those.items(), with_examples, strict=True
        )
    )


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


def exit_codes() -> str:
    """What each exit code of the command means."""
    from ptmeter.cli.failures import MEANINGS

    return table(
        ("code", "meaning"),
        ((str(int(code)), meaning) for code, meaning in MEANINGS.items()),
    )


def families() -> str:
    """How the models of each family are counted."""
    from ptmeter.providers.families import FAMILIES, SCALE

    alike: dict[tuple[str, str, str], list[str]] = {}
    for family in FAMILIES:
        factor = "its own" if family.exact else f"× {family.expected / SCALE:g}"
        bound = "exact" if family.exact else f"× {family.high / SCALE:g}"
        alike.setdefault((f"`{family.encoding}`", factor, bound), []).append(
            family.name
        )
    return table(
        ("families", "encoding", "factor", "bound"),
        ((", ".join(names), *how) for how, names in alike.items()),
    )


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
    return "\n".join(
        "| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |"
        for line in lines
    )


def _command(name: str, command: Any, examples: Iterable[str]) -> str:
    arguments = [p for p in command.params if p.param_type_name == "argument"]
    options = [
        p
        for p in command.params
        if p.param_type_name == "option" and p.name != "help"
    ]
    usage = " ".join((f"ptmeter {name}", *map(_argument, arguments), "[OPTIONS]"))
    rows = [
        (
            f"`{_argument(p)}`",
            p.help or "",
            "" if p.default is None else f"`{p.default}`",
        )
        for p in arguments
    ]
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


def _argument(parameter: Any) -> str:
    name: str = parameter.metavar or parameter.name.upper()
    return name if parameter.nargs == 1 else f"{name}..."


def _spelled(parameter: Any) -> str:
    names = "/".join((*parameter.opts, *parameter.secondary_opts))
    kind = parameter.type_descriptor.annotation
    if inspect.isclass(kind) and issubclass(kind, StrEnum):
        return f"`{names}` " + " or ".join(f"`{choice}`" for choice in kind)
    return (
        f"`{names}`"
        if parameter.is_flag
        else f"`{names} {parameter.metavar or 'TEXT'}`"
    )


def _default(parameter: Any) -> str:
    default = "required" if parameter.required else ""
    if parameter.default not in (None, False):
        default = f"`{parameter.default}`"
    variable = f"`{parameter.envvar}`" if parameter.envvar else ""
    return ", or ".join(filter(None, (default, variable)))


GENERATED: Final[Mapping[str, Callable[[], str]]] = {
    "commands": commands,
    "errors": errors,
    "exit_codes": exit_codes,
    "families": families,
}
