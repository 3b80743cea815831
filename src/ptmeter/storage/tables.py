"""
The tables, all named ``ptm_…`` so that they can live beside an application's own.

The journal (transfer, period, closing) is only ever inserted into. Wallets, lots and open holds are projections of it, kept
in the same transaction and re-derived by ``ptmeter verify``. Prices and rate cards are kept word for word
under the hash of their content. A tally, beside its account, counts what limits go by; a roll-up adds up what
a wallet was charged on a day; the outbox holds what is to be told, a top-up what was asked for because there was
too little. A rejection is a refusal remembered for a day. Calibration is what settled calls taught the estimates;
nothing in the journal rests on it. A subscription says which plan goes on until when, and its requests what was
asked for under which key. What is unpriced is which calls were charged at a ceiling, and what is in quarantine
waits for a person. A mitigation is what is done for a while because margins are thin. A referral says whose code an
account used and what that earned, and a trace, hashed with a key, where it came from. A webhook is an event that came
from Stripe, and a task what is to be done by whoever takes it, such as to look up what some events are about; a
payment says which lots it brought and what was claimed back, and money is where the money is.

Whatever belongs to a wallet has the wallet first in every unique key, so that the tables can be spread
over servers by it. Wide columns come before narrow ones, or PostgreSQL would fill the gaps with nothing.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import CheckConstraint, Column, Index, Table, UniqueConstraint, text

from ..domain.usage import TOKEN_CLASSES
from . import inbox_tables, mitigation_tables, payment_tables, referral_tables
from .columns import Allocations, Body, Id, Instant, Int16, Int32, Int64, Version, digest, name
from .metadata import clustered as _clustered
from .metadata import metadata
from .metadata import options as _options

account = Table(
    "ptm_account",
    metadata,
    Column("account", name(), primary_key=True),
    Column("opened_at", Instant, nullable=False),
    Column("anchor", Instant),
    Column("placed_at", Instant),
    Column("pooled", Int16, nullable=False, default=0),
    Column("overflow", Int16, nullable=False, default=0),
    Column("parent", name()),
    Column("plan", name(64)),
    Column("zone", name(64)),
    Column("former", Body),
    Column("terms", Body),
    Column("top_ups", Body),
    Column("tally", Body),
    Index("ptm_account_parent", "parent"),
    CheckConstraint("parent <> account", name="ptm_account_not_its_own_parent"),
    **_clustered,
)

wallet = Table(
    "ptm_wallet",
    metadata,
    Column("wallet_id", Id, primary_key=True, autoincrement=False),
    Column("available", Int64, nullable=False, default=0),
    Column("held", Int64, nullable=False, default=0),
    Column("spent", Int64, nullable=False, default=0),
    Column("owed", Int64, nullable=False, default=0),
    Column("credit_limit", Int64, nullable=False, default=0),
    Column("seq", Int64, nullable=False, default=0),
    Column("booked_at", Instant, nullable=False),
    Column("closed_until", Instant, nullable=False, default=0),
    Column("state", Int16, nullable=False, default=0),
    Column("head", digest(33), nullable=False),
    Column("account", name(), nullable=False),
    Column("unit", name(32), nullable=False),
    CheckConstraint("available >= 0", name="ptm_wallet_available"),
    CheckConstraint("held >= 0", name="ptm_wallet_held"),
    CheckConstraint("spent >= 0", name="ptm_wallet_spent"),
    CheckConstraint("owed >= 0 AND (owed = 0 OR available = 0)", name="ptm_wallet_owed"),
    CheckConstraint("credit_limit >= 0", name="ptm_wallet_credit_limit"),
    Index("ptm_wallet_account", "account"),
    CheckConstraint("booked_at >= closed_until - 1", name="ptm_wallet_closed"),
    **_options,
    postgresql_with={"fillfactor": 20},
)

_completing: Any = text("completes IS NOT NULL")

transfer = Table(
    "ptm_transfer",
    metadata,
    Column("wallet_id", Id, primary_key=True, autoincrement=False),
    Column("seq", Int64, primary_key=True, autoincrement=False),
    Column("transfer_id", Id, nullable=False),
    Column("fingerprint", Id, nullable=False),
    Column("link", Id, nullable=False),
    Column("amount", Int64, nullable=False),
    Column("available_after", Int64, nullable=False),
    Column("held_after", Int64, nullable=False),
    Column("booked_at", Instant, nullable=False),
    Column("effective_at", Instant),
    Column("expires_at", Instant),
    Column("completes", Int64),
    Column("price_version", Version),
    Column("card_version", Version),
    Column("cost", Int64),
    Column("paid", Int64),
    Column("frozen_after", Int64),
    *(Column(token_class, Int32) for token_class in TOKEN_CLASSES),
    Column("requests", Int32),
    Column("kind", Int16, nullable=False),
    Column("priority", Int16),
    Column("multiple", Int16),
    Column("allocations", Allocations),
    Column("member", name()),
    Column("plan", name(64)),
    Column("note", Body),
    Column("quality", name(32)),
    Column("tool_calls", Body),
    Column("workload", Body),
    UniqueConstraint("wallet_id", "transfer_id", name="ptm_transfer_id"),
    Index(
        "ptm_transfer_completes",
        *("wallet_id", "completes"),
        unique=True,
        postgresql_where=_completing,
        sqlite_where=_completing,
    ),
    CheckConstraint("amount > 0", name="ptm_transfer_amount"),
    CheckConstraint(
        "available_after >= 0 AND held_after >= 0 AND frozen_after >= 0", name="ptm_transfer_after"
    ),
    **_clustered,
)

lot = Table(
    "ptm_lot",
    metadata,
    Column("wallet_id", Id, primary_key=True, autoincrement=False),
    Column("number", Int64, primary_key=True, autoincrement=False),
    Column("granted", Int64, nullable=False),
    Column("remaining", Int64, nullable=False),
    Column("held", Int64, nullable=False),
    Column("frozen", Int64, nullable=False),
    Column("expires_at", Instant),
    Column("paid", Int64),
    Column("priority", Int16, nullable=False),
    CheckConstraint("remaining >= 0 AND held >= 0 AND frozen >= 0", name="ptm_lot_not_negative"),
    CheckConstraint("remaining + held + frozen <= granted", name="ptm_lot_granted"),
    **_clustered,
)

open_hold = Table(
    "ptm_open_hold",
    metadata,
    Column("wallet_id", Id, primary_key=True, autoincrement=False),
    Column("hold_id", Id, primary_key=True, autoincrement=False),
    Column("number", Int64, nullable=False),
    Column("amount", Int64, nullable=False),
    Column("expires_at", Instant, nullable=False),
    Column("extends", Int16),
    Column("allocations", Allocations),
    Column("member", name()),
    CheckConstraint("amount > 0", name="ptm_open_hold_amount"),
    Index("ptm_open_hold_wallet", "wallet_id", "expires_at"),
    Index("ptm_open_hold_due", "expires_at"),
    **_clustered,
)

rejection = Table(
    "ptm_rejection",
    metadata,
    Column("wallet_id", Id, primary_key=True, autoincrement=False),
    Column("transfer_id", Id, primary_key=True, autoincrement=False),
    Column("fingerprint", Id, nullable=False),
    Column("available", Int64, nullable=False),
    Column("required", Int64, nullable=False),
    Column("refused_at", Instant, nullable=False),
    Column("reason", Int16, nullable=False),
    Index("ptm_rejection_age", "refused_at"),
    **_clustered,
)

price = Table(
    "ptm_price",
    metadata,
    Column("version", Version, primary_key=True, autoincrement=False),
    Column("provider", name(64), nullable=False),
    Column("model", name(), nullable=False),
    Column("body", Body, nullable=False),
    **_clustered,
)

rate_card = Table(
    "ptm_rate_card",
    metadata,
    Column("version", Version, primary_key=True, autoincrement=False),
    Column("body", Body, nullable=False),
    **_clustered,
)

period = Table(
    "ptm_period",
    metadata,
    Column("period", name(16), primary_key=True),
    Column("number", Int16, primary_key=True, autoincrement=False),
    Column("state", Int16, nullable=False),
    Column("starts_at", Instant, nullable=False),
    Column("ends_at", Instant, nullable=False),
    Column("noted_at", Instant, nullable=False),
    Column("actor", name(), nullable=False),
    Column("approver", name()),
    Column("reason", Body),
    Column("wallets", Int64),
    Column("hash", digest(33)),
    CheckConstraint("approver IS NULL OR approver <> actor", name="ptm_period_two_persons"),
    **_clustered,
)

closing = Table(
    "ptm_closing",
    metadata,
    Column("wallet_id", Id, primary_key=True, autoincrement=False),
    Column("revision", Int16, primary_key=True, autoincrement=False),
    Column("period", name(16), primary_key=True),
    Column("seq", Int64, nullable=False),
    Column("booked_at", Instant),
    Column("available", Int64, nullable=False),
    Column("held", Int64, nullable=False),
    Column("spent", Int64, nullable=False),
    Column("owed", Int64, nullable=False),
    Column("issued", Int64, nullable=False),
    Column("lapsed", Int64, nullable=False),
    Column("adjusted", Int64, nullable=False),
    Column("frozen", Int64, nullable=False),
    Column("reversed", Int64, nullable=False),
    Column("head", digest(33), nullable=False),
    Column("lots", Body),
    CheckConstraint(
        "available + held + frozen + spent + lapsed + reversed = issued + owed + adjusted",
        name="ptm_closing_ties",
    ),
    Index("ptm_closing_period", "period", "revision", "wallet_id"),
    **_clustered,
)

boundary = Table(
    "ptm_boundary",
    metadata,
    Column("id", Int16, primary_key=True, autoincrement=False),
    Column("closed_until", Instant, nullable=False),
    **_clustered,
)

calibration = Table(
    "ptm_calibration",
    metadata,
    Column("model", name(), primary_key=True),
    Column("route", name(), primary_key=True),
    Column("changed_at", Instant, nullable=False),
    Column("body", Body, nullable=False),
    **_clustered,
)

rollup = Table(
    "ptm_rollup",
    metadata,
    Column("wallet_id", Id, primary_key=True, autoincrement=False),
    Column("day", Int32, primary_key=True, autoincrement=False),
    Column("model", name(), primary_key=True),
    Column("plan", name(64), primary_key=True),
    Column("currency", name(16), primary_key=True),
    Column("calls", Int64, nullable=False),
    Column("amount", Int64, nullable=False),
    Column("unvalued", Int64, nullable=False),
    Column("cost", Int64, nullable=False),
    Column("revenue", Int64, nullable=False),
    Index("ptm_rollup_day", "day"),
    CheckConstraint("calls >= 0", name="ptm_rollup_calls"),
    **_clustered,
)

outbox = Table(
    "ptm_outbox",
    metadata,
    Column("account", name(), primary_key=True),
    Column("message_id", Id, primary_key=True, autoincrement=False),
    Column("noted_at", Instant, nullable=False),
    Column("due_at", Instant),
    Column("delivered_at", Instant),
    Column("attempts", Int32, nullable=False, default=0),
    Column("topic", name(32), nullable=False),
    Column("body", Body, nullable=False),
    Column("problem", Body),
    Index("ptm_outbox_due", "delivered_at", "due_at"),
    CheckConstraint("delivered_at IS NULL OR due_at IS NULL", name="ptm_outbox_delivered"),
    **_clustered,
)

top_up = Table(
    "ptm_top_up",
    metadata,
    Column("top_up_id", Id, primary_key=True, autoincrement=False),
    Column("amount", Int64, nullable=False),
    Column("price", Int64, nullable=False),
    Column("requested_at", Instant, nullable=False),
    Column("cool_down", Int64, nullable=False),
    Column("done_at", Instant),
    Column("cools_until", Instant),
    Column("attempts", Int32, nullable=False),
    Column("state", Int16, nullable=False),
    Column("account", name(), nullable=False),
    Column("unit", name(32), nullable=False),
    Column("open_unit", name(32)),
    Column("currency", name(8), nullable=False),
    Column("payment", name()),
    Column("problem", Body),
    UniqueConstraint("account", "open_unit", name="ptm_top_up_open"),
    Index("ptm_top_up_account", "account", "requested_at"),
    CheckConstraint("amount > 0 AND price >= 0", name="ptm_top_up_amount"),
    **_clustered,
)

subscription = Table(
    "ptm_subscription",
    metadata,
    Column("account", name(), primary_key=True),
    Column("due_at", Instant),
    Column("changed_at", Instant, nullable=False),
    Column("body", Body),
    Index("ptm_subscription_due", "due_at"),
    **_clustered,
)

subscription_request = Table(
    "ptm_subscription_request",
    metadata,
    Column("account", name(), primary_key=True),
    Column("request_id", Id, primary_key=True, autoincrement=False),
    Column("fingerprint", Id, nullable=False),
    Column("noted_at", Instant, nullable=False),
    Column("body", Body, nullable=False),
    **_clustered,
)

unpriced = Table(
    "ptm_unpriced",
    metadata,
    Column("wallet_id", Id, primary_key=True, autoincrement=False),
    Column("seq", Int64, primary_key=True, autoincrement=False),
    **_clustered,
)

_RESOLVED = "resolved_at IS NOT NULL AND resolver IS NOT NULL AND decision IS NOT NULL"

quarantine = Table(
    "ptm_quarantine",
    metadata,
    Column("account", name(), primary_key=True),
    Column("call_id", Id, primary_key=True, autoincrement=False),
    Column("received_at", Instant, nullable=False),
    Column("held", Int64),
    Column("resolved_at", Instant),
    Column("decision", Id),
    Column("state", Int16, nullable=False),
    Column("call_key", Body, nullable=False),
    Column("unit", name(32), nullable=False),
    Column("model", name(), nullable=False),
    Column("route", name(), nullable=False),
    Column("payer", name()),
    Column("problem", Body, nullable=False),
    Column("payload", Body, nullable=False),
    Column("workload", Body),
    Column("more", Body),
    Column("resolver", name()),
    Column("reason", Body),
    CheckConstraint(
        f"state = 0 AND resolved_at IS NULL OR state <> 0 AND {_RESOLVED}", name="ptm_quarantine_resolved"
    ),
    Index("ptm_quarantine_state", "state", "received_at", "call_id"),
    **_clustered,
)

mitigation = mitigation_tables.mitigation
referral = referral_tables.referral
referral_code = referral_tables.referral_code
referral_trace = referral_tables.referral_trace

webhook = inbox_tables.webhook
task = inbox_tables.task

payment = payment_tables.payment
money = payment_tables.money
customer = payment_tables.customer
