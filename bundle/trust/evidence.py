"""What speaks for a mask and what against it, as sums over pixels: those of slices add up to those of their stack."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.ndimage import convolve, distance_transform_edt, gaussian_filter, gaussian_gradient_magnitude, label
from skimage.filters import threshold_otsu

__all__ = ["Evidence"]

RIM = 1.5  # pixels on both sides of a mask's edge that are neither vessel nor surroundings
RING = 7.5  # pixels from a mask up to which its surroundings lie
THIN, WIDE = 1.5, 6.0  # pixels from a vessel's inside to its edge: it is a pixel or two wide, or a dozen
SHARP = 0.9  # of the light of its neighbours in depth, from which on a pixel is in focus
# second differences that are blind to edges and slopes (J. Immerkær, Fast noise variance estimation, Computer Vision
# and Image Understanding 64:300, 1996, doi:10.1006/cviu.1996.0060)
NOISE = np.array([[1, -2, 1], [-2, 4, -2], [1, -2, 1]], dtype=np.float32) / 6
PARTS = ("found", "ring", "far")


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
        shown = np.isfinite(grey)
        grey, mask = _filled(grey, shown), mask.astype(bool)
        s, d, found = probability[shown], disagreement[shown], mask[shown]
        inside = distance_transform_edt(np.pad(mask, 1, mode="edge"))[1:-1, 1:-1][shown]
        outside = distance_transform_edt(~mask)[shown] if mask.any() else np.full(s.shape, np.inf)
        ring = (outside > RIM) & (outside < RING)
        rim = (inside <= RIM) & (outside <= RIM)
        smooth = gaussian_filter(grey, 1)
        bright = (smooth > threshold_otsu(smooth))[shown] if np.ptp(smooth) else np.zeros(s.shape, bool)
        both, either = s - d / 2 > 0.5, s + d / 2 > 0.5  # what both cascades call a vessel, and one of them
        doubt, focus = s * (1 - s), _focus(smooth, beside)[shown]
        counted = {
            "pixels": np.ones(s.shape, bool),
            "both": both,
            "either": either,
            "steep_low": s > 0.3,
            "steep_high": s > 0.97,
            "thin": found & (inside <= THIN),
            "wide": found & (inside > WIDE),
            "sharp": found & (focus > SHARP),
            "bright": bright,
            "bright_found": bright & found,
            "rim": rim,
        }
        summed = {
            "s": s,
            "s_found": s[found],
            "s_ring": s[ring],
            "d": d,
            "d_found": d[found],
            "doubt": doubt,
            "doubt_found": doubt[found],
            "depth": inside[found],
            "focus": focus[found],
            "slope": gaussian_gradient_magnitude(grey, 1)[shown][rim],
        }
        values, rough = grey[shown], np.abs(convolve(grey, NOISE, mode="nearest"))[shown]
        for name, part in zip(PARTS, (found, ring, outside >= RING), strict=True):
            counted[name] = part
            light = values[part].astype(np.float64)
            summed |= {f"grey_{name}": light, f"square_{name}": light**2, f"rough_{name}": rough[part]}
        sums = {name: float(np.count_nonzero(part)) for name, part in counted.items()}
        sums |= {name: float(part.sum(dtype=np.float64)) for name, part in summed.items()}
        return cls(sums | {"pieces": float(label(mask)[1]), "uneven": float(np.ptp(grey) > 0)})

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
        """What the sums say, as ratios and logarithms that no unit and no range of grey values changes; all finite."""
        n = self.sums
        found = max(n["found"], 1.0)
        light = {part: n[f"grey_{part}"] / max(n[part], 1.0) for part in PARTS}
        spread = {
            part: math.sqrt(max(n[f"square_{part}"] / max(n[part], 1.0) - light[part] ** 2, 0.0)) for part in PARTS
        }
        contrast = light["found"] - light["ring"]
        size = abs(contrast) + 1e-9 * (abs(light["found"]) + 1)
        noise = math.sqrt(math.pi / 2) * (n["rough_ring"] + n["rough_far"]) / max(n["ring"] + n["far"], 1.0)
        return {
            "expected overlap": 2 * n["s_found"] / (n["s"] + found),
            "agreement": 2 * n["both"] / max(n["both"] + n["either"], 1.0),
            "disagreement on vessels": n["d_found"] / found,
            "disagreement beside": math.log(0.01 + (n["d"] - n["d_found"]) / found),
            "doubt on vessels": n["doubt_found"] / found,
            "doubt beside": math.log(0.01 + (n["doubt"] - n["doubt_found"]) / found),
            "probability around": n["s_ring"] / max(n["ring"], 1.0),
            "steepness": n["steep_high"] / (n["steep_low"] + 1),
            "share": math.log(0.003 + n["found"] / n["pixels"]),
            "depth": math.log(0.5 + n["depth"] / found),
            "thin": n["thin"] / found,
            "wide": n["wide"] / found,
            "pieces": math.log(1e-4 + n["pieces"] / found),
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


def _filled(grey: np.ndarray, shown: np.ndarray) -> np.ndarray:
    """float32, with the median where nothing is shown."""
    middle = np.median(grey[shown]) if shown.any() else 0
    return np.where(shown, grey, middle).astype(np.float32)


def _focus(smooth: np.ndarray, beside: Sequence[np.ndarray]) -> np.ndarray:
    """Light of a slice over that of the brightest of it and its neighbours, above the dark: 1 where it is brightest."""
    neighbours = [gaussian_filter(_filled(plane, np.isfinite(plane)), 1) for plane in beside]
    brightest = np.max([smooth, *neighbours], axis=0)
    dark = np.percentile(smooth, 5)
    return np.clip((smooth - dark) / np.maximum(brightest - dark, 1e-6 * (abs(float(dark)) + 1)), 0, 1)
