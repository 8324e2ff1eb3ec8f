"""Runs the pods of rendered manifests with the real programs, as a kubelet would, without a cluster.

A pod has a network namespace with its own loopback and address; a container has a read-only root, the image's programs,
its volumes at their mount paths, the manifest's user, no capabilities, its own process tree with the manifest's command
as PID 1, and only the environment that image and manifest give. Commands, arguments, ports, paths and signals are the
manifest's to the letter. Not the same as in a cluster:
  - the programs are this build's, installed as in an image, on this machine's Debian; limits, network policies and
    scheduling are not enforced;
  - names of Services come from a hosts file;
  - where there is no GPU, the caller may replace values of environment variables (DROPBP_DEVICE).

Needs what sandbox.run_in_new_network() gives.
"""
import itertools
import pathlib
import subprocess
import time
import urllib.request

from rendered import find, of_kind, pod_labels, pod_spec, selects
from repository import SITE_PACKAGES, installed
from sandbox import NETWORK, Program, bare_machine, variables, wait_until

# As docker/Dockerfile sets it.
IMAGE_ENVIRONMENT = {"PATH": "/opt/dropbp/bin:/usr/bin:/bin", "DROPBP_LIBTORCH": "/opt/libtorch/torch"}


class Container(Program):
    """One running container."""

    def __init__(self, pod, spec, log):
        self.pod, self.spec, self.name = pod, spec, spec["name"]
        super().__init__(pod.root(spec), [*spec["command"], *pod.expand(spec, spec.get("args", []))], log, pod.enter())

    def exec(self, command, timeout=30):
        """As `kubectl exec`, and as an exec probe."""
        environment = [f"{name}={value}" for name, value in self.pod.environment(self.spec).items()]
        return subprocess.run(
            ["nsenter", "--target", str(self.pid), "--user", "--preserve-credentials", "--mount", "--net", "--pid",
             "--wd=/tmp", "--", "/usr/bin/env", "-i", *environment, *command],
            capture_output=True, text=True, timeout=timeout, check=False)

    def probe(self, name):
        """One try; true on success, as the kubelet judges it."""
        probe = self.spec[name]
        if "exec" in probe:
            try:
                return self.exec(probe["exec"]["command"], probe["timeoutSeconds"]).returncode == 0
            except subprocess.TimeoutExpired:
                return False
        get = probe["httpGet"]
        port = {port["name"]: port["containerPort"] for port in self.spec["ports"]}.get(get["port"], get["port"])
        try:
            url = f"http://{self.pod.address}:{port}{get['path']}"
            with urllib.request.urlopen(url, timeout=probe["timeoutSeconds"]) as answer:
                return 200 <= answer.status < 400
        except OSError:
            return False

    def wait_for(self, name):
        """Until the probe succeeds, for as long as the manifest lets it fail."""
        probe = self.spec[name]
        patience = probe["failureThreshold"] * probe["periodSeconds"]
        wait_until(patience, lambda: self.probe(name) or self.process.poll() is not None,
                   f"{name} of {self.name}; it said:\n{self.said()}")
        assert self.process.poll() is None, f"{self.name} ended with {self.process.returncode}:\n{self.said()}"


class Pod:
    """A pod of a workload. `volumes` gives folders for claims by their names, and file contents for Secrets."""

    _addresses = itertools.count(2)

    def __init__(self, cluster, overlay, workload, name):
        self.cluster, self.overlay, self.name = cluster, overlay, name
        self.spec, self.labels = pod_spec(workload), pod_labels(workload)
        self.claims = {claim["metadata"]["name"] for claim in workload["spec"].get("volumeClaimTemplates", [])}
        number = next(self._addresses)
        self.address = f"{NETWORK}{number}"
        self.folder = cluster.folder / name
        self.folder.mkdir(exist_ok=True)
        self._network = self._make_network(f"pod{number}")
        self.containers = {}

    def _make_network(self, link):
        """Keeps a network namespace alive, as the pause container does."""
        pause = subprocess.Popen(["unshare", "--net", "--", "sh", "-c", "echo; exec sleep infinity"],
                                 stdout=subprocess.PIPE)
        pause.stdout.readline()
        inside = ["nsenter", "--target", str(pause.pid), "--net", "--"]
        for command in ([*f"ip link add {link} type veth peer name eth0 netns {pause.pid}".split()],
                        [*f"ip link set {link} master pods up".split()],
                        [*inside, *"ip link set lo up".split()],
                        [*inside, *f"ip addr add {self.address}/24 dev eth0".split()],
                        [*inside, *"ip link set eth0 up".split()]):
            subprocess.run(command, check=True)
        return pause

    def enter(self):
        return ["nsenter", "--target", str(self._network.pid), "--net", "--"]

    def environment(self, container):
        fields = {"metadata.name": self.name, "spec.nodeName": f"node-of-{self.name}", "status.podIP": self.address}
        values = dict(IMAGE_ENVIRONMENT)
        for variable in container.get("env", []):
            source = variable.get("valueFrom")
            values[variable["name"]] = fields[source["fieldRef"]["fieldPath"]] if source else variable["value"]
        return {name: self.cluster.replaced.get(name, value) for name, value in values.items()}

    def expand(self, container, arguments):
        for name, value in self.environment(container).items():
            arguments = [argument.replace(f"$({name})", value) for argument in arguments]
        return arguments

    def root(self, container):
        """bwrap's arguments: what the container sees and is."""
        security = self.spec["securityContext"]
        assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}
        assert container["securityContext"]["readOnlyRootFilesystem"]
        words = [*bare_machine(security["runAsUser"], security["runAsGroup"]), "--unshare-ipc", "--unshare-uts",
                 "--cap-drop", "ALL", "--hostname", self.name, "--ro-bind", str(installed()), "/opt/dropbp",
                 "--ro-bind", str(SITE_PACKAGES.resolve()), "/opt/libtorch",
                 "--ro-bind", str(self.cluster.hosts), "/etc/hosts",
                 "--ro-bind", str(self.cluster.names), "/etc/nsswitch.conf"]
        for mount in container["volumeMounts"]:
            bind = "--ro-bind" if mount.get("readOnly") else "--bind"
            words += [bind, str(self._volume(mount["name"])), mount["mountPath"]]
        return [*words, *variables(self.environment(container)), "--remount-ro", "/", "--chdir", "/tmp"]

    def _volume(self, name):
        if name in self.claims:
            return self.cluster.claim(f"{name}-{self.name}")
        (volume,) = [volume for volume in self.spec["volumes"] if volume["name"] == name]
        if "persistentVolumeClaim" in volume:
            return self.cluster.claim(volume["persistentVolumeClaim"]["claimName"])
        folder = self.folder / "volumes" / name
        folder.mkdir(parents=True, exist_ok=True)
        if "configMap" in volume:
            settings = find(self.overlay, "ConfigMap", volume["configMap"]["name"])
            write_files(folder, {key: text.encode() for key, text in settings["data"].items()})
        if "secret" in volume:
            write_files(folder, self.cluster.secrets[volume["secret"]["secretName"]])
        return folder

    def start(self):
        for spec in self.spec["containers"]:
            self.containers[spec["name"]] = Container(self, spec, self.folder / f"{spec['name']}.log")
        for container in self.containers.values():
            for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
                container.wait_for(probe)
        return self

    def stop(self):
        """As the kubelet stops a pod; returns the exit codes by container."""
        deadline = time.monotonic() + self.spec["terminationGracePeriodSeconds"]
        for container in self.containers.values():
            container.signal_stop()
        return {name: container.process.wait(deadline - time.monotonic())
                for name, container in self.containers.items()}

    def kill(self):
        for container in self.containers.values():
            container.kill()
        self._network.kill()
        self._network.wait()


class TestCluster:
    """Folders, Secrets and names that pods share. Ends with everything in it."""

    __test__ = False

    def __init__(self, folder, overlay, secrets=None, replaced=None):
        self.folder, self.overlay = pathlib.Path(folder), overlay
        self.secrets, self.replaced = secrets or {}, replaced or {}
        self.hosts = self.folder / "hosts"
        self.hosts.write_text("127.0.0.1 localhost\n")
        self.names = self.folder / "nsswitch.conf"
        self.names.write_text("hosts: files\n")  # there is no DNS server to wait for
        self.pods = {}

    def claim(self, name):
        folder = self.folder / "claims" / name
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    def pod(self, kind, name, number=0):
        """The pod `number` of a workload, not yet started; a Service of its labels gets its address."""
        pod = Pod(self, self.overlay, find(self.overlay, kind, name), f"{name}-{number}")
        for service in of_kind(self.overlay, "Service"):
            if service["spec"].get("clusterIP") != "None" and selects(service["spec"]["selector"], pod.labels):
                with self.hosts.open("a") as hosts:
                    hosts.write(f"{pod.address} {service['metadata']['name']}.dropbp.svc\n")
        self.pods[pod.name] = pod
        return pod

    def close(self):
        for pod in self.pods.values():
            pod.kill()


def write_files(folder, files):
    for name, content in files.items():
        path = folder / name
        if path.exists():
            path.unlink()
        path.write_bytes(content)
        path.chmod(0o440)
