"""MONAI's bundle tools, on what `python -m bundle package` writes, in an environment without the bundle.

    bash scripts/check_platforms.sh bundle [--schema FILE] [--record]

The package is unzipped into an empty folder; everything runs there, first uninstalled, then installed from elsewhere.
It repeats the steps of the model zoo's own verification. --schema, or the variable VESSEL_METADATA_SCHEMA, names a file
with MONAI's schema of metadata; without, it is fetched where there is a network, and where there is none the fields are
checked after the specification.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
from importlib.metadata import version
from pathlib import Path

from claims import Claims
from specification import faults

ROOT = Path(__file__).resolve().parents[2]
SIZES = ((1, 1), (17, 33), (45, 64), (255, 131), (300, 200))
PARTS = ("bundle", "configs", "docs", "models", "LICENSE", "README.md", "constraints.txt", "pyproject.toml")
AGREE = f"""
import sys, torch
from bundle.networks import load_weights
from bundle.networks import CascadeEnsemble
from monai.bundle import ConfigParser
config = ConfigParser(); config.read_config("configs/inference.json")
network = load_weights(config.get_parsed_content("network_def"), "models/model.pt").eval()
if sys.argv[1].endswith(".onnx"):
    import onnxruntime
    session = onnxruntime.InferenceSession(sys.argv[1])
    exported = lambda image: torch.from_numpy(session.run(["pred"], {{"image": image.numpy()}})[0])
else:
    exported = torch.jit.load(sys.argv[1]).eval()
torch.manual_seed(0)
with torch.inference_mode(), torch.jit.optimized_execution(False):  # which would compile anew for each size
    images = [torch.rand(2, 1, *size) for size in {SIZES}]
    print(max((exported(image) - network(image)).abs().max().item() for image in images))
"""
WORKFLOWS = """
import sys
from monai.bundle import create_workflow
root, data, out = sys.argv[1:]
for config, kind, folder in (("train.yaml", "train", data), ("inference.json", "infer", data + "/images")):
    workflow = create_workflow(
        config_file=f"{root}/configs/{config}", workflow_type=kind, bundle_root=root, dataset_dir=folder, output_dir=out
    )
    wrong = workflow.check_properties()
    absent = [name for name, wanted in workflow.properties.items() if wanted["id"] not in workflow.parser]
    for name in workflow.properties:
        getattr(workflow, name)
    assert not wrong and not absent, (config, wrong, absent)
workflow.run()
print(len(workflow.properties), "properties of inference, all of both workflows there")
"""
LOAD = """
import sys, torch
from pathlib import Path
from monai.bundle import load
root = Path(sys.argv[1])
network = load(root.name, bundle_dir=str(root.parent), workflow_type="inference", key_in_ckpt="model").eval()
with torch.inference_mode():
    print(type(network).__name__, tuple(network(torch.rand(1, 1, 70, 50)).shape))
"""
SAME = """
import sys, numpy as np, tifffile
from pathlib import Path
first, second = (sorted(Path(name).glob("*_mask.tif")) for name in sys.argv[1:])
assert first and [path.name for path in first] == [path.name for path in second]
masks = [(tifffile.imread(one), tifffile.imread(other)) for one, other in zip(first, second)]
assert all(one.any() and not one.all() and (one == other).all() for one, other in masks)
print(len(masks), "masks, pixel for pixel those of bundle segment")
"""


class Check:
    """Runs programs in the unzipped bundle and makes claims of what they give."""

    def __init__(self, claims: Claims, root: Path, work: Path) -> None:
        self.claims = claims
        self.root = root
        self.work = work

    def python(self, text: str, *words: object, folder: Path | None = None, says: str | None = None) -> str:
        """Claim that a program of Python ends with status 0.

        Args:
            text: the claim.
            words: of the command line, after ``python``.
            folder: to run in; the bundle's if None.
            says: what came back; the last line of its output if None.

        Returns:
            The last line of its output; empty if it failed.
        """
        done = run(*words, folder=folder or self.root)
        lines = done.stdout.strip().splitlines() or [""]
        if done.returncode:
            print(done.stdout, done.stderr, sep="\n", file=sys.stderr)
        self.claims.claim(
            text, done.returncode == 0, f"status {done.returncode}" if done.returncode else says or lines[-1]
        )
        return lines[-1] if done.returncode == 0 else ""

    def monai(self, text: str, *words: object, says: str) -> str:
        """The same of ``python -m monai.bundle``."""
        return self.python(text, "-m", "monai.bundle", *words, says=says)


def run(*words: object, folder: Path) -> subprocess.CompletedProcess[str]:
    """Run Python on words in a folder, without the warnings that MONAI's runner gives of every config."""
    return subprocess.run(
        [sys.executable, "-W", "ignore", *map(str, words)],
        cwd=folder,
        env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        encoding="utf-8",
        errors="replace",
    )


def packages(check: Check) -> None:
    """Write the package, from this folder and from another copy of it, and unzip it."""
    first, second, copy = (check.work / name for name in ("vessels.zip", "again.zip", "copy"))
    for part in PARTS:
        source = ROOT / part
        (copy / part).parent.mkdir(parents=True, exist_ok=True)
        if source.is_dir():
            shutil.copytree(source, copy / part, copy_function=shutil.copyfile)  # of other dates
        else:
            shutil.copyfile(source, copy / part)
    check.python("bundle package OUT.zip", "-m", "bundle", "package", first, folder=ROOT, says="written")
    mask = os.umask(0o077)
    check.python("the same from another copy", "-m", "bundle", "package", second, folder=copy, says="written")
    os.umask(mask)
    same = first.read_bytes() == second.read_bytes()
    size = f"{first.stat().st_size / 2**20:.1f} MiB, {hashlib.sha256(first.read_bytes()).hexdigest()[:12]}…"
    check.claims.claim("both packages", same, f"the same bytes, {size}" if same else "differ")
    shutil.rmtree(copy)
    with zipfile.ZipFile(first) as archive:
        archive.extractall(check.root)
    done = run("-c", "import bundle", folder=check.work)
    check.claims.claim("the environment", done.returncode != 0, "has the dependencies, not the bundle")


def model_zoo(check: Check, schema: Path | None) -> None:
    """Steps of the model zoo's verification of a bundle."""
    root, claims = check.root, check.claims
    claims.claim("model zoo: LICENSE", "Apache License" in (root / "LICENSE").read_text(encoding="utf-8"), "Apache-2.0")
    metadata = json.loads((root / "configs" / "metadata.json").read_text(encoding="utf-8"))
    claims.claim("model zoo: version and changelog", metadata["version"] in metadata["changelog"], metadata["version"])
    required = metadata["required_packages_version"]
    named = {
        "monai": metadata["monai_version"],
        "torch": metadata["pytorch_version"],
        "numpy": metadata["numpy_version"],
    }
    wrong = [name for name, wanted in {**required, **named}.items() if version(name).split("+")[0] != wanted]
    text = f"{len(required) + len(named)} packages" if not wrong else f"other versions of {', '.join(wrong)}"
    claims.claim("model zoo: required_packages_version, as installed here", not wrong, text)
    missing = [
        name
        for name in ("models/model.pt", "configs/inference.json", "configs/train.yaml", "docs/README.md")
        if not (root / name).is_file()
    ]
    claims.claim("model zoo: model, configs, README", not missing, "there" if not missing else f"no {missing}")
    wrong = list(faults(metadata))
    claims.claim("metadata, after the specification", not wrong, "; ".join(wrong) or "every field as specified")
    verify_metadata(check, schema)
    network = ["--meta_file", "configs/metadata.json", "--config_file", "configs/inference.json"]
    check.monai("monai.bundle verify_net_in_out", "verify_net_in_out", "network_def", *network, says="shapes as told")
    weights = [*network, "--ckpt_file", "models/model.pt", "--key_in_ckpt", "model"]
    for name, words in (("scripted", []), ("traced", ["--use_trace", "True", "--input_shape", "[2,1,64,96]"])):
        path = check.work / f"{name}.ts"
        command = ["ckpt_export", "network_def", "--filepath", path, *weights, *words]
        check.monai(f"monai.bundle ckpt_export, {name}", *command, says="TorchScript")
        agree(check, f"that TorchScript, {name}", path)
    path = check.work / "network.onnx"
    command = ["onnx_export", "--args_file", "configs/onnx_export.yaml", "--filepath", path]
    check.monai("monai.bundle onnx_export", *command, says="ONNX")
    agree(check, "that ONNX, in ONNX Runtime", path)


def verify_metadata(check: Check, schema: Path | None) -> None:
    """MONAI's own verification, with the schema given or fetched, else none."""
    path = check.work / "schema.json"
    if schema is not None:
        shutil.copyfile(schema, path)
    words = ["-m", "monai.bundle", "verify_metadata", "--meta_file", "configs/metadata.json", "--filepath", path]
    done = run(*words, folder=check.root)
    if schema is None and not path.is_file():
        print("not run        monai.bundle verify_metadata: its schema is out of reach here; --schema FILE names one")
        return
    came_back = "valid" if done.returncode == 0 else (done.stderr.strip().splitlines() or [""])[-1]
    check.claims.claim("monai.bundle verify_metadata", done.returncode == 0, came_back)


def agree(check: Check, text: str, path: Path) -> None:
    """Claim that an exported network gives what PyTorch gives."""
    done = run("-c", AGREE, path, folder=check.root)
    if done.returncode:
        print(done.stderr, file=sys.stderr)
    difference = float(done.stdout.split()[-1]) if done.returncode == 0 else float("nan")
    sizes = ", ".join(f"{height} × {width}" for height, width in SIZES)
    check.claims.claim(text, difference <= 1e-4, f"differs from PyTorch by at most {difference:.0e} on {sizes}")


def runs(check: Check) -> None:
    """Inference and an epoch of training in the bundle's folder."""
    data, shipped = check.work / "phantoms", (check.root / "models" / "model.pt").read_bytes()
    words = ["-m", "bundle", "phantom", data, "--count", "4", "--shape", "6", "128", "128", "--density", "medium"]
    check.python("uninstalled: bundle phantom", *words, says="4 stacks")
    out, by_command = check.work / "masks", check.work / "segmented"
    folders = ["--dataset_dir", data / "images", "--output_dir", out]
    config = ["--config_file", "configs/inference.json"]
    check.monai("uninstalled: monai.bundle run of inference.json", "run", *config, *folders, says="segments them")
    check.python("uninstalled: bundle segment", "-m", "bundle", "segment", data / "images", "--output", by_command)
    check.python("their masks", "-c", SAME, out, by_command)
    out = check.work / "training"
    words = ["--dataset_dir", data, "--output_dir", out, "--max_epochs", 1, "--crop", "[64,64]"]
    config = ["--config_file", "configs/train.yaml"]
    check.monai("uninstalled: monai.bundle run training, an epoch", "run", "training", *config, *words, says="trains")
    text = "import sys, torch; print('model' in torch.load(sys.argv[1], weights_only=True) and 'a state dictionary')"
    check.python("its last.pt", "-c", text, out / "checkpoints" / "last.pt")
    kept = (check.root / "models" / "model.pt").read_bytes() == shipped
    check.claims.claim("the shipped weights, after it", kept, "as they were" if kept else "changed")


def workflows(check: Check, how: str, folder: Path) -> None:
    """``create_workflow`` and ``load``, from a folder."""
    out = check.work / f"{how} workflow"
    words = ["-c", WORKFLOWS, check.root, check.work / "phantoms", out]
    check.python(f"{how}: create_workflow of both, check_properties, run", *words, folder=folder)
    check.python(f"{how}: monai.bundle.load", "-c", LOAD, check.root, folder=folder)


def main() -> None:
    """Check."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--schema", type=Path, default=os.environ.get("VESSEL_METADATA_SCHEMA"))
    parser.add_argument("--record", action="store_true")
    arguments = parser.parse_args()
    schema = None if arguments.schema is None else Path(arguments.schema).resolve()
    pip = ("-m", "pip")
    run(*pip, "uninstall", "--yes", "vessel-cascades", folder=ROOT)  # left by a check that was ended
    with tempfile.TemporaryDirectory() as name, Claims("MONAI bundle tools", version("monai")) as claims:
        work = Path(name)
        check = Check(claims, work / "vessels", work)
        packages(check)
        model_zoo(check, schema)
        runs(check)
        workflows(check, "uninstalled, in the bundle's folder", check.root)
        words = [*pip, "install", "--quiet", "--no-deps", "-c", "constraints.txt", "-e", "."]
        check.python("pip install -e of the unzipped folder", *words, says="installed")
        (work / "elsewhere").mkdir()
        workflows(check, "installed, from another folder", work / "elsewhere")
        run(*pip, "uninstall", "--yes", "vessel-cascades", folder=ROOT)


if __name__ == "__main__":
    main()
