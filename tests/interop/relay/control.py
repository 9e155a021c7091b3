#!/usr/bin/env python3
"""Proves that judge.py can find what it looks for.

    control.py DIRECTORY

Takes a good event out of what was recorded, spoils a copy of it in each of the ways below, and requires judge.py to
exit with 1 and to report each one at the place where it was spoilt, and none of the good ones.
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


# Where judge.py has to see it, and what is done. librelay names no place when it refuses a whole event.
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
    return [{**span, "span_id": f"{number:016x}"} for number in range(1, count + 1)]


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
        sys.exit(f"relay: judge.py is no judge: {what}\n{result.stdout}{result.stderr}")


def main(directory):
    good = good_line(directory)
    lines = [good] * judge.AT_LEAST
    result = judgement(lines)
    require(result.returncode == 0, "it finds fault with good events", result)
    require(judgement(lines[1:]).returncode == 1, "it is content with too few events", result)
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
    require(f"{len(SPOILT) + 1} of them BAD" in result.stdout, "it counts otherwise", result)


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    main(sys.argv[1])
