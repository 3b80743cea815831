"""
The mutants of a module: copies of it in which one thing is wrong, as a slip of the hand would have it.

A comparison is off by one, a condition is left out or always true, a statement or an argument is missing, `min` is
`max`, a number is one too large, a constraint of a table is gone. Texts that only people read are left alone:
docstrings, messages of errors, annotations.
"""

from __future__ import annotations

import ast
import re
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

COMPARISONS: Final[dict[type[ast.cmpop], tuple[str, ...]]] = {
    ast.Lt: ("<=", ">="),
    ast.LtE: ("<", ">"),
    ast.Gt: (">=", "<="),
    ast.GtE: (">", "<"),
    ast.Eq: ("!=",),
    ast.NotEq: ("==",),
    ast.Is: ("is not",),
    ast.IsNot: ("is",),
    ast.In: ("not in",),
    ast.NotIn: ("in",),
}

OPERATORS: Final[dict[type[ast.operator], str]] = {
    ast.Add: "-",
    ast.Sub: "+",
    ast.Mult: "//",
    ast.FloorDiv: "*",
    ast.Mod: "*",
    ast.BitOr: "&",
    ast.BitAnd: "|",
    ast.LShift: ">>",
    ast.RShift: "<<",
}

CALLS: Final = {
    "min": "max",
    "max": "min",
    "any": "all",
    "all": "any",
    "sorted": "list",
    "reversed": "iter",
}

CONSTRAINTS: Final = frozenset({"CheckConstraint", "UniqueConstraint"})

FLAGS: Final = frozenset({"nullable", "primary_key", "unique"})
"""Arguments of a column or an index that refuse rows."""

SQL: Final = (
    (r" >= ", " > "),
    (r" > ", " >= "),
    (r" <= ", " < "),
    (r" < ", " <= "),
    (r" = ", " <> "),
    (r" <> ", " = "),
    (r" AND ", " OR "),
    (r" OR ", " AND "),
    (r" \+ ", " - "),
    (r" - ", " + "),
    (r" IS NULL", " IS NOT NULL"),
)
"""What is changed in a CHECK, wherever it occurs."""


class Mutant(NamedTuple):
    """One change of a module: the bytes from *start* to *end* become *text*."""

    start: int
    end: int
    text: str
    where: str
    """The function or class it is in."""
    guard: bool
    """Whether it lets through what the code, or a constraint of the database, is there to refuse."""

    def applied(self, source: bytes) -> bytes:
        """The module with the change."""
        return source[: self.start] + self.text.encode() + source[self.end :]

    def line(self, source: bytes) -> int:
        """The number of the line it begins in."""
        return source.count(b"\n", 0, self.start) + 1

    def shown(self, source: bytes) -> tuple[str, str]:
        """The lines it touches, before and after, each as one line."""
        first = source.rfind(b"\n", 0, self.start) + 1
        last = source.find(b"\n", self.end)
        before = source[first:last]
        after = source[first : self.start] + self.text.encode() + source[self.end : last]
        return " ".join(before.decode().split()), " ".join(after.decode().split())


def mutants(source: bytes) -> list[Mutant]:
    """All mutants of a module, in the order of its lines."""
    tree = ast.parse(source)
    original = ast.dump(tree)
    found = set(_Finder(source).walk(tree, "module", guard=False))
    return sorted(mutant for mutant in found if _parsed(mutant.applied(source)) not in {None, original})


def _parsed(source: bytes) -> str | None:
    try:
        return ast.dump(ast.parse(source))
    except SyntaxError:  # an argument cannot be left out everywhere
        return None


class _Finder:
    """Walks the tree of a module; what it finds is in places of its source."""

    def __init__(self, source: bytes) -> None:
        self._source = source
        self._lines = [0]
        for line in source.splitlines(keepends=True):
            self._lines.append(self._lines[-1] + len(line))

    def walk(self, node: ast.AST, where: str, *, guard: bool) -> Iterator[Mutant]:
        """The mutants of *node* and of what is in it."""
        match node:
            case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.ClassDef():
                called = "" if isinstance(node, ast.ClassDef) else "()"
                where = f"{where}.{node.name}{called}".removeprefix("module.")
            case ast.If():
                guard = any(isinstance(statement, ast.Raise) for statement in node.body)
            case ast.stmt():
                guard = isinstance(node, ast.Raise)
            case _:
                pass
        if _is_unread(node):
            return
        for start, end, text, constraint in self._changes(node, where):
            yield Mutant(start, end, text, where, guard or constraint)
        for child in _parts(node):
            yield from self.walk(child, where, guard=guard)

    def _changes(self, node: ast.AST, where: str) -> Iterator[tuple[int, int, str, bool]]:
        """Start, end, new text, and whether a constraint of a table is weakened."""
        for changes in (self._operators, self._operands, self._tests):
            for start, end, text in changes(node):
                yield start, end, text, False
        match node:
            case ast.stmt() if where.endswith("()"):
                for text in _instead(node):
                    yield *self._place(node), text, False
            case ast.Call(args=args):
                for each in args:
                    if isinstance(each, ast.Call) and _name(each) in CONSTRAINTS:
                        yield *self._place(each), "*()", True
                for flag in node.keywords:
                    if flag.arg in FLAGS and isinstance(flag.value, ast.Constant):
                        yield *self._place(flag.value), str(not flag.value.value), True
                if _name(node) == "CheckConstraint":
                    for place, text in self._weaker(args[0]):
                        yield *place, text, True
            case _:
                pass

    def _operators(self, node: ast.AST) -> Iterator[tuple[int, int, str]]:
        """Another operator, and a negation that is missing."""
        match node:
            case ast.Compare(left=left, ops=ops, comparators=others):
                for one, operator, other in zip([left, *others], ops, others, strict=False):
                    for text in COMPARISONS[type(operator)]:
                        yield self._between(one, other, f" {text} ")
            case ast.BinOp(left=left, op=operator, right=right) if type(operator) in OPERATORS:
                yield self._between(left, right, f" {OPERATORS[type(operator)]} ")
            case ast.AugAssign(target=target, op=operator, value=value) if type(operator) in OPERATORS:
                yield self._between(target, value, f" {OPERATORS[type(operator)]}= ")
            case ast.BoolOp(op=operator, values=values):
                yield from self._conditions(node, operator, values)
            case ast.UnaryOp(op=ast.Not() | ast.USub(), operand=operand):
                yield *self._place(node), f"({self._text(operand)})"
            case _:
                pass

    def _operands(self, node: ast.AST) -> Iterator[tuple[int, int, str]]:
        """Another value, another function, one part fewer."""
        match node:
            case ast.Constant(value=value):
                for text in _other_values(value):
                    yield *self._place(node), text
            case ast.Call():
                yield from self._calls(node)
            case ast.Tuple(elts=parts, ctx=ast.Load()) | ast.Set(elts=parts) if len(parts) > 1:
                for part in parts:
                    yield *self._place(part), "*()"
            case ast.Dict(keys=keys, values=values):
                for key, value in zip(keys, values, strict=True):
                    if key:
                        yield self._place(key)[0], self._place(value)[1], "**{}"
            case ast.Slice(lower=lower, upper=upper):
                for bound in filter(None, (lower, upper)):
                    yield *self._place(bound), ""
            case _:
                pass

    def _tests(self, node: ast.AST) -> Iterator[tuple[int, int, str]]:
        """A condition that is always, or never, or the other way round."""
        match node:
            case ast.If(test=test) | ast.IfExp(test=test):
                tests, texts = [test], ("True", "False", f"not ({self._text(test)})")
            case ast.While(test=test):
                tests, texts = [test], ("False",)
            case ast.comprehension(ifs=ifs):
                tests, texts = ifs, ("True", "False")
            case ast.match_case(pattern=pattern, guard=condition):
                yield self._place(pattern)[0], self._place(condition or pattern)[1], "_ if False"
                tests, texts = ([condition] if condition else []), ("True",)
            case _:
                return
        for test in tests:
            for text in texts:
                yield *self._place(test), text

    def _conditions(
        self, node: ast.AST, operator: ast.boolop, values: Sequence[ast.expr]
    ) -> Iterator[tuple[int, int, str]]:
        """The other connective, and one condition fewer."""
        word, other = ("and", "or") if isinstance(operator, ast.And) else ("or", "and")
        for number, value in enumerate(values):
            if number:
                yield self._between(values[number - 1], value, f" {other} ")
            rest = [f"({self._text(each)})" for each in values if each is not value]
            yield *self._place(node), f"({f' {word} '.join(rest)})"

    def _calls(self, node: ast.Call) -> Iterator[tuple[int, int, str]]:
        """Another function, and one argument fewer."""
        if _name(node) in CALLS and isinstance(node.func, ast.Name):
            yield *self._place(node.func), CALLS[node.func.id]
        if _name(node) == "sorted":
            yield *self._place(node), f"list({self._text(node.args[0])})"
        for keyword in node.keywords:
            if keyword.arg and not _is_flag(keyword):
                yield *self._place(keyword), "**{}"

    def _weaker(self, check: ast.expr) -> Iterator[tuple[tuple[int, int], str]]:
        """Another condition in a CHECK."""
        text = self._text(check)
        for pattern, other in SQL:
            for found in re.finditer(pattern, text):
                yield self._place(check), text[: found.start()] + other + text[found.end() :]

    def _place(self, node: ast.AST) -> tuple[int, int]:
        # ast.AST has no positions of its own; whatever is asked for here does.
        start = self._lines[node.lineno - 1] + node.col_offset  # pyright: ignore[reportAttributeAccessIssue]
        end = self._lines[node.end_lineno - 1] + node.end_col_offset  # pyright: ignore[reportAttributeAccessIssue]
        return start, end

    def _text(self, node: ast.AST) -> str:
        start, end = self._place(node)
        return self._source[start:end].decode()

    def _between(self, one: ast.expr, other: ast.expr, text: str) -> tuple[int, int, str]:
        """The operator between two operands becomes *text*; parentheses around the operands stay."""
        start, end = self._place(one)[1], self._place(other)[0]
        gap = self._source[start:end].decode()
        closing, opening = re.match(r"[\s)]*", gap), re.search(r"[\s(]*$", gap)
        return start, end, f"{closing[0] if closing else ''}{text}{opening[0] if opening else ''}"


def _instead(node: ast.stmt) -> Iterator[str]:
    """What stands in for a whole statement."""
    match node:
        case ast.Return(value=ast.expr() as value) if not _is_none(value):
            yield "return None"
        case ast.Raise() | ast.Break() | ast.Continue() | ast.Delete() | ast.AugAssign() | ast.Expr():
            yield "pass"
        case ast.Assign():
            yield "pass"
        case _:
            return


def _is_unread(node: ast.AST) -> bool:
    """Whether it is for people and type checkers: a mutant of it would harm nobody."""
    match node:
        case ast.JoinedStr() | ast.Import() | ast.ImportFrom() | ast.Expr(value=ast.Constant()):
            return True
        case ast.If(test=ast.Name(id="TYPE_CHECKING")):
            return True
        case ast.Assign(targets=[ast.Name(id="msg" | "message")]):
            return True
        case ast.Assign(value=ast.Call(func=ast.Name(id="TypeVar"))):
            return True
        case ast.keyword(arg="strict"):  # of `zip`: it only says aloud what holds
            return True
        case ast.keyword(arg=name) if name in FLAGS:  # see `_Finder._changes`
            return True
        case ast.match_case(body=[ast.Expr(value=ast.Call(func=ast.Name(id="assert_never")))]):
            return True
        case _:
            return False


def _parts(node: ast.AST) -> Iterator[ast.AST]:
    """What is in *node* and is run: no annotations, no names of columns."""
    match node:
        case ast.FunctionDef(args=arguments, body=body) | ast.AsyncFunctionDef(args=arguments, body=body):
            yield from (default for default in (*arguments.defaults, *arguments.kw_defaults) if default)
            yield from body
        case ast.ClassDef(body=body):
            yield from body
        case ast.AnnAssign(value=value):
            if value:
                yield value
        case ast.Call() if _name(node) in {"Table", "Column", "Index"} | CONSTRAINTS:
            yield from (part for part in node.args if not isinstance(part, ast.Constant))
            yield from (keyword for keyword in node.keywords if keyword.arg != "name")
        case ast.Subscript(value=value, slice=ast.Tuple()):  # a generic class
            yield value
        case _:
            yield from ast.iter_child_nodes(node)


def _other_values(value: object) -> tuple[str, ...]:
    match value:
        case bool():
            return (str(not value),)
        case int():
            return str(value + 1), f"({value - 1})"
        case float():
            return (str(value + 1),)
        case str():
            return (repr(f"{value}x"),)
        case bytes():
            return (repr(value + b"x"),)
        case _:
            return ()


def _name(call: ast.Call) -> str:
    return call.func.id if isinstance(call.func, ast.Name) else getattr(call.func, "attr", "")


def _is_flag(keyword: ast.keyword) -> bool:
    """Whether leaving it out is no news: it is True or False, which is turned anyway."""
    return isinstance(keyword.value, ast.Constant) and isinstance(keyword.value.value, bool)


def _is_none(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and node.value is None
