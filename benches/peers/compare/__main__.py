"""Compares this project with its peers; `benches/README.md` describes it.

| command | what it does |
| --- | --- |
| `run` | measures all rows, prints the table, and draws `docs/peers.svg` |
| `run 'wide'` | measures the rows whose title contains this word, and prints their table |
| `run gate` | counts the instructions of ours, and fails if one is more than 3 % above `recorded.toml` |
| `run record` | counts them, and prints a new `recorded.toml` |
"""

import platform
import subprocess
import sys
import tomllib
from datetime import date
from pathlib import Path

import gate
from chart import chart
from compare import measure
from processes import PEERS, build
from rows import GATED, ROWS
from table import table

CHART = PEERS.parent.parent / "docs" / "peers.svg"


def main(arguments: list[str]) -> int | str:
    match arguments:
        case []:
            return everything()
        case ["gate"]:
            return check()
        case ["record"]:
            print(gate.written(rustc(), count()), end="")
        case ["--help"]:
            print(__doc__)
        case [word]:
            rows = [row for row in ROWS if word in row.title]
            print(table(rows, measured(rows)))
        case _:
            return __doc__
    return 0


def everything() -> int:
    figures = measured(ROWS)
    caption = f"benches/peers/run, {date.today()}, {machine()}, rustc {rustc()}"
    CHART.write_text(chart(figures, caption))
    print(f"{caption}\n{versions()}\n\n{table(ROWS, figures)}")
    return 0


def check() -> int | str:
    compiler, recorded = gate.read()
    lines, problems = gate.compare(recorded, count())
    print("\n".join(lines))
    if not problems:
        return 0
    return "\n".join([
        f"\nMore than 3 % above the record, or not in it (recorded with rustc {compiler}, found with {rustc()}):",
        *problems,
        f"Make it cheaper, or change the record by hand: {gate.RECORD.relative_to(PEERS.parent.parent)};"
        " `benches/peers/run record` prints a new one.",
    ])


def count() -> dict[str, int]:
    build({"server"} | {candidate.program for candidate in GATED})
    return gate.found(measure(gate.rows(), GATED))


def measured(rows):
    build({"server"} | {candidate.program for row in rows for candidate in row.candidates})
    return measure(rows, progress=lambda line: print(line, file=sys.stderr, flush=True))


def rustc() -> str:
    return subprocess.check_output(["rustc", "--version"], text=True).split()[1]


def machine() -> str:
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return f"{len(names)} cores of {names[0] if names else platform.machine()}"


def versions() -> str:
    """The versions of the peers, from the lock file."""
    packages = tomllib.loads((PEERS / "Cargo.lock").read_text())["package"]
    named = ("opentelemetry_sdk", "opentelemetry-otlp", "sentry")
    return ", ".join(f"{it['name']} {it['version']}" for it in packages if it["name"] in named)


sys.exit(main(sys.argv[1:]))
