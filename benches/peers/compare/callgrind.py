"""Counts instructions and allocations with valgrind's callgrind."""

import re
import tempfile
from dataclasses import dataclass
from pathlib import Path

from processes import run

ALLOCATORS = {"malloc", "calloc", "realloc", "posix_memalign", "aligned_alloc"}

# `fn=(7) name` defines the name of 7, and `fn=(7)` uses it; `cfn` is the function that is called.
NAME = re.compile(r"c?fn=\((\d+)\)(?: (.*))?")


@dataclass(frozen=True)
class Thread:
    """What one thread did, or several."""

    instructions: float = 0
    allocations: float = 0

    def __add__(self, other: "Thread") -> "Thread":
        return Thread(self.instructions + other.instructions, self.allocations + other.allocations)

    def __sub__(self, other: "Thread") -> "Thread":
        return Thread(self.instructions - other.instructions, self.allocations - other.allocations)

    def __truediv__(self, number: int) -> "Thread":
        return Thread(self.instructions / number, self.allocations / number)


@dataclass(frozen=True)
class Counts:
    """What one run did: the calling thread and all others, the spans that were made, and those that arrived."""

    caller: Thread
    others: Thread
    units: int
    arrived: int


def count(program: str, named: tuple[str, ...], environment: dict[str, str]) -> Counts:
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder, "out")
        valgrind = ("valgrind", "--tool=callgrind", "-q", "--separate-threads=yes", f"--callgrind-out-file={out}")
        result = run(program, named, "0", valgrind, environment)
        # One file for each thread, the calling one first.
        caller, *others = (parse(file.read_text()) for file in sorted(Path(folder).glob("out-*")))
    return Counts(caller, sum(others, Thread()), result.made["units"], result.got["spans"])


def parse(text: str) -> Thread:
    """Reads what callgrind wrote about one thread."""
    instructions, allocations, names, called = 0, 0, {}, None
    for line in text.splitlines():
        if match := NAME.match(line):
            number, name = match.groups()
            called = names.setdefault(number, name)
        elif line.startswith("calls=") and called in ALLOCATORS:
            allocations += int(line.removeprefix("calls=").split()[0])
        elif line.startswith("totals:"):
            instructions = int(line.split()[1])
    return Thread(instructions, allocations)
