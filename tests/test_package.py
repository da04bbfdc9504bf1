"""What `python -m bundle package` writes: what a platform needs, nothing else, and the same bytes every time."""

from __future__ import annotations

import hashlib
import io
import json
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch
import yaml

from bundle.__main__ import main
from bundle.networks import CascadeEnsemble
from bundle.packaging import bundle_files, model_files
from bundle.packaging.archive import zipped
from bundle.transforms import LinearContrast

ROOT = Path(__file__).resolve().parents[1]
DESCRIPTIONS = {"LICENSE", "README.md", "constraints.txt", "docs/README.md", "models/README.md", "pyproject.toml"}
PICTURE = "docs/worst_cases.png"


@pytest.fixture(scope="module")
def tiny():
    """A resource of the BioImage Model Zoo, of a network at tiny width."""
    torch.manual_seed(0)
    network = CascadeEnsemble(1, [2, 3, 4], dbac_scale=2.0)
    metadata = json.loads((ROOT / "configs" / "metadata.json").read_text(encoding="utf-8"))
    return network.eval(), model_files(network, metadata, b"licence\r\n")


def copy_of_the_bundle(folder: Path) -> Path:
    for name in ("bundle", "configs"):
        shutil.copytree(ROOT / name, folder / name)
    for name in (*DESCRIPTIONS, PICTURE, "models/model.pt", "models/stack.pt"):
        (folder / name).parent.mkdir(exist_ok=True)
        shutil.copy(ROOT / name, folder / name)
    return folder


def test_package_holds_what_a_platform_needs_and_nothing_else():
    names = set(bundle_files(ROOT, ROOT / "bundle"))
    modules = {path.relative_to(ROOT).as_posix() for path in (ROOT / "bundle").rglob("*.py")}
    configs = {f"configs/{path.name}" for path in (ROOT / "configs").iterdir()}
    kinds = {".md", ".json", ".html", ".css", ".js", ".typed"}
    words = {path.relative_to(ROOT).as_posix() for path in (ROOT / "bundle").rglob("*") if path.suffix in kinds}
    assert names == modules | configs | words | DESCRIPTIONS | {PICTURE, "models/model.pt", "models/stack.pt"}
    assert bundle_files(ROOT, ROOT / "bundle")[PICTURE] == (ROOT / PICTURE).read_bytes()


def test_package_has_the_same_bytes_whatever_the_checkout(tmp_path):
    other = copy_of_the_bundle(tmp_path / "elsewhere")
    for path in [*other.rglob("*")]:
        if path.suffix in {".py", ".yaml", ".md"}:  # as git checks out on Windows
            path.write_bytes(path.read_bytes().replace(b"\n", b"\r\n"))
        if path.is_file():
            path.chmod(0o600)
            os.utime(path, (1e9, 1e9))
    (other / "bundle" / "__pycache__").mkdir(exist_ok=True)
    (other / "bundle" / "__pycache__" / "left.cpython-311.pyc").write_bytes(b"left")
    (other / "bundle" / ".hidden.py").write_bytes(b"")
    (other / "demo").mkdir()
    assert zipped(bundle_files(other, other / "bundle")) == zipped(bundle_files(ROOT, ROOT / "bundle"))


def test_other_weights_are_packed_and_those_that_do_not_fit_are_refused(tmp_path, capsys):
    config = json.loads((ROOT / "configs" / "inference.json").read_text(encoding="utf-8"))["network_def"]
    torch.manual_seed(1)
    network = CascadeEnsemble(**{key: value for key, value in config.items() if key != "_target_"})
    torch.save({"model": network.state_dict(), "epoch": 3}, tmp_path / "best.pt")
    out = tmp_path / "deep" / "out.zip"
    assert main(["package", str(out), "--weights", str(tmp_path / "best.pt")]) == 0
    with zipfile.ZipFile(out) as archive:
        packed = torch.load(io.BytesIO(archive.read("models/model.pt")), weights_only=True)
        assert archive.read("models/stack.pt") == archive.read("models/model.pt")
    assert set(packed) == {"model"}
    for name, value in network.state_dict().items():
        assert torch.equal(packed["model"][name], value)
    before = out.read_bytes()
    torch.save(CascadeEnsemble(1, [2, 3], dbac_scale=1.0, dbac_norm="instance").state_dict(), tmp_path / "small.pt")
    capsys.readouterr()
    assert main(["package", str(out), "--overwrite", "--weights", str(tmp_path / "small.pt")]) == 1
    assert "does not fit" in capsys.readouterr().err
    assert out.read_bytes() == before
    assert [path.name for path in out.parent.iterdir()] == ["out.zip"]


def test_what_exists_is_replaced_only_with_overwrite(tmp_path, capsys):
    out = tmp_path / "out.zip"
    out.write_bytes(b"mine")
    assert main(["package", str(out)]) == 1
    assert out.read_bytes() == b"mine" and "--overwrite" in capsys.readouterr().err
    assert main(["package", str(out), "--overwrite"]) == 0
    assert zipfile.is_zipfile(out)
    assert main(["package", str(tmp_path)]) == 1
    assert "is a folder" in capsys.readouterr().err


def test_resource_describes_each_of_its_files_by_its_hash(tiny):
    _, files = tiny
    described = {}

    def visit(node):
        if isinstance(node, dict):
            if "source" in node:
                described[node["source"]] = node["sha256"]
            node = list(node.values())
        for child in node if isinstance(node, list) else []:
            visit(child)

    visit(yaml.safe_load(files["rdf.yaml"]))
    assert described == {name: hashlib.sha256(files[name]).hexdigest() for name in files if name != "rdf.yaml"}


def test_weights_of_the_resource_agree_with_the_network_rows_first_and_at_any_size(tiny):
    network, files = tiny
    script = torch.jit.load(io.BytesIO(files["weights.pt"]))
    session = onnxruntime.InferenceSession(files["weights.onnx"])
    for size in ((1, 1), (33, 17), (64, 130)):
        image = torch.rand(2, 1, *size)
        with torch.inference_mode(), torch.jit.optimized_execution(False):  # which compiles anew for each size
            expected = network(image.mT).mT  # the bundle's arrays are [C, X, Y]
            torch.testing.assert_close(script(image), expected, atol=1e-4, rtol=0)
        (pred,) = session.run(["pred"], {"image": image.numpy()})
        torch.testing.assert_close(torch.from_numpy(pred), expected, atol=1e-4, rtol=0)


def test_test_output_is_what_the_bundle_makes_of_the_test_input_as_of_a_slice(tiny):
    network, files = tiny
    image, expected = (np.load(io.BytesIO(files[name])) for name in ("test_input.npy", "test_output.npy"))
    (given,) = yaml.safe_load(files["rdf.yaml"])["inputs"]
    scale, clip = given["preprocessing"]
    contrast = LinearContrast()
    assert contrast.percentiles == (scale["kwargs"]["min_percentile"], scale["kwargs"]["max_percentile"])
    assert clip["kwargs"] == {"min": 0, "max": 1}
    with torch.inference_mode():
        columns_first = torch.as_tensor(np.asarray(contrast(image[0].swapaxes(-1, -2))))
        made = network(columns_first[None]).mT
    np.testing.assert_allclose(made.numpy(), expected, atol=1e-4)


def test_resource_has_the_same_bytes_in_another_process_and_names_no_folder_of_the_machine(tmp_path):
    program = (
        "import sys, json, hashlib, torch; from pathlib import Path\n"
        "from bundle.networks import CascadeEnsemble; from bundle.packaging import model_files\n"
        "from bundle.packaging.archive import zipped\n"
        "torch.set_num_threads(1); torch.manual_seed(0)\n"
        "network = CascadeEnsemble(1, [2, 3], dbac_scale=1.0)\n"
        "data = zipped(model_files(network, json.loads(Path('configs/metadata.json').read_text('utf-8')), b'x'))\n"
        "print(hashlib.sha256(data).hexdigest(), str(Path.cwd()).encode() in data)\n"
    )
    elsewhere = copy_of_the_bundle(tmp_path / "elsewhere")
    printed = []
    for folder, seed in ((ROOT, "1"), (elsewhere, "2")):
        environment = {**os.environ, "PYTHONPATH": str(folder), "PYTHONHASHSEED": seed}
        done = subprocess.run(
            [sys.executable, "-W", "ignore", "-c", program],
            cwd=folder,
            env=environment,
            check=True,
            capture_output=True,
            text=True,
        )
        printed.append(done.stdout.split()[-2:])
    assert printed[0] == printed[1]
    assert printed[0][1] == "False"
