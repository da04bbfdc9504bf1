"""2D and 3D together: the mask of the fused image, lifted by its depth, joined with what the slices show.

The paper's Fig. 6 shows vessels that only the fused image has, and others that only the slices have. Here each is asked
about the other: a pixel of the 2D mask stays if some slice supports it, and is a section of a tube as thick as the
vessel is wide; a voxel of the slices' mask stays if the fused image supports its pixel and the voxel is in focus, since
a slice shows the blur of vessels above and below it too. The 2D mask is the projection of the 3D one, by construction.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence

import numpy as np
from scipy.ndimage import distance_transform_edt, gaussian_filter, median_filter
from skimage.morphology import skeletonize

__all__ = ["half_thickness", "reconcile"]

Planes = Callable[[], Iterable[np.ndarray]]

# chosen on phantoms, see docs/stacks.md: the probability that supports a pixel of the one way from the other, and the
# share of the brightest contrast within so many µm above and below that is in focus
_SLICES_SUPPORT, _FUSED_SUPPORT = 0.5, 0.6
_IN_FOCUS, _REACH = 0.8, 20.0
_REACH_SLICES = 5  # where slices have no distance
_DEPTH_SIDE = 5  # pixels over which a vessel's depth is evened out


def half_thickness(mask: np.ndarray) -> np.ndarray:
    """Half the length of each pixel's line through its vessel, were that a tube as deep as it is wide.

    A pixel at distance d from the background, of a vessel of radius r, which is the distance at the nearest pixel of
    its centre line, has √(r² − (r − d)²).

    Args:
        mask: bool ``[Y, X]``; vessels go on beyond the border.

    Returns:
        float64 ``[Y, X]`` in pixels, 0 outside.
    """
    if not mask.any():
        return np.zeros(mask.shape)
    vessel = np.pad(mask, 1, mode="edge")
    centre = skeletonize(vessel)
    if vessel.all():  # no background to be measured from
        vessel[[0, -1]] = vessel[:, [0, -1]] = False
    distance = np.maximum(distance_transform_edt(vessel) - 0.5, 0)  # the border runs between pixels
    if centre.any():
        nearest = distance_transform_edt(~centre, return_distances=False, return_indices=True)
        radius = np.maximum(distance[tuple(nearest)], distance)
    else:
        radius = distance
    return np.sqrt(np.maximum(radius**2 - (radius - distance) ** 2, 0))[1:-1, 1:-1]


def reconcile(
    mask: np.ndarray,
    probability: np.ndarray,
    depth: np.ndarray,
    slices: Planes,
    slice_masks: Planes,
    slice_probabilities: Planes,
    spacing: Sequence[float] | None = None,
) -> tuple[np.ndarray, Iterator[np.ndarray]]:
    """Reconcile the 2D mask of a fused stack with the 3D mask of its slices, in memory that does not grow with depth.

    Args:
        mask: of the fused image, bool ``[Y, X]``.
        probability: of a vessel in the fused image, ``[Y, X]``, 0 to 1.
        depth: index of the slice in focus at each pixel, from 0, fractions allowed.
        slices: gives the stack's grey values, a plane ``[Y, X]`` at a time, whenever it is called.
        slice_masks: the same of the 3D mask of the slices, bool.
        slice_probabilities: the same of a vessel's probability in the slices, 0 to 1.
        spacing: µm along Z, Y and X; None takes slices to be as far apart as pixels.

    Returns:
        The 2D mask, bool ``[Y, X]``; and the planes of the 3D mask, bool, whose projection it is.
    """
    step, pixel = (1.0, 1.0) if spacing is None else (spacing[0], float(np.sqrt(spacing[1] * spacing[2])))
    reach = _REACH_SLICES if spacing is None else max(1, int(_REACH / step))
    supported = np.zeros(mask.shape, bool)
    count = 0
    for plane in slice_probabilities():
        supported |= plane > _SLICES_SUPPORT
        count += 1
    kept = mask & supported
    half = half_thickness(mask) * pixel / step  # in slices; the whole mask has the widths that are true
    level = np.clip(_evened(depth, kept), 0, count - 1)
    fused_supports = probability > _FUSED_SUPPORT

    def planes() -> Iterator[np.ndarray]:
        sharp = _in_focus(slices(), reach)
        for z, (focus, found) in enumerate(zip(sharp, slice_masks(), strict=True)):
            tube = kept & ((np.abs(z - level) <= half) | (z == np.rint(level)))
            yield tube | (found & focus & fused_supports)

    flat = kept.copy()
    for plane in planes():
        flat |= plane
    return flat, planes()


def _evened(depth: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """The depth of vessels, a median over what lies around within vessels."""
    if not mask.any():
        return np.asarray(depth, float)
    nearest = distance_transform_edt(~mask, return_distances=False, return_indices=True)
    return median_filter(np.asarray(depth, float)[tuple(nearest)], _DEPTH_SIDE, mode="nearest")


def _in_focus(slices: Iterable[np.ndarray], reach: int) -> Iterator[np.ndarray]:
    """Where a slice's contrast is nearly the best of those within `reach` slices, for each slice."""
    window: deque[np.ndarray] = deque(maxlen=2 * reach + 1)
    place = waiting = 0  # of the slice in the window whose turn it is; how many slices have come and had none

    for plane in slices:
        smooth = gaussian_filter(plane.astype(np.float32), 1)
        full = len(window) == window.maxlen
        window.append(smooth - np.median(smooth))
        place -= full
        waiting += 1
        if waiting > reach:
            yield _focus_at(window, place, reach)
            place, waiting = place + 1, waiting - 1
    for _ in range(waiting):
        yield _focus_at(window, place, reach)
        place += 1


def _focus_at(window: deque[np.ndarray], place: int, reach: int) -> np.ndarray:
    around = [window[k] for k in range(max(0, place - reach), min(len(window), place + reach + 1))]
    return window[place] >= _IN_FOCUS * np.maximum.reduce(around)
