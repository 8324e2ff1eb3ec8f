"""Where things are, the version that everything must name, and the programs as they are installed."""
import functools
import os
import pathlib
import re
import subprocess
import tempfile

ROOT = pathlib.Path(os.environ.get("DROPBP_SOURCE_DIR", pathlib.Path(__file__).parents[2]))
BIN = pathlib.Path(os.environ.get("DROPBP_BIN_DIR", ROOT / "build" / "release" / "bin"))
ORACLES = pathlib.Path(os.environ.get("DROPBP_ORACLES", ROOT / "build" / "oracles"))
MODELS = pathlib.Path(os.environ.get("DROPBP_MODELS", ROOT / "build" / "models"))
(SITE_PACKAGES,) = (ROOT / "build/env/lib").glob("python3*/site-packages")  # with LibTorch in torch/
VERSION = re.search(r"project\(dropbp VERSION ([0-9.]+)", (ROOT / "CMakeLists.txt").read_text()).group(1)


@functools.cache
def _installed():
    folder = tempfile.TemporaryDirectory(prefix="dropbp-installed-")
    subprocess.run(["cmake", "--install", BIN.parent, "--strip", "--prefix", folder.name], check=True,
                   stdout=subprocess.DEVNULL)
    return folder


def installed():
    """This build's programs with their libraries, as docker/Dockerfile installs them; gone when this process ends."""
    return pathlib.Path(_installed().name)


def pack(folder):
    """Makes this build's bundle in a folder, as tools/bundle does."""
    subprocess.run(["cpack", "--config", "CPackConfig.cmake", "-B", folder], cwd=BIN.parent, check=True,
                   stdout=subprocess.DEVNULL)
