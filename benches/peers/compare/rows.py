"""What is compared: the candidates, and one line for each row of the table.

A new candidate is a `Candidate` that is added to `ALL` and to the rows that it gets; an option of ours is also a line in
`ours/main.rs`. `GATED` lists the candidates whose instructions the gate compares with `recorded.toml`.
"""

from dataclasses import dataclass

from measures import Counted, Ladder, Sampled, Timed


@dataclass(frozen=True)
class Candidate:
    """A program, with what it is given on the command line."""

    name: str
    program: str
    arguments: tuple[str, ...] = ()


GZIP = Candidate("ours, gzip", "ours")
ZSTD = Candidate("ours, zstd", "ours", ("encoding=zstd",))
STREAM = Candidate("ours, stream", "ours", ("lifecycle=stream",))
BRIDGE = Candidate("Sentry's bridge", "bridge")
OTLP = Candidate("OTLP, gzip", "otlp")
FLOOR = Candidate("floor", "floor")

ALL = (GZIP, ZSTD, STREAM, BRIDGE, OTLP, FLOOR)
# Instructions show both lifecycles, except where those of a stream depend on when its buckets leave.
BOTH_LIFECYCLES = (GZIP, STREAM, BRIDGE, OTLP, FLOOR)
BOTH_ENCODINGS = (GZIP, ZSTD, BRIDGE, OTLP, FLOOR)
ONE_OF_OURS = (GZIP, BRIDGE, OTLP, FLOOR)
SENDING = (GZIP, ZSTD, BRIDGE, OTLP)
PEERS = (GZIP, BRIDGE, OTLP)
# Lines of `tracing`, which OTLP's exporter for spans does not take.
LOGGING = (GZIP, BRIDGE)
GATED = (GZIP, ZSTD, STREAM)


@dataclass(frozen=True)
class Row:
    """A line of the table: one figure of a measure, for some candidates."""

    title: str
    unit: str
    measure: Counted | Sampled | Timed | Ladder
    figure: str
    candidates: tuple[Candidate, ...]
    digits: int = 0
    above_floor: bool = False

    def value(self, figures: dict[str, dict[str, float]], candidate: Candidate) -> float | None:
        """The value of a candidate, from the figures of each candidate's name."""
        value = figures.get(candidate.name, {}).get(self.figure)
        if value is None or not self.above_floor:
            return value
        return value - figures[FLOOR.name][self.figure]

    def is_lossy(self, figures: dict[str, dict[str, float]], candidate: Candidate) -> bool:
        """Whether it is the cost of sending, but more than 1 % of the spans was not sent. The floor sends nothing."""
        return self.measure.sends and candidate != FLOOR and figures.get(candidate.name, {}).get("lost", 0) > 1


# Traces a second under callgrind are as many as every candidate can send there without a loss.
SERVICE = Counted("api", 10, 90, rate=10)
TRACING = Counted("tracing", 10, 90, rate=10)
# Not 0, at which no decision would be made.
TENTH = Sampled(0.1, SERVICE, Counted("api", 100, 1100, sample=1e-12))
WIDE = Counted("wide", 1, 8, rate=2)
LOCKSTEP = Counted("lockstep", 1, 2, rate=25)
EXTRACT, EXTRACT_SENTRY, NOTHING, INJECT = (
    Counted(work, 100, 1100) for work in ("extract", "extract_sentry", "nothing", "inject")
)

# A hundred lines at once, which are an envelope of both candidates.
LOGS = Counted("logs", 10, 60, rate=4)

PACED_LOGS = Timed("logs", 300, rate=100)
PACED = Timed("api", 5000, rate=1000)
SLOW = Timed("api", 2000, rate=200)
PACED_WIDE = Timed("wide", 20, rate=10)
DEAD = Timed("api", 2500, rate=500, server=None)


def losing(work: str, times: int, rate: int, server: str) -> Timed:
    return Timed(work, times, rate, server, repetitions=1)


FLOOD = losing("api", 4800, 0, "20")
POISON = losing("api", 600, 20, "1 poison")

ROWS = (
    Row("calling thread, OpenTelemetry's API", "Ir a span", SERVICE, "caller", BOTH_LIFECYCLES),
    Row("calling thread, `tracing`", "Ir a span", TRACING, "caller", ONE_OF_OURS),
    Row("calling thread, sample rate 0.1", "Ir a span", TENTH, "caller", ONE_OF_OURS),
    Row("all threads", "Ir a span", SERVICE, "all", ALL),
    Row("all threads, sample rate 0.1", "Ir a span", TENTH, "all", BOTH_LIFECYCLES),
    Row("all threads, wide trace", "Ir a span", WIDE, "all", ALL),
    Row("all threads, 200 traces in lockstep", "Ir a span", LOCKSTEP, "all", ONE_OF_OURS),
    Row("allocations of the calling thread", "a span", SERVICE, "allocations", ONE_OF_OURS, 2),
    Row("allocations of the background", "a span", SERVICE, "background_allocations", BOTH_ENCODINGS, 2),
    Row("extract", "Ir", EXTRACT, "caller", PEERS),
    Row("nothing to extract", "Ir", NOTHING, "caller", PEERS),
    Row("inject", "Ir", INJECT, "caller", PEERS),
    Row("extract", "allocations", EXTRACT, "allocations", PEERS, 1),
    Row("extract, no foreign baggage", "allocations", EXTRACT_SENTRY, "allocations", PEERS, 1),
    Row("inject", "allocations", INJECT, "allocations", PEERS, 1),
    Row("extract", "ns", Timed("extract", 100_000), "caller", PEERS),
    Row("nothing to extract", "ns", Timed("nothing", 100_000), "caller", PEERS),
    Row("inject", "ns", Timed("inject", 100_000), "caller", PEERS),
    Row("CPU time of all threads, 1000 traces/s", "ns a span", PACED, "all", BOTH_ENCODINGS),
    Row("CPU time of the calling thread, 1000 traces/s", "ns a span", PACED, "caller", ONE_OF_OURS),
    Row("CPU time of the calling thread, dead server", "ns a span", DEAD, "caller", PEERS),
    Row("CPU time over the floor, 200 traces/s", "ns a span", SLOW, "all", BOTH_ENCODINGS, above_floor=True),
    Row("throughput without loss", "spans/s", Ladder("api", seconds=3), "rate", SENDING),
    Row("on the wire", "bytes a span", PACED, "bytes", SENDING),
    Row("on the wire, wide trace", "bytes a span", PACED_WIDE, "bytes", SENDING),
    Row("log lines: calling thread, `tracing`", "Ir a line", LOGS, "caller", LOGGING),
    Row("log lines: all threads", "Ir a line", LOGS, "all", LOGGING),
    Row("log lines: allocations of the calling thread", "a line", LOGS, "allocations", LOGGING, 2),
    Row("log lines: CPU time of all threads, 10,000 lines/s", "ns a line", PACED_LOGS, "all", LOGGING),
    Row("log lines: CPU time of the calling thread, 10,000 lines/s", "ns a line", PACED_LOGS, "caller", LOGGING),
    Row("log lines: on the wire", "bytes a line", PACED_LOGS, "bytes", LOGGING),
    Row("peak of the resident memory, 1000 traces/s", "MB", PACED, "resident", BOTH_ENCODINGS, 1),
    Row("lost, 500 traces/s, server 20 ms", "%", losing("api", 5000, 500, "20"), "lost", PEERS, 1),
    Row("lost, 50 traces/s, server 100 ms", "%", losing("api", 500, 50, "100"), "lost", PEERS, 1),
    Row("lost, 500 traces/s, server 100 ms", "%", losing("api", 5000, 500, "100"), "lost", PEERS, 1),
    Row("lost, 200 traces that end together", "%", losing("lockstep", 1, 0, "20"), "lost", PEERS, 1),
    Row("lost, 1000 traces at full speed", "%", losing("api", 1000, 0, "20"), "lost", PEERS, 1),
    Row("lost, 4800 traces at full speed", "%", FLOOD, "lost", PEERS, 1),
    Row("the shutdown after that", "ms", FLOOD, "shutdown", PEERS),
    Row("lost, 100 traces/s, outage of 12 s", "%", losing("api", 4000, 100, "1 outage 12"), "lost", PEERS, 1),
    # OTLP's requests hold several traces.
    Row("lost, 20 traces/s, not the tenth that is never answered", "%", POISON, "lost", (GZIP, BRIDGE), 1),
)


def row(title: str, unit: str) -> Row:
    return next(row for row in ROWS if (row.title, row.unit) == (title, unit))


# The chart's panels: a heading, and the row.
CHART = (
    ("Instructions a span, all threads", row("all threads", "Ir a span")),
    ("… in a trace of 1001 spans", row("all threads, wide trace", "Ir a span")),
    ("CPU ns a span, 1000 traces/s", row("CPU time of all threads, 1000 traces/s", "ns a span")),
    ("Bytes a span on the wire", row("on the wire", "bytes a span")),
    ("% lost, 500 traces/s, server 20 ms", row("lost, 500 traces/s, server 20 ms", "%")),
    ("% lost, 4800 traces at full speed", row("lost, 4800 traces at full speed", "%")),
)
