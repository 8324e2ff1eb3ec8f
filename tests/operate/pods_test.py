"""The manifests' pods with the real programs: what they start, how they are probed, stopped and rolled."""
import json
import pathlib
import shutil
import tempfile
import urllib.request

import pytest

import authority
from client import SECONDS_TO_TRAIN, Client, step_of
from containers import compose_workload
from pod_sandbox import Pod, TestCluster
from rendered import find
from sandbox import run_in_new_network
from tiny_job import make_tiny_model, write_tiny_job


@pytest.fixture
def folder():
    with tempfile.TemporaryDirectory(prefix="dropbp-pods-") as name:
        yield pathlib.Path(name)


def make_cluster(folder, overlay, secrets=None):
    # There is no GPU in a test: the same pod trains on CPU.
    cluster = TestCluster(folder, overlay, secrets, replaced={"DROPBP_DEVICE": "cpu"})
    shutil.copytree(make_tiny_model(), cluster.claim("dropbp-models") / "tiny")
    return cluster


def client_in(container):
    """As `kubectl exec` runs `dropbp`."""
    return Client(lambda words: container.exec(words, timeout=SECONDS_TO_TRAIN))


def metric_names(pod, port):
    with urllib.request.urlopen(f"http://{pod.address}:{port}/metrics", timeout=5) as answer:
        lines = answer.read().decode().splitlines()
    return {line.split("{")[0].split(" ")[0] for line in lines if not line.startswith("#")}


@pytest.mark.parametrize("overlay", ["cpu-demo", "gpu"])
def test_one_pod_trains_a_job_and_stops_within_its_grace(folder, overlay):
    cluster = make_cluster(folder, overlay)
    try:
        pod = cluster.pod("StatefulSet", "dropbp-coordinator").start()
        dropbp = client_in(pod.containers["worker"])
        dropbp.wait_for_workers(1)
        ranks = 2 if overlay == "cpu-demo" else 1
        dropbp.submit("job", pod.folder / "volumes" / "worker-tmp", steps=6, ranks=ranks, seen_as="/tmp")
        assert dropbp("wait", "job") == "SUCCEEDED\n"
        assert "dropbp_jobs" in metric_names(pod, 7071)
        assert any(name.startswith("dropbp_worker") for name in metric_names(pod, 7072))
        assert pod.stop() == {"coordinator": 0, "worker": 0}
    finally:
        cluster.close()


def test_the_services_of_compose_train_a_job_on_two_workers_and_stop_within_their_grace(folder):
    cluster = make_cluster(folder, "cpu-demo")
    try:
        workload = compose_workload(["coordinator", "worker-1", "worker-2"])
        pod = cluster.pods["compose"] = Pod(cluster, cluster.overlay, workload, "compose")
        jobs = pod.folder / "volumes" / "coordinator-jobs"
        jobs.mkdir(parents=True)
        write_tiny_job(jobs, steps=6, ranks=2)
        pod.start()
        dropbp = client_in(pod.containers["coordinator"])
        dropbp.wait_for_workers(2)
        dropbp("submit", "-f", "/jobs/job.yaml", "--name", "job")
        assert dropbp("wait", "job") == "SUCCEEDED\n"
        assert set(pod.stop().values()) == {0}
    finally:
        cluster.close()


def client_pod(cluster):
    """What someone with a user's certificate has: a pod with the client's label, here only its container."""
    coordinator = find(cluster.overlay, "StatefulSet", "dropbp-coordinator")
    workload = json.loads(json.dumps(coordinator))
    workload["spec"]["template"]["metadata"]["labels"]["app.kubernetes.io/component"] = "client"
    spec = workload["spec"]["template"]["spec"]
    (container,) = spec["containers"]
    container.update(name="client", command=["sleep"], args=["infinity"])
    container["env"] = [{"name": "DROPBP_COORDINATOR", "value": "dropbp-coordinator.dropbp.svc:7070"}] + [
        {"name": f"DROPBP_TLS_{name}", "value": f"/etc/dropbp-tls/{file}"}
        for name, file in (("CA", "ca.crt"), ("CERT", "tls.crt"), ("KEY", "tls.key"))]
    for volume in spec["volumes"]:
        if "secret" in volume:
            volume["secret"]["secretName"] = "dropbp-user-tls"
    for probe in ("startupProbe", "livenessProbe", "readinessProbe"):
        container[probe] = {"exec": {"command": ["dropbp", "health"]}, "timeoutSeconds": 5, "periodSeconds": 5,
                            "failureThreshold": 3}
    pod = Pod(cluster, cluster.overlay, workload, "client-0")
    cluster.pods[pod.name] = pod
    return pod.start()


def test_a_cluster_trains_across_pods_rolls_its_coordinator_and_drains_a_worker(folder):
    overlay = "gpu-mtls"
    cluster = make_cluster(folder, overlay, authority.issue(overlay, folder / "authority"))
    try:
        coordinator = cluster.pod("StatefulSet", "dropbp-coordinator").start()
        replicas = find(overlay, "StatefulSet", "dropbp-worker")["spec"]["replicas"]
        workers = [cluster.pod("StatefulSet", "dropbp-worker", number).start() for number in range(replicas)]
        client = client_pod(cluster)
        dropbp = client_in(client.containers["client"])
        dropbp.wait_for_workers(replicas)

        # One rank in each pod: gradients cross from pod to pod.
        dropbp.submit("job", client.folder / "volumes" / "tmp", steps=100000, ranks=replicas, seen_as="/tmp")
        dropbp.wait_for_step("job", 3)

        # Rolling the coordinator costs no step: the attempt goes on.
        before = step_of(dropbp.job("job"))
        assert coordinator.stop() == {"coordinator": 0}
        coordinator.start()
        dropbp.wait_for_step("job", before + 3)
        assert int(dropbp.job("job")["attempt"]) == 1

        # Draining a worker ends its trainer within the grace; the job waits, and says for what.
        assert workers[1].stop() == {"worker": 0}
        waits = dropbp.wait_for("job", lambda job: job["state"] in ("RESTARTING", "QUEUED"), "it waits")
        assert waits["state_message"]

        # It goes on when the worker is back.
        workers[1].start()
        dropbp.wait_for_step("job", 1, attempt=2)
        dropbp("cancel", "job")
        for pod in (*workers, coordinator):
            assert set(pod.stop().values()) == {0}, pod.name
    finally:
        cluster.close()


def test_a_daemon_set_names_its_workers_after_their_nodes(folder):
    overlay = "gpu-mtls-daemonset"
    cluster = make_cluster(folder, overlay, authority.issue(overlay, folder / "authority"))
    try:
        cluster.pod("StatefulSet", "dropbp-coordinator").start()
        worker = cluster.pod("DaemonSet", "dropbp-worker").start()
        dropbp = client_in(client_pod(cluster).containers["client"])
        dropbp.wait_for_workers(1)
        assert [found["worker_id"] for found in dropbp.workers()] == ["node-of-dropbp-worker-0"]
        assert worker.stop() == {"worker": 0}
    finally:
        cluster.close()


def test_the_kubelet_would_see_a_coordinator_that_hangs(folder):
    cluster = make_cluster(folder, "cpu-demo")
    try:
        pod = cluster.pod("StatefulSet", "dropbp-coordinator").start()
        container = pod.containers["coordinator"]
        programs = container.exec(["/usr/bin/pgrep", "-x", "dropbp-coordina"]).stdout.split()
        assert len(programs) == 1
        container.exec(["/bin/kill", "-STOP", *programs])
        assert not container.probe("livenessProbe")
        assert not container.probe("readinessProbe")
        # The worker beside it stays alive: it is not the one that hangs.
        assert pod.containers["worker"].probe("livenessProbe")
        container.exec(["/bin/kill", "-CONT", *programs])
        container.wait_for("livenessProbe")
    finally:
        cluster.close()


if __name__ == "__main__":
    run_in_new_network(__file__)
