"""
What the pages say of the code and would say wrongly one day if it were written by hand: made when they are built.

A page holds `<!-- generated: commands -->` (or another name of `GENERATED`) where the text belongs; after a
comma there may stand what a reader of the file itself should know. MkDocs loads this file because mkdocs.yml
names it under `hooks`.
"""

from __future__ import annotations

import inspect
import json
import re
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

PLACE: Final = re.compile(r"<!-- generated: (\w+)(?:, [^>\n]*)? -->")


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Put what is generated in its places."""
    return PLACE.sub(lambda found: GENERATED[found[1]](), markdown)


def commands() -> str:
    """Every command with its arguments and options, as `--help` has them."""
    from typer.main import get_command

    from ptmeter.cli.app import COMMANDS, GROUPS, app

    every: Any = get_command(app)
    grouped = [
        (f"{name} ", every.commands.pop(name).commands, those)
        for name, those, _ in GROUPS
    ]
    listed = (
        (of, zip(commands.items(), examples, strict=True))
        for of, commands, examples in (("", every.commands, COMMANDS), *grouped)
    )
    return "\n\n".join(
        _command(f"{of}{name}", command, examples)
        for of, each in listed
        for (name, command), (_, examples) in each
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


def shapes() -> str:
    """Every wire shape with what it is, as the code has it."""
    source = inspect.getsource(_shape())
    told = re.findall(r'= "([a-z-]+)"\n    """(.*?)"""', source, re.DOTALL)
    return table(
        ("shape", "what has it"),
        ((f"`{name}`", _plain(meaning)) for name, meaning in told),
    )


def disagreements() -> str:
    """What others make of the corpus where they make something else of it, and why."""
    corpus = Path(__file__).parent.parent / "tests" / "corpus"
    known = json.loads(
        (corpus / "answers" / "disagreements.json").read_text(encoding="utf-8")
    )
    rows = [
        (
            f"`{one['shape']}`",
            one["who"],
            _answer(_golden(corpus / f"{one['shape']}.json")),
            _answer(one["theirs"]),
            one["why"],
        )
        for one in known
    ]
    return table(("answer", "who", "ptmeter", "they", "why"), rows)


def _shape() -> type:
    from ptmeter.providers.usage import Shape

    return Shape


def _plain(text: str) -> str:
    return " ".join(text.replace("``", "`").split())


def _golden(path: Path) -> dict[str, Any]:
    payload = json.loads(path.read_text(encoding="utf-8"))
    usage = payload["usage"]
    into = sum(count for name, count in usage.items() if name.startswith("input"))
    nano = payload["listed"]["nano_dollars"]
    return {"input": into, "output": payload["total"] - into, "nano_dollars": nano}


def _answer(made: dict[str, Any] | str) -> str:
    if isinstance(made, str):
        return "nothing"
    nano = made["nano_dollars"]
    cost = "no cost" if nano is None else f"US${nano / 1e9:.9f}".rstrip("0")
    return f"{made['input']:,} + {made['output']:,}, {cost}"


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
    "disagreements": disagreements,
    "errors": errors,
    "exit_codes": exit_codes,
    "families": families,
    "shapes": shapes,
}
