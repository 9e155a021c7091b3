"""The ingest of the three services: what they sent, with their places."""

import gzip
import json
import sys
import time
import zlib
from http.server import BaseHTTPRequestHandler

# Seconds. Only a fault makes a test wait this long.
PATIENCE = 60
PLACES = ("first", "middle", "last")
# The line that each service logs in each request, inside the span of the request.
LINE = "checkout"
# SDKs whose lines and metrics inside an incoming request belong to the trace alone.
NAMES_NO_SPAN = {("node 10", "last")}


class Ingest(BaseHTTPRequestHandler):
    """Receives envelopes; the project id is the number of the place."""

    transactions = []

    spans = []

    logs = []

    metrics = []

    def do_POST(self):
        length = self.headers["content-length"]
        body = self.chunks() if length is None else self.rfile.read(int(length))
        encoding = self.headers.get("content-encoding", "")
        body = {"": bytes, "gzip": gzip.decompress, "deflate": zlib.decompress}[encoding](body)
        place = PLACES[int(self.path.split("/")[2]) - 1]
        headers, *rest = body.split(b"\n")  # no SDK's payload contains a newline
        for header, payload in zip(rest[::2], rest[1::2]):
            kind, trace, payload = json.loads(header)["type"], json.loads(headers).get("trace") or {}, json.loads(payload)
            if kind == "transaction":
                self.transactions.append((place, trace, payload))
            if kind == "span":
                self.spans.extend((place, trace, span) for span in payload["items"])
            if kind == "log":
                self.logs.extend((place, log) for log in payload["items"] if log["body"] == LINE)
            if kind == "trace_metric":
                self.metrics.extend((place, metric) for metric in payload["items"])
        self.send_response(200)
        self.send_header("content-length", "2")
        self.end_headers()
        self.wfile.write(b"{}")

    def chunks(self):
        whole = b""
        while size := int(self.rfile.readline(), 16):
            whole += self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()
        return whole

    def log_message(self, *_):
        pass


def segments():
    """The segments of streamed spans as transactions. Their spans may arrive in several envelopes."""
    spans = list(Ingest.spans)
    segment = lambda span: span["attributes"].get("sentry.segment.id", {}).get("value")
    for place, trace, root in spans:
        # Relay drops all spans of an envelope whose context is another trace's or missing.
        if trace.get("trace_id") != root["trace_id"] or "public_key" not in trace:
            sys.exit(f"{place}: {root['name']} has the context {trace}")
    return [
        (place, trace, {"contexts": {"trace": root}, "spans": [
            span for at, _, span in spans if at == place and segment(span) == root["span_id"] != span["span_id"]]})
        for place, trace, root in spans if root["is_segment"]
    ]


def wait(look, places):
    """What is found when something of all places has arrived, or after a long time."""
    deadline = time.monotonic() + PATIENCE
    while not set(dict(found := look())) >= set(places) and time.monotonic() <= deadline:
        time.sleep(0.02)
    return found
