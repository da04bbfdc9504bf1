"""The configs as MONAI's workflows, and the exported networks: what the bundle tools and platforms ask for."""

from __future__ import annotations

import json
from pathlib import Path

import onnxruntime
import pytest
import torch
from monai.bundle import create_workflow, onnx_export

from bundle.__main__ import main
from bundle.networks import CascadeEnsemble
from bundle.networks.blocks import InstanceNorm
from bundle.training import mask_of_stages

ROOT = Path(__file__).resolve().parents[1]
SIZES = [(1, 1), (17, 33), (45, 64), (130, 71)]
TINY = [2, 3, 4]


@pytest.fixture(scope="module")
def phantoms(tmp_path_factory):
    folder = tmp_path_factory.mktemp("phantoms")
    assert main(["phantom", str(folder), "--count", "3", "--shape", "4", "64", "64"]) == 0
    return folder


@pytest.fixture(params=["train.yaml", "inference.json"])
def workflow(request, phantoms, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # any folder but the bundle's
    kind = "train" if request.param == "train.yaml" else "infer"
    return create_workflow(
        config_file=str(ROOT / "configs" / request.param),
        workflow_type=kind,
        bundle_root=str(ROOT),
        logging_file=False,
        dataset_dir=str(phantoms if kind == "train" else phantoms / "images"),
        output_dir=str(tmp_path / "out"),
    )


def test_every_property_of_a_workflow_is_there_and_referenced_as_it_requires(workflow):
    assert workflow.check_properties() == []
    for name, wanted in workflow.properties.items():
        assert wanted["id"] in workflow.parser, f"{name} is missing"
        reference = wanted.get("refer_id")
        if reference in ("validator", "interval"):  # arguments of the handler that validates
            handlers = workflow.parser["train#handlers"]
            (handler,) = (one for one in handlers if one["_target_"] == "ValidationHandler")
            assert handler[reference] == f"@{wanted['id']}"
        elif reference:
            assert workflow.parser[reference] == f"@{wanted['id']}", name
    for name in workflow.properties:
        assert hasattr(workflow, name)


def test_mask_in_training_is_where_the_mean_probability_of_the_final_stages_exceeds_one_half():
    # sigmoid(2) + sigmoid(-1) = 0.881 + 0.269 = 1.15; sigmoid(1) + sigmoid(-2) = 0.85; attention has no say
    stages = {
        "dbac.attention": torch.full((1, 1, 1, 2), 9.0),
        "dbac.mask": torch.tensor([2.0, 1.0]).view(1, 1, 1, 2),
        "ddmac.mask": torch.tensor([-1.0, -2.0]).view(1, 1, 1, 2),
    }
    assert mask_of_stages(stages).flatten().tolist() == [1, 0]


@pytest.mark.parametrize("scale", [1.0, 2.0])
def test_exported_networks_agree_with_the_network_on_images_of_any_size(scale, tmp_path, monkeypatch):
    monkeypatch.chdir(ROOT)
    torch.manual_seed(0)
    network = CascadeEnsemble(1, TINY, dbac_scale=scale, dbac_norm="instance", shuffle=2).eval()
    torch.save({"model": network.state_dict()}, tmp_path / "model.pt")
    config = json.loads((ROOT / "configs" / "inference.json").read_text(encoding="utf-8"))
    config["network_def"] |= {"channels": TINY, "dbac_scale": scale}
    (tmp_path / "config.json").write_text(json.dumps(config), encoding="utf-8")
    given = {"config_file": str(tmp_path / "config.json"), "ckpt_file": str(tmp_path / "model.pt")}
    onnx_export(args_file="configs/onnx_export.yaml", filepath=str(tmp_path / "model.onnx"), **given)
    session = onnxruntime.InferenceSession(tmp_path / "model.onnx")
    scripted, traced = torch.jit.script(network), torch.jit.trace(network, torch.rand(1, 1, 64, 96))
    for size in SIZES:
        image = torch.rand(2, 1, *size)
        with torch.inference_mode(), torch.jit.optimized_execution(False):  # which compiles anew for each size
            expected = network(image)
            torch.testing.assert_close(scripted(image), expected, atol=1e-4, rtol=0)
            torch.testing.assert_close(traced(image), expected, atol=1e-4, rtol=0)
        (pred,) = session.run(["pred"], {"image": image.numpy()})
        torch.testing.assert_close(torch.from_numpy(pred), expected, atol=1e-4, rtol=0)


def test_instance_normalisation_keeps_its_digits_in_onnx(tmp_path):
    """On a wide map whose mean is far from 0, where ONNX Runtime's own sums lose them."""
    norm = InstanceNorm(4).eval()
    generator = torch.Generator().manual_seed(0)
    image = torch.randn(1, 4, 1024, 1024, generator=generator) + torch.tensor([0.0, 3, 30, 100])[:, None, None]
    torch.onnx.export(norm, (image,), tmp_path / "norm.onnx", input_names=["x"], output_names=["y"], dynamo=False)
    (found,) = onnxruntime.InferenceSession(tmp_path / "norm.onnx").run(["y"], {"x": image.numpy()})
    wide = image.double()
    variance, mean = torch.var_mean(wide, (-2, -1), correction=0, keepdim=True)
    expected = ((wide - mean) / (variance + norm.eps).sqrt()).float()
    torch.testing.assert_close(torch.from_numpy(found), expected, atol=2e-5, rtol=0)
