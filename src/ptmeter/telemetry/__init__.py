"""
What an operator's tools read off a ledger, each in a module of its own that needs its own extra.

It owns names and help texts of metrics, and no figure: those come from the meter. Nothing below knows of it.
"""
