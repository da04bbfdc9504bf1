"""Which images a training, validation or evaluation takes, and which crops an epoch shows."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import PIL.Image
import pytest
import torch
from monai.data import DataLoader
from monai.transforms import Compose, LoadImaged, RandAffined, RandScaleIntensityd, RandSpatialCropd

from bundle.data import CropDataset, CropSampler, fingerprint, labelled_images
from bundle.errors import InputError, input_error
from bundle.io import MicroscopyReader, write_ome_tiff
from bundle.transforms import BinaryLabel, BinaryLabeld, FuseFocusd

STEMS = [f"{number}" for number in range(351, 361)]


def write(path: Path, array: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".tif":
        write_ome_tiff(path, array, "ZYX"[-array.ndim :])
    else:
        PIL.Image.fromarray(array).save(path)


def vessel(shape: tuple[int, int] = (20, 30)) -> np.ndarray:
    mask = np.zeros(shape, np.uint8)
    mask[6:10] = 255
    return mask


@pytest.fixture
def folder(tmp_path):
    """Ten images of noise, each with a mask of one vessel."""
    for number, stem in enumerate(STEMS):
        noise = np.random.default_rng(number).integers(0, 256, (20, 30), dtype=np.uint8)
        write(tmp_path / "images" / f"{stem}.png", noise)
        write(tmp_path / "masks" / f"{stem}.png", vessel())
    return tmp_path


def split_file(folder: Path, *rows: str) -> Path:
    path = folder / "split.csv"
    path.write_text("\n".join(("stem,split", *rows)) + "\n")
    return path


def stems(pairs: list[dict[str, str]]) -> list[str]:
    for pair in pairs:
        assert Path(pair["image"]).stem == Path(pair["label"]).stem.removesuffix("_mask")
    return [Path(pair["image"]).stem for pair in pairs]


def refusal(call) -> str:
    """The one line with which a call refuses its input."""
    with pytest.raises(Exception) as caught:
        call()
    error = input_error(caught.value)
    assert error is not None and "\n" not in str(error)
    return str(error)


# folders


def test_split_file_decides(folder):
    split_file(folder, "352,val", "351,train", "360,test", "353,train")
    assert stems(labelled_images(folder, "train")) == ["351", "353"]
    assert stems(labelled_images(folder, "val")) == ["352"]
    assert stems(labelled_images(folder, "test")) == ["360"]


def test_split_file_of_a_spreadsheet_with_byte_order_mark_and_further_columns(folder):
    (folder / "split.csv").write_bytes("\ufeffstem,mouse,split\r\n351,7,train\r\n".encode())
    assert stems(labelled_images(folder, "train")) == ["351"]


def test_without_a_split_file_a_fifth_validates_and_the_others_train(folder):
    train, val = (stems(labelled_images(folder, split)) for split in ("train", "val"))
    assert len(val) == 2
    assert sorted(train + val) == STEMS
    assert stems(labelled_images(folder, "train")) == train


def test_a_fingerprint_tells_other_images_and_not_another_place(folder, tmp_path):
    before = fingerprint(labelled_images(folder, "train"))
    moved = shutil.copytree(folder, tmp_path / "moved")
    assert fingerprint(labelled_images(moved, "train")) == before
    assert fingerprint(labelled_images(moved, "val")) != before
    first = Path(labelled_images(moved, "train")[0]["label"])
    first.write_bytes(first.read_bytes() + b"\0")
    assert fingerprint(labelled_images(moved, "train")) != before


@pytest.mark.parametrize(("count", "validating"), [(2, 1), (3, 1), (8, 2)])
def test_even_few_images_leave_one_to_validate_and_one_to_train(tmp_path, count, validating):
    for number in range(count):
        for kind in ("images", "masks"):
            write(tmp_path / kind / f"{number}.png", vessel())
    assert len(labelled_images(tmp_path, "val")) == validating
    assert len(labelled_images(tmp_path, "train")) == count - validating


def test_suffixes_may_differ_and_a_mask_may_be_called_one(folder):
    (folder / "masks" / "351.png").rename(folder / "masks" / "351_mask.png")
    (folder / "images" / "352.png").unlink()
    write(folder / "images" / "352.ome.tif", np.zeros((20, 30), np.uint16))
    (folder / "images" / "notes.txt").write_text("not an image")
    split_file(folder, "351,train", "352,train")
    (first, second) = labelled_images(folder, "train")
    assert (Path(first["image"]).name, Path(first["label"]).name) == ("351.png", "351_mask.png")
    assert (Path(second["image"]).name, Path(second["label"]).name) == ("352.ome.tif", "352.png")


def test_missing_mask_names_the_image(folder):
    (folder / "masks" / "355.png").unlink()
    text = refusal(lambda: labelled_images(folder, "train") + labelled_images(folder, "val"))
    assert str(folder / "images" / "355.png") in text


def test_listed_image_that_is_not_there_is_named(folder):
    path = split_file(folder, "351,train", "999,train")
    text = refusal(lambda: labelled_images(folder, "train"))
    assert str(path) in text and "'999'" in text


@pytest.mark.parametrize(
    ("rows", "word"),
    [
        (("351,train", "352,valid"), "'valid'"),
        (("351,train", "352"), "'352'"),
        (("351,train", "352,val", "351,val"), "'351'"),
        ((), "columns"),
    ],
    ids=["unknown split", "no split", "one image in two splits", "no rows"],
)
def test_bad_split_files_are_refused(folder, rows, word):
    path = split_file(folder, *rows)
    text = refusal(lambda: labelled_images(folder, "train"))
    assert str(path) in text and word in text


@pytest.mark.parametrize("content", [b"name,subset\n351,train\n", b"", b"stem;split\n", b"\xff\xfe"])
def test_split_files_of_other_form_are_refused(folder, content):
    (folder / "split.csv").write_bytes(content)
    assert str(folder / "split.csv") in refusal(lambda: labelled_images(folder, "train"))


@pytest.mark.parametrize(
    "content",
    [
        "stem;split\r\n351;train\r\n352;val\r\n",
        "stem\tsplit\n351\ttrain\n352\tval\n",
        "sep=;\nstem;split\n351;train\n352;val\n",
        '"Stem","Split"\n"351","Train"\n"352","Validation"\n',
        " stem , split \n 351 , train \n 352 , val \n,,\n,\n\n",
        "mouse,stem,split,\n7,351.png,training,\n8,0352,val,\n",
        "stem,split\n351.0,train\n352.0,val\n",
        'stem,split\n"351,0",train\n"352,0",val\n',
    ],
)
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "cp1252"])
def test_split_files_are_read_as_spreadsheets_of_any_country_write_them(folder, content, encoding):
    (folder / "split.csv").write_bytes(content.encode(encoding))
    assert stems(labelled_images(folder, "train")) == ["351"]
    assert stems(labelled_images(folder, "val")) == ["352"]


def test_a_stem_with_an_umlaut_is_found_in_a_table_of_western_windows(folder):
    for kind in ("images", "masks"):
        (folder / kind / "351.png").rename(folder / kind / "größe.png")
    (folder / "split.csv").write_bytes("stem;split\r\ngröße;train\r\n".encode("cp1252"))
    assert stems(labelled_images(folder, "train")) == ["größe"]


def test_a_number_that_lost_its_zeros_is_the_image_that_it_means(folder):
    for kind in ("images", "masks"):
        (folder / kind / "351.png").rename(folder / kind / "007.png")
    split_file(folder, "7,train")
    assert stems(labelled_images(folder, "train")) == ["007"]


@pytest.mark.parametrize(
    ("mask", "said"),
    [
        (
            np.where(vessel(), 2, 1).astype(np.uint8),
            "ilastik: say --foreground 2 if 2 is vessel",
        ),
        ((np.arange(600).reshape(20, 30) % 4).astype(np.uint8), "labels are of classes or objects"),
        (np.arange(600, dtype=np.uint16).reshape(20, 30), "is it an image?"),
        (np.vstack([*[vessel((20, 100))] * 5, np.arange(100, dtype=np.uint8)]), "JPEG or smoothing"),
    ],
)
def test_what_is_no_mask_is_refused_with_what_makes_it_one(mask, said):
    with pytest.raises(InputError) as caught:
        BinaryLabel()(mask[None])
    assert said in str(caught.value)


LABELS = np.array([[0, 1, 2], [2, 3, 0]], np.uint16)


@pytest.mark.parametrize(
    ("labels", "foreground", "vessels"),
    [
        (np.array([[1, 2, 1]]), 2, [[0, 1, 0]]),  # ilastik's classes in either order
        (np.array([[1, 2, 1]]), 1, [[1, 0, 1]]),
        (np.array([[1, 1, 1]]), 2, [[0, 0, 0]]),  # one on which no vessel is
        (np.array([[2, 2, 2]]), 2, [[1, 1, 1]]),
        (LABELS, 2, [[0, 0, 1], [1, 0, 0]]),  # one class of several
        (LABELS, "any", [[0, 1, 1], [1, 1, 0]]),  # objects, as Cellpose numbers them
        (LABELS.astype(np.float32), 2, [[0, 0, 1], [1, 0, 0]]),
        (np.array([[0, 255, 0]]), 2, [[0, 1, 0]]),  # a mask among labels
        (np.array([[0, 1, 0]]), 2, None),  # which 1 is nobody said
        (LABELS, 7, None),
        (np.array([[0.25, 0.5, 0]]), "any", None),
    ],
)
def test_of_labels_the_one_that_was_said_is_vessel_and_nothing_is_guessed(labels, foreground, vessels):
    if vessels is None:
        with pytest.raises(InputError) as caught:
            BinaryLabel(foreground)(labels[None])
        assert caught.value.remedy
    else:
        np.testing.assert_array_equal(np.asarray(BinaryLabel(foreground)(labels[None]))[0], vessels)


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "P"])
def test_a_mask_of_one_colour_on_black_or_nothing_is_a_mask(tmp_path, mode):
    rgb = np.zeros((20, 30, 3), np.uint8)
    rgb[vessel() > 0] = (200, 30, 0)
    if mode == "RGBA":
        picture = PIL.Image.fromarray(np.dstack([rgb, vessel()]))
    elif mode == "P":
        picture = PIL.Image.fromarray((vessel() > 0).astype(np.uint8), "P")
        picture.putpalette([0, 0, 0, 200, 30, 0])
    else:
        picture = PIL.Image.fromarray(rgb)
    picture.save(tmp_path / "mask.png")
    mask = LoadImaged("label", reader=MicroscopyReader(), ensure_channel_first=True)({"label": tmp_path / "mask.png"})
    np.testing.assert_array_equal(BinaryLabel()(mask["label"])[0].numpy().T, vessel() > 0)


def test_a_split_without_images_says_how_to_choose_another(folder):
    text = refusal(lambda: labelled_images(folder, "test"))
    assert str(folder) in text and "'test'" in text and "--split" in text


@pytest.mark.parametrize("missing", [".", "images", "masks"])
def test_missing_folders_are_named(folder, missing):
    (folder / missing).rename(folder.parent / f"{folder.name}_moved")
    assert str(folder / missing) in refusal(lambda: labelled_images(folder, "train"))


def test_empty_folder_is_named(tmp_path):
    (tmp_path / "images").mkdir()
    (tmp_path / "masks").mkdir()
    assert str(tmp_path / "images") in refusal(lambda: labelled_images(tmp_path, "train"))


def test_split_of_another_name_is_the_programmers_error(folder):
    with pytest.raises(ValueError, match="train, val, test") as caught:
        labelled_images(folder, "training")
    assert not isinstance(caught.value, InputError)


# datalists


def datalist(folder: Path, content: object) -> Path:
    path = folder / "datalist.json"
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return path


def entry(folder: Path, stem: str, absolute: bool = False) -> dict[str, str]:
    root = folder if absolute else Path()
    return {"image": str(root / "images" / f"{stem}.png"), "label": str(root / "masks" / f"{stem}.png")}


def test_datalist_in_its_own_order_with_relative_and_absolute_paths(folder):
    path = datalist(
        folder,
        {
            "training": [entry(folder, "353"), {**entry(folder, "351", absolute=True), "fold": 0}],
            "validation": [entry(folder, "352")],
            "test": [entry(folder, "360")],
        },
    )
    assert stems(labelled_images(folder, "train", path)) == ["353", "351"]
    assert stems(labelled_images(folder, "val", path)) == ["352"]
    assert stems(labelled_images(folder, "test", path)) == ["360"]
    assert all(Path(pair["image"]).is_file() for pair in labelled_images(folder, "train", path))


@pytest.mark.parametrize(
    ("content", "word"),
    [
        ("training: 351", "JSON"),
        ([{"image": "images/351.png", "label": "masks/351.png"}], "splits"),
        ({"training": [{"image": "images/351.png"}]}, "label"),
        ({"training": [{"image": "images/351.png", "label": "masks/999.png"}]}, "999.png"),
        ({"validation": [{"image": "images/351.png", "label": "masks/351.png"}]}, "training"),
    ],
    ids=["no JSON", "list", "no label", "no file", "no such split"],
)
def test_bad_datalists_are_refused(folder, content, word):
    path = datalist(folder, content)
    text = refusal(lambda: labelled_images(folder, "train", path))
    assert str(path) in text and word in text


def test_missing_datalist_is_named(folder):
    assert str(folder / "none.json") in refusal(lambda: labelled_images(folder, "train", folder / "none.json"))


# reading pairs, as configs/train.yaml does


def read(pair: dict[str, str]) -> dict:
    return Compose(
        [
            LoadImaged(["image", "label"], reader=MicroscopyReader(), ensure_channel_first=True),
            FuseFocusd("image"),
            BinaryLabeld("label", image_key="image"),
        ]
    )(pair)


def pair_of(folder: Path, image: np.ndarray, mask: np.ndarray) -> dict[str, str]:
    write(folder / "i.tif", image)
    write(folder / "m.tif", mask)
    return {"image": str(folder / "i.tif"), "label": str(folder / "m.tif")}


def test_a_stack_with_a_mask_of_its_projection_becomes_a_pair_of_images(tmp_path):
    stack = np.zeros((5, 20, 30), np.uint8)
    stack[2] = np.random.default_rng(0).integers(0, 256, (20, 30))  # the only slice that is in focus
    item = read(pair_of(tmp_path, stack, vessel()))
    assert item["image"].shape == item["label"].shape == (1, 30, 20)
    assert np.array_equal(item["label"][0].T, vessel() == 255)
    assert np.corrcoef(item["image"][0].T.ravel(), stack[2].ravel())[0, 1] > 0.99


def test_mask_that_is_not_binary_is_named(tmp_path):
    mask = vessel()
    mask[0, 0] = 128
    text = refusal(lambda: read(pair_of(tmp_path, vessel(), mask)))
    assert str(tmp_path / "m.tif") in text and "binary" in text


def test_image_and_mask_of_different_size_are_both_named(tmp_path):
    text = refusal(lambda: read(pair_of(tmp_path, vessel(), vessel((20, 31)))))
    assert str(tmp_path / "m.tif") in text and str(tmp_path / "i.tif") in text


# crops


def numbered(images: int, transforms: list | None = None, **options: object) -> CropDataset:
    """Images whose every pixel is their number, changed by the transforms."""
    data = [{"image": torch.full((1, 16, 16), float(number))} for number in range(images)]
    return CropDataset(data, Compose(transforms or []), progress=False, **options)


AUGMENTATION = [
    RandSpatialCropd("image", roi_size=(12, 12), random_size=False),
    RandAffined("image", prob=1.0, rotate_range=3.0, translate_range=4, padding_mode="zeros"),
    RandScaleIntensityd("image", factors=0.5, prob=1.0),
]


@pytest.fixture(scope="module")
def crops():
    """The augmented crops 0 to 23 of a dataset of three images, in their order."""
    dataset = numbered(3, AUGMENTATION, crops_per_image=4, seed=5)
    return [dataset[number]["image"].as_tensor().clone() for number in range(24)]


def test_a_crop_depends_on_seed_and_number_alone(crops):
    dataset = numbered(3, AUGMENTATION, crops_per_image=4, seed=5)
    np.random.seed(1)
    torch.manual_seed(1)
    for number in np.random.default_rng(0).permutation(24):
        assert torch.equal(dataset[int(number)]["image"].as_tensor(), crops[number])


def test_crops_differ_from_each_other_and_between_seeds(crops):
    other = numbered(3, AUGMENTATION, crops_per_image=4, seed=6)
    # images 1 and 2; image 0 is black under every transform
    shown = [crops[number] for number in range(24) if number % 3] + [
        other[number]["image"].as_tensor() for number in range(24) if number % 3
    ]
    assert len({crop.numpy().tobytes() for crop in shown}) == 32


@pytest.mark.parametrize("workers", [0, 2])
def test_an_epoch_is_the_same_whichever_process_makes_its_crops(crops, workers):
    dataset = numbered(3, AUGMENTATION, crops_per_image=4, seed=5)
    sampler = CropSampler(dataset, seed=5)
    sampler.set_epoch(1)
    batches = DataLoader(dataset, sampler=sampler, batch_size=4, num_workers=workers)
    shown = torch.cat([batch["image"].as_tensor() for batch in batches])
    assert torch.equal(shown, torch.stack([crops[number] for number in sampler]))


@pytest.mark.parametrize("epoch", [1, 2, 7])
def test_an_epoch_shows_every_image_equally_often(epoch):
    dataset = numbered(5, crops_per_image=3)
    sampler = CropSampler(dataset, seed=2)
    sampler.set_epoch(epoch)
    images = [int(dataset[number]["image"][0, 0, 0]) for number in sampler]
    assert len(images) == len(sampler) == 15
    assert sorted(images) == sorted(3 * list(range(5)))


def test_no_crop_is_ever_shown_again():
    sampler = CropSampler(numbered(5, crops_per_image=3))
    shown = []
    for epoch in range(1, 5):
        sampler.set_epoch(epoch)
        shown += sampler
    assert len(set(shown)) == len(shown) == 60


@pytest.mark.parametrize("epoch", [1, 2])
def test_processes_share_an_epoch_out(epoch):
    dataset = numbered(5, crops_per_image=4)
    shards = []
    for rank in range(2):
        sampler = CropSampler(dataset, num_replicas=2, rank=rank, seed=3)
        sampler.set_epoch(epoch)
        shards.append(list(sampler))
    alone = CropSampler(dataset, seed=3)
    alone.set_epoch(epoch)
    assert len(shards[0]) == len(shards[1]) == 10
    assert sorted(shards[0] + shards[1]) == sorted(alone)


def test_processes_make_equally_many_steps_of_an_odd_epoch():
    """Otherwise one would wait for ever for the other's gradients; one crop is shown twice instead."""
    dataset = numbered(3, crops_per_image=3)
    shards = [list(CropSampler(dataset, num_replicas=2, rank=rank)) for rank in range(2)]
    assert [len(shard) for shard in shards] == [5, 5]
    assert len(set(shards[0] + shards[1])) == 9


@pytest.mark.parametrize(
    ("mask", "said"),
    [
        (np.zeros((20, 30), np.uint8), "empty mask"),
        (np.full((20, 30), 255, np.uint8), "full mask"),
        (np.where(np.eye(20, 30), 0, 255).astype(np.uint8), "may be inverted"),
        (np.where(np.eye(20, 30), 255, 0).astype(np.uint8), None),
    ],
)
def test_a_mask_that_is_hardly_meant_so_gets_a_remark(tmp_path, caplog, mask, said):
    image = np.random.default_rng(0).integers(0, 256, mask.shape, np.uint8)
    read(pair_of(tmp_path, image, mask))
    lines = [record.getMessage() for record in caplog.records if "m.tif" in record.getMessage()]
    assert len(lines) == (said is not None) and (said is None or said in lines[0])
