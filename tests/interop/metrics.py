"""The metrics that each service measures in each request, inside the span of the request."""

from ingest import NAMES_NO_SPAN, PLACES, Ingest, wait

_, MIDDLE, _ = PLACES
# What is measured: name to type, value and unit.
MEASURED = {"checkout.duration": ("distribution", 187.5, "millisecond"), "checkout.orders": ("counter", 1, None)}
ATTRIBUTES = {"order.sku": ("string", "lamp"), "order.items": ("integer", 3), "order.paid": ("boolean", True)}


def check_metrics(same, name, traces, roots):
    """Those of one request, also of services that drop the trace or do not trace. `traces` and `roots` map places to ids;
    there is no root where the span is not sent. Ours sums counters over requests, so a sum belongs to none of them."""
    wanted = {(place, metric) for place in PLACES for metric in MEASURED} - {(MIDDLE, "checkout.orders")}
    found = wait(lambda: [((place, metric["name"]), metric) for place, metric in list(Ingest.metrics)
                          if metric["trace_id"] == traces[place]], wanted)
    same("metrics in the traces of their services", sorted(key for key, _ in found), sorted(wanted))
    for (place, key), metric in found:
        of = f"of {key} of {place}"
        same(f"type, value and unit {of}", (metric["type"], metric["value"], metric.get("unit")), MEASURED[key])
        same(f"attributes {of}", own(metric), ATTRIBUTES)
        if place == MIDDLE:
            same(f"span {of}", metric.get("span_id"), roots.get(place))
        elif place in roots and (name, place) not in NAMES_NO_SPAN:
            same(f"span {of}", metric.get("span_id"), roots[place])


def check_sums(walks):
    """What is wrong with the counter of ours after all requests."""
    sums = [metric for place, metric in Ingest.metrics if (place, metric["name"]) == (MIDDLE, "checkout.orders")]
    total = sum(metric["value"] for metric in sums)
    if total != walks:
        yield f"the counter of {MIDDLE}: expected {walks}, found {total}"
    kinds = {(metric["type"], metric.get("unit"), metric.get("span_id")) for metric in sums}
    if kinds != {("counter", None, None)}:
        yield f"the counter of {MIDDLE} has types, units and spans {kinds}"
    if any(own(metric) != ATTRIBUTES for metric in sums):
        yield f"the counter of {MIDDLE} has other attributes"


def own(metric):
    """The attributes of the measurement, without those that every metric has."""
    attributes = {key: (typed["type"], typed["value"]) for key, typed in metric["attributes"].items()}
    return {key: value for key, value in attributes.items() if key in ATTRIBUTES}
