"""The program from Python: arrays in, arrays out, in the order that microscopists write them, ``[Z, Y, X]``."""

from __future__ import annotations

import functools
import itertools
import math
import os
import threading
from collections.abc import Callable, Mapping, Sequence
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

    from .adaptation import Adapted
    from .measurements import Measurement
    from .segmentation import SecondOpinion
    from .trust import Expectation

__all__ = ["Fusion", "Segmentation", "adapt", "fuse", "measure", "read", "segment"]

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
        expectation: what Dice to expect of what the weights found, and if that is little, why, and what to do; None if
            they are of one network alone, so that nothing differs to judge by.
        weights: the file of the weights that found it: of an image of which little is to be expected by those for
            images, it may be those of slices.
    """

    mask: np.ndarray
    probability: np.ndarray
    disagreement: np.ndarray
    image: np.ndarray
    depth: np.ndarray | None
    spacing: tuple[float, ...] | None
    expectation: Expectation | None = None
    weights: Path | None = None

    @property
    def expected_dice(self) -> float:
        """The Dice to expect of the mask, 0 to 1; NaN if it is empty or nothing is known."""
        return math.nan if self.expectation is None else self.expectation.dice

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
    progress: Callable[[int, int], object] = lambda done, of: None,
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
        weights: a checkpoint of a training, or the folder that ``adapt`` wrote; the shipped weights if None. Then,
            where little is to be expected of what those for images find, those for slices are asked too.
        device: "cpu", "cuda" …; a GPU where there is one if None.
        progress: called with how many parts are done, and of how many: slices, and windows of what is larger than
            memory. What it raises ends the segmentation, and is raised here.
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
    from .segmentation import better_of, expected_of_image

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
    tensor = torch.as_tensor(seen["image"])[None].float().to(next(network.parameters()).device)
    parts = inferer.parts(tuple(tensor.shape[2:]))
    if tensor.ndim == 4:  # both networks at the scale that the first one finds to fit
        with torch.inference_mode():
            inferer = inferer.at(inferer.factor(tensor, network))
    count = itertools.count(1)

    @torch.inference_mode()
    def found(network: torch.nn.Module) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        def counted(part: torch.Tensor) -> torch.Tensor:
            made = network(part)
            progress(min(next(count), parts), parts)
            return made

        output = inferer(tensor, counted)[0]
        made = after({"pred": output[:1].float().cpu()})
        mask, probability = (np.asarray(made[name][0]).T for name in ("pred", "probability"))
        return probability, np.asarray(output[1].float().cpu()).T, mask > 0

    progress(0, parts)
    depth = seen.get("image_depth")
    grey = np.asarray(seen["original"])[0].T
    second = _second(device) if weights is None and steps == "fusion" else None
    (probability, disagreement, mask), expectation, other = better_of(
        found(network), lambda found, other: expected_of_image(grey, found[0], found[1], found[2], other), found, second
    )
    return Segmentation(
        mask=mask,
        probability=probability,
        disagreement=disagreement,
        image=grey,
        depth=None if depth is None else np.asarray(depth).reshape(mask.shape[::-1]).T,
        spacing=None if spacing is None else tuple(spacing[-mask.ndim :]),
        expectation=expectation,
        weights=second.weights if other and second else Path(chosen.weights),
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


def adapt(
    image: Any,
    label: Any,
    output: str | os.PathLike,
    *,
    scribbles: bool = False,
    slice: int | None = None,
    mode: Literal["fused", "stack"] | None = None,
    weights: str | os.PathLike | None = None,
    device: str | None = None,
    steps: int = 60,
    seed: int = 0,
    progress: Callable[[str, int, int], object] = lambda stage, step, of: None,
    **choice: Any,
) -> Adapted:
    """Make weights and settings for images of one kind, as ``python -m bundle adapt`` does of one image.

    Args:
        image: an array ``[Y, X]`` or ``[Z, Y, X]``, or a file's path, as :func:`segment` takes them.
        label: what is known of it: of its shape, or ``[Y, X]`` of a stack.
        output: the folder to write to; give it to :func:`segment` as ``weights``.
        scribbles: the label is strokes, 1 on vessel, 2 on background, 0 where nothing was drawn; else a mask, of which
            every pixel counts.
        slice: number from 0 of the slice that a flat label of a stack is of.
        mode: how images of this kind will be segmented; "stack" where a slice of a stack is labelled if None, else
            "fused".
        weights: to begin from; the shipped weights if None.
        device: as of :func:`segment`.
        steps: of each of the trainings; 0 tries settings alone.
        seed: of the trainings.
        progress: called with the stage, the step and how many steps it has. What it raises ends the work.
        choice: of a file, as :func:`read` takes them.

    Returns:
        What was chosen, and its Dice on what was held back.

    Raises:
        InputError: image and label do not fit, or the label tells nothing.
    """
    from . import adaptation

    array, _ = _array(image, None, choice)
    drawn, _ = _array(label, None, {})
    if slice is None and array.ndim == 3 and drawn.ndim == 3 and array.shape != drawn.shape:
        raise InputError(None, f"image {array.shape} and label {drawn.shape} differ in shape", "give its label")
    mode = mode or ("stack" if array.ndim == 3 and (drawn.ndim == 3 or slice is not None) else "fused")
    name = os.fspath(image) if isinstance(image, str | os.PathLike) else "the image"
    try:
        if mode == "fused":
            annotations = [adaptation.annotated_image(name, array, drawn, scribbles=scribbles)]
        else:
            stack = array.reshape(-1, *array.shape[-2:])
            slices = {-1 if slice is None else slice: drawn}
            if drawn.ndim == 3:
                slices = {z: plane for z, plane in enumerate(drawn) if plane.any()}
            if not slices or not all(0 <= z < len(stack) for z in slices):
                raise InputError(None, "the label is of no slice of the stack", "draw on one, or say its number")
            annotations = adaptation.annotated_slices(name, stack, slices, scribbles=scribbles)
    except ValueError as error:
        raise error if isinstance(error, InputError) else InputError(None, f"the label {error}") from error
    file = shipped_weights(mode) if weights is None else adaptation.adapted_weights(os.fspath(weights)).weights
    network = _network(file, device).network
    settings = adaptation.Settings("equalized" if mode == "fused" else "slice")
    if mode == "fused" and weights is None:  # segment asks the weights of slices too where it doubts
        other = _network(shipped_weights("stack"), device).network
        if adaptation.best_start([network, other], annotations, settings):
            network, file = other, shipped_weights("stack")
    adapted = adaptation.adapt(network, annotations, settings, steps=steps, seed=seed, progress=progress)
    adaptation.write_adapted(Path(output), adapted, annotations[0], network, settings, mode, file)
    return adapted


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


@functools.lru_cache(maxsize=2)
def _second(device: str | None) -> SecondOpinion:
    """The weights of slices, for images of which those of images find little that can be trusted."""
    from .segmentation import SecondOpinion

    return SecondOpinion(_network(shipped_weights("fused"), device).network, shipped_weights("stack"))


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
