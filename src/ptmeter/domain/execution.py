"""
What each command does to the wallet it names: the moves it is made of, and why it may be refused.

An `Execution` decides one command on what the ones before it left. It takes nothing back: whoever carries out a
group does, which is `planner`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, assert_never

from .accounts import former_payers, payer
from .admission import Limited, admit, extend, locked
from .commands import Adjust, Debit, Expire, Freeze, Grant, Hold, Lapse, Reverse, Settle, Unfreeze, Void
from .keys import transfer_id
from .ledger import Allocation, Kind, Overage, Posted, Refusal, Refused, WalletState
from .moves import NO_REQUEST, Details, Request, follows
from .pt import LARGEST

if TYPE_CHECKING:
    from .commands import Command, LotCommand
    from .ledger import Lot, OpenHold, Transfer, Wallet, WalletId
    from .moves import Moves


class Refusing(Exception):  # noqa: N818 - how a command leaves its group; it never leaves the planner
    """Why a command is not carried out."""

    def __init__(
        self, reason: Refusal, *, available: int = 0, required: int = 0, limited: Limited | None = None
    ) -> None:
        self.refused = Refused(reason=reason, available=available, required=required, limited=limited)


class Execution:
    """Carries out command after command on a batch's moves."""

    def __init__(self, moves: Moves) -> None:
        self._moves = moves

    def carry_out(self, command: Command) -> Posted:
        """
        Do what *command* asks, and all that follows from it.

        Raises:
            Refusing: It cannot be done; what was done of it has to be taken back.
        """
        if command.wallet not in self._moves.wallets:
            self._check_model(command)
            raise Refusing(Refusal.NO_WALLET)
        lapsed = self._moves.lapse_due(command.wallet)
        match command:
            case Grant():
                return self._grant(command, Kind.GRANT, command.amount)
            case Hold():
                return self._hold(command)
            case Settle():
                return self._settle(command)
            case Void():
                return self._void(command)
            case Expire():
                return self._expire(command)
            case Debit():
                return self._debit(command)
            case Adjust():
                return self._adjust(command)
            case Lapse():
                if lapsed is None:
                    raise Refusing(Refusal.NOT_DUE)
                return self._posted(lapsed)
            case Freeze() | Unfreeze() | Reverse():
                return self._of_lot(command)
            case _:
                assert_never(command)

    def _adjust(self, command: Adjust) -> Posted:
        if command.amount > 0:
            return self._grant(command, Kind.ADJUST_UP, command.amount)
        return self._adjust_down(command)

    # --- PT in ---

    def _grant(self, command: Grant | Adjust, kind: Kind, amount: int) -> Posted:
        wallet = self._moves.wallets[command.wallet]
        if wallet.state is WalletState.CLOSED:
            raise Refusing(Refusal.NOT_OPEN)
        _check_room(wallet, amount)
        details = Details(
            expires_at=command.expires_at, effective_at=command.effective_at, note=command.note
        )
        if isinstance(command, Grant):
            details["paid"] = command.paid
        else:  # what corrects a call sells once more; what is goodwill was not paid for
            details["usage"], details["plan"] = command.usage, command.plan
            details["paid"] = None if command.usage else 0
        transfer = self._moves.bring_in(
            wallet, kind, amount, _request(command), priority=command.priority, **details
        )
        self._moves.lapse_due(command.wallet)
        self._moves.repay(command.wallet)
        return self._posted(transfer)

    # --- holds ---

    def _hold(self, command: Hold) -> Posted:
        limit = self._credit_limit(command.wallet)
        multiple = self._admit(command)
        amount = command.amount * multiple
        wallet = self._cover(command.wallet, amount, limit)
        placed = self._moves.open_hold(
            wallet,
            amount,
            _request(command),
            command.ttl,
            admission=command.admission,
            multiple=multiple,
            extends=command.extends is not None,
        )
        return self._posted(placed)

    def _admit(self, command: Hold) -> int:
        """How many times the rate the hold is charged; refuses it if a limit says so."""
        asked = command.admission
        if asked is None:
            return command.extends or 1
        path = self._moves.tallies.path(self._member(command))
        unit, amount, at = command.wallet.unit, command.amount, self._moves.at
        if command.extends is None:
            decided = admit(path, asked, unit, amount, at)
        else:
            decided = extend(path, asked.rules, command.extends, unit, amount, at)
        if isinstance(decided, Limited):
            raise Refusing(Refusal.LIMITED, limited=decided)
        return decided.multiple

    def _check_model(self, command: Command) -> None:
        """Refuse a model that the plan does not open, before anybody is told to buy PT for it."""
        asked = command.admission if isinstance(command, Hold) else None
        if asked is None:
            return
        if refused := locked(self._moves.tallies.path(asked.account), asked, command.wallet.unit):
            raise Refusing(Refusal.LIMITED, limited=refused)

    def _member(self, command: Hold | Debit) -> str:
        """
        In whose tally it counts; refuses what would use the PT of somebody who does not pay for it.

        And what was not looked for with everybody who did: it may have been booked there.
        """
        asked = command.admission
        if asked is None:
            return ""
        path = self._moves.tallies.path(asked.account)
        if (payer(path), former_payers(path)) != (command.wallet.account, asked.former):
            raise Refusing(Refusal.NOT_PAYER)
        return asked.account

    def _settle(self, command: Settle) -> Posted:
        hold = self._moves.holds.get(command.hold_id)
        if hold is None or hold.wallet != command.wallet:
            return self._settle_late(command)
        within = min(command.amount, hold.amount)
        beyond = command.amount - within
        if beyond and command.overage is Overage.REJECT:
            raise Refusing(Refusal.OVER_HOLD, available=hold.amount, required=command.amount)
        transfer = self._moves.close_hold(
            hold,
            Kind.SETTLE if within else Kind.VOID,
            within,
            _request(command),
            usage=command.usage,
            effective_at=command.effective_at,
            multiple=command.multiple,
            rules=command.rules,
        )
        if beyond:
            self._charge_overage(command, beyond, settle=transfer, member=hold.member)
        return self._posted(transfer, charged=command.amount)

    def _charge_overage(self, command: Settle, amount: int, *, settle: Transfer, member: str) -> None:
        wallet = self._cover(command.wallet, amount, self._overage_limit(command))
        beyond = transfer_id(command.wallet.account, "#overage", command.id.hex())
        self._moves.take_out(
            wallet,
            Kind.DEBIT,
            amount,
            Request(beyond, NO_REQUEST),
            completes=settle.seq,
            effective_at=command.effective_at,
            member=member,
            rules=command.rules,
        )

    def _settle_late(self, command: Settle) -> Posted:
        """Charge a call whose hold expired meanwhile: it was answered, so it is paid for."""
        resolved = self._moves.resolved.get(command.hold_id)
        if resolved is None or resolved.wallet != command.wallet:
            raise Refusing(Refusal.HOLD_NOT_FOUND)
        if resolved.kind is not Kind.EXPIRE or resolved.completed or command.amount == 0:
            raise Refusing(Refusal.HOLD_NOT_PENDING)
        self._moves.complete(command.hold_id, resolved)
        transfer = self._moves.take_out(
            self._cover(command.wallet, command.amount, self._overage_limit(command)),
            Kind.DEBIT,
            command.amount,
            _request(command),
            completes=resolved.seq,
            usage=command.usage,
            effective_at=command.effective_at,
            member=resolved.member,
            multiple=command.multiple,
            rules=command.rules,
        )
        return self._posted(transfer, charged=command.amount)

    def _void(self, command: Void) -> Posted:
        hold = self._open_hold(command)
        return self._posted(self._moves.close_hold(hold, Kind.VOID, 0, _request(command)))

    def _expire(self, command: Expire) -> Posted:
        hold = self._open_hold(command)
        if self._moves.at < hold.expires_at:
            raise Refusing(Refusal.NOT_DUE)
        return self._posted(self._moves.close_hold(hold, Kind.EXPIRE, 0, _request(command)))

    def _open_hold(self, command: Void | Expire) -> OpenHold:
        hold = self._moves.holds.get(command.hold_id)
        if hold is not None and hold.wallet == command.wallet:
            return hold
        resolved = self._moves.resolved.get(command.hold_id)
        known = resolved is not None and resolved.wallet == command.wallet
        raise Refusing(Refusal.HOLD_NOT_PENDING if known else Refusal.HOLD_NOT_FOUND)

    # --- PT out ---

    def _debit(self, command: Debit) -> Posted:
        limit = self._credit_limit(command.wallet)
        member = self._member(command)
        transfer = self._moves.take_out(
            self._cover(
                command.wallet, command.amount, None if command.overage is Overage.ALLOW else limit
            ),
            Kind.DEBIT,
            command.amount,
            _request(command),
            usage=command.usage,
            note=command.note,
            effective_at=command.effective_at,
            member=member,
            rules=command.admission and command.admission.rules,
        )
        return self._posted(transfer, charged=command.amount)

    def _adjust_down(self, command: Adjust) -> Posted:
        lots, amount = self._moves.free_lots(command.wallet, command.lot, -command.amount)
        if not amount:
            raise Refusing(Refusal.INSUFFICIENT_FUNDS, required=-command.amount)
        wallet = self._cover(command.wallet, amount, limit=0)
        return self._posted(
            self._moves.take_out(
                wallet,
                Kind.ADJUST_DOWN,
                amount,
                _request(command),
                lots=lots,
                note=command.note,
                effective_at=command.effective_at,
                usage=command.usage,
                plan=command.plan,
            )
        )

    # --- PT whose payment is disputed, or was given back ---

    def _of_lot(self, command: Freeze | Unfreeze | Reverse) -> Posted:
        match command:
            case Freeze():
                return self._freeze(command)
            case Unfreeze():
                return self._unfreeze(command)
            case Reverse():
                return self._reverse(command)
            case _:
                assert_never(command)

    def _freeze(self, command: Freeze) -> Posted:
        lot = self._lot(command)
        _, amount = self._moves.free_lots(command.wallet, lot.number, command.amount)
        if not amount:
            raise Refusing(Refusal.INSUFFICIENT_FUNDS, required=command.amount)
        wallet, part = self._moves.wallets[command.wallet], Allocation(lot.number, amount)
        frozen = self._moves.freeze(wallet, Kind.FREEZE, part, _request(command), note=command.note)
        return self._posted(frozen)

    def _unfreeze(self, command: Unfreeze) -> Posted:
        given_back = self._thaw(command, command.amount, _request(command))
        self._moves.lapse_due(command.wallet)
        self._moves.repay(command.wallet)
        return self._posted(given_back)

    def _reverse(self, command: Reverse) -> Posted:
        """Take from the lot what is there; what is not is lent for it, which what else is available repays."""
        self._moves.free_lots(command.wallet, command.lot, command.amount - command.frozen)
        if command.frozen:  # nothing of it lapses or repays in between
            follow = follows(self._moves.wallets[command.wallet], "#unfreeze")
            self._thaw(command, command.frozen, follow)
        wallet, lot = self._moves.wallets[command.wallet], self._lot(command)
        lots = [lot]
        if (short := command.amount - lot.remaining) > 0:
            wallet = self._lend(wallet, short)
            lots.append(wallet.lots[-1])
        taken = self._moves.take_out(
            wallet, Kind.REVERSE, command.amount, _request(command), lots=lots, note=command.note
        )
        self._moves.repay(command.wallet)
        return self._posted(taken)

    def _thaw(self, command: LotCommand, amount: int, request: Request) -> Transfer:
        frozen = self._lot(command).frozen
        if frozen < amount:
            raise Refusing(Refusal.NOT_FROZEN, available=frozen, required=amount)
        wallet, part = self._moves.wallets[command.wallet], Allocation(command.lot, amount)
        return self._moves.freeze(wallet, Kind.UNFREEZE, part, request, note=command.note)

    def _lot(self, command: LotCommand) -> Lot:
        """The lot as it is now, with something left in it or not."""
        for lot in self._moves.wallets[command.wallet].lots:
            if lot.number == command.lot:
                return lot
        raise Refusing(Refusal.LOT_NOT_FOUND)

    # --- funds ---

    def _cover(self, name: WalletId, amount: int, limit: int | None) -> Wallet:
        """Make *amount* available: release holds that are due, then lend up to *limit* (``None``: any)."""
        if self._moves.wallets[name].available < amount:
            self._moves.expire_due(name)
        wallet = self._moves.wallets[name]
        short = amount - wallet.available
        if short <= 0:
            return wallet
        if limit is not None and wallet.owed + short > limit:
            funds = wallet.available + max(0, limit - wallet.owed)
            raise Refusing(Refusal.INSUFFICIENT_FUNDS, available=funds, required=amount)
        return self._lend(wallet, short)

    def _lend(self, wallet: Wallet, amount: int) -> Wallet:
        _check_room(wallet, amount)
        if wallet.owed + amount >= LARGEST:  # more than was spent, by payments that were taken back
            raise Refusing(Refusal.TOO_LARGE)
        return self._moves.advance(wallet, amount)

    def _credit_limit(self, name: WalletId) -> int:
        """How much the wallet may owe for something new; refuses if it is not open."""
        wallet = self._moves.wallets[name]
        if wallet.state is not WalletState.OPEN:
            raise Refusing(Refusal.NOT_OPEN)
        return wallet.credit_limit

    def _overage_limit(self, command: Settle) -> int | None:
        if command.overage is Overage.ALLOW:
            return None
        return self._moves.wallets[command.wallet].credit_limit

    def _posted(self, transfer: Transfer, charged: int = 0) -> Posted:
        wallet = self._moves.wallets[transfer.wallet]
        return Posted(transfer=transfer, charged=charged, available=wallet.available, held=wallet.held)


def _check_room(wallet: Wallet, amount: int) -> None:
    if wallet.available + wallet.held + wallet.frozen + wallet.spent + amount >= LARGEST:
        raise Refusing(Refusal.TOO_LARGE)


def _request(command: Command) -> Request:
    return Request(command.id, command.fingerprint)
