"""The Kubernetes overlays as `kubectl kustomize` renders them, and looking things up in them."""
import functools
import subprocess

import yaml
from repository import ORACLES, ROOT

OVERLAYS_DIR = ROOT / "deploy" / "kubernetes" / "overlays"
OVERLAYS = sorted(folder.name for folder in OVERLAYS_DIR.iterdir() if folder.is_dir())
WORKLOADS = ("StatefulSet", "DaemonSet", "Deployment", "Job", "CronJob", "Pod", "ReplicaSet")


@functools.cache
def render(overlay):
    """The overlay's objects, parsed; the text that they come from is render_text()."""
    return list(yaml.safe_load_all(render_text(overlay)))


@functools.cache
def render_text(overlay):
    done = subprocess.run(
        [ORACLES / "bin" / "kubectl", "kustomize", OVERLAYS_DIR / overlay],
        capture_output=True, text=True, check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def find(overlay, kind, name=None):
    """The only object of this kind and name; ConfigMaps also by the name before their hash."""
    found = [
        thing for thing in render(overlay)
        if thing["kind"] == kind and (name is None or thing["metadata"]["name"] == name
                                      or thing["metadata"]["name"].startswith(f"{name}-")
                                      and kind == "ConfigMap")
    ]
    assert len(found) == 1, f"{overlay}: {len(found)} of {kind} {name}"
    return found[0]


def of_kind(overlay, *kinds):
    return [thing for thing in render(overlay) if thing["kind"] in kinds]


def workloads(overlay):
    return of_kind(overlay, *WORKLOADS)


def pod_spec(workload):
    return workload["spec"]["template"]["spec"]


def pod_labels(workload):
    return workload["spec"]["template"]["metadata"]["labels"]


def containers(overlay):
    """(workload, container) of every container."""
    for workload in workloads(overlay):
        spec = pod_spec(workload)
        for container in spec.get("initContainers", []) + spec["containers"]:
            yield workload, container


def selects(selector, labels):
    """Whether a matchLabels map, possibly empty, chooses a pod with these labels."""
    return all(labels.get(key) == value for key, value in selector.items())
