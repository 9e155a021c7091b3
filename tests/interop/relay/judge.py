#!/usr/bin/env python3
"""Checks recorded events with the normaliser of Sentry's Relay (librelay, `sentry-relay` on PyPI).

    judge.py DIRECTORY

DIRECTORY has the files that `LocalIngest` wrote: `*.ndjson`, one {"trace": .., "event": ..} per line. Prints one line for
each kind of fault, `BAD <event id> <path>: <what>`, with the first event that has it, and a last line with the result.
Exits with 1 if there is a fault, or if there are so few events that the recording itself must be broken.

Only events of this SDK are checked. The tests of the ingest send invalid events, which name no SDK.

These reports of librelay are no faults of the event:

    where           report                  reason
    transaction     a number became `*`     without a known route the name has the path's numbers; Sentry groups them
    hostile         past and future         tests with wrong clocks name their server `hostile`; Relay accepts and
                    timestamps, same ids    corrects their events, as it should
    anywhere        attribute.deprecated    attributes of old semantic conventions are sent unchanged; Sentry renames them
"""

import json
import re
import sys
from pathlib import Path

from sentry_relay.exceptions import RelayError
from sentry_relay.processing import StoreNormalizer

SDK = "sentry.rust.otel"

# The tests send many more.
AT_LEAST = 100

# Limits of Relay's server that librelay does not check.
MAX_SPANS = 1000
MAX_BYTES = 1024 * 1024
MAX_NAME = 200
MAX_TAG = 200


# The server name of tests with wrong clocks and repeated span ids.
HOSTILE = "hostile"
CLOCK = ("past_timestamp", "future_timestamp")


def is_harmless(path, remark):
    rule, kind = remark[:2]
    return rule == "attribute.deprecated" or (path, rule, kind) == ("transaction", "int", "s")


def flagged(meta, hostile, path=()):
    """The remarks in `_meta`: a tree with the shape of the event and the remarks under empty keys."""
    for key, below in (meta or {}).items():
        if key:
            yield from flagged(below, hostile, (*path, key))
            continue
        place = ".".join(path)
        remarks = below.get("rem", [])
        serious = [remark for remark in remarks if not is_harmless(place, remark)]
        errors = [error for error in below.get("err", []) if not (hostile and error[0] in CLOCK)]
        if serious or errors or not (remarks or below.get("err")):
            yield place, json.dumps({**below, "rem": serious})


def normalised(event):
    """What librelay refuses, reports or changes with a remark."""
    normalizer = StoreNormalizer(
        project_id=1,
        is_renormalize=False,  # otherwise it does not validate
        normalize_spans=True,
        enable_trimming=True,
        remove_other=True,  # fields that the schema does not know become errors
        normalize_user_agent=False,
        max_secs_in_future=60,
        max_secs_in_past=30 * 24 * 60 * 60,
    )
    try:
        result = normalizer.normalize_event(raw_event=json.dumps(event))
    except RelayError as error:
        yield "event", f"refused: {str(error).splitlines()[0]}"  # a stack trace follows
        return
    hostile = event.get("server_name") == HOSTILE
    for error in result.get("errors") or []:
        if hostile and error.get("type") in CLOCK:
            continue
        yield error.get("name") or "event", f"reported: {json.dumps(error)}"
    for path, what in flagged(result.get("_meta"), hostile):
        yield path or "event", f"flagged: {what}"


def limited(event):
    """What Relay's server drops or trims, and repeated ids, which break the waterfall without a report."""
    size = len(json.dumps(event, ensure_ascii=False, separators=(",", ":")).encode())
    if size > MAX_BYTES:
        yield "event", f"{size} bytes, {MAX_BYTES} at most"
    name = event.get("transaction") or ""
    if len(name) > MAX_NAME:
        yield "transaction", f"{len(name)} characters, {MAX_NAME} at most"
    for key, value in (event.get("tags") or {}).items():
        if max(len(key), len(str(value))) > MAX_TAG:
            yield f"tags.{key}", f"key or value of more than {MAX_TAG} characters"
    spans = event.get("spans") or []
    if len(spans) > MAX_SPANS:
        yield "spans", f"{len(spans)} of them, {MAX_SPANS} at most"
    root = trace_context(event)
    seen = {root.get("span_id")}
    for number, span in enumerate(spans):
        if span.get("span_id") in seen and event.get("server_name") != HOSTILE:
            yield f"spans.{number}.span_id", f"{span.get('span_id')} occurs twice"
        seen.add(span.get("span_id"))
        if span.get("trace_id") != root.get("trace_id"):
            yield f"spans.{number}.trace_id", f"{span.get('trace_id')} is not {root.get('trace_id')}"


def enveloped(event, trace):
    """The faults of the envelope's header `trace`, if it has one."""
    if trace is None:
        return
    for key in ("trace_id", "public_key"):
        if not trace.get(key):
            yield f"(header) trace.{key}", "missing, and Relay ignores the whole header"
    wanted = trace_context(event).get("trace_id")
    if trace.get("trace_id") != wanted:
        yield "(header) trace.trace_id", f"{trace.get('trace_id')} is not {wanted}"


def trace_context(event):
    return (event.get("contexts") or {}).get("trace") or {}


def unrepeated(pairs):
    """A JSON object. Repeated keys are errors, as parsers differ in which value they keep."""
    names = [name for name, _ in pairs]
    repeated = {name for name in names if names.count(name) > 1} if len(set(names)) < len(names) else ()
    if repeated:
        raise ValueError(f"repeated keys: {', '.join(sorted(repeated))}")
    return dict(pairs)


def no_number(text):
    raise ValueError(f"{text} is not JSON")


def judged(line):
    """The id of the event in a line and its faults; `None` if it is not from this SDK."""
    try:
        recorded = json.loads(line, object_pairs_hook=unrepeated, parse_constant=no_number)
    except ValueError as error:
        found = re.search(rb'"event_id":"([0-9a-f]+)"', line)
        return (found[1].decode() if found else "?"), [("event", str(error))]
    event = recorded["event"]
    if (event.get("sdk") or {}).get("name") != SDK:
        return None
    wrong = [*normalised(event), *limited(event), *enveloped(event, recorded.get("trace"))]
    return event.get("event_id"), wrong


def report(verdicts):
    """Prints one line for faults that differ only in numbers."""
    kinds = {}
    for event_id, wrong in verdicts:
        for path, what in wrong:
            kind = re.sub(r"[0-9a-f]{16,}|[0-9]+", "N", f"{path}: {what}")
            kinds.setdefault(kind, []).append(f"BAD {event_id} {path}: {what}"[:400])
    for alike in kinds.values():
        print(alike[0] + (f" (and {len(alike) - 1} more like it)" if len(alike) > 1 else ""))


def main(directory):
    lines = [line for file in sorted(Path(directory).glob("*.ndjson")) for line in file.read_bytes().splitlines()]
    verdicts = [verdict for verdict in map(judged, lines) if verdict]
    report(verdicts)
    bad = sum(1 for _, wrong in verdicts if wrong)
    summary = f"relay: {len(verdicts)} events of the tests and the shop: validation, trimming, limits, trace header"
    if len(verdicts) < AT_LEAST:
        print(f"{summary}: too few, expected {AT_LEAST} or more")
        return 1
    print(f"{summary}: {f'{bad} of them BAD' if bad else 'ok'}")
    return 1 if bad else 0


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    sys.exit(main(sys.argv[1]))
