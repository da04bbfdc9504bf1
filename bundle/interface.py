"""The program from Python: arrays in, arrays out, in the order that microscopists write them, ``[Z, Y, X]``."""

from __future__ import annotations

import functools
import os
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from .errors import InputError
from .home import INFERENCE, ROOT, shipped_weights
from .io import Image, open_image

if TYPE_CHECKING:
    import torch
    from monai.bundle import ConfigParser

    from .measurements import Measurement

__all__ = ["Fusion", "Segmentation", "fuse", "measure", "read", "segment"]

Mode = Literal["auto", "fused", "stack"]


@dataclass(frozen=True)
class Segmentation:
    """What was found in one image or stack.

    Args:
        mask: vessels, bool, ``[Y, X]``, or ``[Z, Y, X]`` of a stack that was segmented slice by slice.
        probability: S of equation (9), 0 to 1, float32, of the mask's shape.
        disagreement: |L - N| of the two cascades, 0 to 1, float32, of the mask's shape: high means look here first.
        image: what was segmented: the image, the fused stack or the stack, of the mask's shape.
        depth: of a stack that was fused, the slice that each pixel is from, with fractions, from 0, ``[Y, X]``.
        spacing: micrometres along the mask's axes; None if unknown.
    """

    mask: np.ndarray
    probability: np.ndarray
    disagreement: np.ndarray
    image: np.ndarray
    depth: np.ndarray | None
    spacing: tuple[float, ...] | None

    def measure(self, **options: Any) -> Measurement:
        """The vessels' numbers and their graph, see :func:`measure`."""
        return measure(self.mask, self.spacing, image=self.image, probability=self.probability, **options)


@dataclass(frozen=True)
class Fusion:
    """A stack as one image.

    Args:
        image: in focus everywhere, ``[Y, X]``, of the stack's type.
        depth: the slice that each pixel is from, with fractions, from 0, ``[Y, X]``, float32.
        spacing: micrometres along Y and X; None if unknown.
    """

    image: np.ndarray
    depth: np.ndarray
    spacing: tuple[float, float] | None


def read(path: str | os.PathLike, **choice: Any) -> Image:
    """Open one image or stack of a microscope's file.

    Args:
        path: the file.
        choice: ``channel``, ``time``, ``scene``, ``axes``, ``spacing`` as the commands have them.

    Returns:
        An image with ``axes``, ``shape``, ``spacing`` (micrometres along the axes, or None), ``array()`` for all of it
        and ``plane(z)`` for one slice.

    Raises:
        InputError: the file cannot be read, or does not say what has to be chosen.
    """
    return open_image(os.fspath(path), **choice)


def segment(
    image: Any,
    spacing: Sequence[float] | None = None,
    *,
    mode: Mode = "auto",
    scale: float | Literal["auto"] | None = None,
    low: float | None = None,
    high: float | None = None,
    weights: str | os.PathLike | None = None,
    device: str | None = None,
    **choice: Any,
) -> Segmentation:
    """Find the vessels of one image or stack, as ``python -m bundle segment`` does.

    The network is loaded once for each file of weights and device. Threads may call this at the same time.

    Args:
        image: an array ``[Y, X]`` or ``[Z, Y, X]`` of NumPy, PyTorch, dask, Zarr or xarray, or a file's path.
        spacing: micrometres along the image's axes; a file's own if None.
        mode: "fused" makes one image of a stack first, "stack" segments it slice by slice; "auto" fuses.
        scale: factor by which the image is resampled before and the output after; "auto" finds it.
        low: lower threshold of the hysteresis.
        high: upper threshold of the hysteresis. Of these three, None is what the weights were adapted with, or else
            what configs/inference.json says.
        weights: a checkpoint of a training, or the folder that ``adapt`` wrote; the shipped weights if None.
        device: "cpu", "cuda" …; a GPU where there is one if None.
        choice: of a file, as :func:`read` takes them.

    Returns:
        Mask, probability and more, in the order of the image's axes.

    Raises:
        InputError: the image or the weights cannot be used.

    Example:
        >>> result = segment("stack.ome.tif")  # doctest: +SKIP
        >>> result.mask.shape, result.measure().image["length_density"]  # doctest: +SKIP
    """
    import torch
    from monai.transforms import Compose

    from .adaptation import Adaptation, adapted_weights

    array, spacing = _array(image, spacing, choice)
    if mode not in ("auto", "fused", "stack"):
        raise InputError(None, f"mode {mode!r} is not known", "choose auto, fused or stack")
    steps = "slices" if mode == "stack" and array.ndim == 3 else "fusion"
    chosen = (
        Adaptation(shipped_weights("stack" if steps == "slices" else mode))
        if weights is None
        else adapted_weights(os.fspath(weights))
    )
    settings: dict[str, Any] = {}
    if chosen.settings is not None and chosen.mode == ("stack" if steps == "slices" else "fused"):
        settings = chosen.settings.as_dict()
    typed = {"scale": scale, "low": low, "high": high}
    parser = _config(settings | {name: value for name, value in typed.items() if value is not None})
    network = _network(chosen.weights, device)
    seen = Compose(parser.get_parsed_content(steps))({"image": torch.from_numpy(np.ascontiguousarray(array.T))[None]})
    inferer, after = (parser.get_parsed_content(name) for name in ("inferer", "postprocessing"))
    with torch.inference_mode():
        found = inferer(torch.as_tensor(seen["image"])[None].float().to(next(network.parameters()).device), network)[0]
    made = after({"pred": found[:1].float().cpu()})
    mask, probability, disagreement = (
        np.asarray(channel).T for channel in (made["pred"][0], made["probability"][0], found[1].float().cpu())
    )
    depth = seen.get("image_depth")
    return Segmentation(
        mask=mask > 0,
        probability=probability,
        disagreement=disagreement,
        image=np.asarray(seen["original"])[0].T,
        depth=None if depth is None else np.asarray(depth).reshape(mask.shape[::-1]).T,
        spacing=None if spacing is None else tuple(spacing[-mask.ndim :]),
    )


def fuse(stack: Any, spacing: Sequence[float] | None = None, *, method: str = "maximum", **choice: Any) -> Fusion:
    """Make one image of a stack that is in focus everywhere, as ``python -m bundle fuse`` does.

    Args:
        stack: an array ``[Z, Y, X]``, or a file's path, as :func:`segment` takes them.
        spacing: micrometres along the stack's axes; a file's own if None.
        method: one of :data:`bundle.transforms.focus.METHODS`.
        choice: of a file, as :func:`read` takes them.

    Raises:
        InputError: the stack cannot be used.
    """
    import torch

    from .transforms import FuseFocus

    array, spacing = _array(stack, spacing, choice)
    if array.ndim != 3:
        raise InputError(None, f"an array of {array.ndim} axes is no stack", "give [Z, Y, X]")
    image, depth = FuseFocus(method).fuse(torch.from_numpy(np.ascontiguousarray(array.T))[None])
    shape = array.shape[1:]
    flat, deep = (np.asarray(each).reshape(shape[::-1]).T for each in (image, depth))
    return Fusion(flat, deep, None if spacing is None else (spacing[-2], spacing[-1]))


def measure(mask: Any, spacing: Sequence[float] | None = None, **options: Any) -> Measurement:
    """Measure the vessels of a mask, see :func:`bundle.measurements.measure`.

    Args:
        mask: an array ``[Y, X]`` or ``[Z, Y, X]``, nonzero is vessel, or a file's path.
        spacing: micrometres along the mask's axes; a file's own if None, and pixels if it does not say.
        options: ``image``, ``probability``, ``region`` and more, of :func:`bundle.measurements.measure`.
    """
    from . import measurements

    array, spacing = _array(mask, spacing, {})
    return measurements.measure(array, spacing, **options)


def _array(
    given: Any, spacing: Sequence[float] | None, choice: dict[str, Any]
) -> tuple[np.ndarray, tuple[float, ...] | None]:
    """An image ``[Y, X]`` or ``[Z, Y, X]``, and its spacing."""
    if isinstance(given, str | os.PathLike):
        image = open_image(os.fspath(given), **choice)
        array, spacing = image.array(), image.spacing if spacing is None else spacing
    elif choice:
        raise InputError(None, f"{', '.join(choice)} are of files, not of arrays", "choose from the array before")
    else:
        # a file's path is data too for NumPy, but tensors on a GPU are none
        array = np.asarray(given.detach().cpu() if hasattr(given, "detach") else given)
    if array.ndim not in (2, 3):
        raise InputError(None, f"an array of {array.ndim} axes", "give [Y, X] or [Z, Y, X], one channel of one time")
    if spacing is not None and len(spacing) != array.ndim:
        raise InputError(None, f"{len(spacing)} pixel sizes for {array.ndim} axes", "give one for each axis")
    return array, None if spacing is None else tuple(map(float, spacing))


def _config(settings: Mapping[str, Any]) -> ConfigParser:
    from monai.bundle import ConfigParser

    parser = ConfigParser()
    parser.read_config(INFERENCE)
    parser["bundle_root"] = str(ROOT)
    parser.update({name: value for name, value in settings.items() if value != "equalized"})
    low, high = parser["low"], parser["high"]
    if not 0 <= low <= high <= 1:
        raise InputError(None, f"thresholds {low:g} and {high:g}", "give 0 <= low <= high <= 1")
    return parser


_LOADING = threading.Lock()


def _network(weights: Path, device: str | None) -> torch.nn.Module:
    with _LOADING:  # two threads would load it twice
        return _loaded(weights.resolve(), weights.stat().st_mtime_ns if weights.exists() else 0, device)


@functools.lru_cache(maxsize=4)
def _loaded(weights: Path, time: int, device: str | None) -> torch.nn.Module:
    """A network with the disagreement of its cascades; weights that were written anew are loaded anew."""
    from .runner import usable_device
    from .segmentation import WithDisagreement

    parser = _config({})
    parser["weights_file"] = weights
    if device is not None:
        parser["device"] = usable_device(device)
    return WithDisagreement(parser.get_parsed_content("network")).eval()
