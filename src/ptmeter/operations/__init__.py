"""
The use cases, one function each: lock, decide, write.

Every operation is ``f(books, ..., *, key) -> value`` and runs in one transaction that `Store.run` may
repeat. A refusal is returned as the error it will become, not raised, so that the transaction which
remembers it is committed. An operation knows neither clock nor network: the ledger's time is the
database's.
"""
