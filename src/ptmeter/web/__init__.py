"""
What an application's web server needs whatever its framework is, in modules that know of none.

It owns how a request is answered: status, headers, body. Nothing below knows of it, and PT are moved only by the
meter. What needs an extra says so when it is imported.
"""
