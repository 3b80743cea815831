"""``python -m ptmeter.cli``: the same as ``ptmeter``, for where scripts are not on the path."""

from __future__ import annotations

import sys

from . import main

if __name__ == "__main__":
    sys.exit(main())
