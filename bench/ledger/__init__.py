"""
The ledger's throughput and latency beside its rivals, in one run on one machine: ``python -m bench.ledger``.

A *contestant* is one way to post holds and settles. Each has a database of its own; the contestants take
turns, a few seconds each, for several rounds, and every one is verified at the end. `load` builds a large
ledger and `reads` reads from it.
"""
