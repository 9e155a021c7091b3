"""A service with Sentry's SDK for Python on the standard library. The SDK instruments outgoing requests.

`GET /start?next=URL` begins a trace and calls the next service. `GET /end` is the last service; it answers with the
headers that it would send on. Both log a line and measure two metrics. `GET /flush` answers when everything has been sent.
Ends when standard input is closed.
"""

import json
import os
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit
from urllib.request import Request, urlopen

import sentry_sdk
from sentry_sdk import logger, metrics

# Version 3 always sends logs.
LOGS = {"enable_logs": True} if hasattr(sentry_sdk, "start_transaction") else {}
rate = os.environ.get("SENTRY_TRACES_SAMPLE_RATE")
sentry_sdk.init(
    org_id=os.environ.get("ORG_ID"),
    strict_trace_continuation="STRICT" in os.environ,
    traces_sample_rate=None if rate is None else float(rate),
    **LOGS,
)


def request(name, headers):
    """The span of a request: a transaction, or from version 3 a segment."""
    if hasattr(sentry_sdk, "start_transaction"):
        transaction = sentry_sdk.continue_trace(headers, op="http.server", name=name, source="route")
        return sentry_sdk.start_transaction(transaction)
    if headers:
        sentry_sdk.continue_trace(headers)
    else:
        sentry_sdk.new_trace()
    attributes = {"sentry.op": "http.server", "sentry.segment.name.source": "route"}
    return sentry_sdk.start_span(name=name, attributes=attributes)


def report():
    """The same line and the same metrics as in the service in the middle."""
    attributes = {"order.items": 3, "order.paid": True, "order.sku": "lamp"}
    logger.info("checkout", attributes=attributes | {"order.total": 9.5})
    metrics.distribution("checkout.duration", 187.5, unit="millisecond", attributes=attributes)
    metrics.count("checkout.orders", 1, attributes=attributes)


def start(url):
    with sentry_sdk.isolation_scope(), request("GET /checkout", {}):
        report()
        with urlopen(Request(url, headers={"baggage": "tenant=acme"})) as answer:
            return json.load(answer)


def end(headers):
    with sentry_sdk.isolation_scope(), request("GET /end", headers):
        report()
        return {"sentry-trace": sentry_sdk.get_traceparent(), "baggage": sentry_sdk.get_baggage()}


class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        url = urlsplit(self.path)
        if url.path == "/start":
            answer = start(parse_qs(url.query)["next"][0])
        elif url.path == "/end":
            answer = end(dict(self.headers))
        else:
            answer = {"flushed": sentry_sdk.flush(timeout=60)}
        body = json.dumps(answer).encode()
        self.send_response(200)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
threading.Thread(target=server.serve_forever, daemon=True).start()
print(f"http://127.0.0.1:{server.server_port}", flush=True)
sys.stdin.read()
