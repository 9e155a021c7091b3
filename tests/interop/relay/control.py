#!/usr/bin/env python3
"""Checks that judge.py finds the faults that it looks for.

    control.py DIRECTORY

Takes a good recorded event and spoils a copy of it in each of the ways below. Requires that judge.py exits with 1,
reports each spoilt copy at the right place, and reports none of the good events.
"""

import copy
import json
import subprocess
import sys
import tempfile
from pathlib import Path

import judge

ZERO_SPAN = "0" * 16


def trace_context(recorded):
    return recorded["event"]["contexts"]["trace"]


# The place that judge.py must report, and the change. librelay names no place when it refuses a whole event.
SPOILT = [
    ("event", lambda r: trace_context(r).update(span_id=ZERO_SPAN)),
    ("event", lambda r: r["event"]["contexts"].pop("trace")),
    ("event", lambda r: r["event"]["spans"][0].pop("span_id")),
    ("event", lambda r: r["event"]["spans"][0].update(timestamp=r["event"]["spans"][0]["start_timestamp"] - 1)),
    ("event", lambda r: r["event"].update(extra={str(n): "x" * 1000 for n in range(2000)})),
    ("unheard_of", lambda r: r["event"].update(unheard_of=1)),
    ("environment", lambda r: r["event"].update(environment="a/b")),
    ("contexts.trace.parent_span_id", lambda r: trace_context(r).update(parent_span_id=ZERO_SPAN)),
    ("contexts.trace.status", lambda r: trace_context(r).update(status="splendid")),
    ("transaction", lambda r: r["event"].update(transaction="x" * 201)),
    ("tags.t", lambda r: r["event"].update(tags={"t": "x" * 201})),
    ("spans", lambda r: r["event"].update(spans=many(r["event"]["spans"][0], 1001))),
    ("spans.1.span_id", lambda r: r["event"].update(spans=[r["event"]["spans"][0]] * 2)),
    ("spans.0.trace_id", lambda r: r["event"]["spans"][0].update(trace_id="1" * 32)),
    ("timestamp", lambda r: age(r["event"], days=40)),
    ("(header) trace.trace_id", lambda r: r["trace"].update(trace_id="1" * 32)),
    ("(header) trace.public_key", lambda r: r["trace"].pop("public_key")),
]


def many(span, count):
    # Tests give roots small ids, so that one of these would occur twice.
    return [{**span, "span_id": f"feed{number:012x}"} for number in range(count)]


def age(event, days):
    for timed in (event, *event["spans"]):
        for key in ("start_timestamp", "timestamp"):
            timed[key] -= days * 24 * 60 * 60


def good_line(directory):
    for file in sorted(Path(directory).glob("*.ndjson")):
        for line in file.read_bytes().splitlines():
            recorded = json.loads(line)
            if judge.judged(line) and not judge.judged(line)[1] and recorded.get("trace") and recorded["event"].get("spans"):
                return line
    sys.exit("relay: there is no good event to spoil")


def judgement(lines):
    with tempfile.TemporaryDirectory() as directory:
        Path(directory, "control.ndjson").write_bytes(b"".join(line + b"\n" for line in lines))
        return subprocess.run([sys.executable, judge.__file__, directory], capture_output=True, text=True)


def require(condition, what, result):
    if not condition:
        sys.exit(f"relay: judge.py is wrong: {what}\n{result.stdout}{result.stderr}")


def main(directory):
    good = good_line(directory)
    lines = [good] * judge.AT_LEAST
    result = judgement(lines)
    require(result.returncode == 0, "it finds fault with good events", result)
    require(judgement(lines[1:]).returncode == 1, "it accepts too few events", result)
    for number, (path, spoil) in enumerate(SPOILT):
        recorded = copy.deepcopy(json.loads(good))
        recorded["event"]["event_id"] = f"{number:032x}"
        spoil(recorded)
        lines.append(json.dumps(recorded).encode())
    twice = f'"event_id":"{len(SPOILT):032x}","platform":"other","platform":"other",'.encode()
    lines.append(good.replace(b'"event":{', b'"event":{' + twice, 1))
    result = judgement(lines)
    require(result.returncode == 1, "it exits with 0", result)
    for number, path in enumerate([path for path, _ in SPOILT] + ["event"]):
        require(f"BAD {number:032x} {path}: " in result.stdout, f"it does not see case {number}, {path}", result)
    require(f"{len(SPOILT) + 1} of them BAD" in result.stdout, "it prints another number of bad events", result)


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    main(sys.argv[1])
