"""Alerts, runbooks, dashboards and docs/metrics.md speak of the same things.

usage: build/oracles/bin/python tests/deploy/monitoring_test.py
"""

import json
import pathlib
import re
import unittest

import yaml

ROOT = pathlib.Path(__file__).resolve().parents[2]
RULES = ROOT / "deploy/prometheus/rules"


def rules_of(name):
    return [rule for group in yaml.safe_load((RULES / name).read_text())["groups"] for rule in group["rules"]]


ALERTS = rules_of("alerts.yml")
RECORDED = rules_of("recording.yml")
DASHBOARDS = [
    json.loads(path.read_text()) for path in sorted((ROOT / "deploy/grafana/dashboards").glob("*.json"))
]
PANELS = [panel for board in DASHBOARDS for panel in board["panels"]]
QUERIES = [target["expr"] for panel in PANELS for target in panel.get("targets", [])]


def runbook_queries():
    pages = [path.read_text() for path in (ROOT / "docs/runbooks").glob("*.md")]
    return [query for page in pages for query in re.findall("```promql\n(.*?)```", page, re.DOTALL)]


class AlertsTest(unittest.TestCase):
    def test_each_says_how_bad_it_is_what_it_is_and_what_to_do(self):
        self.assertGreaterEqual(len(ALERTS), 12)
        for alert in ALERTS:
            with self.subTest(alert["alert"]):
                self.assertIn(alert["labels"]["severity"], {"critical", "warning", "info"})
                self.assertEqual(set(alert["annotations"]), {"summary", "description", "runbook_url"})
                self.assertEqual(alert["annotations"]["runbook_url"], f"docs/runbooks/{alert['alert']}.md")

    def test_each_has_a_runbook_and_each_runbook_an_alert(self):
        pages = {path.stem: path.read_text() for path in (ROOT / "docs/runbooks").glob("*.md")}
        self.assertEqual(set(pages), {alert["alert"] for alert in ALERTS})
        for name, page in pages.items():
            with self.subTest(name):
                self.assertEqual(
                    re.findall("^#+ (.*)", page, re.MULTILINE),
                    [name, "What it means", "How to look", "What to do"],
                )

    def test_each_is_tested_firing_and_quiet(self):
        tests = yaml.safe_load((ROOT / "deploy/prometheus/tests/alerts_test.yml").read_text())["tests"]
        seen = {
            (re.search('alertname="(\\w+)"', check["expr"])[1], bool(check["exp_samples"]))
            for test in tests
            for check in test["promql_expr_test"]
        }
        self.assertEqual(seen, {(alert["alert"], fires) for alert in ALERTS for fires in (True, False)})


class RunbooksTest(unittest.TestCase):
    def test_links_lead_to_pages(self):
        for path in (ROOT / "docs/runbooks").glob("*.md"):
            for link in re.findall(r"\]\(([^)]+)\)", path.read_text()):
                self.assertTrue((path.parent / link).is_file(), f"{path.name}: {link}")

    def test_commands_are_those_of_the_program(self):
        documented = set(re.findall(r"^\| `(\w+)", (ROOT / "docs/cli.md").read_text(), re.MULTILINE))
        for path in (ROOT / "docs/runbooks").glob("*.md"):
            for verb in re.findall(r"(?:^|`)dropbp (\w+)", path.read_text(), re.MULTILINE):
                self.assertIn(verb, documented, path.name)


class DashboardsTest(unittest.TestCase):
    def test_there_is_one_for_the_fleet_a_job_and_a_worker(self):
        self.assertEqual(
            [board["uid"] for board in DASHBOARDS], ["dropbp-fleet", "dropbp-job", "dropbp-worker"]
        )

    def test_panels_do_not_overlap_and_stay_on_the_grid(self):
        for board in DASHBOARDS:
            taken = set()
            for panel in board["panels"]:
                at = panel["gridPos"]
                cells = {
                    (x, y)
                    for x in range(at["x"], at["x"] + at["w"])
                    for y in range(at["y"], at["y"] + at["h"])
                }
                self.assertFalse(cells & taken, f"{board['uid']}: {panel['title']}")
                self.assertLessEqual(at["x"] + at["w"], 24)
                taken |= cells

    def test_ids_and_titles_are_there_once(self):
        for board in DASHBOARDS:
            self.assertEqual(len({panel["id"] for panel in board["panels"]}), len(board["panels"]))


class NamesTest(unittest.TestCase):
    """A renamed metric must not leave a query behind that finds nothing."""

    def test_every_metric_of_a_query_is_documented_and_every_recorded_name_recorded(self):
        documented = set(re.findall(r"^\| `(\w+)` \|", (ROOT / "docs/metrics.md").read_text(), re.MULTILINE))
        self.assertGreater(len(documented), 60)
        recorded = {rule["record"] for rule in RECORDED}
        for query in QUERIES + [rule["expr"] for rule in ALERTS + RECORDED] + runbook_queries():
            for name in re.findall(r"[a-z_]+:[a-z0-9_:]+", query):
                self.assertIn(name, recorded, query)
            plain = re.sub(r"[a-z_]+:[a-z0-9_:]+", "", re.sub('"[^"]*"', "", query))
            for name in re.findall(r"\b(?:dropbp|process)_\w+", plain):
                self.assertIn(re.sub("_(bucket|sum|count)$", "", name), documented, query)


if __name__ == "__main__":
    unittest.main()
