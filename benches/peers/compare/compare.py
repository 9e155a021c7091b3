"""Measures what the rows of a table need."""

import statistics
from concurrent.futures import ThreadPoolExecutor

from measures import Counted, Sampled
from rows import ALL, FLOOR

# Figures by measure, then by the candidate's name, then by the figure's name.
Figures = dict


def measure(rows, only=None, progress=lambda line: None) -> Figures:
    """Measures everything that the rows need: each measure once, for all of its candidates in turn, several times. The
    figure is the median, so that noise and slow changes of the machine hit all candidates alike. `only` these candidates
    are measured, or all."""
    wanted = {}
    for row in rows:
        candidates = {*row.candidates, *([FLOOR] if row.above_floor else [])}
        wanted.setdefault(row.measure, set()).update(candidates & set(only or ALL))
    figures = {}
    counted = [measure for measure in wanted if isinstance(measure, Counted | Sampled)]
    # Two at a time: other processes do not change the number of instructions.
    with ThreadPoolExecutor(2) as pool:
        tasks = [(measure, it, pool.submit(measure.once, it)) for measure in counted for it in in_order(wanted[measure])]
        for measure, candidate, task in tasks:
            figures.setdefault(measure, {})[candidate.name] = task.result()
            progress(f"{measure}: {candidate.name}")
    for measure in (it for it in wanted if it not in counted):
        figures[measure] = repeat(measure, in_order(wanted[measure]))
        progress(f"{measure}")
    return figures


def in_order(candidates) -> list:
    return [candidate for candidate in ALL if candidate in candidates]


def repeat(measure, candidates) -> dict[str, dict[str, float]]:
    turns = [{candidate.name: measure.once(candidate) for candidate in candidates} for _ in range(measure.repetitions)]
    return {
        candidate.name: {
            figure: statistics.median(turn[candidate.name][figure] for turn in turns)
            for figure in turns[0][candidate.name]
        }
        for candidate in candidates
    }
