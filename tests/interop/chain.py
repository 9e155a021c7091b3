#!/usr/bin/env python3
"""Sends requests through three services, with ours in the middle, and compares how each continues the trace.

    chain.py NAME MIDDLE LIFECYCLE COMMAND..

NAME is printed in the last line. MIDDLE is the binary of `middle/`. LIFECYCLE is `static` (transactions) or `stream`, for
all three. COMMAND starts a service with the other SDK, which is the first and the last one. All of them send to an ingest
in this process, where the traces are compared, too.

Values are compared, not texts: SDKs differ in the order and escaping of `baggage` and in how they print numbers.
"""

import atexit
import json
import os
import subprocess
import sys
import threading
from http.server import ThreadingHTTPServer
from itertools import product
from urllib.parse import unquote
from urllib.request import urlopen

from ingest import NAMES_NO_SPAN, PATIENCE, PLACES, Ingest, segments, wait
from metrics import check_metrics, check_sums

# rates, orgs: of the three services; without a rate, tracing is off. strict: for all three.
# joined: whether the middle continues the trace of the first, and the last that of the middle. Defaults to both.
# sampled: the decision that the last service receives; "rand": the trace's random value is below the rate of the first.
# senders: who has a transaction in the trace of the last service. Defaults to all or none, by the decision.
# walks: the number of requests. Defaults to one.
FIRST, MIDDLE, LAST = PLACES
CASES = [
    dict(name="the first keeps it", rates=(1, 0, 0), sampled=True, senders={FIRST, MIDDLE, LAST}),
    dict(name="the first drops it", rates=(0, 1, 1), sampled=False, senders=set()),
    dict(name="the first decides at random", rates=(0.5, 0, 1), sampled="rand", walks=6),
    dict(name="the first does not trace, the middle keeps it", rates=(None, 1, 0), sampled=True,
         senders={MIDDLE, LAST}),
    dict(name="the first does not trace, the middle drops it", rates=(None, 0, 1), sampled=False, senders=set()),
    dict(name="only the last traces", rates=(None, None, 1), sampled=None, senders={LAST}),
    dict(name="the middle does not trace", rates=(1, None, 0), sampled=True, senders={FIRST, LAST}),
    dict(name="one organisation, strictly", rates=(1, 0, 0), orgs=(7, 7, 7), strict=True, sampled=True,
         senders={FIRST, MIDDLE, LAST}),
    dict(name="another organisation in the middle", rates=(1, 1, 0), orgs=(7, 8, 8), joined=(False, True), sampled=True,
         senders={MIDDLE, LAST}),
    dict(name="another organisation in the end", rates=(1, 1, 1), orgs=(7, 7, 8), joined=(True, False), sampled=True,
         senders={LAST}),
    dict(name="strict, and the first names no organisation", rates=(1, 1, 0), orgs=(None, 7, 7), strict=True,
         joined=(False, True), sampled=True, senders={MIDDLE, LAST}),
]
# How the middle makes the span of a request: `SERVER` of middle/main.rs.
SERVERS = ("by hand", "ServerLayer", "tower-otel")
NUMBERS = {"sample_rate", "sample_rand"}
# SDKs that replace the rate of an inherited decision by 1 or 0, in what they send and pass on.
REWRITES_RATE = {"python 3"}
# The attributes of the line that each service logs in each request.
LINE_ATTRIBUTES = {
    "order.items": ("integer", 3),
    "order.total": ("double", 9.5),
    "order.paid": ("boolean", True),
    "order.sku": ("string", "lamp"),
}


class Trace:
    """The trace in some headers."""

    def __init__(self, headers):
        self.id, self.span, *flag = headers.get("sentry-trace", "missing-missing").split("-")
        self.sampled = {"1": True, "0": False}[flag[0]] if flag else None
        members = [member.strip() for member in headers.get("baggage", "").split(",") if member.strip()]
        self.foreign = [member for member in members if not member.startswith("sentry-")]
        self.dsc = values(member[len("sentry-"):].split("=", 1) for member in members if member.startswith("sentry-"))


def values(pairs):
    decoded = {key: unquote(value) for key, value in pairs}
    return {key: float(value) if key in NUMBERS else value for key, value in decoded.items()}


def rand_of(trace):
    """The random value of the trace, if it is valid."""
    rand = trace.dsc.get("sample_rand")
    return rand if rand is not None and 0 <= rand < 1 else "a number in 0..1"


class Services:
    """The running services by place and settings. Each is started once."""

    def __init__(self, middle, lifecycle, command):
        self.lifecycle = lifecycle
        self.ingest = ThreadingHTTPServer(("127.0.0.1", 0), Ingest)
        threading.Thread(target=self.ingest.serve_forever, daemon=True).start()
        self.commands = {FIRST: command, MIDDLE: [middle], LAST: command}
        self.running = {}

    def url(self, place, rate, org, strict, server):
        settings = (place, rate, org, strict, server if place == MIDDLE else None)
        if settings not in self.running:
            self.running[settings] = self.start(*settings)
        return self.running[settings]

    def start(self, place, rate, org, strict, server):
        project = PLACES.index(place) + 1
        settings = {
            "SENTRY_DSN": f"http://{place}@127.0.0.1:{self.ingest.server_port}/{project}",
            "SENTRY_RELEASE": f"{place}@1.{project}",
            "SENTRY_ENVIRONMENT": "interop test",
            "SENTRY_TRACES_SAMPLE_RATE": None if rate is None else str(rate),
            "ORG_ID": None if org is None else str(org),
            "STRICT": "1" if strict else None,
            "SERVER": server,
            "SENTRY_TRACE_LIFECYCLE": self.lifecycle,
            "NO_PROXY": "127.0.0.1",
            "no_proxy": "127.0.0.1",
        }
        settings = {name: value for name, value in settings.items() if value is not None}
        inherited = {name: value for name, value in os.environ.items() if not name.startswith(("SENTRY_", "OTEL_"))}
        process = subprocess.Popen(
            self.commands[place], env=inherited | settings, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        atexit.register(process.kill)
        url = process.stdout.readline().strip()
        if not url.startswith("http://"):
            sys.exit(f"the service does not start: {self.commands[place]}")
        return url.removesuffix("/middle")


def get(url):
    with urlopen(url, timeout=PATIENCE) as answer:
        return json.load(answer)


class Walk:
    """One request through all three services."""

    def __init__(self, name, services, case, server):
        self.name = name
        orgs = case.get("orgs", (None, None, None))
        strict = case.get("strict", False)
        self.case = case
        self.urls = [services.url(*settings, strict, server) for settings in zip(PLACES, case["rates"], orgs)]
        first, middle, last = self.urls
        seen = get(f"{first}/start?next={middle}/middle?next={last}/end")
        self.sent, self.passed, self.last = Trace(seen["in"]), Trace(seen["out"]), Trace(seen["next"])
        self.traceparent = seen["out"].get("traceparent")
        # Python sends foreign baggage in a second line, and tower-otel reads the first one only.
        self.is_cut = server == "tower-otel" and seen["lines"] > 1
        self.wrong = []

    def same(self, what, found, expected):
        if found != expected:
            self.wrong.append(f"{what}: expected {expected!r}, found {found!r}")

    def check(self):
        """All checks, in the order in which things happen."""
        self.check_heads()
        joined = self.case.get("joined", (True, True))
        self.same("middle in the trace of the first", self.passed.id == self.sent.id, joined[0])
        self.same("last in the trace of the middle", self.last.id == self.passed.id, joined[1])
        self.same("foreign baggage at the middle", self.sent.foreign, ["tenant=acme"])
        self.same("foreign baggage at the last", self.passed.foreign, [] if self.is_cut else ["tenant=acme"])
        flags = "01" if self.passed.sampled else "00"
        self.same("traceparent at the last", self.traceparent, f"00-{self.passed.id}-{self.passed.span}-{flags}")
        if joined == (True, True):
            self.check_decision()
        self.check_transactions(joined)
        return self.wrong

    def check_heads(self):
        """The first sends its DSC; the middle passes it on or sends its own."""
        self.same("DSC of the first", self.sent.dsc, self.dsc_of(0, self.sent))
        if not self.case.get("joined", (True, True))[0]:
            expected = self.dsc_of(1, self.passed)
        else:
            expected = dict(self.sent.dsc)
            rate = self.case["rates"][1]
            if self.sent.sampled is None:  # then the middle chooses the random value for all later services
                expected["sample_rand"] = rand_of(self.passed)
                expected |= {} if rate is None else {"sample_rate": float(rate)}
        self.same("DSC passed on", self.passed.dsc, expected)

    def dsc_of(self, place, trace):
        rate, org = self.case["rates"][place], self.case.get("orgs", (None,) * 3)[place]
        dsc = {"trace_id": trace.id, "public_key": PLACES[place], "release": f"{PLACES[place]}@1.{place + 1}"}
        dsc["environment"] = "interop test"
        if rate is not None:
            # Node 10 sends no name for a span that it does not record.
            if trace.sampled or place > 0 or "transaction" in trace.dsc:
                dsc["transaction"] = ("GET /checkout", "GET /middle")[place]
            dsc["sample_rate"] = float(rate)
            dsc["sampled"] = str(trace.sampled).lower()
            dsc["sample_rand"] = rand_of(trace)
        if org is not None:
            dsc["org_id"] = str(org)
        return dsc

    def check_decision(self):
        expected = self.case["sampled"]
        if expected == "rand":
            expected = self.sent.dsc["sample_rand"] < self.case["rates"][0]
        self.same("decision passed on", self.passed.sampled, expected)
        if expected is not None:
            self.same("decision at the last", self.last.sampled, expected)
            expected_dsc = dict(self.passed.dsc)
            if self.name in REWRITES_RATE and expected_dsc.get("sample_rate") is not None:
                expected_dsc["sample_rate"] = float(expected)
            self.same("DSC at the last", self.last.dsc, expected_dsc)

    def check_transactions(self, joined):
        """The transactions at Sentry: their senders, parents and DSC."""
        senders = self.case.get("senders")
        if senders is None:
            senders = set(PLACES) if self.passed.sampled else set()
        found = self.arrived(senders)
        self.same("transactions of", set(found), senders)
        parents = {MIDDLE: self.sent.span if joined[0] else None, LAST: self.passed.span if joined[1] else None}
        for place in set(found) & set(parents):
            _, event = found[place]
            self.same(f"parent of {place}", event["contexts"]["trace"].get("parent_span_id"), parents[place])
        for place, above, span in ((MIDDLE, FIRST, self.sent.span), (LAST, MIDDLE, self.passed.span)):
            if parents[place] and {place, above} <= set(found):
                context, spans = found[above][1]["contexts"]["trace"], found[above][1].get("spans", [])
                ids = {context["span_id"]} | {child["span_id"] for child in spans}
                self.same(f"{above} has the parent of {place}", span in ids, True)
        for place, (header, _) in found.items() if joined[1] else ():  # otherwise there is only the last service's own DSC
            sent = self.last if place == LAST else self.passed
            self.same(f"trace header of {place}", values(header.items()), sent.dsc)
        # Python 3 traces its own requests to Sentry. Ours must never do that.
        ours = found[MIDDLE][1].get("spans", []) if MIDDLE in found else []
        names = [span.get("description") or span.get("name") for span in ours]
        self.same("spans of requests to Sentry", [name for name in names if "envelope" in (name or "")], [])
        traces = {FIRST: self.sent.id, MIDDLE: self.passed.id, LAST: self.last.id}
        contexts = [(place, event["contexts"]["trace"]) for place, _, event in list(Ingest.transactions) + segments()]
        roots = {place: context["span_id"] for place, context in contexts if context["trace_id"] == traces[place]}
        self.check_logs(traces, roots)
        check_metrics(self.same, self.name, traces, roots)

    def check_logs(self, traces, roots):
        """The lines at Sentry: also those of services that drop the trace or do not trace."""
        logs = wait(lambda: [(place, log) for place, log in list(Ingest.logs) if log["trace_id"] == traces[place]], PLACES)
        self.same("lines in the traces of their services", sorted(place for place, _ in logs), sorted(PLACES))
        for place, log in logs:
            attributes = {key: (typed["type"], typed["value"]) for key, typed in log["attributes"].items()}
            line = {key: value for key, value in attributes.items() if key in LINE_ATTRIBUTES}
            self.same(f"attributes of the line of {place}", line, LINE_ATTRIBUTES)
            self.same(f"level of the line of {place}", log["level"], "info")
            if place == MIDDLE:
                self.same("span of our line", log.get("span_id"), roots.get(place))
            elif place in roots and (self.name, place) not in NAMES_NO_SPAN:
                # Node has it as an attribute.
                _, span = attributes.get("sentry.trace.parent_span_id", (None, log.get("span_id")))
                self.same(f"span of the line of {place}", span, roots[place])

    def arrived(self, senders):
        for url in self.urls:
            get(f"{url}/flush")
        here = wait(
            lambda: [(place, (header, event)) for place, header, event in list(Ingest.transactions) + segments()
                     if event["contexts"]["trace"]["trace_id"] == self.last.id],
            senders)
        self.same("transactions", len(here), len(senders))
        return dict(here)


def main(name, middle, lifecycle, *command):
    services = Services(middle, lifecycle, command)
    failed = walks = 0
    for server, case in product(SERVERS, CASES):
        for _ in range(case.get("walks", 1)):
            wrong = Walk(name, services, case, server).check()
            walks += 1
            failed += bool(wrong)
            for what in wrong:
                print(f"{name}, {lifecycle}: {server}: {case['name']}: {what}")
    for what in check_sums(walks):
        failed += 1
        print(f"{name}, {lifecycle}: {what}")
    found = [word for word, all in (("static", Ingest.transactions), ("stream", Ingest.spans)) if all]
    if found != [lifecycle]:
        failed += 1
        print(f"{name}, {lifecycle}: what arrived is {' and '.join(found)}")
    compared = "trace id, parents, decision, DSC, trace headers, foreign baggage, organisations, strict, logs, metrics"
    print(f"{name}, {lifecycle}: {len(CASES)} cases, {', '.join(SERVERS)}: {compared}: {f'{failed} FAILED' if failed else 'ok'}")
    return 1 if failed else 0


if __name__ == "__main__":
    if len(sys.argv) < 5:
        sys.exit(__doc__)
    sys.exit(main(*sys.argv[1:]))
