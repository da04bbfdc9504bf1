"""Training, fine-tuning, several processes and evaluation, run as a user runs them, on tiny networks and images.

torchrun starts this file as a program, too: see :func:`train_and_note`.
"""

from __future__ import annotations

import csv
import math
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from copy import deepcopy
from pathlib import Path

import numpy as np
import PIL.Image
import PIL.ImageDraw
import pytest
import torch
from ignite.engine import Engine, Events
from monai.bundle import ConfigWorkflow
from monai.data.utils import list_data_collate
from monai.utils import set_determinism
from scipy.ndimage import gaussian_filter

from bundle.data import CropSampler
from bundle.errors import InputError, input_error
from bundle.io import open_image
from bundle.metrics import score
from bundle.networks import CascadeEnsemble
from bundle.pictures import error_overlay
from bundle.training import (
    CascadeTargets,
    NormStatistics,
    ResumableCheckpoint,
    WeightAverage,
    averaged_network,
    take_statistics,
)
from bundle.transforms import AdaptiveHistogramEqualization, CloseGaps, HysteresisThreshold, RemoveFragments

ROOT = Path(__file__).parents[1]
CHANNELS = [2, 4, 8]
BINARIZATION = {
    "binarization#0#low": 0.3,
    "binarization#0#high": 0.5,
    "binarization#1#size": 3,
    "binarization#2#size": 5,
}
TINY = {
    "network_def#channels": CHANNELS,
    "crop": [32, 32],
    "crops_per_image": 4,
    "max_epochs": 6,
    "learning_rate": 0.05,
    **BINARIZATION,
}
DBAC = {"_target_": "bundle.networks.DBAC", "channels": CHANNELS}
BATCH_NORM = {"network_def#dbac_norm": "batch"}  # random weights of instance normalisation magnify rounding
ONE_THREAD = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}


def draw_dataset(folder: Path) -> Path:
    """Blurred lines in noise: four images to train, two to validate, two to test."""
    rows = ["stem,split"]
    for number, split in enumerate(4 * ["train"] + 2 * ["val"] + 2 * ["test"]):
        rng = np.random.default_rng(number)
        mask = PIL.Image.new("L", (52, 48))
        pen = PIL.ImageDraw.Draw(mask)
        for start, end in rng.integers(0, 48, (3, 2, 2)):
            pen.line([tuple(start.tolist()), tuple(end.tolist())], fill=255, width=4)
        image = 0.6 * gaussian_filter(np.asarray(mask, float), 1) + rng.normal(40, 8, (48, 52))
        for kind, picture in (("images", PIL.Image.fromarray(image.clip(0, 255).astype(np.uint8))), ("masks", mask)):
            (folder / kind).mkdir(parents=True, exist_ok=True)
            picture.save(folder / kind / f"{number}.png")
        rows.append(f"{number},{split}")
    (folder / "split.csv").write_text("\n".join(rows) + "\n")
    return folder


def configs(*names: str) -> list[str]:
    return [str(ROOT / "configs" / f"{name}.yaml") for name in ("train", *names)]


def words(run_id: str, *names: str, **options: object) -> list[str]:
    """The words after ``python -m`` or ``torchrun -m`` of a run."""
    given = ["monai.bundle", "run", run_id, "--config_file", str(configs(*names))]
    return [*given, *(word for name, value in options.items() for word in (f"--{name}", str(value)))]


def start(*words: str) -> subprocess.Popen:
    return subprocess.Popen(
        [sys.executable, "-m", *words],
        cwd=ROOT,
        env=ONE_THREAD,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def finished(*words: str) -> subprocess.CompletedProcess:
    with start(*words) as process:
        output, error = process.communicate()
    return subprocess.CompletedProcess(words, process.returncode, output, error)


def train(*names: str, **options: object) -> str:
    """Train to the end, and return what was printed."""
    ended = finished(*words("training", *names, **TINY | options))
    assert ended.returncode == 0, ended.stderr
    return ended.stdout


def train_killed(out: Path, moments: list[Callable[[Path], bool]], **options: object) -> None:
    """Train, killed at each of the moments and started again with the same words, to the end."""
    for moment in moments:
        # what it prints is little, so that no pipe fills up
        with start(*words("training", output_dir=out, **TINY | options)) as process:
            while not moment(out / "checkpoints"):
                assert process.poll() is None, "it ended before it could be killed"
                time.sleep(0.0005)
            os.kill(process.pid, signal.SIGKILL)
        last = out / "checkpoints" / "last.pt"
        assert not last.exists() or load(last)["epoch"] < TINY["max_epochs"]
    train(output_dir=out, **options)


def before_the_first_checkpoint(folder: Path) -> bool:
    return folder.parent.exists()  # the first to be written are TensorBoard's events


def amid_an_epoch(folder: Path) -> bool:
    if not (folder / "last.pt").exists():
        return False
    time.sleep(0.07)
    return True


def while_last_is_written() -> Callable[[Path], bool]:
    before = []

    def moment(folder: Path) -> bool:
        last = folder / "last.pt"
        written = last.stat().st_mtime_ns if last.exists() else None
        before.append(written)
        return written != before[0] or any(folder.glob(".*last.pt"))

    return moment


def together(*calls: Callable[[], object]) -> list[object]:
    """Run the calls on two cores."""
    with ThreadPoolExecutor(2) as pool:
        return [future.result() for future in [pool.submit(call) for call in calls]]


def load(path: Path) -> dict:
    return torch.load(path, weights_only=True)


def same(one: object, other: object) -> bool:
    """Equal to the bit, NaN being equal to NaN."""
    if type(one) is not type(other):
        return False
    if isinstance(one, torch.Tensor):
        return torch.equal(one, other)
    if isinstance(one, dict):
        return list(one) == list(other) and all(same(one[key], other[key]) for key in one)
    if isinstance(one, (list, tuple)):
        return len(one) == len(other) and all(map(same, one, other))
    return one == other or (isinstance(one, float) and math.isnan(one) and math.isnan(other))


def assert_same_training(one: Path, other: Path) -> None:
    for name in ("last.pt", "best.pt"):
        first, second = load(one / "checkpoints" / name), load(other / "checkpoints" / name)
        assert list(first) == list(second)
        for part in first:
            assert same(first[part], second[part]), f"{name}: {part}"
    assert (one / "curves.csv").read_bytes() == (other / "curves.csv").read_bytes()


def workflow(*names: str, **options: object) -> ConfigWorkflow:
    """The configs as ``monai.bundle run`` sets them up, to be looked into."""
    made = ConfigWorkflow(configs(*names), logging_file=False, **TINY | {"bundle_root": str(ROOT)} | options)
    made.initialize()
    return made


@pytest.fixture(autouse=True)
def alike(monkeypatch):
    """Workflows in this process take one thread, as the others do, since the order of sums decides the last bits."""
    monkeypatch.setattr(sys, "excepthook", sys.excepthook)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)
    set_determinism(None)


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    return draw_dataset(tmp_path_factory.mktemp("dataset"))


@pytest.fixture(scope="module")
def runs(tmp_path_factory, dataset):
    """Output folders of trainings: whole ones, killed ones, and those of another seed and with reading processes."""
    out = tmp_path_factory.mktemp("runs")
    data = {"dataset_dir": dataset}
    (out / "printed.txt").write_text(train(output_dir=out / "ensemble", **data))
    together(
        lambda: train_killed(out / "ensemble killed", [amid_an_epoch, while_last_is_written()], num_workers=0, **data),
        lambda: train(output_dir=out / "dbac", network_def=DBAC, val_interval=2, **data),
        lambda: train_killed(
            out / "dbac killed",
            [before_the_first_checkpoint, while_last_is_written()],
            network_def=DBAC,
            val_interval=2,
            **data,
        ),
        lambda: train(output_dir=out / "workers", num_workers=2, **data),
        lambda: train(output_dir=out / "seed", seed=1, **data),
        lambda: train(output_dir=out / "running averages", norm_crops=0, **data),
        lambda: train(output_dir=out / "averaged", network_def=DBAC, averaging=0.8, **data),
        lambda: train_killed(
            out / "averaged killed", [while_last_is_written()], network_def=DBAC, averaging=0.8, **data
        ),
    )
    return out


# one process


def test_training_learns_and_writes_what_it_says(runs):
    with open(runs / "ensemble" / "curves.csv", newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert [row["epoch"] for row in rows] == ["1", "2", "3", "4", "5", "6"]
    assert float(rows[-1]["loss"]) < 0.5 * float(rows[0]["loss"])
    assert float(rows[-1]["dice"]) > 0.6 > float(rows[0]["dice"])
    assert sorted(path.name for path in (runs / "ensemble").iterdir()) == ["checkpoints", "curves.csv", "tensorboard"]
    assert sorted(path.name for path in (runs / "ensemble" / "checkpoints").iterdir()) == ["best.pt", "last.pt"]


def test_epochs_are_logged_as_plain_lines(runs):
    lines = (runs / "printed.txt").read_text().splitlines()
    logged = [line for line in lines if line.startswith("epoch ")]
    assert [line.split(":")[0] for line in logged] == [f"epoch {epoch} of 6" for epoch in range(1, 7)]
    best = load(runs / "ensemble" / "checkpoints" / "best.pt")
    assert f"epoch {best['epoch']} of 6: dice {best['metrics']['dice']:.4f}" in "\n".join(logged)


def test_checkpoints_hold_the_weights_of_the_last_and_of_the_best_epoch(runs):
    last, best = (load(runs / "ensemble" / "checkpoints" / name) for name in ("last.pt", "best.pt"))
    network = CascadeEnsemble(channels=CHANNELS, dbac_norm="instance", shuffle=2)
    for checkpoint in (last, best):
        network.load_state_dict(checkpoint["model"])
    scores = [row["dice"] for row in last["history"]]
    assert best["epoch"] == last["best"]["epoch"] == 1 + scores.index(max(scores))
    assert best["metrics"]["dice"] == last["best"]["score"] == max(scores)


@pytest.mark.parametrize("network", ["ensemble", "dbac", "averaged"])
def test_killed_and_resumed_equals_unbroken_to_the_bit(runs, network):
    assert_same_training(runs / network, runs / f"{network} killed")


def test_the_average_of_the_weights_is_saved_beside_them(runs):
    last, best = (load(runs / "averaged" / "checkpoints" / name) for name in ("last.pt", "best.pt"))
    assert set(last["model"]) == set(last["network"]) and "network" not in best
    moved = [name for name in last["model"] if not torch.equal(last["model"][name], last["network"][name])]
    assert any(name.endswith("running_mean") for name in moved) and any(name.endswith("weight") for name in moved)


def test_weights_are_averaged_after_every_step():
    """Of a weight of 1, 3, 5 a half is kept each time: 1, then 2, then 3.5."""
    network = torch.nn.Linear(1, 1, bias=False)
    averaged = averaged_network(network, 0.5, "cpu")

    def step(engine: Engine, value: float) -> None:
        torch.nn.init.constant_(network.weight, value)

    trainer = Engine(step)
    WeightAverage(averaged, network).attach(trainer)
    found = []
    trainer.add_event_handler(Events.ITERATION_COMPLETED, lambda _: found.append(averaged.module.weight.item()))
    trainer.run([1.0, 3.0, 5.0])
    assert found == [1, 2, 3.5]


@pytest.mark.parametrize("share", [-0.1, 1, 1.5, "abc"])
def test_a_share_that_makes_no_average_is_refused(share: float | str):
    with pytest.raises(InputError, match="averaging"):
        averaged_network(torch.nn.Linear(1, 1), share, "cpu")


def test_statistics_of_normalisation_are_those_of_all_batches_together():
    """Of batches with other means: not of the last one, not a running average, and no memory of earlier ones."""
    torch.manual_seed(0)
    network = torch.nn.Sequential(torch.nn.BatchNorm2d(2), torch.nn.BatchNorm2d(2, affine=False)).eval()
    batches = [torch.randn(4, 2, 8, 8) * deviation + mean for deviation, mean in ((3, 1), (1, -2), (0.5, 0))]
    together = torch.cat(batches)
    for _ in range(2):
        take_statistics(network, batches)
        torch.testing.assert_close(network[0].running_mean, together.mean((0, 2, 3)))
        torch.testing.assert_close(network[0].running_var, together.var((0, 2, 3), correction=0))
        # each batch comes normalised by itself to the second
        torch.testing.assert_close(network[1].running_mean, torch.zeros(2), atol=1e-5, rtol=0)
        torch.testing.assert_close(network[1].running_var, torch.ones(2), atol=1e-4, rtol=0)
    assert not network.training and torch.equal(network[0].weight, torch.ones(2))


def test_statistics_are_taken_of_crops_as_they_are(dataset, tmp_path):
    """Every crop is a piece of a training image, each image gives its share, and the next epoch's are the same."""
    run = workflow(dataset_dir=str(dataset), output_dir=str(tmp_path))
    crops = run.parser.get_parsed_content("train#dataset")
    taken = NormStatistics(torch.nn.Identity(), crops, (20, 60), crops=6, batch_size=4)
    first, second = (list(taken.batches()) for _ in range(2))
    assert [tuple(batch.shape) for batch in first] == [(4, 1, 20, 48), (2, 1, 20, 48)]  # of images of 52 × 48
    assert all(map(torch.equal, first, second))
    images = [item["image"].as_tensor() for item in crops.unaugmented()]
    for number, crop in enumerate(torch.cat(first)):
        pieces = images[number % 4].unfold(1, 20, 1).unfold(2, 48, 1)
        assert (pieces == crop[:, None, None]).all((-1, -2)).any(), number


def test_images_without_augmentation_are_those_that_validation_would_see(dataset, tmp_path):
    """With enhanced contrast, though it comes after the first random transform."""
    run = workflow(dataset_dir=str(dataset), output_dir=str(tmp_path), blur=1.0)
    crops = run.parser.get_parsed_content("train#dataset")
    read = run.parser.get_parsed_content("validate#preprocessing")
    unaugmented = crops.unaugmented()
    assert len(unaugmented) == len(crops.data) == 4
    for item, entry in zip(unaugmented, crops.data, strict=True):
        assert torch.equal(item["image"].as_tensor(), read(entry)["image"].as_tensor())


def test_crops_are_blurred_before_their_contrast_is_enhanced(dataset, tmp_path):
    """Whose steps are undone by no later one: the crop is an equalised image of less detail, its mask as it was."""
    sharp, blurred = (
        workflow(
            dataset_dir=str(dataset), output_dir=str(tmp_path), blur=share, **{"train#augmentation": []}
        ).parser.get_parsed_content("train#dataset")[0]
        for share in (0.0, 1.0)
    )
    equalize = AdaptiveHistogramEqualization()
    raw = open_image(dataset / "images" / f"{Path(sharp['image'].meta['filename_or_obj']).stem}.png").array().T[None]
    torch.testing.assert_close(sharp["image"].as_tensor(), torch.from_numpy(equalize(raw)))
    assert torch.equal(sharp["label"], blurred["label"]) and torch.equal(sharp["distance"], blurred["distance"])
    nearest = min(
        float(np.abs(equalize(gaussian_filter(raw.astype(np.float32), (0, x, x))) - blurred["image"].numpy()).mean())
        for x in np.arange(0.25, 1.51, 0.01)
    )
    assert nearest < 0.02 < np.abs(sharp["image"].numpy() - blurred["image"].numpy()).mean()


@pytest.mark.parametrize("crops", [-3, 2.5, "abc"])
def test_a_number_of_crops_that_is_none_is_refused_before_training(crops: object):
    with pytest.raises(InputError, match="norm_crops"):
        NormStatistics(torch.nn.Identity(), [], (32, 32), crops)


def test_statistics_change_no_weight(runs):
    """Training goes by each step's own; what is saved and validated differs."""
    taken, running = (load(runs / name / "checkpoints" / "last.pt") for name in ("ensemble", "running averages"))
    for name, value in taken["model"].items():
        if "running" not in name:
            assert torch.equal(value, running["model"][name]), name
    assert same(taken["optimizer"], running["optimizer"])
    means = [name for name in taken["model"] if name.endswith("running_mean")]
    assert means and not any(torch.equal(taken["model"][name], running["model"][name]) for name in means)


def test_the_scale_of_mixed_precision_goes_on_where_it_was(tmp_path):
    """A GPU's, which MONAI's trainer makes anew when it starts."""
    scales = []
    for epochs, scale in ((1, 1024.0), (2, 2.0**16)):
        network = torch.nn.Linear(1, 1)
        optimizer = torch.optim.SGD(network.parameters(), 0.1)
        schedule = torch.optim.lr_scheduler.ConstantLR(optimizer)
        trainer = Engine(lambda *_: {"loss": torch.zeros(())})
        trainer.scaler = torch.amp.GradScaler("cpu", init_scale=scale)
        ResumableCheckpoint(tmp_path, network, optimizer, schedule, Engine(lambda *_: None)).attach(trainer)
        trainer.add_event_handler(Events.EPOCH_COMPLETED(once=epochs), trainer.terminate)
        trainer.run([0], max_epochs=2)
        scales.append((trainer.state.epoch, trainer.scaler.get_scale()))
    assert scales == [(1, 1024.0), (2, 1024.0)]


@pytest.mark.skipif(os.name == "nt", reason="limits of POSIX")
def test_where_a_checkpoint_finds_no_room_the_one_before_stays_whole_and_the_training_goes_on_from_it(tmp_path):
    """As on a full disk, to which nobody needs permission: no file may grow beyond 100 bytes in the second epoch."""
    import resource  # not on Windows

    def trained(limited: bool) -> list[int]:
        network = torch.nn.Linear(1, 1)
        optimizer = torch.optim.SGD(network.parameters(), 0.1)
        schedule = torch.optim.lr_scheduler.ConstantLR(optimizer)
        trainer = Engine(lambda *_: {"loss": torch.zeros(())})
        trainer.scaler, seen = None, []
        trainer.add_event_handler(Events.EPOCH_STARTED, lambda engine: seen.append(engine.state.epoch))
        soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
        if limited:
            trainer.add_event_handler(
                Events.EPOCH_STARTED(once=2), lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (100, hard))
            )
        ResumableCheckpoint(tmp_path, network, optimizer, schedule, Engine(lambda *_: None)).attach(trainer)
        try:
            trainer.run([0], max_epochs=3)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        return seen

    with pytest.raises(InputError) as refused:
        trained(limited=True)
    assert "; " in str(refused.value)
    left = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert not [path for path in left if path.name.startswith(".")]
    assert load(tmp_path / "checkpoints" / "last.pt")["epoch"] == 1
    assert trained(limited=False) == [2, 3]


def test_epochs_that_are_not_validated_have_no_scores(runs):
    with open(runs / "dbac" / "curves.csv", newline="") as stream:
        assert [bool(row["dice"]) for row in csv.DictReader(stream)] == 3 * [False, True]


def test_same_seed_gives_the_same_weights_whatever_the_number_of_reading_processes(runs):
    assert_same_training(runs / "ensemble", runs / "workers")


def test_another_seed_gives_other_weights(runs):
    one, other = (load(runs / name / "checkpoints" / "last.pt")["model"] for name in ("ensemble", "seed"))
    assert list(one) == list(other)
    assert not any(torch.equal(one[name], other[name]) for name in one if name.endswith("0.weight"))


@pytest.mark.parametrize(
    ("name", "stages"),
    [
        ("DBAC", {"attention", "mask"}),
        ("DDMAC", {"distance", "mask"}),
        ("UNet", {"mask"}),
        ("UNetPlusPlus", {"mask"}),
        ("CascadeEnsemble", {"dbac.attention", "dbac.mask", "ddmac.distance", "ddmac.mask"}),
    ],
)
def test_every_network_trains_by_overriding_one_block(tmp_path, dataset, name, stages):
    """Each parameter moves in an epoch of one step, so that the losses reach every stage."""
    options = {
        "network_def": {"_target_": f"bundle.networks.{name}", "channels": CHANNELS},
        "max_epochs": 1,
        "crops_per_image": 1,
    }
    run = workflow(dataset_dir=str(dataset), output_dir=str(tmp_path), **options)
    trainer = run.parser.get_parsed_content("train#trainer")
    network = run.parser.get_parsed_content("network_def")
    before = deepcopy(dict(network.named_parameters()))
    run.run()
    assert trainer.state.iteration == 1
    assert trainer.state.output["pred"].unique().tolist() in ([0], [1], [0, 1])  # for the key metric, the stages' mask
    assert set(network.train()(torch.rand(2, 1, 32, 32))) == stages
    assert [name for name, parameter in network.named_parameters() if torch.equal(parameter, before[name])] == []
    assert load(tmp_path / "checkpoints" / "last.pt")["epoch"] == 1


# refusals, and runs that go on from something


@pytest.fixture(scope="module")
def weights(runs):
    return runs / "ensemble" / "checkpoints" / "best.pt"


@pytest.fixture(scope="module")
def ended(runs, tmp_path_factory, dataset, weights):
    """How other runs ended: those that shall be refused, and those that go on."""
    out = tmp_path_factory.mktemp("ended")
    broken = draw_dataset(out / "broken")
    (broken / "masks" / "1.png").write_bytes((broken / "images" / "1.png").read_bytes())
    others = draw_dataset(out / "others")
    Path(out / "others" / "images" / "1.png").write_bytes((out / "others" / "images" / "2.png").read_bytes())
    (out / "file").write_text("a file where a folder should be")
    (out / "damaged" / "checkpoints").mkdir(parents=True)
    content = (runs / "ensemble" / "checkpoints" / "last.pt").read_bytes()
    (out / "damaged" / "checkpoints" / "last.pt").write_bytes(content[: len(content) // 2])
    done = {"dataset_dir": dataset, "output_dir": runs / "ensemble", **TINY}
    new = {"dataset_dir": dataset, "output_dir": out / "new", **TINY}
    calls = {
        "again": words("training", **done),
        "other length": words("training", **done | {"max_epochs": 7}),
        "other steps": words("training", **done | {"batch_size": 2}),
        "other width": words("training", **done | {"network_def#channels": [2, 4, 16]}),
        "other settings": words("training", **done | {"learning_rate": 0.1, "seed": 1}),
        "other images": words("training", **done | {"dataset_dir": others}),
        "other scale": words("evaluating", "evaluate", **new | {"checkpoint": weights, "network_def#dbac_scale": 2.0}),
        "damaged": words("training", **new | {"output_dir": out / "damaged"}),
        "no weights": words("training", "fine_tune", **new | {"weights": out / "none.pt"}),
        "weights of other width": words(
            "training", "fine_tune", **new | {"weights": weights, "network_def#channels": [2, 4, 16]}
        ),
        "mask": words("training", **new | {"dataset_dir": broken}),
        "output": words("training", **new | {"output_dir": out / "file" / "new"}),
        "no checkpoint": words("evaluating", "evaluate", **new | {"checkpoint": out / "none.pt"}),
        "no such norm": words("training", **new | {"network_def#norm": "layer"}),
    }
    before = {path: path.read_bytes() for path in (runs / "ensemble" / "checkpoints").iterdir()}
    results = dict(zip(calls, together(*(lambda call=call: finished(*call) for call in calls.values())), strict=True))
    return out, before, results


def test_a_finished_training_given_again_changes_nothing(ended):
    _, before, results = ended
    assert results["again"].returncode == 0
    assert {path: path.read_bytes() for path in before} == before


@pytest.mark.parametrize(
    ("case", "expected"),
    [
        ("other length", "last.pt: is of 6 epochs, not of 7;"),
        ("other steps", "last.pt: is of 4 steps in an epoch, not of 8;"),
        ("other width", "last.pt: does not fit CascadeEnsemble"),
        ("other settings", "last.pt: is of a training that differs in seed and learning_rate;"),
        ("other images", "last.pt: is of a training that differs in images;"),
        ("other scale", "best.pt: was trained with dbac_scale 1, not 2;"),
        ("damaged", "last.pt: is not a file of weights, or is damaged;"),
        ("no weights", "none.pt: no such file of weights;"),
        ("weights of other width", "best.pt: does not fit CascadeEnsemble"),
        ("mask", "1.png: is not a binary mask"),
        ("output", "tensorboard: cannot be written"),
        ("no checkpoint", "none.pt: no such file of weights;"),
    ],
)
def test_what_cannot_be_done_is_said_in_one_line(ended, case, expected):
    out, _, results = ended
    assert results[case].returncode == 1
    *others, line = results[case].stderr.splitlines()
    assert expected in line and line.startswith("/")
    assert not any("Traceback" in other or "Error" in other for other in others)
    assert expected not in results[case].stdout
    assert not (out / "new" / "checkpoints").exists()


def test_a_setting_that_a_component_refuses_is_said_in_one_line(ended):
    result = ended[2]["no such norm"]
    assert result.returncode == 1
    *others, line = result.stderr.splitlines()
    assert line.startswith("CascadeEnsemble: norm must be 'batch' or 'instance', got 'layer'; ")
    assert not any("Traceback" in other or "Error" in other for other in others)


def test_fine_tuning_goes_on_from_the_weights(tmp_path, dataset, weights):
    """With a vanishing learning rate the parameters stay what was given; they would be random otherwise."""
    options = {"learning_rate": 1e-9, "max_epochs": 1, "weights": str(weights)}
    workflow("fine_tune", dataset_dir=str(dataset), output_dir=str(tmp_path), **options).run()
    given, tuned = load(weights)["model"], load(tmp_path / "checkpoints" / "last.pt")["model"]
    for name, _ in CascadeEnsemble(channels=CHANNELS, dbac_norm="instance", shuffle=2).named_parameters():
        torch.testing.assert_close(tuned[name], given[name], atol=1e-7, rtol=0)


# evaluation


@pytest.fixture(scope="module")
def evaluated(tmp_path_factory, dataset, weights):
    out = tmp_path_factory.mktemp("evaluated")
    options = {"dataset_dir": dataset, "checkpoint": weights, "output_dir": out, "network_def#channels": CHANNELS}
    result = finished(*words("evaluating", "evaluate", **options | BINARIZATION | {"network_def#fusion": "maximum"}))
    assert result.returncode == 0, result.stderr
    return out, result.stdout


@pytest.fixture(scope="module")
def expected(dataset, weights):
    """Masks of the test images and their truth, with rows and columns as on disk, without MONAI's engines."""
    network = CascadeEnsemble(
        channels=CHANNELS, dbac_scale=1.0, fusion="maximum", dbac_norm="instance", shuffle=2
    ).eval()
    network.load_state_dict(load(weights)["model"])
    masks = {}
    for name in ("6", "7"):
        image, truth = (open_image(dataset / kind / f"{name}.png").array() for kind in ("images", "masks"))
        with torch.no_grad():
            mask = network(torch.as_tensor(AdaptiveHistogramEqualization()(image.T[None]))[None])[0]
        for step in (HysteresisThreshold(low=0.3, high=0.5), CloseGaps(size=3), RemoveFragments(size=5)):
            mask = step(mask)
        masks[name] = (mask[0].numpy().T > 0, truth > 0)
    return masks


def test_evaluation_writes_the_scores_of_the_test_images(evaluated, expected):
    with open(evaluated[0] / "scores.csv", newline="") as stream:
        rows = {row.pop("image"): row for row in csv.DictReader(stream)}
    assert rows == {
        name: {metric: f"{value:.6f}" for metric, value in score(mask, truth).items()}
        for name, (mask, truth) in expected.items()
    }
    # right in part: neither empty nor all; how good so few steps are depends on the number of threads
    assert 0 < float(rows["6"]["dice"]) < 1


def test_evaluation_summarises_the_table_on_disk_and_in_the_terminal(evaluated, expected):
    with open(evaluated[0] / "scores_summary.csv", newline="") as stream:
        summary = {row["metric"]: row for row in csv.DictReader(stream)}
    dice = [score(mask, truth)["dice"] for mask, truth in expected.values()]
    assert summary["dice"]["mean"] == f"{np.mean(dice):.6f}"
    assert summary["dice"]["sd"] == f"{np.std(dice, ddof=1):.6f}"
    (line,) = (line for line in evaluated[1].splitlines() if line.startswith("dice "))
    assert line.split()[1] == f"{np.mean(dice):.3f}"


def test_evaluation_draws_an_overlay_of_each_image(evaluated, expected):
    assert sorted(path.name for path in (evaluated[0] / "overlays").iterdir()) == ["6.png", "7.png"]
    for name, (mask, truth) in expected.items():
        with PIL.Image.open(evaluated[0] / "overlays" / f"{name}.png") as picture:
            assert np.array_equal(np.asarray(picture), error_overlay(mask, truth))


def test_evaluation_of_another_split_and_of_weights_that_do_not_fit(tmp_path, dataset, weights):
    options = {"dataset_dir": str(dataset), "output_dir": str(tmp_path), "checkpoint": str(weights), "split": "val"}
    run = workflow("evaluate", **options)
    run.run_id = "evaluating"
    run.run()
    # it was the validation that chose these weights
    assert same(run.parser.get_parsed_content("validate#evaluator").state.metrics, load(weights)["metrics"])
    other = workflow("evaluate", **options | {"network_def": {**DBAC, "channels": [2, 4]}})
    other.run_id = "evaluating"
    with pytest.raises(RuntimeError) as caught:
        other.run()
    assert "does not fit DBAC" in str(input_error(caught.value))


# several processes


def train_and_note(dataset: str, out: str, averaging: str) -> None:
    """Train as one of torchrun's processes, with an output folder of its own, and save what happened there.

    Args:
        dataset: the dataset folder.
        out: ``rankN.pt`` is saved there; the training writes to ``writtenN``.
        averaging: of the weights.
    """
    rank = os.environ["RANK"]
    options = {"output_dir": f"{out}/written{rank}", "max_epochs": 2, "averaging": float(averaging), **BATCH_NORM}
    run = workflow("multi_gpu_train", dataset_dir=dataset, **options)
    trainer = run.parser.get_parsed_content("train#trainer")
    network = run.parser.get_parsed_content("network_def")
    noted = {"before": deepcopy(network.state_dict())}

    @trainer.on(Events.ITERATION_COMPLETED(once=1))
    def note_step() -> None:
        noted["gradients"] = {name: parameter.grad.clone() for name, parameter in network.named_parameters()}
        noted["after"] = {name: parameter.detach().clone() for name, parameter in network.named_parameters()}

    run.run()
    noted["end"] = run.parser.get_parsed_content("validated").state_dict()
    noted["metrics"] = run.parser.get_parsed_content("validate#evaluator").state.metrics
    torch.save(noted, f"{out}/rank{rank}.pt")
    run.finalize()


TORCHRUN = ("torch.distributed.run", "--standalone", "--nproc_per_node=2")


@pytest.fixture(scope="module", params=[0, 0.8], ids=["plain", "averaged"])
def two_processes(tmp_path_factory, dataset, request):
    """What two processes noted, and the folder they wrote to."""
    out = tmp_path_factory.mktemp("two")
    result = finished(*TORCHRUN, __file__, str(dataset), str(out), str(request.param))
    assert result.returncode == 0, result.stderr
    return [load(out / f"rank{rank}.pt") for rank in range(2)], out


def test_gradients_of_two_processes_are_the_mean_of_their_halves(two_processes, dataset):
    (first, second), _ = two_processes
    run = workflow(dataset_dir=str(dataset), **BATCH_NORM)
    network, crops, loss = (run.parser.get_parsed_content(name) for name in ("network", "train#dataset", "loss"))
    network.load_state_dict(first["before"])
    halves = []
    for rank in range(2):
        sampler = CropSampler(crops, num_replicas=2, rank=rank)
        sampler.set_epoch(1)
        half = deepcopy(network).train()
        image, target = CascadeTargets()(list_data_collate([crops[number] for number in list(sampler)[:4]]))
        loss(half(image), target).backward()
        halves.append({name: parameter.grad for name, parameter in half.named_parameters()})
    for name, gradient in first["gradients"].items():
        assert torch.equal(gradient, second["gradients"][name])
        torch.testing.assert_close(gradient, (halves[0][name] + halves[1][name]) / 2, rtol=1e-5, atol=1e-6)
    assert not any(torch.allclose(halves[0][name], halves[1][name], rtol=1e-2) for name in halves[0])


def test_two_processes_keep_equal_weights_and_validate_with_equal_statistics(two_processes):
    (first, second), _ = two_processes
    assert not any(torch.equal(first["after"][name], first["before"][name]) for name in first["after"])
    for moment in ("before", "after", "end"):
        assert same(first[moment], second[moment])


def test_two_processes_score_all_images_as_one_process_does(two_processes, dataset):
    (first, second), _ = two_processes
    run = workflow(dataset_dir=str(dataset), **BATCH_NORM)
    evaluator, network = (run.parser.get_parsed_content(name) for name in ("validate#evaluator", "network_def"))
    network.load_state_dict(first["end"])
    evaluator.run()
    assert same(first["metrics"], second["metrics"])
    assert same(first["metrics"], evaluator.state.metrics)


def test_the_first_process_alone_writes(two_processes):
    _, out = two_processes
    assert sorted(path.name for path in out.iterdir()) == ["rank0.pt", "rank1.pt", "written0"]
    assert sorted(path.name for path in (out / "written0").iterdir()) == ["checkpoints", "curves.csv", "tensorboard"]


@pytest.mark.slow
def test_two_processes_killed_and_resumed_equal_unbroken_to_the_bit(tmp_path, dataset):
    call = {"dataset_dir": dataset, **TINY}
    moment = while_last_is_written()
    with start(*TORCHRUN, "-m", *words("training", "multi_gpu_train", **call, output_dir=tmp_path / "b")) as process:
        while not moment(tmp_path / "b" / "checkpoints"):
            assert process.poll() is None
            time.sleep(0.0005)
        os.killpg(process.pid, signal.SIGKILL)
    for name in "ab":
        result = finished(*TORCHRUN, "-m", *words("training", "multi_gpu_train", **call, output_dir=tmp_path / name))
        assert result.returncode == 0, result.stderr
        assert result.stdout.count("epoch 6 of 6") == 1
    assert_same_training(tmp_path / "a", tmp_path / "b")


@pytest.mark.slow
@pytest.mark.parametrize("delay", [0.0, 0.05, 0.1, 0.2, 0.4])
def test_killed_anywhere_after_a_checkpoint_equals_unbroken(runs, tmp_path, dataset, delay):
    def moment(folder: Path) -> bool:
        if not (folder / "best.pt").exists():
            return False
        time.sleep(delay)
        return True

    train_killed(tmp_path, [moment], dataset_dir=dataset)
    assert_same_training(runs / "ensemble", tmp_path)


if __name__ == "__main__":
    train_and_note(*sys.argv[1:])
