"""An application that takes webhooks in, in a process of its own: ``python -m tests.stripe.receiver URL PORT_FILE``."""

from __future__ import annotations

import sys
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

from ptmeter import Meter, StripeError
from ptmeter.stripe import Endpoint, Stripe


def serve(url: str, port_file: str, secret: str) -> None:
    """Take in what comes, until it is killed."""
    endpoint = Endpoint(secrets=secret, livemode=False)
    meter = Meter.open(url, stripe=Stripe(endpoints=endpoint))

    class Route(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            try:
                meter.webhooks.receive(body, dict(self.headers))
                status = 200
            except StripeError:
                status = 400
            self.send_response(status)
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            """Say nothing."""

    server = HTTPServer(("127.0.0.1", 0), Route)
    Path(port_file).write_text(str(server.server_port))
    server.serve_forever()


if __name__ == "__main__":
    serve(*sys.argv[1:])
