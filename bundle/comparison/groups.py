"""Which image is of which animal, and which animal of which group: a table that a person typed."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from ..errors import InputError
from ..io import image_name

__all__ = ["Assignment", "Placed", "place", "read_groups", "read_table"]

_COLUMNS = ("image", "animal", "group")


@dataclass(frozen=True)
class Assignment:
    """An image's animal and the animal's group."""

    image: str
    animal: str
    group: str


@dataclass(frozen=True)
class Placed:
    """Measured images with their animals.

    Args:
        rows: the rows of the table of images that have an animal, in the table's order.
        animals: the animal of each.
        groups: the group of each.
        order: the groups in the order in which the table of groups names them; the first is what the others are
            compared with.
        remarks: a line for each thing that was left out.
    """

    rows: list[dict[str, str]]
    animals: list[str]
    groups: list[str]
    order: list[str]
    remarks: list[str]


def read_table(path: str | Path) -> list[dict[str, str]]:
    """Read a CSV as spreadsheets write it: with commas, semicolons or tabs, with a byte order mark or without.

    Where semicolons part the columns, a comma in a number is taken as the decimal point that it is there.

    Args:
        path: the file.

    Returns:
        A row each, by column, blanks around the texts taken away; rows without any text are left out.

    Raises:
        InputError: there is no such file, it is no text, or it has no rows.
    """
    try:
        text = Path(path).read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError:
        text = Path(path).read_bytes().decode("cp1252", errors="replace")  # of older spreadsheets on Windows
    except OSError as error:
        raise InputError(path, f"cannot be read ({error.strerror or error})", "check the name") from error
    first = text.lstrip("\r\n").split("\n", 1)[0]
    delimiter = max(",;\t", key=first.count)
    try:
        read = csv.reader(io.StringIO(text.lstrip("\r\n")), delimiter=delimiter)
        rows = [[cell.strip() for cell in row] for row in read]
    except csv.Error as error:
        raise InputError(path, "is no table", "save it as CSV") from error
    rows = [row for row in rows if any(row)]
    if len(rows) < 2 or "\0" in text:
        raise InputError(path, "is no table with a row of headings and rows below it", "save it as CSV")
    head = rows[0]
    cells = [dict(zip(head, row + [""] * (len(head) - len(row)), strict=False)) for row in rows[1:]]
    if delimiter == ";":
        cells = [{name: _with_point(value) for name, value in row.items()} for row in cells]
    return cells


def _with_point(text: str) -> str:
    whole, comma, decimals = text.partition(",")
    number = whole.lstrip("+-").isdecimal() and decimals.lower().replace("e-", "", 1).replace("e+", "", 1).isdecimal()
    return f"{whole}.{decimals}" if comma and number else text


def read_groups(path: str | Path) -> list[Assignment]:
    """Read which image is of which animal and group.

    Args:
        path: a CSV with the columns ``image``, ``animal`` and ``group``, in any order and case; see
            :func:`read_table`. An image is named as in the table of measurements or by its file.

    Raises:
        InputError: a column or a cell is missing, an image is there twice, or an animal is in two groups.
    """
    rows = read_table(path)
    names = {name.casefold(): name for name in rows[0]}
    missing = [name for name in _COLUMNS if name not in names]
    if missing:
        columns = ", ".join(rows[0])
        raise InputError(path, f"has no column {' and no column '.join(missing)}, but {columns}", "add it")
    found: dict[str, Assignment] = {}
    group_of: dict[str, str] = {}
    for number, row in enumerate(rows, start=2):
        image, animal, group = (row[names[name]] for name in _COLUMNS)
        if not (image and animal and group):
            raise InputError(path, f"row {number} names no {'animal' if image else 'image'} or no group", "fill it in")
        if image in found:
            raise InputError(path, f"names the image {image} twice (again in row {number})", "leave one")
        if group_of.setdefault(animal, group) != group:
            problem = f"animal {animal} is in two groups, {group_of[animal]} and {group}"
            raise InputError(path, problem, "an animal belongs to one group; if these are two animals, name them apart")
        found[image] = Assignment(image, animal, group)
    return list(found.values())


def place(table: Sequence[Mapping[str, str]], assignments: Sequence[Assignment], source: str | Path) -> Placed:
    """Give each measured image its animal and group.

    Args:
        table: the rows of ``images.csv``, each with ``image``.
        assignments: of :func:`read_groups`.
        source: the file they came from, for the messages.

    Raises:
        InputError: no image has a group, two names of the assignments mean one image, or there is one group only.
    """
    names = [row["image"] for row in table]
    known = set(names)
    by_image: dict[str, Assignment] = {}
    unmeasured = []
    for one in assignments:
        # a file's name is taken where no image has it as NAME, which may itself hold a full stop
        name = next((name for name in _readings(one.image) if name in known), None)
        if name is None:
            unmeasured.append(one)
        elif name in by_image:
            raise InputError(source, f"{by_image[name].image} and {one.image} mean one image, {name}", "leave one")
        else:
            by_image[name] = one
    if not by_image:
        raise InputError(source, f"none of its images is in the table, which has {_some(names)}", "name them as there")
    remarks = []
    without = [name for name in names if name not in by_image]
    if without:
        remarks.append(f"{_some(without)}: no row in the table of groups, left out")
    animals = {one.animal for one in by_image.values()}
    gone = sorted({one.animal for one in unmeasured} - animals)
    if gone:
        remarks.append(f"animal {_some(gone)}: none of its images was measured, left out")
    absent = [one.image for one in unmeasured if one.animal in animals]
    if absent:
        remarks.append(f"{_some(absent)}: in the table of groups, not measured; its animal goes by its other images")
    order = list(dict.fromkeys(one.group for one in assignments if one.animal in animals))
    if len(order) < 2:
        raise InputError(source, f"all measured images are of one group, {order[0]}", "there is nothing to compare")
    rows = [dict(row) for row in table if row["image"] in by_image]
    chosen = [by_image[row["image"]] for row in rows]
    return Placed(rows, [one.animal for one in chosen], [one.group for one in chosen], order, remarks)


def _readings(image: str) -> tuple[str, ...]:
    name = image_name(image)
    return image, name, name.removesuffix("_mask")


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:5]) + f" and {len(names) - 5} more" * (len(names) > 5)
