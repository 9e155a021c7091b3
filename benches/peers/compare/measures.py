"""How a figure is measured. A measure says what a process does; `once` does it once, for one candidate.

A log line counts as a span.

| figure | of | meaning |
| --- | --- | --- |
| `caller` | `Counted`, `Sampled`, `Timed` | instructions or CPU nanoseconds of the calling thread, for each span or call |
| `all` | `Counted`, `Sampled`, `Timed` | the same of all threads |
| `allocations` | `Counted` | calls of the C library's allocator by the calling thread, for each span or call |
| `background_allocations` | `Counted` | the same by the other threads |
| `bytes` | `Timed` | size of the requests for each span that arrived |
| `lost` | `Timed` | percentage of the spans that did not arrive |
| `shutdown` | `Timed` | milliseconds |
| `resident` | `Timed` | peak in MB |
| `rate` | `Ladder` | spans a second |
"""

from dataclasses import dataclass

import callgrind
from processes import Result, run

# Spans of the service's trace.
SPANS = 21

# What callgrind counts must not depend on chance:
ENVIRONMENT = {
    # Nothing may be lost, as dropping a span is cheaper than sending it. Only OpenTelemetry's processor has such an option.
    "OTEL_BSP_MAX_QUEUE_SIZE": "32768",
    # What the C library's allocator does for one thread depends on when the other one frees blocks, unless each thread
    # keeps what it frees.
    "GLIBC_TUNABLES": "glibc.malloc.tcache_count=65535:glibc.malloc.mxfast=0",
}


@dataclass(frozen=True)
class Counted:
    """Instructions and allocations: those of a long run minus those of a short one, so that the set-up does not count."""

    work: str
    short: int
    long: int
    rate: int = 0
    sample: float = 1

    @property
    def sends(self) -> bool:
        """Whether spans are sent, at a rate at which they should arrive."""
        return self.rate > 0

    def once(self, candidate) -> dict[str, float]:
        few, many = (self._count(candidate, times) for times in (self.short, self.long))
        units = many.units - few.units
        caller, others = ((getattr(many, it) - getattr(few, it)) / units for it in ("caller", "others"))
        return {
            "caller": caller.instructions,
            "all": caller.instructions + others.instructions,
            "allocations": caller.allocations,
            "background_allocations": others.allocations,
            "lost": 100 * (1 - (many.arrived - few.arrived) / units),
        }

    def _count(self, candidate, times: int) -> callgrind.Counts:
        named = (f"work={self.work}", f"times={times}", f"rate={self.rate}", f"sample={self.sample}", "patience=60")
        return callgrind.count(candidate.program, named + candidate.arguments, ENVIRONMENT)


@dataclass(frozen=True)
class Sampled:
    """What is counted at a sample rate: traces that are sampled and traces that are not, in this proportion. In a single
    run their numbers would be chance."""

    rate: float
    sampled: Counted
    unsampled: Counted

    sends = True

    def once(self, candidate) -> dict[str, float]:
        yes, no = self.sampled.once(candidate), self.unsampled.once(candidate)
        return {it: self.rate * yes[it] + (1 - self.rate) * no[it] for it in yes} | {"lost": yes["lost"]}


@dataclass(frozen=True)
class Timed:
    """What a process needs and loses at a rate, by its own clocks and by the server's counts. Without a server nothing
    listens."""

    work: str
    times: int
    rate: int = 0
    server: str | None = "0"
    repetitions: int = 3

    sends = False

    def once(self, candidate) -> dict[str, float]:
        named = (f"work={self.work}", f"times={self.times}", f"rate={self.rate}")
        return timed(run(candidate.program, named + candidate.arguments, self.server))


def timed(result: Result) -> dict[str, float]:
    made, got = result.made, result.got
    good = made["units"] - SPANS * got["poisoned"]
    return {
        "caller": made["caller"] / made["units"],
        "all": made["all"] / made["units"],
        "resident": made["resident"] / 1000,
        "shutdown": made["shutdown"],
        "bytes": got["bytes"] / max(1, got["spans"]),
        "lost": 100 * (1 - got["spans"] / good),
    }


@dataclass(frozen=True)
class Ladder:
    """The highest rate at which everything has arrived shortly after the last span. Each rung is a fifth above the one
    before, and is tried up to three times. One candidate climbs after the other."""

    work: str
    seconds: int
    repetitions: int = 1

    sends = False
    FIRST, LAST = 500, 20_000  # traces a second
    TRIES = 3
    MAX_SHUTDOWN = 250  # milliseconds; a longer queue means that it would have been full sooner or later

    def once(self, candidate) -> dict[str, float]:
        rate, held = self.FIRST, 0
        while rate <= self.LAST and any(self._holds(candidate, rate) for _ in range(self.TRIES)):
            rate, held = rate * 6 // 5, rate
        return {"rate": held * SPANS}

    def _holds(self, candidate, rate: int) -> bool:
        named = (f"work={self.work}", f"times={rate * self.seconds}", f"rate={rate}")
        result = run(candidate.program, named + candidate.arguments, "0")
        made, got = result.made, result.got
        in_time = made["took"] <= 1030 * self.seconds and made["shutdown"] <= self.MAX_SHUTDOWN
        return in_time and got["spans"] == made["units"]
