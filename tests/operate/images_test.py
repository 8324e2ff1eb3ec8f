"""The images: their Dockerfile by a linter and by what each target must have, their build context, and compose.yaml."""
import os
import pathlib
import re
import shutil
import subprocess

import pytest
import yaml
from containers import DOCKERFILE, image, instructions, last, services
from repository import ORACLES, ROOT, SITE_PACKAGES, VERSION

TARGETS = ["coordinator", "worker-cpu", "worker-cuda"]
PINNED = r"[a-z/]+:[A-Za-z0-9._-]+@sha256:[0-9a-f]{64}"


def test_the_linter_finds_nothing():
    done = subprocess.run([ORACLES / "bin/hadolint", "--failure-threshold", "style", DOCKERFILE], capture_output=True,
                          text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "")


def test_the_base_is_pinned_by_tag_and_digest_once():
    bases = [value.split(" ")[0] for _, word, value in instructions() if word == "FROM"]
    stages = {stage for stage, _, _ in instructions() if stage}
    assert {base for base in bases if base not in stages} == {"${DEBIAN}"}
    (pin,) = [value for _, word, value in instructions() if word == "ARG" and value.startswith("DEBIAN=")]
    assert re.fullmatch(PINNED, pin.removeprefix("DEBIAN="))


@pytest.mark.parametrize("target", TARGETS)
def test_an_image_runs_as_nobody_under_tini_and_can_be_asked_for_its_health(target):
    assert re.fullmatch(r"[1-9][0-9]{4}:[1-9][0-9]{4}", last(target, "USER"))
    program = "dropbp-coordinator" if target == "coordinator" else "dropbp-worker"
    assert yaml.safe_load(last(target, "ENTRYPOINT")) == ["tini", "--", program]
    assert last(target, "STOPSIGNAL") == "SIGTERM"
    assert last(target, "HEALTHCHECK").endswith('CMD ["dropbp", "health"]')


@pytest.mark.parametrize("target", TARGETS)
def test_an_image_says_what_it_is(target):
    labels = dict(re.findall(r'org\.opencontainers\.image\.(\w+)="([^"]*)"', last(target, "LABEL")))
    assert labels["title"] == f"dropbp-{target}"
    assert set(labels) == {"title", "description", "version", "revision", "licenses"}
    assert ("ARG", f"VERSION={VERSION}") in image(target)


def test_the_coordinator_has_no_libtorch():
    assert not any("torch" in value for _, value in image("coordinator"))


def context():
    """The repository's files that .dockerignore lets through."""
    allowed = tuple(line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!"))
    listed = subprocess.run(["git", "ls-files", "--cached", "--others", "--exclude-standard"], cwd=ROOT, check=True,
                            capture_output=True, text=True).stdout.splitlines()
    return [name for name in listed if any(name == path or name.startswith(f"{path}/") for path in allowed)
            and (ROOT / name).is_file()]


def cpu_environment(folder):
    """What `install_pinned torch pyarrow nvidia-cuda-cupti nvidia-cuda-runtime` leaves of build/env: CUDA's own folder, no NCCL."""
    packages = folder / "lib" / SITE_PACKAGES.parent.name / "site-packages"
    (packages / "nvidia").mkdir(parents=True)
    for name in ("torch", "pyarrow", "google", "nvidia/cu13"):
        (packages / name).symlink_to(SITE_PACKAGES.resolve() / name)
    return folder


def test_the_context_is_enough_to_configure_a_worker_for_cpu_and_holds_no_tests(tmp_path):
    for name in context():
        (tmp_path / "src" / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, tmp_path / "src" / name)
    assert not (tmp_path / "src/tests").exists() and not (tmp_path / "src/docs").exists()
    for _, word, value in instructions():  # what is copied from the context exists there
        if word == "COPY" and "--from" not in value:
            for source in value.split(" ")[:-1]:
                assert (tmp_path / "src" / source).exists(), source
    done = subprocess.run(
        ["cmake", "--preset", "release", f"-DDROPBP_ENV={cpu_environment(tmp_path / 'env')}",
         "-DDROPBP_BUILD_TESTS=OFF", "-DDROPBP_BUILD_BENCH=OFF", "-DDROPBP_USE_CUDA=OFF"],
        cwd=tmp_path / "src", capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "building for CPU only" in done.stdout


def test_the_cpu_half_of_libtorch_loads_without_the_rest(tmp_path):
    subprocess.run([ROOT / "docker/copy_libtorch", "cpu", tmp_path], check=True,
                   env={"PATH": os.environ["PATH"], "DROPBP_ENV": str(ROOT / "build/env")})
    libraries = subprocess.run(["ldd", tmp_path / "torch/lib/libtorch_cpu.so"], check=True, capture_output=True,
                               text=True).stdout
    assert "not found" not in libraries
    elsewhere = re.findall(r"=> (?!/lib|/usr/lib)(\S+)", libraries)
    assert elsewhere and all(pathlib.Path(path).resolve().is_relative_to(tmp_path.resolve()) for path in elsewhere)


def test_packages_are_installed_in_pinned_versions_only(tmp_path):
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin/pip").write_text("#!/bin/sh\necho \"$@\"\n")
    (tmp_path / "bin/pip").chmod(0o755)

    def install(*packages):
        return subprocess.run([ROOT / "docker/install_pinned", *packages], capture_output=True, text=True, check=False,
                              cwd=ROOT, env={"PATH": os.environ["PATH"], "DROPBP_ENV": str(tmp_path)})
    for packages in re.findall(r"install_pinned ([a-z'][^&\\\n]+)", DOCKERFILE.read_text()):
        done = install(*packages.replace("'", "").split())
        assert done.returncode == 0, done.stderr
        assert all("==" in word for word in done.stdout.split() if word[0] not in "-i")
    refused = install("torchvision")
    assert refused.returncode == 1 and "pins no package named torchvision" in refused.stderr


def test_compose_runs_these_images_or_pinned_ones():
    for name, service in services().items():
        if "build" in service:
            target = service["build"]["target"]
            assert target in TARGETS and service["image"] == f"dropbp-{target}:{VERSION}", name
        else:
            assert re.fullmatch(PINNED, service["image"]), name


def test_compose_closes_its_services():
    for name, service in services().items():
        assert service["read_only"] and service["cap_drop"] == ["ALL"], name
        assert service["security_opt"] == ["no-new-privileges:true"], name
        assert "mem_limit" in service and "privileged" not in service, name
        assert all(port.startswith("127.0.0.1:") for port in service.get("ports", [])), name
        assert name == "coordinator" or service["network_mode"] == "service:coordinator", name


def test_compose_mounts_what_the_repository_has():
    for name, service in services().items():
        for volume in service["volumes"]:
            source = re.sub(r"^\$\{\w+:-([^}]+)\}", r"\1", volume).split(":")[0]
            if source.startswith("..") and source != "../build/models":
                assert (ROOT / "docker" / source).exists(), f"{name}: {source}"


def test_compose_workers_stop_longer_than_they_drain_and_are_scraped():
    prometheus = yaml.safe_load((ROOT / "deploy/prometheus/prometheus.yml").read_text())
    scraped = {target for job in prometheus["scrape_configs"] for config in job["static_configs"]
               for target in config["targets"]}
    workers = [service for name, service in services().items() if name.startswith("worker")]
    assert len(workers) == 2
    for worker in workers:
        flags = dict(word.split("=", 1) for word in worker["command"])
        assert int(flags["--stop-grace"]) + 20 <= int(worker["stop_grace_period"].removesuffix("s"))
        assert flags["--metrics-listen"] in scraped
    assert "127.0.0.1:7071" in scraped
