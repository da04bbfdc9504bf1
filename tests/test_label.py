"""What MONAI Label does with the bundle, without MONAI Label: its calls, on copies of the folder."""

from __future__ import annotations

import hashlib
import shutil
from pathlib import Path

import monai.bundle
import nibabel
import numpy as np
import pytest
import tifffile
import torch
from monai.bundle import ConfigParser
from monai.data import MetaTensor
from PIL import Image

from bundle.io import open_image
from bundle.networks import load_weights
from bundle.transforms import BinaryLabeld

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture
def bundle_root(tmp_path):
    for folder in ("configs", "models"):
        shutil.copytree(ROOT / folder, tmp_path / "vessels" / folder)
    return tmp_path / "vessels"


def drawn(shape=(200, 208), seed=0):
    """A grid of bright lines of 6 pixels, and its mask."""
    rng = np.random.default_rng(seed)
    mask = np.zeros(shape, bool)
    for start in range(int(rng.integers(10, 40)), shape[0] - 6, 60):
        mask[start : start + 6] = mask[:, start : start + 6] = True
    return rng.normal(40 + 120 * mask, 10).clip(0, 255).astype(np.uint8), mask


def transforms(name, **changes):
    """A list of transforms of the inference config, as the platform takes them."""
    parser = ConfigParser()
    parser.read_config(ROOT / "configs" / "inference.json")
    parser.config.update({"device": "cpu", **changes})
    return parser.get_parsed_content(name)


@pytest.mark.parametrize("shape", [(1, 60, 50), (1, 40, 30, 5)])
def test_label_is_the_mask_without_its_channel(shape):
    probability = MetaTensor(torch.rand(shape, generator=torch.Generator().manual_seed(0)))
    changes = {"low": 0.5, "high": 0.7, "remove_fragments": 5}
    expected = transforms("postprocessing", **changes)({"pred": probability})["pred"]
    found = transforms("post_transforms", **changes)({"pred": probability, "image": probability})["pred"]
    assert found.dtype == torch.uint8 and found.shape == shape[1:]
    assert 0 < found.sum() < found.numel()
    assert torch.equal(found, expected[0])


def test_image_and_stack_are_prepared_as_segment_does(tmp_path):
    image, _ = drawn((64, 80))
    stack = np.stack([image, image // 2, image // 3])
    tifffile.imwrite(tmp_path / "image.tif", image)
    tifffile.imwrite(tmp_path / "stack.tif", stack, photometric="minisblack")
    Image.fromarray(image).convert("RGB").save(tmp_path / "rgb.png")
    prepare = transforms("pre_transforms")
    for name, mode in (("image.tif", "fused"), ("rgb.png", "fused"), ("stack.tif", "stack")):
        item = {"image": str(tmp_path / name)}
        expected = transforms("preprocessing", mode=mode)(item)["image"]
        assert torch.equal(prepare(item)["image"], expected)
    assert prepare({"image": str(tmp_path / "stack.tif")})["image"].shape == (1, 80, 64, 3)


@pytest.mark.parametrize(("unit", "millimetres"), [("mm", 1), ("micron", 1e-3), ("unknown", 1)])
def test_label_of_a_nifti_stack_lies_where_the_stack_does(tmp_path, unit, millimetres):
    affine = np.array([[0, -0.5, 0, 7], [0.25, 0, 0, -3], [0, 0, 2, 11], [0, 0, 0, 1.0]])
    volume = nibabel.Nifti1Image(np.arange(24, dtype=np.uint8).reshape(2, 3, 4), affine)
    volume.header.set_xyzt_units(unit)
    nibabel.save(volume, tmp_path / "a.nii.gz")
    item = transforms("pre_transforms")({"image": str(tmp_path / "a.nii.gz")})
    item = transforms("post_transforms")({**item, "pred": item["image"]})
    assert item["pred"].shape == (2, 3, 4)
    np.testing.assert_allclose(item["image"].meta["original_affine"][:3], affine[:3] * millimetres)


def test_mask_drawn_on_a_stack_is_projected_as_the_stack_was():
    mask = torch.zeros(1, 6, 5, 3)
    mask[0, 1, 2, 0] = mask[0, 4, 3, 2] = 255
    found = BinaryLabeld("label")({"image": MetaTensor(torch.zeros(1, 6, 5)), "label": MetaTensor(mask)})["label"]
    assert found.shape == (1, 6, 5)
    assert found.nonzero().tolist() == [[0, 1, 2], [0, 4, 3]]


def digest(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


def retrain(root, pairs, validation, epochs=1):
    """What the stock app does in /train: the config's handlers behind a loader of the weights, the data as lists."""
    parser = ConfigParser()
    parser.read_config(root / "configs" / "train.yaml")
    loader = {
        "_target_": "CheckpointLoader",
        "load_path": str(root / "models" / "model.pt"),
        "load_dict": {"model": "$@network"},
        "strict": False,
    }
    overrides = {
        "bundle_root": str(root),
        "train#trainer#max_epochs": epochs,
        "train#dataset#data": pairs,
        "validate#dataset#data": validation,
        "device": "cpu",
        "train#handlers": [loader, *parser["train"]["handlers"]],
    }
    monai.bundle.run(
        run_id="run",
        init_id=None,
        final_id=None,
        meta_file=str(root / "configs" / "metadata.json"),
        config_file=str(root / "configs" / "train.yaml"),
        **overrides,
    )


def test_retraining_on_a_platform_keeps_the_shipped_weights_and_publishes_its_own(bundle_root, tmp_path, monkeypatch):
    pairs = []
    for number in range(2):
        image, mask = drawn(seed=number)
        tifffile.imwrite(tmp_path / f"{number}.tif", image)
        Image.fromarray(mask.astype(np.uint8)).save(tmp_path / f"{number}.png")
        pairs.append({"image": str(tmp_path / f"{number}.tif"), "label": str(tmp_path / f"{number}.png")})
    monkeypatch.chdir(tmp_path)
    before = digest(bundle_root / "models" / "model.pt")
    trained, runs = bundle_root / "models" / "trained.pt", bundle_root / "runs" / "trained"
    published = []
    for number, (training, validation) in enumerate([(pairs[:1], pairs[1:]), (pairs[:1], pairs[1:]), (pairs, [])], 1):
        monkeypatch.setattr("bundle.training.checkpoints.datetime", Clock(number))
        retrain(bundle_root, training, validation)
        assert len(list(runs.iterdir())) == number  # the same data, or other ones: a training of its own
        published.append(digest(trained))
        state = torch.load(trained, weights_only=True)["model"]
        kept = "best" if validation else "last"
        own = torch.load(runs / str(number) / "checkpoints" / f"{kept}.pt", weights_only=True)["model"]
        assert all(torch.equal(value, own[name]) for name, value in state.items())
    assert published[0] == published[1] != published[2]
    assert digest(bundle_root / "models" / "model.pt") == before
    network = transforms("network_def")
    shipped = load_weights(network, bundle_root / "models" / "model.pt").state_dict()
    started = {name: value.clone() for name, value in shipped.items() if name.endswith("weight")}
    load_weights(network, trained)
    moved = [float((network.state_dict()[name] - value).abs().max()) for name, value in started.items()]
    assert 0 < max(moved) < 0.1  # one step away from the shipped weights, not from random ones


class Clock:
    """A clock whose seconds are told, so that two trainings need not wait for the next one."""

    def __init__(self, second):
        self.second = second

    def now(self, _zone):
        return self

    def strftime(self, _form):
        return str(self.second)


def test_what_a_nifti_label_says_is_read_whatever_its_slices(tmp_path):
    """A viewer stores the label of an image as a volume of one slice."""
    mask = np.zeros((5, 4, 1), np.uint8)
    mask[1, 2] = 1
    nibabel.save(nibabel.Nifti1Image(mask, np.eye(4)), tmp_path / "a.nii.gz")
    image = open_image(tmp_path / "a.nii.gz")
    assert image.axes == "YX"
    np.testing.assert_array_equal(image.array(), mask[..., 0].T)
