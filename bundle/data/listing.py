"""The labelled images of a dataset, by folder, split file or datalist."""

from __future__ import annotations

import csv
import hashlib
import json
import random
import re
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from ..errors import InputError
from ..io import image_name, list_images

__all__ = ["fingerprint", "labelled_images"]

SPLITS = ("train", "val", "test")
VALIDATION_SHARE = 0.2
# what datalists call the three, as MONAI's decathlon layout does
DATALIST_SECTIONS = {"train": ("train", "training"), "val": ("val", "validation"), "test": ("test", "testing")}
DATALIST_FORM = "write {'training': [{'image': …, 'label': …}], 'validation': […]}"


def labelled_images(dataset_dir: str | Path, split: str, datalist: str | Path | None = None) -> list[dict[str, str]]:
    """Pairs of image and mask.

    A dataset folder is ``images/`` and ``masks/`` matched by file stem, with an optional ``split.csv`` that has the
    columns ``stem`` and ``split``; without one, a fifth of the images, the same whenever they are drawn, validates
    and the rest trains.

    Args:
        dataset_dir: the dataset folder, or the folder that a datalist's relative paths start from.
        split: "train", "val" or "test".
        datalist: JSON with a list of ``{"image": …, "label": …}`` under "training", "validation" or "test".

    Returns:
        ``{"image": path, "label": path}`` for each pair, sorted by stem; in the datalist's order with a datalist.

    Raises:
        InputError: no folder, no image, an image without mask, a stem that is listed but absent or listed twice, an
            empty split.
        ValueError: a split of another name.
    """
    if split not in SPLITS:
        raise ValueError(f"split must be one of {', '.join(SPLITS)}, got {split!r}")
    root = Path(dataset_dir)
    if datalist is not None:
        return _from_datalist(Path(datalist), root, split)
    for folder in (root, root / "images", root / "masks"):
        if not folder.is_dir():
            raise InputError(folder, "no such folder", "a dataset folder holds images/ and masks/ matched by file stem")
    images = {image_name(path): path for path in list_images([root / "images"])}
    masks = {image_name(path).removesuffix("_mask"): path for path in list_images([root / "masks"])}
    chosen = _split_stems(root, list(images), split)
    for stem in chosen:
        if stem not in images:
            raise InputError(root / "split.csv", f"lists {stem!r}, which images/ does not hold", "correct the file")
        if stem not in masks:
            raise InputError(images[stem], "has no mask of the same stem in masks/", "add it or remove the image")
    if not chosen:
        raise InputError(root, f"no image for the split {split!r}", "name some in split.csv, or choose another --split")
    return [{"image": str(images[stem]), "label": str(masks[stem])} for stem in sorted(chosen)]


def fingerprint(pairs: Iterable[Mapping[str, str]]) -> str:
    """A text that is another for other images or masks, by their names and sizes, wherever they lie.

    Args:
        pairs: as of :func:`labelled_images`.
    """
    digest = hashlib.sha256()
    for pair in pairs:
        for key in ("image", "label"):
            path = Path(pair[key])
            digest.update(f"{path.name} {path.stat().st_size if path.is_file() else 0}\n".encode())
    return digest.hexdigest()


def _split_stems(root: Path, stems: list[str], split: str) -> list[str]:
    table = root / "split.csv"
    if table.exists():
        rows = _rows(table, stems)
        stem, times = Counter(stem for stem, _ in rows).most_common(1)[0]
        if times > 1:
            raise InputError(table, f"lists {stem!r} {times} times", "put each image in one split, once")
        return [stem for stem, chosen in rows if chosen == split]
    shuffled = sorted(stems)
    random.Random(0).shuffle(shuffled)  # by no seed of a training: its images must not validate another
    # one image of two at least validates, one trains
    validating = min(max(1, round(VALIDATION_SHARE * len(stems))), len(stems) - 1)
    return {"train": shuffled[validating:], "val": shuffled[:validating], "test": []}[split]


def _rows(table: Path, stems: list[str]) -> list[tuple[str, str]]:
    """Stem and split of each row, as spreadsheets of any country write them."""
    lines = [line for line in _text(table).splitlines() if line.strip(" ,;\t")]
    if lines and lines[0].lower().startswith("sep="):  # by which Excel says what separates
        del lines[0]
    separator = max(",;\t", key=lines[0].count) if lines else ","
    try:
        named, *rows = [[field.strip() for field in row] for row in csv.reader(lines, delimiter=separator)] or [[]]
    except csv.Error as error:
        raise InputError(table, "is no table", "save it as CSV") from error
    columns = [name.lower() for name in named]
    if not rows or not {"stem", "split"} <= set(columns):
        raise InputError(table, "has no columns 'stem' and 'split'", "add them, with train, val or test in 'split'")
    known = {name: split for split, names in DATALIST_SECTIONS.items() for name in names}
    found = []
    for row in rows:
        stem, split = (dict(zip(columns, row, strict=False)).get(name, "") for name in ("stem", "split"))
        if split.lower() not in known:
            raise InputError(table, f"puts {stem!r} in {split!r}", "write train, val or test")
        found.append((_as_named(stem, stems), known[split.lower()]))
    return found


def _text(table: Path) -> str:
    """A text in the encodings in which spreadsheets save: UTF-8, UTF-16, or the one of western Windows."""
    try:
        content = table.read_bytes()
    except OSError as error:
        raise InputError(table, f"cannot be read ({error.strerror})", "check its permissions") from error
    encoding = "utf-16" if content[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig"
    try:
        return content.decode(encoding)
    except UnicodeError:
        return content.decode("cp1252", "replace")


def _as_named(stem: str, stems: list[str]) -> str:
    """The image that a cell means: with its suffix, or a number that lost its zeros or won a fraction."""
    if stem in stems:
        return stem
    if image_name(stem) in stems:
        return image_name(stem)
    number = re.fullmatch(r"0*(\d+)([.,]0+)?", stem)
    alike = [name for name in stems if number and name.isdecimal() and int(name) == int(number[1])]
    return alike[0] if len(alike) == 1 else stem


def _from_datalist(path: Path, root: Path, split: str) -> list[dict[str, str]]:
    try:
        sections = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(path, f"cannot be read ({error.strerror})", "check the name") from error
    except ValueError as error:
        raise InputError(path, "is no JSON", DATALIST_FORM) from error
    if not isinstance(sections, dict):
        raise InputError(path, "names no splits", DATALIST_FORM)
    items: Any = next((sections[name] for name in DATALIST_SECTIONS[split] if sections.get(name)), [])
    if not items:
        raise InputError(
            path, f"has no images for the split {split!r}", f"list them under {DATALIST_SECTIONS[split][1]!r}"
        )
    pairs = [{key: str(root / item[key]) for key in ("image", "label") if key in item} for item in items]
    for pair in pairs:
        if set(pair) != {"image", "label"}:
            raise InputError(path, f"has an entry without image and label: {pair}", "name both")
        for file in pair.values():
            if not Path(file).exists():
                raise InputError(file, f"is named in {path} and does not exist", "check the datalist")
    return pairs
