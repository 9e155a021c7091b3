#!/usr/bin/env python3
"""Asks Sentry Relay's own normaliser (librelay, `sentry-relay` on PyPI) about recorded events.

    judge.py DIRECTORY

DIRECTORY holds what `LocalIngest` recorded: `*.ndjson`, one {"trace": .., "event": ..} a line. Prints one line for each
kind of thing that is wrong, `BAD <event id> <path>: <what>`, with the first event that has it, and one line in the end.
Exits with 1 if anything is wrong, or if so few events came that the recording itself must be broken.

Judged are the events of this SDK. The tests of the ingest send it nonsense by hand, which names no SDK.

What librelay says and what is no defect of the event is listed here, with the reason:

    where           what it says            why it is fine
    transaction     a number became `*`     the names of routes that we are not told have numbers; Sentry groups them
    hostile         past and future         tests that lie about the clock name their server `hostile`; Relay takes and
                    timestamps, twins       corrects what they send, as it should
    anywhere        attribute.deprecated    old semantic conventions are sent as they were set; Sentry renames them
"""

import json
import re
import sys
from pathlib import Path

from sentry_relay.exceptions import RelayError
from sentry_relay.processing import StoreNormalizer

SDK = "sentry.rust.otel"

# Far fewer than the tests send.
AT_LEAST = 100

# What Relay's server limits beside librelay.
MAX_SPANS = 1000
MAX_BYTES = 1024 * 1024
MAX_NAME = 200
MAX_TAG = 200


# The server that tests name whose spans lie about the clock and have one id twice.
HOSTILE = "hostile"
CLOCK = ("past_timestamp", "future_timestamp")


def is_harmless(path, remark):
    rule, kind = remark[:2]
    return rule == "attribute.deprecated" or (path, rule, kind) == ("transaction", "int", "s")


def flagged(meta, hostile, path=()):
    """All that `_meta` says: a tree of the shape of the event, which has its words under the empty key."""
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
        is_renormalize=False,  # or it would not validate
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
    """What Relay's server drops or cuts, and what nobody reports but breaks the waterfall."""
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
            yield f"spans.{number}.span_id", f"{span.get('span_id')} is there twice"
        seen.add(span.get("span_id"))
        if span.get("trace_id") != root.get("trace_id"):
            yield f"spans.{number}.trace_id", f"{span.get('trace_id')} is not {root.get('trace_id')}"


def enveloped(event, trace):
    """What the header `trace` of the envelope has to have, if it is there."""
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
    """An object of JSON; which of two values a repeated key has is anybody's guess."""
    names = [name for name, _ in pairs]
    repeated = {name for name in names if names.count(name) > 1} if len(set(names)) < len(names) else ()
    if repeated:
        raise ValueError(f"repeated keys: {', '.join(sorted(repeated))}")
    return dict(pairs)


def no_number(text):
    raise ValueError(f"{text} is not JSON")


def judged(line):
    """The id of the event in a line and what is wrong with it; `None` if it is not ours."""
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
    """One line for all that differ in nothing but numbers."""
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
    told = f"relay: {len(verdicts)} events of the tests and the shop: validation, trimming, limits, trace header"
    if len(verdicts) < AT_LEAST:
        print(f"{told}: too few, expected {AT_LEAST} or more")
        return 1
    print(f"{told}: {f'{bad} of them BAD' if bad else 'ok'}")
    return 1 if bad else 0


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    sys.exit(main(sys.argv[1]))
