"""What docker/Dockerfile and docker/compose.yaml say."""
import re

import yaml
from repository import ROOT

DOCKERFILE = ROOT / "docker" / "Dockerfile"


def instructions():
    """(stage, instruction, value) in order; continued lines joined, comments left out."""
    text = re.sub(r"\\\n", " ", "\n".join(
        line for line in DOCKERFILE.read_text().splitlines() if not line.startswith("#")))
    stage, found = None, []
    for line in filter(None, map(str.strip, text.splitlines())):
        word, value = line.split(" ", 1)
        if word == "FROM":
            stage = re.search(r" AS (\S+)$", value).group(1)
        found.append((stage, word, re.sub(r"\s+", " ", value)))
    return found


def image(target):
    """The instructions that make a target's image, those of the stages under it first."""
    (base,) = [value.split(" ")[0] for stage, word, value in instructions() if (stage, word) == (target, "FROM")]
    below = [] if base.startswith("$") else image(base)
    return below + [(word, value) for stage, word, value in instructions() if stage == target]


def last(target, word):
    return [value for found, value in image(target) if found == word][-1]


def services():
    """compose.yaml's services by their names."""
    return yaml.safe_load((ROOT / "docker/compose.yaml").read_text())["services"]


def compose_workload(names):
    """Services that share one network, as a workload of one pod; named volumes and /jobs are scratch, /models a claim."""
    containers, volumes = [], []
    for name in names:
        service = services()[name]
        target = service["build"]["target"]
        health = yaml.safe_load(last(target, "HEALTHCHECK").split("CMD ")[1])
        probe = {"exec": {"command": health}, "timeoutSeconds": 5, "periodSeconds": 10, "failureThreshold": 3}
        mounts = [volume.rsplit(":", 2) if volume.endswith(":ro") else [*volume.rsplit(":", 1), "rw"]
                  for volume in service["volumes"]] + [["/tmp", "/tmp", "rw"]]
        containers.append({
            "name": name, "command": yaml.safe_load(last(target, "ENTRYPOINT")), "args": service["command"],
            "securityContext": {"readOnlyRootFilesystem": service["read_only"], "capabilities": {"drop": service["cap_drop"]}},
            "startupProbe": probe, "readinessProbe": probe, "livenessProbe": probe,
            "volumeMounts": [{"name": f"{name}{path.replace('/', '-')}", "mountPath": path, "readOnly": mode == "ro"}
                             for _, path, mode in mounts]})
        volumes += [{"name": f"{name}{path.replace('/', '-')}",
                     **({"persistentVolumeClaim": {"claimName": "dropbp-models"}} if path == "/models" else {"emptyDir": {}})}
                    for _, path, _ in mounts]
    user, group = map(int, last("coordinator", "USER").split(":"))
    grace = max(int(services()[name]["stop_grace_period"].removesuffix("s")) for name in names)
    return {"spec": {"template": {"metadata": {"labels": {}}, "spec": {
        "securityContext": {"runAsUser": user, "runAsGroup": group}, "terminationGracePeriodSeconds": grace,
        "containers": containers, "volumes": volumes}}}}
