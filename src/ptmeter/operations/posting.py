"""The one door to the ledger, who goes through it together, and what its refusals mean to the caller."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import replace
from itertools import islice
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar

from ..domain.ledger import Posted, Refusal, Refused
from ..domain.planner import plan
from ..domain.rollups import additions
from ..errors import ContentionError, InvariantError, PtmeterError
from .refusing import refusal

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from ..domain.admission import Rules
    from ..domain.commands import Linked
    from ..domain.ledger import Outcome
    from ..domain.rates import RateCard
    from ..ports import Books, Posting

T = TypeVar("T")


def post(books: Books, batch: Sequence[Linked]) -> list[tuple[Outcome, ...]]:
    """Carry out a batch of linked groups, in order: lock what they name, decide, write."""
    state = books.ledger.lock(batch)

    decided = plan(state, batch, chain_key=books.chain_key)

    added = additions(decided.transfers, decided.wallets, books.cards.selling)
    books.ledger.write(replace(decided, rollups=added))
    return decided.outcomes


def together(books: Books, works: Sequence[Callable[[Books], Posting[Any]]]) -> list[Any]:
    """
    Carry out several postings side by side: what they yield at the same moment is one batch.

    Returns what each came to, in their order. One that fails before it has posted anything comes to its
    `PtmeterError` and leaves the others alone; any other failure is everybody's, for the transaction is.
    """
    results: list[Any] = [None] * len(works)
    waiting: dict[int, tuple[Posting[Any], Sequence[Linked]]] = {}
    for place, work in enumerate(works):
        try:
            posting = work(books)
            waiting[place] = posting, next(posting)
        except StopIteration as done:
            results[place] = done.value
        except PtmeterError as failure:
            results[place] = failure
    while waiting:
        batch = [group for _, groups in waiting.values() for group in groups]
        outcomes = iter(post(books, batch) if batch else ())
        for place, (posting, groups) in list(waiting.items()):
            theirs = list(islice(outcomes, len(groups)))
            try:
                waiting[place] = posting, posting.send(theirs)
            except StopIteration as done:
                results[place] = done.value
                del waiting[place]
    return results


def carried_out(value: T) -> T:
    """
    What a transaction came to, if it is not a posting that nobody has begun.

    Raises:
        InvariantError: It is: a use case that posts was handed to ``run``, where nothing of it would happen.
    """
    if isinstance(value, Generator):
        msg = "a use case that posts was run, which does nothing: hand it to Store.post"
        raise InvariantError(msg)
    return value


def alone(books: Books, work: Callable[[Books], Posting[T]]) -> T:
    """Carry out one posting in the transaction of *books*."""
    (result,) = together(books, [work])
    return result


def post_batch(
    books: Books, batch: Sequence[Linked], *, card: RateCard | None = None
) -> Posting[list[tuple[Outcome, ...]]]:
    """
    Post linked groups, in order; each succeeds or is refused as a whole.

    *card* is what the usage in the batch was rated by, if there is any: it is kept with the debits.
    """
    if card and any(getattr(command, "usage", None) for group in batch for command in group):
        books.cards.keep(card)
    return (yield batch)


def post_one(
    books: Books, group: Linked, key: str, *, hold_key: str | None = None, asker: str | None = None
) -> Posting[list[Posted] | PtmeterError]:
    """
    Post one linked group: what was posted, or the error that says why nothing was.

    *hold_key* is the key of the hold that the group resolves, if it does; *asker* the account whose keys these are,
    if it is not the one that pays.
    """
    (outcomes,) = yield [group]
    posted = [outcome for outcome in outcomes if isinstance(outcome, Posted)]
    if len(posted) == len(group):
        return posted
    return next(
        refusal(books, command, outcome, key, hold_key or key, asker=asker)
        for command, outcome in zip(group, outcomes, strict=True)
        if isinstance(outcome, Refused) and outcome.reason is not Refusal.LINKED
    )


Group: TypeAlias = "Callable[[str, tuple[str, ...]], Linked]"
"""The commands of a request for the PT of who pays, once it was looked for with those who paid before."""


def post_for(
    books: Books, account: str, group: Group, key: str, rules: Rules | None
) -> Posting[list[Posted] | PtmeterError]:
    """Post a group for an account, with the PT of who pays for it; looked up again if that has changed."""
    if rules is None:
        return (yield from post_one(books, group(account, ()), key))
    posted = yield from post_one(books, _group_for(books, account, group), key, asker=account)
    if isinstance(posted, ContentionError):
        books.accounts.forget(account)
        posted = yield from post_one(books, _group_for(books, account, group), key, asker=account)
    return posted


def _group_for(books: Books, account: str, group: Group) -> Linked:
    """The group for who pays now, or for who paid when the same request was carried out."""
    former = books.accounts.former_payers(account)
    for earlier in (group(name, former) for name in former):
        if books.ledger.posted(earlier[0].wallet.account, [command.id for command in earlier]):
            return earlier
    return group(books.accounts.payer(account), former)
