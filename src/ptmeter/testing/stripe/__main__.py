"""``python -m ptmeter.testing.stripe --port 12111``: a fake Stripe for the command line and for other languages."""

from __future__ import annotations

import argparse
import contextlib
import sys
import threading

from .fake import FakeStripe


def main(arguments: list[str] | None = None) -> None:
    """Serve until interrupted."""
    parser = argparse.ArgumentParser(prog="python -m ptmeter.testing.stripe", description=__doc__)
    parser.add_argument("--port", type=int, default=12111, help="0 for any that is free")
    parser.add_argument("--webhook", metavar="URL", help="send all events there")
    parser.add_argument("--secret", default="whsec_fake", help="what webhooks are signed with")
    options = parser.parse_args(arguments)
    with FakeStripe(port=options.port) as fake:
        if options.webhook:
            fake.listen(options.webhook, secret=options.secret)
        sys.stdout.write(f"{fake.url}\n")
        sys.stdout.flush()
        with contextlib.suppress(KeyboardInterrupt):
            threading.Event().wait()


if __name__ == "__main__":
    main()
