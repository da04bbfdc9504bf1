"""The bundle in MONAI Label's server: in its stock app for bundles, and in this repository's app as the guide says.

Both run offline on 127.0.0.1. What they give is compared with `python -m bundle segment` on the same files.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import socket
import subprocess
import sys
import time
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import nibabel
import numpy as np
import psutil
import requests
import shapely
import SimpleITK
import tifffile
import torch
from claims import Claims
from PIL import Image
from scipy.ndimage import label

ROOT = Path(__file__).resolve().parents[2]
HOME = ROOT / "runs" / "platforms" / "label"
GUIDE = ROOT / "docs" / "guides" / "monailabel.md"
# what is not on this machine cannot be reached: whoever tries to download is told so
OFFLINE = {f"{kind}_proxy": "http://127.0.0.1:9" for kind in ("http", "https", "HTTP", "HTTPS")}
ENVIRONMENT = {**os.environ, **OFFLINE, "no_proxy": "127.0.0.1", "NO_PROXY": "127.0.0.1", "PYTHONUNBUFFERED": "1"}

ROUNDING = 1e-3  # of a probability: see Expected

http = requests.Session()
http.trust_env = False


def main() -> None:
    """Check."""
    work = HOME / "work"
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir(parents=True)
    with Claims("MONAI Label", version("monailabel")) as claims:
        inputs = make_inputs(work / "inputs")
        expected = segmented(inputs, work / "expected")
        with claims.attempt("the stock app"):
            check_stock(claims, work / "stock", inputs, expected)
        with claims.attempt("the app of this repository"):
            check_guide(claims, work / "checkout", inputs, expected)


# inputs and what segment makes of them


def make_inputs(folder: Path) -> dict[str, Path]:
    """Phantoms as files of every kind: fields with their annotations, and one stack; by name."""
    phantoms = folder / "phantoms"
    words = ["phantom", phantoms, "--count", "5", "--shape", "6", "192", "208", "--seed", "3", "--density", "dense"]
    bundle(*words, "--staining", "lumen")
    inputs = {}
    paths = sorted(
        (phantoms / "images").iterdir(), reverse=True
    )  # so that field1, of which the guide asks most, has loops
    for number, path in enumerate([paths[1], paths[0], *paths[2:]]):
        stack = tifffile.imread(path)
        mask = tifffile.imread(next((phantoms / "masks").glob(f"{path.name.split('.')[0]}*"))) > 0
        inputs[f"field{number}"] = folder / f"field{number}.tif"
        tifffile.imwrite(inputs[f"field{number}"], stack.max(axis=0))
        inputs[f"field{number}_corrected"] = folder / f"field{number}_corrected.tif"
        tifffile.imwrite(inputs[f"field{number}_corrected"], mask.astype(np.uint8))
    image = stack.max(axis=0)
    for name, picture in {"grey": Image.fromarray(image), "colour": Image.fromarray(image).convert("RGB")}.items():
        inputs[name] = folder / f"{name}.png"
        picture.save(inputs[name])
    inputs["pages"] = folder / "pages.tif"
    tifffile.imwrite(inputs["pages"], stack, photometric="minisblack")
    affine = np.array([[0, -0.5, 0, 7], [0.25, 0, 0, -3], [0, 0, 2, 11], [0, 0, 0, 1.0]])
    for unit in ("mm", "micron"):
        volume = nibabel.Nifti1Image(stack.T, affine)
        volume.header.set_xyzt_units(unit)
        inputs[unit] = folder / f"{unit}.nii.gz"
        nibabel.save(volume, inputs[unit])
    inputs["pages_corrected"] = folder / "pages_corrected.tif"
    tifffile.imwrite(
        inputs["pages_corrected"], np.stack([mask.astype(np.uint8)] * len(stack)), photometric="minisblack"
    )
    return inputs


def bundle(*words: object) -> None:
    """Run a command of the bundle."""
    subprocess.run([sys.executable, "-m", "bundle", *map(str, words)], cwd=ROOT, check=True, stdout=subprocess.DEVNULL)


@dataclass(frozen=True)
class Expected:
    """What segment makes of an image, bool.

    The network's rounding, which differs by the number of threads and by how images lie in memory, moves a
    probability by up to some 5e-4, so that a pixel whose probability is nearer than that to a threshold may fall on
    either side. All steps to the mask are increasing: a mask by thresholds higher and lower by ROUNDING encloses it.

    Args:
        mask: by the config's thresholds.
        least: by higher ones.
        most: by lower ones.
    """

    mask: np.ndarray
    least: np.ndarray
    most: np.ndarray


def segmented(inputs: dict[str, Path], out: Path, *words: object) -> dict[str, Expected]:
    """What segment makes, of stacks slice by slice, by the inputs' names."""
    config = json.loads((ROOT / "configs" / "inference.json").read_text(encoding="utf-8"))
    thresholds = [(config["low"] + shift, config["high"] + shift) for shift in (0, ROUNDING, -ROUNDING)]
    each = [
        masks(inputs, out / f"{low:g}", "--low", f"{low:g}", "--high", f"{high:g}", *words) for low, high in thresholds
    ]
    return {name: Expected(*(one[name] for one in each)) for name in each[0]}


def masks(inputs: dict[str, Path], out: Path, *words: object) -> dict[str, np.ndarray]:
    """The masks that a segment with these words makes, by the inputs' names."""
    stacks = [inputs[name] for name in ("pages", "mm", "micron") if name in inputs]
    images = [path for name, path in inputs.items() if path not in stacks and not name.endswith("corrected")]
    # the server has one network for all, and asks no other
    own = () if "--weights" in words else ("--weights", ROOT / "models" / "model.pt")
    bundle("segment", *images, "--output", out, *words, *own)
    if stacks:
        bundle("segment", *stacks, "--mode", "stack", "--output", out, *words, *own)
    return {
        path.name.split(".")[0]: tifffile.imread(out / f"{path.name.split('.')[0]}_mask.tif") > 0
        for path in images + stacks
    }


# the server


@contextmanager
def served(command: list[str], log: Path, port: int, cwd: Path) -> Iterator[str]:
    """The server's address, once it answers; it and what it started are stopped at the end, whatever happens."""
    with open(log, "w", encoding="utf-8") as stream:
        process = subprocess.Popen(command, cwd=cwd, env=ENVIRONMENT, stdout=stream, stderr=subprocess.STDOUT)
    try:
        address = f"http://127.0.0.1:{port}"
        for _ in range(300):
            if process.poll() is not None:
                raise RuntimeError(f"the server ended with status {process.returncode}: {log.read_text()[-2000:]}")
            try:
                if http.get(f"{address}/info/", timeout=60).ok:
                    break
            except requests.ConnectionError:
                time.sleep(1)
        else:
            raise RuntimeError("the server did not answer within 5 minutes")
        yield address
    finally:
        started = psutil.Process(process.pid).children(recursive=True) if process.poll() is None else []
        process.terminate()
        for child in started:
            if child.is_running():
                child.terminate()
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


def infer(address: str, path: Path, out: Path, model: str = "vessels", **params: object) -> np.ndarray:
    """The label that /infer gives for a file, in the file's own order of axes."""
    with open(path, "rb") as file:
        answer = http.post(
            f"{address}/infer/{model}",
            params={"output": "image"},
            files={"file": (path.name, file)},
            data={"params": json.dumps(params)},
        )
    answer.raise_for_status()
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_bytes(answer.content)
    return read(out)


def read(path: Path) -> np.ndarray:
    """YX or ZYX."""
    if path.name.endswith(".nii.gz"):
        return np.asarray(nibabel.load(path).dataobj).T
    return np.asarray(Image.open(path)) if path.suffix == ".png" else tifffile.imread(path)


def trained(address: str, log: Path, **params: object) -> str:
    """Train, wait, and give the last status."""
    http.post(f"{address}/train/vessels", json={"device": "cpu", **params}).raise_for_status()
    return waited(address, log)


def waited(address: str, log: Path) -> str:
    """Wait for a training, keep what it said, and give its last status."""
    while (task := http.get(f"{address}/train/").json())["status"] in ("SUBMITTED", "RUNNING"):
        time.sleep(1)
    log.write_text("\n".join(task.get("details", [])), encoding="utf-8")
    return task["status"]


# comparisons


def said(found: np.ndarray, expected: Expected) -> tuple[bool, str]:
    """Whether a label is segment's mask, but for pixels where rounding decides, and in words."""
    size, mask = " × ".join(map(str, found.shape)), expected.mask
    if found.shape != mask.shape:
        return False, f"{size} {found.dtype}, not {' × '.join(map(str, mask.shape))}"
    vessel = found != 0
    beyond = int((expected.least & ~vessel | vessel & ~expected.most).sum())
    alike = beyond == 0 and found.dtype == np.uint8 and set(np.unique(found)) == {0, 1}
    differ = f"{int((vessel != mask).sum())} pixels differ from segment"
    if (vessel != mask).any():
        differ += f", {beyond} by more than {ROUNDING:g} of probability"
    return alike, f"{size} {found.dtype}, 0 and 1, {differ}"


def place(path: Path) -> np.ndarray:
    """Where ITK, and so 3D Slicer, lays a volume: its spacing, origin and directions, in millimetres."""
    image = SimpleITK.ReadImage(str(path))
    return np.concatenate([image.GetSpacing(), image.GetOrigin(), image.GetDirection()])


def digest(path: Path) -> str:
    """SHA-256."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


# the stock app


def check_stock(claims: Claims, work: Path, inputs: dict[str, Path], expected: dict[str, Expected]) -> None:
    """Everything in the stock app, with another bundle beside this one."""
    work.mkdir()
    words = ["apps", "--download", "--name", "monaibundle", "--output", str(work)]
    subprocess.run([sys.executable, "-m", "monailabel.main", *words], check=True, stdout=subprocess.DEVNULL)
    app, studies = work / "monaibundle", work / "studies"
    root = app / "model" / "vessels"
    for folder in ("bundle", "configs", "models", "scripts"):
        shutil.copytree(ROOT / folder, root / folder, ignore=shutil.ignore_patterns("__pycache__"))
    make_other_bundle(app / "model" / "bright")
    studies.mkdir()
    for name in ("field0", "field1", "field2", "field3", "pages", "mm"):
        shutil.copy(inputs[name], studies)
    shipped = digest(root / "models" / "model.pt")
    port = free_port()
    command = [sys.executable, "-m", "monailabel.main", "start_server", "--app", str(app), "--studies", str(studies)]
    for key, value in {"models": "vessels,bright", "zoo_source": "local", "sam2": "false"}.items():
        command += ["--conf", key, value]
    with served([*command, "--host", "127.0.0.1", "--port", str(port)], work / "server.log", port, work) as address:
        about = http.get(f"{address}/info/").json()
        claims.claim(
            "stock app: GET /info",
            about["models"]["vessels"]["labels"] == {"vessel": 1} and "vessels" in about["trainers"],
            f"models {', '.join(about['models'])}, labels {about['models']['vessels']['labels']}",
        )
        check_infer(claims, address, work / "labels", inputs, expected)
        check_other(claims, address, work, inputs)
        with claims.attempt("stock app: POST /batch/infer"):
            words = {"device": "cpu", "multi_gpu": False}
            http.post(f"{address}/batch/infer/vessels?run_sync=true", json=words).raise_for_status()
            saved = {path.name.split(".")[0]: read(path) for path in (studies / "labels" / "original").iterdir()}
            same = [said(label, expected[name])[0] for name, label in saved.items()]
            claims.claim(
                "stock app: POST /batch/infer, multi_gpu false",
                len(saved) == 6 and all(same),
                f"{len(saved)} labels saved, {sum(same)} of them equal to segment",
            )
        with claims.attempt("stock app: PUT /datastore/label"):
            for name in ("field0", "field1", "field2"):
                put_label(address, name, inputs[f"{name}_corrected"])
            same = [
                http.get(f"{address}/datastore/label", params={"label": name, "tag": "final"}).content
                == inputs[f"{name}_corrected"].read_bytes()
                for name in ("field0", "field1", "field2")
            ]
            count = http.get(f"{address}/datastore/").json()["completed"]
            claims.claim(
                "stock app: PUT /datastore/label", all(same) and count == 3, f"{count} labels, read back as sent"
            )
        for strategy in ("first", "random"):
            with claims.attempt(f"stock app: POST /activelearning/{strategy}"):
                found = http.post(f"{address}/activelearning/{strategy}").json()["id"]
                claims.claim(
                    f"stock app: POST /activelearning/{strategy}",
                    found in ("field3", "pages", "mm"),
                    "an image without label",
                )
        with claims.attempt("stock app: POST /train"):
            status = trained(address, work / "train.log", max_epochs=2)
            own = root / "models" / "trained.pt"
            kept = digest(root / "models" / "model.pt") == shipped
            claims.claim(
                "stock app: POST /train on 3 labels",
                status == "DONE" and own.exists() and kept,
                f"{status}, models/trained.pt written, models/model.pt {'unchanged' if kept else 'CHANGED'}",
            )
            check_trained(claims, "stock app", address, work, inputs, expected, own)
        with claims.attempt("stock app: POST /train again"):
            put_label(address, "pages", inputs["pages_corrected"])
            before = digest(own)
            status = trained(address, work / "train_again.log", max_epochs=2)
            runs = len(list((root / "runs" / "trained").iterdir()))
            claims.claim(
                "stock app: POST /train again, with the label of a stack's slices",
                status == "DONE" and runs == 2 and digest(own) != before,
                f"{status}, {runs} trainings in folders of their own",
            )
        check_other(claims, address, work, inputs, "after the training, ")
        found = said(infer(address, inputs["field1"], work / "labels" / "last.tif"), expected["field1"])
        claims.claim("stock app: POST /infer after all this, no weights named", *found)


def put_label(address: str, image: str, path: Path) -> None:
    """Save a label."""
    with open(path, "rb") as file:
        http.put(
            f"{address}/datastore/label", params={"image": image}, files={"label": (path.name, file)}
        ).raise_for_status()


def check_infer(
    claims: Claims, address: str, out: Path, inputs: dict[str, Path], expected: dict[str, Expected]
) -> None:
    """Every kind of file."""
    kinds = {
        "field1": "a 2D TIFF",
        "grey": "a grey PNG",
        "colour": "a grey PNG stored as RGB",
        "pages": "a TIFF stack",
        "mm": "a NIfTI stack",
        "micron": "a NIfTI stack in micrometres",
    }
    for name, kind in kinds.items():
        with claims.attempt(f"stock app: POST /infer, {kind}"):
            path = out / inputs[name].name
            alike, words = said(infer(address, inputs[name], path), expected[name])
            if name in ("mm", "micron"):
                lies = np.allclose(place(path), place(inputs[name]), rtol=1e-5, atol=1e-6)
                alike, words = alike and lies, f"{words}; spacing, origin, axes {'kept' if lies else 'LOST'}"
            claims.claim(f"stock app: POST /infer, {kind}", alike, words)


def check_trained(
    claims: Claims,
    app: str,
    address: str,
    work: Path,
    inputs: dict[str, Path],
    expected: dict[str, Expected],
    weights: Path,
) -> None:
    """Labels by the new weights are segment's by the same, and other ones than before."""
    own = segmented({"field1": inputs["field1"]}, work / "trained", "--weights", weights)["field1"]
    label = infer(address, inputs["field1"], work / "labels" / "trained.tif", model_filename="trained.pt")
    alike, words = said(label, own)
    changed = int((own.mask != expected["field1"].mask).sum())
    claims.claim(
        f"{app}: POST /infer with the new weights",
        alike and changed > 0,
        f"{words}; {changed} from the shipped weights",
    )


_COMPONENT = '''"""A component of a bundle's own, in a package of the name that platforms unload."""

import torch


class Bright(torch.nn.Module):
    """1 where the image is above a level."""

    def __init__(self):
        super().__init__()
        self.level = torch.nn.Parameter(torch.zeros(1))

    def forward(self, image):
        return (image > self.level).float()
'''


def make_other_bundle(root: Path) -> None:
    """A bundle of which the answer is known: bright is what is above 100."""
    for folder in ("configs", "models", "scripts"):
        (root / folder).mkdir(parents=True)
    (root / "scripts" / "__init__.py").write_text("", encoding="utf-8")
    (root / "scripts" / "bright.py").write_text(_COMPONENT, encoding="utf-8")
    config = {
        "bundle_root": ".",
        "device": "cpu",
        "network_def": {"_target_": "scripts.bright.Bright"},
        "preprocessing": {
            "_target_": "Compose",
            "transforms": [{"_target_": "LoadImaged", "keys": "image", "ensure_channel_first": True}],
        },
        "inferer": {"_target_": "SimpleInferer"},
        "postprocessing": {
            "_target_": "Compose",
            "transforms": [
                {"_target_": "CastToTyped", "keys": "pred", "dtype": "$__import__('torch').uint8"},
                {"_target_": "SqueezeDimd", "keys": "pred", "dim": 0},
            ],
        },
    }
    image = {"spatial_shape": ["*", "*"], "num_channels": 1}
    outputs = {"pred": {**image, "channel_def": {"0": "background", "1": "bright"}}}
    metadata = {"version": "1", "network_data_format": {"inputs": {"image": image}, "outputs": outputs}}
    for name, content in {"inference.json": config, "metadata.json": metadata}.items():
        (root / "configs" / name).write_text(json.dumps(content), encoding="utf-8")
    torch.save({"level": torch.tensor([100.0])}, root / "models" / "model.pt")


def check_other(claims: Claims, address: str, work: Path, inputs: dict[str, Path], when: str = "") -> None:
    """The other bundle, beside this one."""
    with claims.attempt(f"{when}a second bundle with components of its own"):
        label = infer(address, inputs["grey"], work / "labels" / "bright.png", model="bright")
        alike = np.array_equal(label, read(inputs["grey"]) > 100)
        claims.claim(
            f"stock app: {when}POST /infer of a second bundle with components of its own",
            alike,
            "the mask it should give",
        )


# the app of this repository


def check_guide(claims: Claims, checkout: Path, inputs: dict[str, Path], expected: dict[str, Expected]) -> None:
    """What the guide says, word by word, in a copy of the repository, and what came back."""
    for folder in ("bundle", "configs", "models", "platforms"):
        shutil.copytree(ROOT / folder, checkout / folder, ignore=shutil.ignore_patterns("__pycache__"))
    blocks = re.findall(r"^```bash\n(.*?)^```$", GUIDE.read_text(encoding="utf-8"), flags=re.M | re.S)
    port = free_port()
    blocks = [block.replace(":8000", f":{port}").replace("--port 8000", f"--port {port}") for block in blocks]
    (start,) = (number for number, block in enumerate(blocks) if "start_server" in block)
    for block in blocks[:start]:
        bash(block, checkout)
    for name in ("field1", "field2", "field3", "field4"):
        shutil.copy(inputs[name], checkout / "label" / "images")
        shutil.copy(inputs[f"{name}_corrected"], checkout)
    shutil.copy(inputs["colour"], checkout / "elsewhere.png")
    root = checkout / "label" / "app" / "model" / "vessels"
    shipped = digest(root / "models" / "model.pt")
    command = [sys.executable if word == "python" else word for word in blocks[start].split()]
    with served(command, checkout / "server.log", port, checkout) as address:
        answers = {}
        for block in blocks[start + 1 :]:
            for line in block.strip().splitlines():
                called = re.sub(r'.*?(?:-X (\w+) )?"\$SERVER(/[^"]*)".*', lambda m: f"{m[1] or 'GET'} {m[2]}", line)
                if "$SERVER" not in line:
                    continue
                with claims.attempt(f"guide: {called}"):
                    answers[called] = bash(line, checkout, SERVER=address)
                    if called == "GET /train/":
                        waited(address, checkout / "train.log")
                        answers[called] = bash(line, checkout, SERVER=address)
                    check_answer(claims, called, line, answers[called], checkout, inputs, expected, shipped)
        with claims.attempt("own app: an image that is not of the study"):
            foreign = {"image": str(inputs["field1"]), "output": "asap"}
            answer = http.post(f"{address}/infer/wsi_v2/vessels", params=foreign, files={"wsi": (None, "{}")})
            claims.claim(
                "own app: POST /infer/wsi_v2 with a path of the server",
                not answer.ok and "no image" in answer.text,
                f"{answer.status_code}, refused",
            )
        with claims.attempt("guide: scoring in the background"):
            info = http.get(f"{address}/info/").json()
            claims.claim(
                "own app: GET /info",
                {"disagreement", "vessels"} <= set(info["scoring"]) and "disagreement" in info["strategies"],
                f"strategies {', '.join(info['strategies'])}; scoring {', '.join(info['scoring'])}",
            )


def bash(script: str, cwd: Path, **variables: str) -> str:
    """Run a piece of the guide."""
    words = ["bash", "-euo", "pipefail", "-c", script]
    environment = {**ENVIRONMENT, **variables}
    return subprocess.run(words, cwd=cwd, env=environment, check=True, capture_output=True, text=True).stdout


def check_answer(
    claims: Claims,
    called: str,
    line: str,
    answer: str,
    checkout: Path,
    inputs: dict[str, Path],
    expected: dict[str, Expected],
    shipped: str,
) -> None:
    """Whether a call of the guide gave what the guide says."""
    text = f"guide: {called}"
    root = checkout / "label" / "app" / "model" / "vessels"
    labels = checkout / "label" / "images" / "labels"
    field1 = expected["field1"]
    output = checkout / line.rsplit("-o ", 1)[1] if "-o " in line else None
    if called.startswith("POST /infer/vessels"):
        if output.name == "field1_trained.tif":
            weights = root / "models" / "trained.pt"
            wanted = segmented({"field1": inputs["field1"]}, checkout / "trained", "--weights", weights)["field1"]
            text += ", after the training"
        else:
            wanted = expected["colour"] if output.suffix == ".png" else field1
            text += ", model.pt" if "model_filename" in line else ", a file from elsewhere" if "file=@" in line else ""
        claims.claim(text, *said(read(output), wanted))
    elif called.startswith("POST /infer/wsi_v2"):
        check_polygons(claims, text, output, field1.mask)
    elif called == "GET /info/":
        claims.claim(text, "vessels" in json.loads(answer)["models"], "names the model")
    elif called.startswith("POST /batch/infer"):
        same = [said(read(path), expected[path.stem])[0] for path in sorted((labels / "original").iterdir())]
        claims.claim(text, len(same) == 4 and all(same), f"{len(same)} labels saved, {sum(same)} equal to segment")
    elif called == "POST /activelearning/disagreement":
        found = json.loads(answer)
        values = {name: own_disagreement(inputs[name]) for name in ("field1", "field2", "field3", "field4")}
        order = sorted(values, key=lambda name: -values[name])
        alike = abs(found["disagreement"] - values[order[0]]) < 1e-4
        claims.claim(
            text,
            found["order"] == order and found["id"] == order[0] and alike,
            f"the image with the largest mean |L − N| on vessels, {found['disagreement']:.4f}, of {len(order)}",
        )
    elif called.startswith("PUT /datastore/label"):
        name = json.loads(answer)["image"]
        same = (labels / "final" / f"{name}.tif").read_bytes() == inputs[f"{name}_corrected"].read_bytes()
        claims.claim(text, same, "saved as sent")
    elif called == "GET /datastore/":
        claims.claim(text, json.loads(answer)["completed"] == 3, f"{json.loads(answer)['completed']} labels")
    elif called.startswith("POST /scoring/vessels"):
        found = json.loads(answer)
        masks, truths = checkout / "scored" / "masks", checkout / "scored" / "truths"
        for name in ("field1", "field2", "field3"):
            for folder, tag in ((masks, "original"), (truths, "final")):
                folder.mkdir(parents=True, exist_ok=True)
                shutil.copy(labels / tag / f"{name}.tif", folder)
        bundle("evaluate", masks, truths, "--output", checkout / "scored" / "scores.csv")
        rows = (checkout / "scored" / "scores.csv").read_text(encoding="utf-8").splitlines()
        table = {row.split(",")[0]: dict(zip(rows[0].split(","), row.split(","), strict=True)) for row in rows[1:]}
        same = all(
            abs(found[name][metric] - float(table[name][metric])) < 1e-4
            for name in ("field1", "field2", "field3")
            for metric in ("dice", "cldice", "sensitivity", "precision", "specificity", "accuracy")
        )
        claims.claim(
            text,
            same and set(found) == {"field1", "field2", "field3", "mean"},
            "equal to evaluate; mean Dice {dice:.3f}, clDice {cldice:.3f}".format(**found["mean"]),
        )
    elif called == "POST /train/vessels":
        claims.claim(text, json.loads(answer)["status"] in ("SUBMITTED", "RUNNING"), "a training that runs")
    elif called == "GET /train/":
        status, own = json.loads(answer)["status"], (root / "models" / "trained.pt").exists()
        kept = digest(root / "models" / "model.pt") == shipped
        claims.claim(
            text,
            status == "DONE" and own and kept,
            f"{status}, trained.pt written, model.pt {'unchanged' if kept else 'CHANGED'}",
        )
    else:
        claims.claim(text, False, "is not checked")


def check_polygons(claims: Claims, text: str, path: Path, mask: np.ndarray) -> None:
    """The polygons' area is the mask's, by shapely, and their holes are its loops."""
    if path.suffix == ".xml":
        annotations = ElementTree.parse(path).getroot().iter("Annotation")
        rings = [[(float(c.get("X")), float(c.get("Y"))) for c in one.iter("Coordinate")] for one in annotations]
        # a ring that touches itself along its cuts is what QuPath's geometry, as shapely's, makes a polygon with holes
        shapes = [shapely.make_valid(shapely.Polygon(ring)) for ring in rings]
    else:
        found = json.loads(path.read_text(encoding="utf-8"))
        (left, top), (width, height) = found["location"], found["size"]
        mask = mask[top : top + height, left : left + width]
        shapes = [shapely.Polygon(piece["outer"], piece["holes"]) for piece in found["polygons"]]
        text += ", a region"
    area = shapely.union_all(shapes).area
    # a collection's part may be a polygon of several parts, which touch at a corner
    parts = shapely.get_parts(shapely.get_parts(shapes))
    holes = sum(len(part.interiors) for part in parts if part.geom_type == "Polygon")
    loops = label(np.pad(~mask, 1, constant_values=True))[1] - 1
    claims.claim(
        text,
        area == mask.sum() and holes == loops and (holes > 0 or "region" in text),
        f"{len(shapes)} polygons of {area:.0f} pixels, the mask has {mask.sum()}; {holes} holes kept",
    )


def own_disagreement(path: Path) -> float:
    """Mean |L − N| where either is above a half, by the bundle's own components."""
    sys.path.insert(0, str(ROOT))
    from bundle.io import open_image
    from bundle.networks import CascadeEnsemble, load_weights
    from bundle.transforms import AdaptiveHistogramEqualization

    network = json.loads((ROOT / "configs" / "inference.json").read_text(encoding="utf-8"))["network_def"]
    network.pop("_target_")
    model = load_weights(CascadeEnsemble(**network), ROOT / "models" / "model.pt").eval()
    image = torch.as_tensor(AdaptiveHistogramEqualization()(open_image(path).array().T[None]))[None]
    with torch.no_grad():
        dbac, ddmac = model.probabilities(image)
    either = torch.maximum(dbac, ddmac) > 0.5
    return float((dbac - ddmac).abs()[either].mean())


if __name__ == "__main__":
    main()
