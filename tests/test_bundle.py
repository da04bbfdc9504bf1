"""The folder as a whole: what platforms and newcomers find in it."""

from __future__ import annotations

import ast
import importlib
import json
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from pydoc import locate

import numpy as np
import pytest
import tifffile
import torch
from monai.bundle import ConfigParser, verify_net_in_out

import bundle
from bundle.aliases import MOVED
from bundle.errors import InputError
from bundle.networks import CascadeEnsemble, UNet, load_weights
from bundle.transforms import AdaptiveHistogramEqualization, LinearContrast
from scripts.release import publish_weights

ROOT = Path(__file__).resolve().parents[1]
ROOMS = [
    "errors",
    "home",
    "io",
    "volumes",
    "cluster",
    "graphs",
    "phantoms",
    "transforms",
    "networks",
    "metrics",
    "pictures",
    "measurements",
    "exchange",
    "comparison",
    "data",
    "trust",
    "segmentation",
    "reporting",
    "training",
    "adaptation",
    "runner",
    "packaging",
    "interface",
    "desk",
    "commands",
    "aliases",
    "engines",
    "losses",
]
WEIGHTS = ROOT / "models" / "model.pt"


def parsed(name: str) -> ConfigParser:
    parser = ConfigParser()
    parser.read_config(ROOT / "configs" / name)
    return parser


IN_ROOMS = sorted(path for room in ROOMS for path in (ROOT / "bundle").glob(f"{room}*/**/*.py"))
IN_ROOMS += sorted(path for path in (ROOT / "bundle").glob("*.py") if path.stem in ROOMS)


def test_every_file_is_in_a_room_but_the_package_itself_and_its_entry_point():
    outside = set((ROOT / "bundle").rglob("*.py")) - set(IN_ROOMS)
    assert {path.name for path in outside} == {"__init__.py", "__main__.py"}
    assert {path.parent for path in outside} == {ROOT / "bundle"}


@pytest.mark.parametrize("path", IN_ROOMS, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_room_imports_only_from_the_rooms_below_it(path):
    inside = path.relative_to(ROOT / "bundle").with_suffix("").parts
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.level == len(inside):
            names = [node.module.split(".")[0]] if node.module else [alias.name for alias in node.names]
            for name in names:
                assert ROOMS.index(name) < ROOMS.index(inside[0]), f"{path} imports {name}"


def test_the_house_in_the_documents_has_a_line_for_each_room_from_the_ground_up():
    text = (ROOT / "docs" / "decisions.md").read_text(encoding="utf-8").split("## Networks")[0]
    described = re.findall(r"^\| `(\w+)` \|", text, re.M)
    assert described == [room for room in ROOMS if (ROOT / "bundle" / room).is_dir()]


def imported(path: Path) -> Iterator[tuple[tuple[str, ...], str]]:
    """The names that a file takes from the package, with the module's place: ``("bundle", "io"), "open_image"``."""
    folder = path.relative_to(ROOT).parent.parts
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom):
            above = folder[: len(folder) - node.level + 1] if node.level else ()
            module = (*above, *(node.module or "").split(".")) if node.module else above
            if module[0] == "bundle":
                yield from ((module, alias.name) for alias in node.names)


@pytest.mark.parametrize("folder", ["bundle", "scripts", "platforms"])
def test_a_room_is_entered_through_its_door(folder):
    """From outside a room only what the ``__all__`` of a package says is imported, and from that package itself."""
    for path in sorted((ROOT / folder).rglob("*.py")):
        for module, name in imported(path):
            if len(module) == 1 or path.is_relative_to(ROOT / "bundle" / module[1]):
                continue
            door = ROOT.joinpath(*module, "__init__.py")
            if door.parent.is_dir():
                assert name in importlib.import_module(".".join(module)).__all__, f"{path} imports {module}: {name}"
            else:
                inside = f"{path} imports {name} from inside a room"
                assert len(module) == 2 and door.parent.with_suffix(".py").is_file(), inside


def test_names_of_earlier_versions_still_lead_to_their_components():
    """As a config names them, by the dotted path and as an expression."""
    for room, names in MOVED.items():
        for name, home in names.items():
            found = ConfigParser({"imports": ["$import bundle"], "found": f"$bundle.{room}.{name}"})
            today = locate(f"bundle.{home}" if "." in home else f"bundle.{home}.{name}")
            assert today is not None and found.get_parsed_content("found") is today
            assert locate(f"bundle.{room}.{name}") is today
    with pytest.raises(AttributeError):
        bundle.engines.nothing  # noqa: B018


def test_readme_has_two_lines_of_which_the_first_shows_it_and_the_second_tests_it():
    blocks = re.findall(r"^```\w*\n(.*?)^```$", (ROOT / "README.md").read_text(encoding="utf-8"), re.M | re.S)
    first, second = (block.splitlines() for block in blocks[:2])
    assert len(first) == len(second) == 1
    assert "venv" in first[0] and "demo/" in first[0] and first[0].endswith("-m bundle demo")
    assert "pytest" in second[0]
    assert all("-c constraints.txt -e" in line for line in (first[0], second[0]))


def test_metadata_tells_the_versions_that_are_pinned_and_of_this_package():
    metadata = json.loads((ROOT / "configs" / "metadata.json").read_text(encoding="utf-8"))
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    pins = {name.lower(): version for name, version in (line.split("==") for line in lines)}
    named = {
        "monai": metadata["monai_version"],
        "torch": metadata["pytorch_version"],
        "numpy": metadata["numpy_version"],
    }
    assert named == {name: pins[name] for name in named}
    required = metadata["required_packages_version"]
    assert required == {name: pins[name] for name in required}
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert project["version"] == bundle.__version__ == metadata["version"]
    assert metadata["version"] in metadata["changelog"]
    core = {re.split(r"[<>=]", line)[0].lower() for line in project["dependencies"]}
    assert core == set(required) | set(named)


def test_training_and_inference_take_the_same_network_and_the_same_steps_to_a_mask():
    train, inference = parsed("train.yaml"), parsed("inference.json")
    assert train["network_def"] == inference["network_def"]
    values = {key: inference[key] for key in ("low", "high", "close_gaps", "remove_fragments")}

    def written_out(step: dict) -> dict:
        return {key: values.get(str(value).lstrip("@"), value) for key, value in step.items()}

    steps = [written_out(step) for step in inference["postprocessing"]["transforms"]]
    assert steps[1:] == train["binarization"]


def test_shipped_weights_fit_load_without_unpickling_and_are_small():
    assert WEIGHTS.stat().st_size < 25 * 2**20
    assert set(torch.load(WEIGHTS, weights_only=True)) == {"model"}
    load_weights(parsed("inference.json").get_parsed_content("network_def"), WEIGHTS)


def test_weights_are_published_of_an_ensemble_or_of_its_cascades(tmp_path, monkeypatch, capsys):
    """Given twice, the shipped ones give each cascade its own, and come out as they are."""

    def publish(*checkpoints: Path) -> None:
        monkeypatch.setattr("sys.argv", ["publish_weights.py", *map(str, checkpoints), "--output", str(output)])
        publish_weights.main()

    expected = torch.load(WEIGHTS, weights_only=True)["model"]
    dbac = {name.removeprefix("dbac."): value for name, value in expected.items() if name.startswith("dbac.")}
    torch.save(dbac, tmp_path / "dbac.pt")
    for number, checkpoints in enumerate([(WEIGHTS,), (WEIGHTS, WEIGHTS), (tmp_path / "dbac.pt", WEIGHTS)]):
        output = tmp_path / f"{number}.pt"
        publish(*checkpoints)
        found = torch.load(output, weights_only=True)["model"]
        assert found.keys() == expected.keys()
        assert all(torch.equal(found[name], value) for name, value in expected.items())
    output = tmp_path / "none.pt"
    with pytest.raises(SystemExit) as ended:
        publish(tmp_path / "absent.pt")
    assert ended.value.code == 1 and not output.exists()
    assert capsys.readouterr().err.startswith(f"{tmp_path / 'absent.pt'}: no such file of weights")


def test_weights_of_another_normalisation_are_refused_in_a_few_words(tmp_path):
    other = CascadeEnsemble(channels=[2, 3])
    torch.save(other.state_dict(), tmp_path / "batch.pt")
    with pytest.raises(InputError) as refused:
        load_weights(CascadeEnsemble(channels=[2, 3], dbac_norm="instance"), tmp_path / "batch.pt")
    assert "has no place for dbac.coarse" in str(refused.value) and "dbac_norm" in str(refused.value)
    assert len(str(refused.value)) < 400


@pytest.mark.parametrize(
    ("option", "value", "said"),
    [
        ("mode", "slices", "mode 'slices' is not known; choose fused, stack or both"),
        ("format", "tiff", "format 'tiff' is not known; choose ome-tiff, nifti or ome-zarr"),
        ("scale", "Auto", "scale must be positive or 'auto'"),
        ("surface", "obj", "surface must be 'stl' or 'ply'"),
    ],
)
def test_a_word_that_inference_does_not_know_is_refused_before_anything_is_written(tmp_path, option, value, said):
    config = parsed("inference.json")
    config.update({"bundle_root": str(ROOT), "dataset_dir": str(tmp_path), "output_dir": str(tmp_path / "out")})
    config.update({"mode": "both", option: value, "device": "cpu"})
    config["inputs"] = [tmp_path / "a.tif"]
    with pytest.raises((InputError, ValueError, RuntimeError)) as refused:
        config.get_parsed_content("segmenter")
    chain, error = [], refused.value
    while error is not None:
        chain.append(str(error))
        error = error.__cause__ or error.__context__
    assert any(said in line for line in chain)
    assert not (tmp_path / "out").exists()


def test_a_single_network_segments_by_the_same_config(tmp_path):
    """It has no second opinion: its disagreement is 0 everywhere."""
    network = UNet(channels=[2, 4]).eval()
    torch.save({"model": network.state_dict()}, tmp_path / "unet.pt")
    image = np.random.default_rng(0).integers(0, 255, (40, 56), np.uint8)
    tifffile.imwrite(tmp_path / "a.tif", image)
    for mode in ("fused", "stack"):
        config = parsed("inference.json")
        config.update({"bundle_root": str(ROOT), "output_dir": str(tmp_path / mode), "mode": mode, "device": "cpu"})
        config.update({"network_def": {"_target_": "bundle.networks.UNet", "channels": [2, 4]}})
        config.update({"dataset_dir": str(tmp_path), "weights": str(tmp_path / "unet.pt")})
        config["inputs"] = [tmp_path / "a.tif"]
        config.get_parsed_content("segmenter").run()
        contrast = AdaptiveHistogramEqualization() if mode == "fused" else LinearContrast()
        with torch.inference_mode():
            expected = network(torch.from_numpy(contrast(image.T[None].astype(np.float32)))[None])[0, 0].numpy().T
        found, disagreement = (
            tifffile.imread(tmp_path / mode / f"a_{kind}.tif") for kind in ("probability", "disagreement")
        )
        np.testing.assert_allclose(found.squeeze(), expected, atol=1e-4)
        assert not disagreement.any()


def test_network_takes_and_gives_what_the_metadata_say():
    verify_net_in_out(
        net_id="network_def",
        meta_file=str(ROOT / "configs" / "metadata.json"),
        config_file=str(ROOT / "configs" / "inference.json"),
        device="cpu",
        p=2,
        n=4,
        any=3,
    )
