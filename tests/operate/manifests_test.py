"""What every rendered overlay must hold: Kubernetes' schemas, the restricted pod security standard, and the rules that
kube-linter and checkov are known for. A rule without exceptions has none in its code either."""
import re

import kubernetes_validate
import pytest
import yaml
from rendered import OVERLAYS, containers, of_kind, pod_labels, pod_spec, render, render_text, selects, workloads
from repository import ROOT, VERSION

KUBERNETES = "1.37"  # the newest that kubernetes-validate knows
# Their schemas come with their operators; what they mean is tested where they are used.
CUSTOM = {"PodMonitor", "PrometheusRule", "Certificate", "Issuer"}

pytestmark = pytest.mark.parametrize("overlay", OVERLAYS)


def each_container(overlay):
    for workload, container in containers(overlay):
        yield f"{workload['kind']} {workload['metadata']['name']}, container {container['name']}", workload, container


def test_every_object_is_valid_for_kubernetes(overlay):
    for thing in render(overlay):
        if thing["kind"] not in CUSTOM:
            kubernetes_validate.validate(thing, KUBERNETES, strict=True)


def test_every_object_is_in_the_namespace(overlay):
    for thing in render(overlay):
        if thing["kind"] != "Namespace":
            assert thing["metadata"].get("namespace") == "dropbp", thing["metadata"]["name"]


def test_no_secret_is_in_it(overlay):
    assert not of_kind(overlay, "Secret")
    text = render_text(overlay)
    assert "PRIVATE KEY" not in text and "BEGIN CERTIFICATE" not in text
    for where, _, container in each_container(overlay):
        for variable in container.get("env", []):
            name = variable["name"]
            assert "secretKeyRef" not in variable.get("valueFrom", {}), f"{where}: {name}: mount Secrets instead"
            assert not re.search("PASSWORD|TOKEN|SECRET", name), f"{where}: {name}"


def test_images_have_this_version_as_their_tag(overlay):
    for where, _, container in each_container(overlay):
        # No digest: whoever builds the images pushes them to a registry of theirs.
        assert re.fullmatch(rf"dropbp-(coordinator|worker-cpu|worker-cuda):{re.escape(VERSION)}",
                            container["image"]), f"{where}: {container['image']}"


def test_the_namespace_enforces_restricted_pods(overlay):
    (namespace,) = of_kind(overlay, "Namespace")
    assert namespace["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] == "restricted"


def test_pods_are_restricted(overlay):
    allowed = {"configMap", "emptyDir", "persistentVolumeClaim", "secret"}
    for workload in workloads(overlay):
        spec = pod_spec(workload)
        for field in ("hostNetwork", "hostPID", "hostIPC", "hostUsers", "shareProcessNamespace"):
            assert field not in spec, field
        security = spec["securityContext"]
        assert security["runAsNonRoot"] is True
        assert security["runAsUser"] >= 10000 and security["runAsGroup"] >= 10000
        assert security["seccompProfile"] == {"type": "RuntimeDefault"}
        for volume in spec["volumes"]:
            assert set(volume) - {"name"} <= allowed, volume["name"]


def test_containers_are_restricted(overlay):
    for where, _, container in each_container(overlay):
        assert container["securityContext"] == {
            "allowPrivilegeEscalation": False, "privileged": False, "readOnlyRootFilesystem": True,
            "runAsNonRoot": True, "capabilities": {"drop": ["ALL"]},
        }, where
        assert not any("hostPort" in port for port in container["ports"]), where


def test_pods_have_an_account_of_their_own_without_a_token(overlay):
    accounts = {account["metadata"]["name"]: account for account in of_kind(overlay, "ServiceAccount")}
    assert all(account["automountServiceAccountToken"] is False for account in accounts.values())
    for workload in workloads(overlay):
        spec = pod_spec(workload)
        assert spec["serviceAccountName"] in accounts
        assert spec["automountServiceAccountToken"] is False
        assert spec["enableServiceLinks"] is False


def test_containers_have_requests_and_limits(overlay):
    for where, _, container in each_container(overlay):
        for resource in ("cpu", "memory", "ephemeral-storage"):
            assert resource in container["resources"]["requests"], f"{where}: {resource}"
            assert resource in container["resources"]["limits"], f"{where}: {resource}"


def test_containers_have_all_three_probes_with_time_to_answer(overlay):
    for where, _, container in each_container(overlay):
        for name in ("startupProbe", "readinessProbe", "livenessProbe"):
            probe = container[name]
            assert probe["timeoutSeconds"] <= 5, where
            # The built-in one can neither speak TLS nor reach a pod's loopback.
            assert "grpc" not in probe, where
            command = probe.get("exec", {}).get("command", [])
            if "--timeout" in command:
                own = float(command[command.index("--timeout") + 1])
                assert own < probe["timeoutSeconds"], f"{where}: {name}: the kubelet gives up first"


def test_a_worker_is_never_restarted_because_the_coordinator_is_away(overlay):
    for where, _, container in each_container(overlay):
        if container["name"] == "worker":
            assert set(container["livenessProbe"]) & {"exec", "httpGet"} == {"httpGet"}, where


def test_the_grace_of_a_pod_is_longer_than_its_workers_drain(overlay):
    for where, workload, container in each_container(overlay):
        graces = [arg for arg in container.get("args", []) if arg.startswith("--stop-grace=")]
        assert bool(graces) == (container["name"] == "worker"), where
        for grace in graces:
            assert int(grace.split("=")[1]) + 20 <= pod_spec(workload)["terminationGracePeriodSeconds"], where


def test_mounts_have_volumes_and_volumes_are_mounted(overlay):
    for workload in workloads(overlay):
        spec = pod_spec(workload)
        volumes = {volume["name"] for volume in spec["volumes"]}
        volumes |= {claim["metadata"]["name"] for claim in workload["spec"].get("volumeClaimTemplates", [])}
        mounted = set()
        for container in spec["containers"]:
            names = [mount["name"] for mount in container["volumeMounts"]]
            paths = [mount["mountPath"] for mount in container["volumeMounts"]]
            assert len(set(paths)) == len(paths)
            assert not any("subPath" in mount for mount in container["volumeMounts"]), "would not follow a rotation"
            mounted.update(names)
        assert mounted == volumes


def test_shared_memory_is_memory_and_fits_the_limit(overlay):
    gib = lambda text: int(text.removesuffix("Gi"))  # noqa: E731
    for where, workload, container in each_container(overlay):
        if container["name"] != "worker":
            continue
        (mount,) = [mount for mount in container["volumeMounts"] if mount["mountPath"] == "/dev/shm"]
        (volume,) = [volume for volume in pod_spec(workload)["volumes"] if volume["name"] == mount["name"]]
        assert volume["emptyDir"]["medium"] == "Memory", where
        assert gib(volume["emptyDir"]["sizeLimit"]) < gib(container["resources"]["limits"]["memory"]), where


def test_scratch_volumes_are_bounded_and_fit_the_limit(overlay):
    mib = lambda text: int(text[:-2]) * (1024 if text.endswith("Gi") else 1)  # noqa: E731
    for workload in workloads(overlay):
        spec = pod_spec(workload)
        scratch = [volume["emptyDir"] for volume in spec["volumes"] if "emptyDir" in volume]
        on_disk = sum(mib(volume["sizeLimit"]) for volume in scratch if volume.get("medium") != "Memory")
        limit = sum(mib(container["resources"]["limits"]["ephemeral-storage"]) for container in spec["containers"])
        assert on_disk <= limit


def test_settings_that_are_named_are_there(overlay):
    names = {thing["metadata"]["name"] for thing in of_kind(overlay, "ConfigMap")}
    for workload in workloads(overlay):
        for volume in pod_spec(workload)["volumes"]:
            if "configMap" in volume:
                assert volume["configMap"]["name"] in names


def test_certificates_come_from_secrets_that_cert_manager_writes(overlay):
    written = {thing["spec"]["secretName"] for thing in of_kind(overlay, "Certificate")}
    for workload in workloads(overlay):
        for volume in pod_spec(workload)["volumes"]:
            if "secret" in volume:
                assert volume["secret"]["secretName"] in written
                assert volume["secret"]["defaultMode"] == 0o440


def test_selectors_choose_pods_that_exist_and_ports_that_they_have(overlay):
    pods = [(pod_labels(workload), pod_spec(workload)) for workload in workloads(overlay)]

    def ports_of(selector):
        return {port["name"] for labels, spec in pods if selects(selector, labels)
                for container in spec["containers"] for port in container["ports"]}

    for workload in workloads(overlay):
        assert selects(workload["spec"]["selector"]["matchLabels"], pod_labels(workload))
    for service in of_kind(overlay, "Service"):
        for port in service["spec"]["ports"]:
            assert port["targetPort"] in ports_of(service["spec"]["selector"]), service["metadata"]["name"]
    for monitor in of_kind(overlay, "PodMonitor"):
        found = ports_of(monitor["spec"]["selector"]["matchLabels"])
        assert {endpoint["port"] for endpoint in monitor["spec"]["podMetricsEndpoints"]} <= found
    for workload in of_kind(overlay, "StatefulSet"):
        headless = [service for service in of_kind(overlay, "Service")
                    if service["metadata"]["name"] == workload["spec"]["serviceName"]]
        assert [service["spec"]["clusterIP"] for service in headless] == ["None"]
        assert selects(headless[0]["spec"]["selector"], pod_labels(workload))


def test_the_network_is_closed_but_for_named_peers(overlay):
    policies = of_kind(overlay, "NetworkPolicy")
    everything = [policy for policy in policies if policy["spec"]["podSelector"] == {}]
    closed = [policy for policy in everything
              if sorted(policy["spec"]["policyTypes"]) == ["Egress", "Ingress"]
              and not policy["spec"].get("ingress") and not policy["spec"].get("egress")]
    assert closed, "no policy denies everything"
    for policy in policies:
        for rule in policy["spec"].get("ingress", []) + policy["spec"].get("egress", []):
            peers = rule.get("from", []) + rule.get("to", [])
            assert peers and rule["ports"], policy["metadata"]["name"]
            assert all("ipBlock" not in peer for peer in peers), policy["metadata"]["name"]


def test_workloads_can_be_drained_as_their_budget_says(overlay):
    budgets = of_kind(overlay, "PodDisruptionBudget")
    for workload in workloads(overlay):
        found = [budget for budget in budgets
                 if selects(budget["spec"]["selector"]["matchLabels"], pod_labels(workload))]
        # A drain passes over DaemonSets; a budget would say nothing.
        assert len(found) == (0 if workload["kind"] == "DaemonSet" else 1), workload["metadata"]["name"]


def test_there_is_one_coordinator_on_a_volume_of_its_own(overlay):
    coordinators = [workload for workload, container in containers(overlay) if container["name"] == "coordinator"]
    (coordinator,) = coordinators
    assert coordinator["kind"] == "StatefulSet" and coordinator["spec"]["replicas"] == 1
    (claim,) = coordinator["spec"]["volumeClaimTemplates"]
    assert claim["spec"]["accessModes"] == ["ReadWriteOnce"]


def test_gpu_overlays_ask_for_gpus_and_others_do_not(overlay):
    for where, workload, container in each_container(overlay):
        asks = "nvidia.com/gpu" in container["resources"]["limits"]
        assert asks == (overlay.startswith("gpu") and container["name"] == "worker"), where
        if asks:
            resources = container["resources"]
            assert resources["limits"]["nvidia.com/gpu"] == resources["requests"]["nvidia.com/gpu"]
            assert {"key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoSchedule"} in \
                pod_spec(workload)["tolerations"]


def test_whatever_listens_off_loopback_speaks_tls(overlay):
    for settings in of_kind(overlay, "ConfigMap"):
        text = settings.get("data", {}).get("coordinator.yaml", "")
        listen = re.search(r"^listen: (\S+)$", text, re.MULTILINE)
        if listen and not listen.group(1).startswith("127.0.0.1:"):
            assert all(f"\ntls_{name}: /" in text for name in ("ca", "cert", "key"))


def test_alert_rules_and_dashboards_are_those_that_are_tested_with_prometheus(overlay):
    rules = of_kind(overlay, "PrometheusRule")
    assert len(rules) == len(of_kind(overlay, "PodMonitor")) == (0 if overlay == "cpu-demo" else 1)
    files = sorted((ROOT / "deploy/prometheus/rules").glob("*.yml"))
    groups = [group for path in files for group in yaml.safe_load(path.read_text())["groups"]]
    assert all(rule["spec"]["groups"] == groups for rule in rules)
    shown = {name: text for thing in of_kind(overlay, "ConfigMap") for name, text in thing["data"].items()
             if thing["metadata"].get("labels", {}).get("grafana_dashboard") == "1"}
    dashboards = {path.name: path.read_text() for path in (ROOT / "deploy/grafana/dashboards").glob("*.json")}
    assert shown == (dashboards if rules else {})
