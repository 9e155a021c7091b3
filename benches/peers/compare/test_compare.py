"""The gate's comparison, the reading of callgrind's files, the table and the chart."""

import tomllib
import unittest
import xml.etree.ElementTree as xml
from unittest import mock

import callgrind
import gate
import processes
from chart import chart
from compare import measure
from measures import Counted, Ladder, Sampled, Timed, timed
from rows import ALL, BRIDGE, CHART, FLOOR, GATED, GZIP, LOGGING, OTLP, ROWS, Row
from table import table


class Gate(unittest.TestCase):
    def test_growth_above_three_percent_is_a_problem(self):
        cases = [(1000, 1030, []), (1000, 1031, ["a: recorded 1000, found 1031 (+3.1%)"]), (1000, 500, [])]
        for recorded, found, problems in cases:
            with self.subTest(found=found):
                lines, actual = gate.compare({"a": recorded}, {"a": found})
                self.assertEqual(actual, problems)
                self.assertEqual(len(lines), 1)

    def test_one_row_that_grows_is_found_among_others(self):
        _, problems = gate.compare({"a": 100, "b": 100, "c": 100}, {"a": 90, "b": 104, "c": 100})
        self.assertEqual(problems, ["b: recorded 100, found 104 (+4.0%)"])

    def test_rows_without_a_counterpart_are_problems(self):
        _, problems = gate.compare({"gone": 1}, {"new": 2})
        self.assertEqual(problems, ["new: found 2, but it is not recorded", "gone: recorded 1, but there is no such row"])

    def test_what_record_prints_can_be_read(self):
        record = {"calling thread, `tracing`: ours, gzip": 3, "Sentry's: \u00fc": 4}
        read = tomllib.loads(gate.written("1.85.0", record))
        self.assertEqual((read["rustc"], read["instructions"]), ("1.85.0", record))

    def test_the_record_has_exactly_the_rows_under_the_gate(self):
        counted = {row.measure: {it.name: {"caller": 1, "all": 1} for it in GATED} for row in gate.rows()}
        self.assertEqual(gate.read()[1].keys(), gate.found(counted).keys())


class Callgrind(unittest.TestCase):
    FILE = """\
thread: 2
fn=(1) (below main)
+3 5
cfn=(2) malloc
calls=3 +0
* 30
cfn=(3) free
calls=7 +0
* 7
fn=(2)
* 10
cfn=(4) _int_malloc
calls=3 0
* 20
fn=(5) grow
cfn=(2)
calls=2 0
* 20
cfn=(6) realloc
calls=4 0
* 20
totals: 4711
"""

    def test_instructions_and_calls_of_the_allocator_are_read(self):
        self.assertEqual(callgrind.parse(self.FILE), callgrind.Thread(4711, 9))


def counts(caller, others, allocations, units, arrived):
    return callgrind.Counts(callgrind.Thread(caller), callgrind.Thread(others, allocations), units, arrived)


class Measures(unittest.TestCase):
    def test_the_set_up_does_not_count(self):
        pair = [counts(500, 900, 40, 10, 10), counts(1500, 3900, 90, 110, 90)]
        with mock.patch.object(callgrind, "count", side_effect=pair):
            figures = Counted("api", 1, 2).once(GZIP)
        expected = {"caller": 10, "all": 40, "allocations": 0, "background_allocations": 0.5, "lost": 20}
        self.assertEqual({name: round(figure, 9) for name, figure in figures.items()}, expected)

    def test_a_sample_rate_is_a_proportion(self):
        nothing = counts(0, 0, 0, 0, 0)
        pairs = [nothing, counts(3000, 5000, 10, 100, 100), nothing, counts(1000, 0, 0, 100, 0)]
        with mock.patch.object(callgrind, "count", side_effect=pairs):
            figures = Sampled(0.1, Counted("api", 1, 2), Counted("api", 1, 2)).once(GZIP)
        self.assertAlmostEqual(figures["caller"], 0.1 * 30 + 0.9 * 10)
        self.assertAlmostEqual(figures["all"], 0.1 * 80 + 0.9 * 10)
        self.assertEqual(figures["lost"], 0)

    def test_the_ladder_ends_below_the_first_rung_that_never_holds(self):
        made = {"units": 1, "took": 3000, "shutdown": 0}
        outcomes = iter([1, 0, 1, 0, 0, 1, 0, 0, 0])  # rungs of 500, 600, 720 and 864 traces
        run = lambda *_: processes.Result(made, {"spans": next(outcomes)})
        with mock.patch("measures.run", run):
            self.assertEqual(Ladder("api", 3).once(GZIP), {"rate": 720 * 21})

    def test_a_rung_that_ends_late_does_not_hold(self):
        for late in ({"took": 3100}, {"shutdown": 300}):
            result = processes.Result({"units": 1, "took": 3000, "shutdown": 0} | late, {"spans": 1})
            with mock.patch("measures.run", return_value=result):
                self.assertEqual(Ladder("api", 3).once(GZIP), {"rate": 0})

    def test_poisoned_traces_are_not_lost(self):
        made = {"units": 42 * 21, "caller": 0, "all": 0, "resident": 0, "shutdown": 0}
        got = {"spans": 30 * 21, "requests": 1, "bytes": 1, "poisoned": 2}
        self.assertAlmostEqual(timed(processes.Result(made, got))["lost"], 25)

    def test_candidates_take_turns_and_the_median_counts(self):
        turns = []

        class Fake(Timed):
            def once(self, candidate):
                turns.append(candidate)
                return {"caller": [7, 100, 8][(len(turns) - 1) // 2]}

        row = Row("a", "ns", Fake("api", 1), "caller", (GZIP, BRIDGE))
        self.assertEqual(measure([row])[row.measure], {GZIP.name: {"caller": 8}, BRIDGE.name: {"caller": 8}})
        self.assertEqual(turns, 3 * [GZIP, BRIDGE])

    def test_what_the_floor_needs_is_subtracted(self):
        row = Row("a", "ns", Timed("api", 1), "all", (GZIP,), above_floor=True)
        self.assertEqual(row.value({GZIP.name: {"all": 7}, FLOOR.name: {"all": 3}}, GZIP), 4)


class Output(unittest.TestCase):
    SOME = {"caller": 1234.5, "all": 10, "allocations": 2, "background_allocations": 2, "bytes": 30, "lost": 0, "shutdown": 5, "resident": 7, "rate": 9}

    def figures(self, **changed):
        return {row.measure: {it.name: self.SOME | changed for it in ALL} for row in ROWS}

    def test_every_row_has_a_cell_for_every_candidate(self):
        lines = table(ROWS, self.figures()).splitlines()
        self.assertEqual(len(lines), 2 + len(ROWS))
        self.assertEqual({line.count("|") for line in lines}, {3 + len(ALL)})
        self.assertIn("1,234", lines[2])

    def test_the_cost_of_sending_is_marked_where_spans_were_lost(self):
        row = next(row for row in ROWS if isinstance(row.measure, Counted))
        self.assertEqual(table([row], self.figures(lost=2)).splitlines()[2].count("*"), len(row.candidates) - 1)

    def test_calls_of_the_propagator_lose_nothing(self):
        rows = [row for row in ROWS if row.title == "extract"]
        self.assertNotIn("*", table(rows, self.figures(lost=100)))

    def test_the_chart_is_xml_with_a_bar_for_each_figure(self):
        svg = xml.fromstring(chart(self.figures(), "1 < 2 & 3"))
        rects = [it.get("class") for it in svg.iter("{http://www.w3.org/2000/svg}rect")]
        self.assertEqual(len(rects), 1 + sum(len(row.candidates) for _, row in CHART))

    def test_the_chart_draws_figures_of_zero(self):
        self.assertNotIn("nan", chart(self.figures(lost=0), "").lower())

    def test_titles_and_units_name_one_row(self):
        names = [(row.title, row.unit) for row in ROWS]
        self.assertEqual(len(names), len(set(names)))
        spans = [row for row in ROWS if row.candidates != LOGGING]
        self.assertTrue(all(OTLP in row.candidates or row.measure.server == "1 poison" for row in spans))


if __name__ == "__main__":
    unittest.main()
