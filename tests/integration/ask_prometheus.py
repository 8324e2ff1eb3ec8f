"""Asks a running Prometheus whether it sees what it should. Started by prometheus_test.cc.

usage: ask_prometheus.py ready|rules|dashboards|endpoints|gone --prometheus=URL [...]

Each waits, up to a deadline, until all is as it should be, prints what it found, and exits with 1 if something is not.
"""

import argparse
import json
import math
import pathlib
import re
import subprocess
import sys
import time
import urllib.error
import urllib.parse
import urllib.request

import yaml

DEPLOY = pathlib.Path(__file__).resolve().parents[2] / "deploy"
PATIENCE_SECONDS = 60
GPU_ONLY = "Only GPUs."  # as deploy/grafana/panels.py marks them


def read(url):
    with urllib.request.urlopen(url, timeout=10) as answer:
        return answer.read().decode()


def api(arguments, path, **parameters):
    query = urllib.parse.urlencode(parameters)
    return json.loads(read(f"{arguments.prometheus}/api/v1/{path}?{query}"))["data"]


def until_all(problems_of):
    """Calls it until it returns no problems; what is left of them at the deadline."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while True:
        try:
            problems = problems_of()
        except (urllib.error.URLError, ConnectionError) as error:
            problems = [str(error)]
        if not problems or time.monotonic() > deadline:
            return problems
        time.sleep(0.2)


def lacks_data(arguments, expr):
    """What is wrong with the answer to a query; nothing if it has a number."""
    try:
        result = api(arguments, "query", query=expr)["result"]
    except urllib.error.HTTPError as error:
        return f"{expr}: {error.read().decode()}"
    if not result:
        return f"{expr}: no data"
    if all(math.isnan(float(series["value"][1])) for series in result):
        return f"{expr}: only NaN"
    return None


def queries_without_data(arguments, queries):
    left = list(queries)

    def problems():
        found = {expr: lacks_data(arguments, expr) for expr in left}
        left[:] = [expr for expr in left if found[expr]]
        return [found[expr] for expr in left]

    return until_all(problems)


def ready(arguments):
    def problems():
        targets = api(arguments, "targets", state="active")["activeTargets"]
        up = [target for target in targets if target["health"] == "up"]
        return (
            []
            if len(up) == arguments.targets
            else [f"{len(up)} of {arguments.targets} targets are up: {targets}"]
        )

    return until_all(problems)


def rules(arguments):
    """Every recording rule gives data, and every alert can be evaluated."""
    groups = [
        group
        for path in (DEPLOY / "prometheus/rules").glob("*.yml")
        for group in yaml.safe_load(path.read_text())["groups"]
    ]
    listed = [rule for group in groups for rule in group["rules"]]
    recorded = [rule["record"] for rule in listed if "record" in rule]
    alerts = {rule["alert"] for rule in listed if "alert" in rule}

    def sick():
        loaded = [rule for group in api(arguments, "rules")["groups"] for rule in group["rules"]]
        missing = alerts.union(recorded) - {rule["name"] for rule in loaded}
        return [
            f"{rule['name']}: {rule['health']} {rule.get('lastError', '')}"
            for rule in loaded
            if rule["health"] != "ok"
        ] + sorted(missing)

    print(f"rules: {len(recorded)} recorded, {len(alerts)} alerts")
    return queries_without_data(arguments, recorded) + until_all(sick)


def filled_in(arguments, expr):
    expr = expr.replace("$job", arguments.job).replace("$instance", arguments.worker)
    assert "$" not in expr, f"{expr}: a variable that this test does not know"
    return expr


def variable_problems(arguments, variable):
    metric, label = re.fullmatch(r"label_values\((\w+), (\w+)\)", variable["query"]).groups()
    values = api(arguments, f"label/{label}/values", **{"match[]": metric})
    wanted = {"job": arguments.job, "instance": arguments.worker}[variable["name"]]
    return [] if wanted in values else [f"variable {variable['name']}: {wanted} is not among {values}"]


def dashboards(arguments):
    problems = []
    for path in sorted((DEPLOY / "grafana/dashboards").glob("*.json")):
        board = json.loads(path.read_text())
        panels = [panel for panel in board["panels"] if panel["type"] != "row"]
        skipped = [panel["title"] for panel in panels if panel["description"].startswith(GPU_ONLY)]
        queries = [
            filled_in(arguments, target["expr"])
            for panel in panels
            if panel["title"] not in skipped
            for target in panel["targets"]
        ]
        print(
            f"{path.name}: {len(queries)} queries; skipped, since they need a GPU: {', '.join(skipped) or 'none'}"
        )
        problems += [f"{path.name}: {problem}" for problem in queries_without_data(arguments, queries)]
        for variable in board["templating"]["list"]:
            if variable["type"] == "query":
                problems += until_all(lambda: variable_problems(arguments, variable))
    return problems


def endpoints(arguments):
    """promtool finds nothing to say about what the programs expose."""
    problems = []
    for number, address in enumerate(arguments.endpoints.split(",")):
        text = read(f"http://{address}/metrics")
        checked = subprocess.run(
            [arguments.promtool, "check", "metrics"], input=text, text=True, capture_output=True
        )
        if checked.returncode != 0 or checked.stdout or checked.stderr:
            problems.append(f"{address}: {checked.stdout}{checked.stderr}")
        families = re.findall(r"^# TYPE ((?:dropbp|process)_\w+)", text, re.MULTILINE)
        print(f"{address}: {len(families)} families, {len(re.findall('^[a-z]', text, re.MULTILINE))} series")
        if number == 0 and len(families) < arguments.min_families:
            problems.append(f"{address}: only {len(families)} families")
    return problems


def gone(arguments):
    """Nothing tells of the job any more."""

    def problems():
        return [
            f"{address}: {line}"
            for address in arguments.endpoints.split(",")
            for line in read(f"http://{address}/metrics").splitlines()
            if f'"{arguments.job}"' in line
        ]

    return until_all(problems)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("what", choices=("ready", "rules", "dashboards", "endpoints", "gone"))
    parser.add_argument("--prometheus", required=True)
    parser.add_argument("--targets", type=int)
    parser.add_argument("--job")
    parser.add_argument("--worker")
    parser.add_argument("--endpoints")
    parser.add_argument("--promtool")
    parser.add_argument("--min-families", type=int)
    arguments = parser.parse_args()
    problems = globals()[arguments.what](arguments)
    print("\n".join(problems), file=sys.stderr)
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
