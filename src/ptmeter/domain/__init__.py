"""
Values and decisions: what a PT is, what a call costs, what a plan allows, how the ledger moves.

It owns the rules and nothing else. What always holds: amounts are integers, times are aware UTC, values
are frozen, and no function here reads a clock, makes an id, rolls a die or waits for anything. It knows
the standard library and ``errors``; not databases, not providers, not frameworks.
"""
