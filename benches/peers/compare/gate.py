"""The gate: the instructions of ours must not grow by more than 3 % over those in `recorded.toml`."""

import tomllib
from pathlib import Path

from measures import Counted, Sampled
from rows import GATED, ROWS, Row

RECORD = Path(__file__).resolve().parent.parent / "recorded.toml"
MAX_PERCENT = 103  # of the recorded figure

HEAD = """\
# The instructions that the gate compares with, by row and candidate. `.ci/cost` fails if one grows by more than 3 %.
# Change a line by hand, in the commit that makes it dearer or cheaper; `benches/peers/run record` prints the whole file.
"""


def rows() -> list[Row]:
    """The rows that callgrind counts for candidates under the gate."""
    return [row for row in ROWS if isinstance(row.measure, Counted | Sampled) and row.figure in ("caller", "all")]


def found(figures) -> dict[str, int]:
    """The figures under the gate by their names in the record."""
    return {
        f"{row.title}: {candidate.name}": round(row.value(figures[row.measure], candidate))
        for row in rows()
        for candidate in GATED
        if candidate in row.candidates
    }


def read() -> tuple[str, dict[str, int]]:
    """The compiler and the figures of the record."""
    record = tomllib.loads(RECORD.read_text())
    return record["rustc"], record["instructions"]


def written(rustc: str, instructions: dict[str, int]) -> str:
    lines = "".join(f'"{name}" = {number}\n' for name, number in instructions.items())
    return f'{HEAD}rustc = "{rustc}"\n\n[instructions]\n{lines}'


def compare(recorded: dict[str, int], found: dict[str, int]) -> tuple[list[str], list[str]]:
    """A line for each figure, and a line for each problem."""
    lines, problems = [], []
    for name in found | recorded:
        before, now = recorded.get(name), found.get(name)
        if before is None:
            problems.append(f"{name}: found {now}, but it is not recorded")
        elif now is None:
            problems.append(f"{name}: recorded {before}, but there is no such row")
        else:
            line = f"{name}: recorded {before}, found {now} ({now / before - 1:+.1%})"
            lines.append(line)
            if 100 * now > MAX_PERCENT * before:
                problems.append(line)
    return lines, problems
