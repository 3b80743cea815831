"""What the pages say of names, tables, fields, codes and numbers is what the code has."""

from __future__ import annotations

import re
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pytest

import ptmeter
from ptmeter.configuration import forms, plan_forms, referral_forms, top_up_forms
from ptmeter.domain.ledger import REMEMBERED, Kind, WalletState
from ptmeter.domain.rates import Banded
from ptmeter.storage.schema import VERSION_TABLE
from ptmeter.storage.tables import metadata

if TYPE_CHECKING:
    from collections.abc import Iterator
    from enum import IntEnum

ROOT: Final = Path(__file__).resolve().parent.parent.parent
DOCS: Final = ROOT / "docs"

FORMS: Final = {
    ("rate-card", "The card"): forms.CardForm,
    ("rate-card", "A unit"): forms.UnitForm,
    ("rate-card", "The buffer"): forms.BufferForm,
    ("rate-card", "A rule"): forms.RuleForm,
    ("plans", "Plan file"): referral_forms.PlansForm,
    ("plans", "A plan"): plan_forms.PlanForm,
    ("plans", "A share"): plan_forms.ShareForm,
    ("plans", "A burn rate"): plan_forms.BurnForm,
    ("plans", "A step"): plan_forms.BurnStepForm,
    ("plans", "Roll-over"): plan_forms.RollOverForm,
    ("plans", "A flag"): plan_forms.FlagForm,
    ("plans", "A trial"): plan_forms.TrialForm,
    ("plans", "Top-ups"): top_up_forms.TopUpsForm,
    ("plans", "A volume discount"): top_up_forms.VolumeDiscountForm,
    ("plans", "Referrals"): referral_forms.ReferralsForm,
    ("plans", "A reward"): referral_forms.RewardForm,
    ("plans", "A tier"): referral_forms.RewardTierForm,
    ("plans", "Bounds"): referral_forms.BoundsForm,
    ("plans", "A bound"): referral_forms.BoundForm,
    ("prices", "Price file"): forms.PricesForm,
    ("prices", "A price"): forms.PriceForm,
}
"""Which section of which page lists the fields of which form."""

LINK: Final = re.compile(r"(?<!!)\[[^\]]*\]\(([^)#\s]+)(?:#[^)]*)?\)")


def page(name: str) -> str:
    return (DOCS / f"{name}.md").read_text(encoding="utf-8")


def section(text: str, title: str) -> str:
    """The part of a page under a heading, up to the next one."""
    found = re.search(rf"^#+ {re.escape(title)}\n(.*?)(?=^#|\Z)", text, re.MULTILINE | re.DOTALL)
    assert found, title
    return found[1]


def rows(text: str) -> Iterator[list[str]]:
    """The rows of the tables in a text, without their heads."""
    for line in re.findall(r"^\|(?! ---)(.*)\|$", text, re.MULTILINE):
        yield [cell.strip() for cell in line.replace("\\|", "¦").split("|")]


def named(cell: str) -> list[str]:
    return re.findall(r"`([^`]+)`", cell)


def first_names(text: str) -> set[str]:
    return {name for row in rows(text) for name in named(row[0])}


def loaded(path: str) -> Any:
    """A script of the documentation, as a module."""
    spec = spec_from_file_location(Path(path).stem, DOCS / path)
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


# --- names ---


def test_every_public_name_has_its_place_in_the_reference() -> None:
    """Each name of ``ptmeter.__all__`` stands once on a page of the reference, and no other does."""
    shown = [
        name
        for path in (DOCS / "reference").glob("*.md")
        for name in re.findall(r"^::: ptmeter\.(\w+)$", path.read_text(encoding="utf-8"), re.MULTILINE)
    ]

    assert sorted(ptmeter.__all__) == sorted(shown)


def test_what_is_generated_is_asked_for() -> None:
    """Each generated text has its place on one page, can be made, and no page asks for another."""
    hooks = loaded("hooks.py")
    asked = [name for path in DOCS.rglob("*.md") for name in hooks.PLACE.findall(path.read_text())]

    assert sorted(hooks.GENERATED) == sorted(asked)
    assert all(make() for make in hooks.GENERATED.values())


# --- tables of the database ---


def test_the_roles_have_rights_on_every_table() -> None:
    """What the application may do is said of each table, so that none is missed when one is added."""
    roles = section(page("how-to/database"), "Roles")

    assert {table.name for table in metadata.sorted_tables} == set(re.findall(r"\bptm_\w+", roles)) - {
        VERSION_TABLE
    }


@pytest.mark.parametrize("table", metadata.sorted_tables, ids=str)
def test_the_schema_page_has_every_column(table: Any) -> None:
    """The page lists the columns of each table, all of them and no others."""
    assert {column.name for column in table.columns} == first_names(
        section(page("reference/schema"), table.name)
    )


@pytest.mark.parametrize(
    ("table", "column", "numbers"),
    [("ptm_transfer", "kind", Kind), ("ptm_wallet", "state", WalletState)],
)
def test_the_schema_page_has_the_right_numbers(table: str, column: str, numbers: type[IntEnum]) -> None:
    """What a number in a column stands for is what the code says it does."""
    [meaning] = [
        cells[1] for cells in rows(section(page("reference/schema"), table)) if cells[0] == f"`{column}`"
    ]

    assert {n.value: n.name.lower() for n in numbers} == {
        int(number): name for number, name in re.findall(r"(\d+) (\w+)", meaning)
    }


def test_the_schema_page_has_the_refusals_that_are_remembered() -> None:
    """The reasons of a rejection are those that are remembered."""
    [meaning] = [
        c[1] for c in rows(section(page("reference/schema"), "ptm_rejection")) if c[0] == "`reason`"
    ]

    assert {int(reason) for reason in REMEMBERED} == set(map(int, re.findall(r"\d+", meaning)))


def test_the_ledger_page_has_every_kind() -> None:
    """The table of kinds has each of them."""
    kinds = {kind.name.lower() for kind in Kind}

    assert kinds == first_names(section(page("explanation/ledger"), "Sides and transfers"))


# --- files ---


@pytest.mark.parametrize("place", FORMS, ids=": ".join)
def test_the_pages_have_every_field(place: tuple[str, str]) -> None:
    """The page of a file lists the fields of each part of it, all of them and no others."""
    name, title = place

    assert set(FORMS[place].model_fields) == first_names(section(page(f"reference/{name}"), title))


def test_the_bundled_plans_are_as_shown() -> None:
    """The table of the bundled plans has their figures."""
    plans = ptmeter.reference_plans().by_name.values()

    def dollars(amount: ptmeter.Money | None) -> str:
        return "" if amount is None else str(amount).removeprefix("US$")

    expected = [
        [
            plan.name,
            dollars(plan.price_per_month)
            + (f" ({year})" if (year := dollars(plan.price_per_year)) else ""),
            f"{plan.allowance['core'].whole:,}",
            f"{plan.allowance['advanced'].whole:,}",
            ", ".join(sorted(plan.units, reverse=True)),
        ]
        for plan in plans
    ]
    _head, *shown = rows(section(page("reference/plans"), "The bundled plans"))

    assert expected == shown


def test_the_bands_are_as_shown() -> None:
    """The table of the bundled card's bands has its figures."""
    units = ptmeter.reference_card().units
    methods = [units[name].method for name in ("core", "advanced")]
    bands = [method.bands for method in methods if isinstance(method, Banded)]
    expected = [
        [f"up to {core.tokens:,}", str(ptmeter.PT(core.amount)), str(ptmeter.PT(advanced.amount))]
        for core, advanced in zip(*bands, strict=True)
    ]
    _head, *shown, _beyond = rows(section(page("explanation/pt"), "By bands"))

    assert expected == shown


# --- errors and the environment ---


def test_every_error_has_its_remedy() -> None:
    """The table of what to do has every error that is raised, and no others."""
    hooks = loaded("hooks.py")
    raised = {
        error.__name__ for error in hooks.error_classes() if "_" in error.code or not error.__subclasses__()
    }
    answered = first_names(section(page("how-to/troubleshoot"), "What to do"))
    kinds = {"StorageError", "ConfigurationError", "InvalidArgumentError", "InvariantError"}

    assert raised | kinds == {name for name in answered if name.endswith("Error")} | {"NotFoundError"}


def test_every_variable_of_the_environment_is_named() -> None:
    """The page of the command has each variable that the command reads."""
    read = {
        name
        for path in (ROOT / "src/ptmeter/cli").rglob("*.py")
        for name in re.findall(r"PTMETER_[A-Z_]+", path.read_text(encoding="utf-8"))
    }

    assert read == {
        name for name in first_names(page("reference/command-line")) if name.startswith("PTMETER_")
    }


# --- pictures and links ---


def test_the_pictures_are_as_drawn() -> None:
    """The SVG files are what their script draws: run docs/pictures/draw.py after a change."""
    pictures = loaded("pictures/draw.py")

    for name, draw in pictures.PICTURES.items():
        assert draw() == (DOCS / "pictures" / name).read_text(encoding="utf-8")


def test_the_links_of_the_readme_lead_somewhere() -> None:
    """Each link of the README is to a file that is there."""
    links = LINK.findall((ROOT / "README.md").read_text(encoding="utf-8"))

    assert links
    assert [] == [link for link in links if not (ROOT / link).exists()]


def test_no_page_needs_another_host() -> None:
    """No page, style sheet or picture loads or links anything from elsewhere."""
    texts = [*DOCS.rglob("*.md"), *DOCS.rglob("*.css"), *DOCS.rglob("*.svg"), ROOT / "README.md"]
    foreign = re.compile(r"https?://(?!www\.w3\.org/2000/svg)\S+")

    assert [] == [(path.name, link) for path in texts for link in foreign.findall(path.read_text("utf-8"))]
