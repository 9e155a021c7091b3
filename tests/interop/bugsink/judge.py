#!/usr/bin/env python3
"""Starts bugsink, runs a program of ours that fails, and checks what bugsink stored.

    judge.py PROGRAM FOLDER

FOLDER is emptied. bugsink's database is written to it, and the log next to it.
"""

import json
import os
import socket
import sqlite3
import subprocess
import sys
import time
import urllib.error
import urllib.request
import uuid
from pathlib import Path

PATIENCE = 60
HERE = Path(__file__).resolve().parent
# A Rust error has no type, unless an attribute names one.
TITLES = {("Error", "the warehouse refused"), ("shop::OutOfStock", "the lamp is out of stock")}
# By transaction: the exceptions, innermost first, and the tags.
EVENTS = {
    "returned": (["the warehouse refused"], {"team": "shop", "tenant": "acme"}),
    "logged": (["no room\nfor a second line, nor for «ü»", "the warehouse refused"], {"team": "shop"}),
    "GET /stock/{sku}": (["the lamp is out of stock"], {"team": "shop"}),
}
failed = []
claims = 0


def same(claim, found, wanted):
    global claims
    claims += 1
    if found != wanted:
        failed.append(claim)
        print(f"bugsink: {claim}: expected {wanted!r}, found {found!r}")


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


class Bugsink:
    def __init__(self, folder):
        self.folder, self.port = Path(folder), free_port()
        self.log = Path(f"{folder}.log")
        command = ["bash", str(HERE / "serve"), sys.executable, str(folder), str(self.port)]
        self.process = subprocess.Popen(command, stdout=self.log.open("w"), stderr=subprocess.STDOUT)

    def wait(self):
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline and self.process.poll() is None:
            try:
                socket.create_connection(("127.0.0.1", self.port), 1).close()
                return
            except OSError:
                time.sleep(0.1)
        sys.exit(f"bugsink: it does not start:\n{self.log.read_text()[-2000:]}")

    def rows(self, sql, *arguments):
        with sqlite3.connect(self.folder / "db.sqlite3") as database:
            return database.execute(sql, arguments).fetchall()

    def project(self):
        """Makes a project, and returns its DSN."""
        key = uuid.uuid4()
        code = f"from projects.models import Project; print(Project.objects.create(name='shop', sentry_key='{key}').pk)"
        manage = Path(sys.executable).parent / "bugsink-manage"
        environment = os.environ | {"BUGSINK_PORT": str(self.port)}
        command = [manage, "shell", "--command", code]
        output = subprocess.run(command, cwd=self.folder, env=environment, capture_output=True, text=True, check=True)
        return f"http://{key.hex}@127.0.0.1:{self.port}/{output.stdout.split()[-1]}"


def summary(event):
    return [exception["value"] for exception in event["exception"]["values"]], event["tags"]


def post(dsn, event):
    """Sends one event as an SDK does. Returns the answer's status."""
    key, rest = dsn.removeprefix("http://").split("@")
    host, project = rest.split("/")
    lines = [{"event_id": event["event_id"], "dsn": dsn}, {"type": "event"}, event]
    body = "\n".join(map(json.dumps, lines)).encode()
    request = urllib.request.Request(f"http://{host}/api/{project}/envelope/?sentry_key={key}&sentry_version=7", body)
    try:
        with urllib.request.urlopen(request, timeout=PATIENCE) as answer:
            return answer.status
    except urllib.error.HTTPError as error:
        return error.code


def sent_by(program, dsn):
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("SENTRY_", "OTEL_"))}
    settings = {"SENTRY_DSN": dsn, "SENTRY_RELEASE": "shop@1.0.0", "SENTRY_ENVIRONMENT": "test"}
    settings |= {"SENTRY_TRACES_SAMPLE_RATE": "1", "NO_PROXY": "127.0.0.1"}
    run = subprocess.run([program], env=inherited | settings, capture_output=True, text=True)
    same("the program delivered everything", (run.returncode, run.stderr), (0, ""))
    return json.loads(run.stdout or "{}")


def main(program, folder):
    bugsink = Bugsink(folder)
    try:
        bugsink.wait()
        dsn = bugsink.project()
        sent = sent_by(program, dsn)
        same("error events sent", sent.get("errors"), 3)
        same("transactions sent", sent.get("transactions"), 3)
        events = [json.loads(data) for data, in bugsink.rows("SELECT data FROM events_event")]
        same("events that bugsink has, by transaction", {event["transaction"]: summary(event) for event in events}, EVENTS)
        same("number of events", len(events), len(EVENTS))
        titles = bugsink.rows("SELECT calculated_type, calculated_value FROM issues_issue")
        same("its issues, by type and value", set(titles), TITLES)
        log = bugsink.log.read_text()
        same("errors in its log", [line for line in log.splitlines() if "rror" in line or "WARN" in line], [])
        # It must reject an unknown level.
        post(dsn, {"event_id": uuid.uuid4().hex, "timestamp": time.time(), "platform": "other", "level": "splendid"})
        same("it rejects an invalid event", "splendid" in bugsink.log.read_text(), True)
        same("number of events after that", bugsink.rows("SELECT count(*) FROM events_event")[0][0], 3)
    finally:
        bugsink.process.terminate()
        bugsink.process.wait(PATIENCE)
    compared = "error events accepted, none against Sentry's event schema, issues with type and value"
    print(f"bugsink: {claims} claims: {compared}: {f'{len(failed)} FAILED' if failed else 'ok'}")
    return 1 if failed else 0


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    sys.exit(main(*sys.argv[1:]))
