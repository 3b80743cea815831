"""The page on which a Checkout session is paid in a browser, so that an app can be clicked through."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING, Final, NamedTuple

from .objects import checkout, payment_methods
from .passage import settle_at_once
from .refusals import RefusedError

if TYPE_CHECKING:
    from .values import Obj
    from .world import World

CARDS: Final = {
    "pm_card_visa": "Pay with a card",
    "pm_card_chargeDeclined": "Try a card that is declined",
    "pm_usBankAccount_processing": "Pay by a bank that answers later",
}


class Page(NamedTuple):
    """What a browser is sent: a page, or where to go."""

    status: int
    html: str = ""
    location: str | None = None


def respond(world: World, method: str, identity: str, form: Obj) -> Page:
    """Show the session, or pay it as the *form* says and lead back to the app."""
    try:
        session = world.get("checkout.session", identity)
        if method == "POST":
            paid = payment_methods.named(world, form.get("payment_method") or "pm_card_visa")
            checkout.complete(world, session, paid, form)
            settle_at_once(world)
            return Page(
                303, location=str(session["success_url"]).replace("{CHECKOUT_SESSION_ID}", identity)
            )
    except RefusedError as refused:
        settle_at_once(world)
        return Page(refused.status, _page("That did not work", f"<p>{escape(str(refused))}</p>"))
    return Page(200, _page("A fake Checkout", _session(world, session)))


def _session(world: World, session: Obj) -> str:
    lines = checkout.lines_of(world, session)["data"]
    rows = "".join(
        f"<tr><td>{escape(str(line['description']))}<td>{line['quantity']}<td>{_money(line, 'amount_total')}"
        for line in lines
    )
    buttons = "".join(
        f'<button name="payment_method" value="{card}">{said}</button> ' for card, said in CARDS.items()
    )
    back = f'<p><a href="{escape(session["cancel_url"])}">Go back</a>' if session["cancel_url"] else ""
    due = f"<p>Due: {_money(session, 'amount_total')}" if session["amount_total"] is not None else ""
    return f'<table>{rows}</table>{due}<form method="post">{buttons}</form>{back}<p>No money moves here.'


def _money(obj: Obj, name: str) -> str:
    return f"{obj[name] / 100:.2f} {escape(str(obj['currency'])).upper()}"


def _page(title: str, body: str) -> str:
    return (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{title}</title>'
        f"<style>body{{font:1rem system-ui;margin:3rem auto;max-width:32rem}}</style><h1>{title}</h1>{body}</html>"
    )
