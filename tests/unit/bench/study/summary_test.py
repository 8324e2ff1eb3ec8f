"""How a study's tables follow from its curves."""
import os
import pathlib
import sys
import unittest

ROOT = pathlib.Path(os.environ.get("DROPBP_SOURCE_DIR", pathlib.Path(__file__).parents[4]))
sys.path.insert(0, str(ROOT / "bench" / "study"))
import summary  # noqa: E402


def curve(points, step_seconds=1.0):
    """`points`: (seconds, validation loss), the first before training."""
    lines = [{"event": "eval", "seconds": seconds, "loss": loss} for seconds, loss in points]
    step = {"event": "step", "step_seconds": step_seconds, "tokens": 100, "dropped": 0.5}
    return lines[:1] + [step] * 4 + lines[1:]


SLOW = curve([(0, 5), (10, 3), (20, 1)], step_seconds=2.0)
FAST = curve([(0, 5), (5, 2), (10, 0.5)])
WORSE = curve([(0, 5), (5, 4), (10, 3)])


class TimeToQuality(unittest.TestCase):
    def test_lies_on_the_line_between_two_evaluations(self):
        self.assertAlmostEqual(summary.time_to(SLOW, 2), 15)
        self.assertAlmostEqual(summary.time_to(SLOW, 1), 20)

    def test_is_none_for_a_loss_that_is_never_reached(self):
        self.assertIsNone(summary.time_to(WORSE, 1))

    def test_is_the_first_time_where_the_loss_rises_again(self):
        self.assertAlmostEqual(summary.time_to(curve([(0, 4), (10, 2), (20, 3), (30, 1)]), 2.5), 7.5)

    def test_gain_compares_runs_of_the_same_seed(self):
        gain = summary.time_to_quality({1: FAST}, {1: SLOW}, [1], 0)
        self.assertEqual((gain["reached"], gain["of"]), (1, 1))
        self.assertAlmostEqual(gain["gain"]["mean"], 20 / (5 + 5 * (2 - 1) / 1.5))

    def test_says_how_many_runs_reached_it(self):
        gain = summary.time_to_quality({1: FAST, 2: WORSE}, {1: SLOW, 2: SLOW}, [1, 2], 0)
        self.assertEqual((gain["reached"], gain["of"]), (1, 2))
        self.assertIn("1 of 2", summary.quality(gain))
        self.assertIn("not reached", summary.quality(summary.time_to_quality({1: WORSE}, {1: SLOW}, [1], 0)))

    def test_of_the_baseline_itself_is_one(self):
        self.assertAlmostEqual(summary.time_to_quality({1: SLOW}, {1: SLOW}, [1], 0)["gain"]["mean"], 1)


class LossAtATime(unittest.TestCase):
    def test_lies_on_the_line_and_stays_after_the_end(self):
        self.assertAlmostEqual(summary.loss_at(FAST, 2.5), 3.5)
        self.assertAlmostEqual(summary.loss_at(FAST, 99), 0.5)


class Intervals(unittest.TestCase):
    def test_are_students(self):
        mean, half = summary.mean_and_half_width([1, 2, 3])
        self.assertAlmostEqual(mean, 2)
        self.assertAlmostEqual(half, 4.303 / 3**0.5, places=3)

    def test_do_not_exist_for_one_value(self):
        self.assertEqual(summary.mean_and_half_width([7]), (7, None))

    def test_of_ratios_are_geometric(self):
        ratio = summary.ratio_and_interval([0.5, 2])
        self.assertAlmostEqual(ratio["mean"], 1)
        self.assertAlmostEqual(ratio["low"] * ratio["high"], 1)


class Summary(unittest.TestCase):
    def setUp(self):
        self.study = {"title": "T", "baseline": "0", "variants": {"0": {}, "0.5": {}, "later": {}}}

    def test_compares_every_variant_with_the_baseline_of_its_seed(self):
        result = summary.summarize(self.study, {"0": {1: SLOW, 2: SLOW}, "0.5": {1: FAST, 2: FAST}})
        half = result["variants"]["0.5"]
        self.assertAlmostEqual(half["step_gain"]["mean"], 2)
        self.assertAlmostEqual(half["loss_above_baseline"], -0.5)
        self.assertAlmostEqual(half["loss_at_share"][1]["loss"], 0.5)
        self.assertNotIn("later", result["variants"])
        self.assertIn("| 0.5 | 2 |", summary.to_markdown(result))

    def test_counts_runs_that_diverged(self):
        failed = SLOW[:3] + [{"event": "diverged"}]
        result = summary.summarize(self.study, {"0": {1: SLOW}, "0.5": {1: failed}})
        self.assertEqual(result["variants"]["0.5"]["diverged"], [1])
        self.assertIn("diverged: 1", summary.to_markdown(result))

    def test_stands_without_a_baseline(self):
        self.assertIn("| 0.5 | 1 |", summary.to_markdown(summary.summarize(self.study, {"0.5": {1: FAST}})))


if __name__ == "__main__":
    unittest.main()
