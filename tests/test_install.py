"""The wheel: it works in an empty environment, from any folder, and the source distribution builds the same one."""

from __future__ import annotations

import os
import subprocess
import sys
import sysconfig
import tarfile
import zipfile
from pathlib import Path

import numpy as np
import pytest
import tifffile

import bundle

ROOT = Path(__file__).resolve().parents[1]


def ran(*words: str | Path, cwd: Path) -> str:
    """What a program prints that has nothing of this checkout in its environment."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run([*map(str, words)], cwd=cwd, env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def built(source: Path, target: str, folder: Path) -> Path:
    before = set(folder.glob("*"))
    ran(sys.executable, "-m", "hatchling", "build", "-t", target, "-d", folder, cwd=source)
    (made,) = set(folder.glob("*")) - before
    return made


@pytest.fixture(scope="module")
def wheel(tmp_path_factory) -> Path:
    return built(ROOT, "wheel", tmp_path_factory.mktemp("wheel"))


@pytest.fixture(scope="module")
def installed(wheel, tmp_path_factory) -> Path:
    """The programs of an environment that holds the wheel, and of the present one all but this package."""
    folder = tmp_path_factory.mktemp("environment")
    ran(sys.executable, "-m", "venv", "--without-pip", folder, cwd=folder)
    programs = folder / ("Scripts" if os.name == "nt" else "bin")
    ran(sys.executable, "-m", "pip", "--python", programs / "python", "install", "--no-deps", wheel, cwd=folder)
    places = {"base": str(folder), "platbase": str(folder)}
    beside = Path(sysconfig.get_path("purelib", "venv", vars=places)) / "beside.pth"
    # a folder named there is searched, but the links to checkouts in it are not followed
    beside.write_text(sysconfig.get_path("purelib"), encoding="utf-8")
    return programs


def test_the_wheel_carries_configs_and_weights_once(wheel):
    names = zipfile.ZipFile(wheel).namelist()
    assert {"bundle/resources/configs/inference.json", "bundle/resources/models/model.pt"} <= set(names)
    assert len(names) == len(set(names))
    assert not [
        name
        for name in names
        if name.split("/")[0] not in ("bundle", f"vessel_cascades-{bundle.__version__}.dist-info")
    ]


def test_the_source_distribution_builds_the_same_wheel(wheel, tmp_path):
    with tarfile.open(built(ROOT, "sdist", tmp_path)) as archive:
        archive.extractall(tmp_path / "source", filter="data")
    (source,) = (tmp_path / "source").iterdir()
    again = zipfile.ZipFile(built(source, "wheel", tmp_path))
    first = zipfile.ZipFile(wheel)
    contents = [{name: archive.read(name) for name in archive.namelist()} for archive in (first, again)]
    assert contents[0] == contents[1]


def test_the_installed_command_segments_from_any_folder(installed, tmp_path):
    version = ran(installed / "vessels", "--version", cwd=tmp_path)
    assert version.startswith(f"vessels {bundle.__version__}, weights ")
    home = ran(installed / "python", "-c", "from bundle.home import ROOT; print(ROOT)", cwd=tmp_path)
    assert Path(home.strip()).is_relative_to(installed.parent)
    tifffile.imwrite(tmp_path / "image.tif", np.zeros((40, 50), np.uint8) + np.arange(50, dtype=np.uint8))
    ran(installed / "vessels", "segment", "image.tif", "--output", "masks", cwd=tmp_path)
    assert tifffile.imread(tmp_path / "masks" / "image_mask.tif").shape == (40, 50)


def test_the_installed_package_packs_the_bundle_that_the_checkout_packs(installed, tmp_path):
    ran(installed / "vessels", "package", "installed.zip", cwd=tmp_path)
    ran(sys.executable, "-m", "bundle", "package", tmp_path / "checkout.zip", cwd=ROOT)
    assert (tmp_path / "installed.zip").read_bytes() == (tmp_path / "checkout.zip").read_bytes()


def test_doctor_names_versions_and_finds_the_vessels_of_its_phantom(installed, tmp_path):
    lines = ran(installed / "vessels", "doctor", "--device", "cpu", cwd=tmp_path)
    assert f"vessel-cascades {bundle.__version__}" in lines and "monai 1." in lines and "extra formats: " in lines
    assert lines.rstrip().endswith("all is well")
