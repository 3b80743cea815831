"""
What ptmeter's own tests stand on, shipped so that yours can: the contract every store must keep.
"""
