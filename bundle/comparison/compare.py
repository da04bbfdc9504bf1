"""Groups compared quantity by quantity, the animal being the unit."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import combinations

import numpy as np

from ..errors import InputError
from .effects import Estimate, hedges_g, holm, welch_difference
from .groups import Placed
from .measurement import redrawn
from .mixed import Mixed, mixed_model
from .permutation import Permutation, permutation_test
from .quantities import numbers, unit_of

__all__ = ["Animal", "Comparison", "Difference", "compare"]

REDRAWS = 2000


@dataclass(frozen=True)
class Animal:
    """One animal's value of one quantity.

    Args:
        animal: its name.
        group: its group.
        images: the images that have a value.
        values: their values, ``[K]``.
        low: lower ends of their 90 % intervals, NaN where there is none.
        high: upper ends.
        value: the mean of the values, each image counting once.
        again: the mean, were its images measured again and again, ``[R]``; NaN where an image has no interval.
    """

    animal: str
    group: str
    images: list[str]
    values: np.ndarray
    low: np.ndarray
    high: np.ndarray
    value: float
    again: np.ndarray

    @property
    def measurement_sd(self) -> float:
        """How much the mean varies when its images are measured again; NaN without intervals."""
        return float(self.again.std(ddof=1))


@dataclass(frozen=True)
class Difference:
    """Two groups in one quantity: the second against the first.

    Args:
        first: the group compared with.
        second: the other.
        counts: animals of each.
        images: images of each.
        means: of the animals.
        sds: standard deviation of the animals, NaN of one.
        difference: second minus first, with Welch's interval.
        g: Hedges' g.
        test: the exact permutation test.
        p_holm: its p after Holm's correction for all quantities and pairs of groups asked for.
        measured_again: the 90 % range of the difference when the same images are measured again: what in it is
            measurement alone; NaN without intervals.
        measurement_share: of the variance between animals of one group, how much is measurement, 0 to 1; NaN without.
        mixed: the mixed model, if it was asked for.
        remarks: what to know.
    """

    first: str
    second: str
    counts: tuple[int, int]
    images: tuple[int, int]
    means: tuple[float, float]
    sds: tuple[float, float]
    difference: Estimate
    g: Estimate
    test: Permutation
    p_holm: float
    measured_again: tuple[float, float]
    measurement_share: float
    mixed: Mixed | None
    remarks: list[str]


@dataclass(frozen=True)
class Comparison:
    """A quantity in all groups.

    Args:
        quantity: the column.
        unit: of its values, or nothing.
        animals: those that have a value.
        differences: between the groups; none where fewer than two groups have an animal with a value.
        remarks: what was left out.
    """

    quantity: str
    unit: str
    animals: list[Animal]
    differences: list[Difference]
    remarks: list[str]


def compare(
    placed: Placed,
    quantities: Sequence[str],
    confidence: float = 0.95,
    reference: str | None = None,
    mixed: bool = False,
) -> list[Comparison]:
    """Compare groups of animals in several quantities.

    An animal's value is the mean of its images' (Aarts et al. 2014, https://doi.org/10.1038/nn.3648): images of one
    animal are no independent evidence. An image without a value is left out of that quantity, and said.

    Args:
        placed: the measured images and their animals.
        quantities: columns of the table.
        confidence: of the intervals of differences and effect sizes.
        reference: the group that every other one is compared with; every pair of groups if None.
        mixed: fit a mixed model as well.

    Returns:
        A comparison for each quantity, in order.

    Raises:
        InputError: a quantity is no column, images of different kind are among them, or the reference is no group.
    """
    known = list(placed.rows[0])
    for quantity in quantities:
        if quantity not in known:
            raise InputError(None, f"no quantity {quantity!r} in the table", f"choose of {', '.join(known)}")
    if reference is not None and reference not in placed.order:
        raise InputError(None, f"no group {reference!r}", f"the groups are {', '.join(placed.order)}")
    micrometer, dimensions = _one_kind(placed)
    pairs = list(combinations(placed.order, 2))
    if reference is not None:
        pairs = [(reference, other) for other in placed.order if other != reference]
    found = [
        _compare(placed, quantity, unit_of(quantity, micrometer, dimensions), pairs, confidence, mixed)
        for quantity in quantities
    ]
    adjusted = iter(holm([one.test.p for comparison in found for one in comparison.differences]))
    return [
        replace(comparison, differences=[replace(one, p_holm=next(adjusted)) for one in comparison.differences])
        for comparison in found
    ]


def _one_kind(placed: Placed) -> tuple[bool, int]:
    """Whether there is a pixel size, and the number of dimensions, which all images must share."""
    for column, what, remedy in (
        ("unit", "a pixel size", "give the others theirs (measure --spacing), or take them out of the groups"),
        ("axes", "slices", "compare images with images and stacks with stacks"),
    ):
        kinds: dict[str, list[str]] = {}
        for row in placed.rows:
            kinds.setdefault(row.get(column, ""), []).append(row["image"])
        if len(kinds) > 1:
            each = "; ".join(
                f"{kind}: {names[0]}" + f" and {len(names) - 1} more" * (len(names) > 1)
                for kind, names in kinds.items()
            )
            raise InputError(None, f"some of the images have {what} and others not ({each})", remedy)
    row = placed.rows[0]
    return row.get("unit", "micrometer") == "micrometer", len(row.get("axes", "YX"))


def _compare(
    placed: Placed, quantity: str, unit: str, pairs: Sequence[tuple[str, str]], confidence: float, mixed: bool
) -> Comparison:
    animals, remarks = _animals(placed, quantity)
    by_group = {group: [one for one in animals if one.group == group] for group in placed.order}
    empty = [group for group, members in by_group.items() if not members]
    if empty:
        remarks.append(f"no animal of {' and none of '.join(empty)} has a value")
    differences = [
        _difference(by_group[first], by_group[second], confidence, mixed)
        for first, second in pairs
        if by_group[first] and by_group[second]
    ]
    return Comparison(quantity, unit, animals, differences, remarks)


def _animals(placed: Placed, quantity: str) -> tuple[list[Animal], list[str]]:
    ends = [f"{quantity}{end}" for end in ("_low", "_high")]
    of_animal: dict[str, list[tuple[str, float, float, float]]] = {}
    undefined = []
    for row, animal in zip(placed.rows, placed.animals, strict=True):
        value, low, high = numbers(row.get(column, "") for column in (quantity, *ends))
        if math.isfinite(value):
            of_animal.setdefault(animal, []).append((row["image"], value, low, high))
        else:
            undefined.append(row["image"])
    group_of = dict(zip(placed.animals, placed.groups, strict=True))
    animals = []
    for number, (animal, images) in enumerate(of_animal.items()):
        values, lower, upper = (np.array([image[place] for image in images]) for place in (1, 2, 3))
        again = redrawn(values, lower, upper, REDRAWS, seed=number).mean(axis=1)
        names = [image[0] for image in images]
        animals.append(Animal(animal, group_of[animal], names, values, lower, upper, float(values.mean()), again))
    remarks = [f"{', '.join(undefined)}: no value, left out"] if undefined else []
    lost = [animal for animal in group_of if animal not in of_animal]
    if lost:
        remarks.append(f"animal {', '.join(lost)}: no image of it has a value")
    return animals, remarks


def _difference(first: Sequence[Animal], second: Sequence[Animal], confidence: float, mixed: bool) -> Difference:
    groups = (first, second)
    values = [np.array([one.value for one in group]) for group in groups]
    remarks = []
    for group, members in zip(groups, values, strict=True):
        if len(members) == 1:
            remarks.append(f"one animal only in {group[0].group} ({group[0].animal}): no interval and no effect size")
    test = permutation_test(values[0], values[1])
    if test.smallest > 0.05:
        each = " against ".join(str(len(members)) for members in values)
        remarks.append(f"{each} animals cannot give a p below {test.smallest:.2g}, however large the difference")
    spread = [np.var(members, ddof=1) * (len(members) - 1) for members in values if len(members) > 1]
    freedom = sum(len(members) - 1 for members in values)
    between = sum(spread) / freedom if freedom else math.nan
    measured = float(np.mean([one.measurement_sd**2 for group in groups for one in group]))
    share = float(np.minimum(1, measured / between)) if between > 0 else math.nan
    again = [np.mean([one.again for one in group], axis=0) for group in groups]
    low, high = np.percentile(again[1] - again[0], (5, 95))
    model = None
    if mixed:
        images = [one for group in groups for one in group]
        model = mixed_model(
            np.concatenate([one.values for one in images]),
            np.concatenate([np.full(len(one.values), one.group == second[0].group) for one in images]),
            [one.animal for one in images for _ in one.values],
            confidence,
        )
        if model.remark:
            remarks.append(model.remark)
    images_of, other_images = (sum(len(one.values) for one in group) for group in groups)
    mean, other_mean = (float(members.mean()) for members in values)
    sd, other_sd = (float(members.std(ddof=1)) if len(members) > 1 else math.nan for members in values)
    return Difference(
        first[0].group,
        second[0].group,
        (len(first), len(second)),
        (images_of, other_images),
        (mean, other_mean),
        (sd, other_sd),
        welch_difference(values[0], values[1], confidence),
        hedges_g(values[0], values[1], confidence),
        test,
        test.p,
        (float(low), float(high)),
        share,
        model,
        remarks,
    )
