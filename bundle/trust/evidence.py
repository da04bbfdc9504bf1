"""What speaks for a mask and what against it, as sums over pixels: those of slices add up to those of their stack."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.ndimage import gaussian_filter1d, label
from skimage.filters import threshold_otsu

from ..transforms import ball
from ..volumes import depth, dilated, eroded

__all__ = ["Evidence", "Light"]

RIM = 1.5  # pixels on both sides of a mask's edge that are neither vessel nor surroundings
RING = 7.5  # pixels from a mask up to which its surroundings lie
WIDE = 6.0  # pixels from a vessel's inside to its edge where it is a dozen wide; where it is one or two, those of RIM
SHARP = 0.9  # of the light of its neighbours in depth, from which on a pixel is in focus
PARTS = ("found", "ring", "far")
_NEAR, _AROUND, _INSIDE = (ball(2 * reach, (1.0, 1.0)) for reach in (RIM, RING, WIDE))


@dataclass(frozen=True)
class Evidence:
    """Sums over the pixels of an image, or of the slices of a stack.

    Args:
        sums: by name, as :meth:`of` makes them.
    """

    sums: Mapping[str, float]

    @classmethod
    def of(
        cls,
        grey: np.ndarray,
        probability: np.ndarray,
        disagreement: np.ndarray,
        mask: np.ndarray,
        beside: Sequence[np.ndarray] = (),
    ) -> Evidence:
        """What is seen in one image or slice.

        Args:
            grey: what was segmented, ``[Y, X]``, of any range; what is not finite is a margin.
            probability: S of equation (9) of the paper, 0 to 1, of the same shape.
            disagreement: |L − N| of the two cascades, 0 to 1, of the same shape.
            mask: what was made of S, bool, of the same shape.
            beside: the grey values of the slice before and of the one after, as far as there are any.
        """
        said = cls.of_networks(grey, probability, disagreement, mask)
        return said.and_looks(cls.of_looks(Light(grey), mask, [Light(plane) for plane in beside]))

    @classmethod
    def of_networks(
        cls, grey: np.ndarray, probability: np.ndarray, disagreement: np.ndarray, mask: np.ndarray
    ) -> Evidence:
        """What the networks say of themselves: the part of :meth:`of` that most masks are judged by, in a tenth of
        its time; the arguments are its own.
        """
        shown, mask = _shown(grey), mask.astype(bool, copy=False)
        s, d, found = (_part(array, shown) for array in (probability, disagreement, mask))
        ring = _part(_ring(mask), shown)
        values = _part(grey, shown)
        doubt = s * (1 - s)
        counted = {
            "pixels": np.ones(s.shape, bool),
            "both": s - d / 2 > 0.5,  # what both cascades call a vessel, and one of them
            "either": s + d / 2 > 0.5,
            "steep_low": s > 0.3,
            "steep_high": s > 0.97,
            "found": found,
            "ring": ring,
        }
        summed = {
            "s": s,
            "s_found": s[found],
            "s_ring": s[ring],
            "d": d,
            "d_found": d[found],
            "doubt": doubt,
            "doubt_found": doubt[found],
        }
        more = {"pieces": float(label(mask)[1]), "uneven": float(values.size > 0 and values.min() != values.max())}
        return cls(_sums(counted, summed) | more)

    @classmethod
    def of_looks(cls, light: Light, mask: np.ndarray, beside: Sequence[Light] = ()) -> Evidence:
        """How the vessels look: the part of :meth:`of` that says why a mask may be poor.

        Args:
            light: of the image or slice.
            mask: what was made of it, bool, ``[Y, X]``.
            beside: of the slice before and of the one after, as far as there are any.
        """
        shown, mask = light.shown, mask.astype(bool, copy=False)
        near = dilated(mask, _NEAR)
        edge = ~eroded(mask, _NEAR)  # and the background
        # what is not shown is no part of anything
        here = mask if shown is None else mask & shown
        rim = _part(near & edge, shown)
        found = _part(mask, shown)
        bright = _part(light.bright, shown)
        focus = light.focus(here, beside)
        values, rough = _part(light.filled, shown), _part(light.rough, shown)
        counted = {
            "thin": here & edge,
            "wide": here & eroded(mask, _INSIDE),
            "sharp": focus > SHARP,
            "bright": bright,
            "bright_found": bright & found,
            "rim": rim,
        }
        summed = {"depth": _depth(mask, here), "focus": focus, "slope": _part(light.slope, shown)[rim]}
        parts = (found, _part(_ring(mask), shown), _part(~dilated(mask, _AROUND), shown))
        for name, part in zip(PARTS, parts, strict=True):
            counted[name] = part
            lit = values[part].astype(np.float64)
            summed |= {f"grey_{name}": lit, f"square_{name}": lit**2, f"rough_{name}": rough[part]}
        return cls(_sums(counted, summed))

    def and_looks(self, looks: Evidence) -> Evidence:
        """The same with what :meth:`of_looks` saw."""
        return Evidence({**self.sums, **looks.sums})

    def __add__(self, other: Evidence) -> Evidence:
        return Evidence({name: value + other.sums[name] for name, value in self.sums.items()})

    @property
    def empty(self) -> bool:
        """Whether nothing was found."""
        return not self.sums["found"]

    @property
    def disagreement(self) -> float:
        """Mean of |L − N| over the mask's vessels; NaN of an empty one."""
        return math.nan if self.empty else self.sums["d_found"] / self.sums["found"]

    @property
    def constant(self) -> bool:
        """Whether there was nothing to be found: every image or slice is of a single grey value."""
        return not self.sums.get("uneven", 1.0)  # of which notes of earlier versions know nothing

    def features(self) -> dict[str, float]:
        """What the sums say, as ratios and logarithms that no unit and no range of grey values changes; all finite.

        Of :meth:`of_networks` alone only its own.
        """
        n = self.sums
        found = max(n["found"], 1.0)
        said = {
            "expected overlap": 2 * n["s_found"] / (n["s"] + found),
            "agreement": 2 * n["both"] / max(n["both"] + n["either"], 1.0),
            "disagreement on vessels": n["d_found"] / found,
            "disagreement beside": math.log(0.01 + (n["d"] - n["d_found"]) / found),
            "doubt on vessels": n["doubt_found"] / found,
            "doubt beside": math.log(0.01 + (n["doubt"] - n["doubt_found"]) / found),
            "probability around": n["s_ring"] / max(n["ring"], 1.0),
            "steepness": n["steep_high"] / (n["steep_low"] + 1),
            "share": math.log(0.003 + n["found"] / n["pixels"]),
            "pieces": math.log(1e-4 + n["pieces"] / found),
        }
        if "far" not in n:
            return said
        light = {part: n[f"grey_{part}"] / max(n[part], 1.0) for part in PARTS}
        spread = {
            part: math.sqrt(max(n[f"square_{part}"] / max(n[part], 1.0) - light[part] ** 2, 0.0)) for part in PARTS
        }
        contrast = light["found"] - light["ring"]
        size = abs(contrast) + 1e-9 * (abs(light["found"]) + 1)
        noise = math.sqrt(math.pi / 2) * (n["rough_ring"] + n["rough_far"]) / max(n["ring"] + n["far"], 1.0)
        return said | {
            "depth": math.log(0.5 + n["depth"] / found),
            "thin": n["thin"] / found,
            "wide": n["wide"] / found,
            "contrast": math.atan2(contrast, spread["ring"] + 1e-9),
            "contrast afar": math.atan2(light["found"] - light["far"], spread["far"] + 1e-9),
            "unevenness": math.atan2(spread["found"], size),
            "unevenness afar": math.atan2(spread["far"], size),
            "noise": math.log(0.02 + min(noise / size, 20.0)),
            "blur": -math.log(0.01 + min(n["slope"] / max(n["rim"], 1.0) / size, 5.0)),
            "in focus": n["focus"] / found,
            "sharp": n["sharp"] / found,
            "bright overlap": 2 * n["bright_found"] / max(n["bright"] + found, 1.0),
            "bright found": n["bright_found"] / found,
            "bright beside": math.log(0.02 + (n["bright"] - n["bright_found"]) / found),
        }


class Light:
    """The grey values of an image or slice, and what is made of them once for it and its neighbours in depth.

    Args:
        grey: ``[Y, X]``, of any range; what is not finite is a margin.
    """

    def __init__(self, grey: np.ndarray) -> None:
        self.shown = _shown(grey)
        self.filled = _filled(grey, self.shown)
        self._across = _along_columns(self.filled, 0)
        self.smooth = gaussian_filter1d(self._across, 1, axis=1)

    @property
    def bright(self) -> np.ndarray:
        """Where it is above Otsu's threshold, bool."""
        return self.smooth > threshold_otsu(self.smooth) if np.ptp(self.smooth) else np.zeros(self.smooth.shape, bool)

    @property
    def slope(self) -> np.ndarray:
        """The gradient's magnitude, of a Gaussian of one pixel."""
        along = gaussian_filter1d(self._across, 1, axis=1, order=1)
        across = gaussian_filter1d(_along_columns(self.filled, 1), 1, axis=1)
        return np.sqrt(across * across + along * along)

    @property
    def rough(self) -> np.ndarray:
        """Size of second differences that are blind to edges and slopes.

        J. Immerkær, Fast noise variance estimation, Computer Vision and Image Understanding 64:300, 1996,
        doi:10.1006/cviu.1996.0060.
        """
        padded = np.pad(self.filled, 1, mode="edge")
        return np.abs(np.diff(np.diff(padded, 2, axis=0), 2, axis=1)) / np.float32(6)

    def focus(self, where: np.ndarray, beside: Sequence[Light]) -> np.ndarray:
        """Light over that of the brightest of it and its neighbours in depth, above the dark: 1 where it is brightest.

        Args:
            where: bool, of the pixels that are asked for.
            beside: the neighbours.
        """
        smooth = self.smooth[where]
        brightest = np.max([smooth, *(light.smooth[where] for light in beside)], axis=0)
        dark = np.percentile(self.smooth, 5)
        return np.clip((smooth - dark) / np.maximum(brightest - dark, 1e-6 * (abs(float(dark)) + 1)), 0, 1)


def _shown(grey: np.ndarray) -> np.ndarray | None:
    """Where there are grey values; None if everywhere, so that nothing need be picked out."""
    if grey.dtype.kind != "f":
        return None
    shown = np.isfinite(grey)
    return None if shown.all() else shown


def _part(array: np.ndarray, shown: np.ndarray | None) -> np.ndarray:
    return array.reshape(-1) if shown is None else array[shown]


def _filled(grey: np.ndarray, shown: np.ndarray | None) -> np.ndarray:
    """float32, with the median where nothing is shown."""
    if shown is None:
        return grey.astype(np.float32)
    return np.where(shown, grey, np.median(grey[shown]) if shown.any() else 0).astype(np.float32)


def _along_columns(image: np.ndarray, order: int) -> np.ndarray:
    """A Gaussian of one pixel along the first axis, or its derivative; turned, since SciPy is fast along rows alone."""
    turned = gaussian_filter1d(np.ascontiguousarray(image.T), 1, axis=1, order=order)
    return np.ascontiguousarray(turned.T)


def _ring(mask: np.ndarray) -> np.ndarray:
    """The surroundings of a mask."""
    return dilated(mask, _AROUND) & ~dilated(mask, _NEAR)


def _depth(mask: np.ndarray, where: np.ndarray) -> np.ndarray:
    """Distances of a mask's pixels to the background, of those that are asked for."""
    if mask.all():  # there is none
        return np.full(np.count_nonzero(where), float(max(mask.shape)))
    return depth(mask[None], (1.0, 1.0, 1.0))[where[mask]]


def _sums(counted: Mapping[str, np.ndarray], summed: Mapping[str, np.ndarray]) -> dict[str, float]:
    counts = {name: float(np.count_nonzero(part)) for name, part in counted.items()}
    return counts | {name: float(part.sum(dtype=np.float64)) for name, part in summed.items()}
