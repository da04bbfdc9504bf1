"""Whole where it fits, in windows where it does not.

Of PyTorch alone: :mod:`~bundle.segmentation.inferers` makes a MONAI ``Inferer`` of it, whose import takes seconds.
"""

from __future__ import annotations

import copy
import logging
import math
import os
from collections.abc import Callable, Iterator
from threading import Lock
from typing import Literal, Self

import torch

from ..errors import InputError, is_out_of_memory
from ..transforms import empty_margin, mirrored
from .scales import fitting_scale, say_scale

__all__ = ["Rows", "Windows", "middle", "middle_of"]

logger = logging.getLogger(__name__)

# small enough that a laptop of 8 GB copes with the default network in float32
WHOLE_PIXELS = 1536 * 1536
# of all images that are segmented at once: some 3 GB in single precision
PIXELS_AT_ONCE = 2 * WHOLE_PIXELS
# side of the middle in which widths are measured: enough to see them, and a page wider than memory has one too
MEASURED_SIDE = 4096
# columns of an output that are handed on at once: of a wide page those of a whole window would be half a gigabyte
YIELDED = 64
# below, a window shows the network too little of a vessel's surroundings
SMALLEST_WINDOW = 128

# several threads may run out of memory; of all inferers, since one of its own could not be sent to other processes
_SHRINKING = Lock()

# gives columns of an image, the last axis of its tensor and a file's rows: (start, stop) -> [B, C, X, stop - start]
Rows = Callable[[int, int], torch.Tensor]


class Windows:
    """Segment an image that fits as a whole, a larger one in overlapping windows with Gaussian weights.

    Margins that show nothing in any channel, as those of a mosaic (:func:`~bundle.transforms.margins.empty_margin`),
    hold nothing, and the network sees the image mirrored in their place: black beside the tissue would change what it
    finds there. At another scale they are sought in the resampled image.

    Where memory runs out, halves of the window are tried, and that is said; images side by side, and those that follow,
    begin with the smallest that was found.

    Args:
        window: side of a window, in pixels of the scaled image; a multiple of the network's stride.
        overlap: share of a window that its neighbour covers as well.
        whole_pixels: number of pixels up to which an image is segmented whole.
        scale: factor by which the image is resampled before and the output after, so that vessels have the width in
            pixels that the weights have seen; "auto" finds it from the widths found at the image's own scale.
        device: where the output is put together; that of the image if None.

    Raises:
        ValueError: a scale that is neither positive nor "auto".
    """

    def __init__(
        self,
        window: int = 1024,
        overlap: float = 0.25,
        whole_pixels: int = WHOLE_PIXELS,
        scale: float | Literal["auto"] = 1.0,
        device: torch.device | str | None = None,
    ) -> None:
        if scale != "auto" and not (isinstance(scale, int | float) and scale > 0):
            raise ValueError(f"scale must be positive or 'auto', got {scale}")
        self.window = window
        self.overlap = overlap
        self.whole_pixels = whole_pixels
        self.scale = scale
        self.device = device
        self._fitting: int | None = None  # the window that memory was found to bear, where that was tried

    def at(self, scale: float) -> Self:
        """The same at a given scale."""
        other = copy.copy(self)
        other.scale = scale
        return other

    def whole(
        self,
        image: torch.Tensor,
        network: Callable[[torch.Tensor], torch.Tensor],
        scale: float | None = None,
    ) -> torch.Tensor:
        """Segment an image.

        Args:
            image: ``[B, C, X, Y]``.
            network: gives ``[B, K, X, Y]`` for any X and Y.
            scale: factor by which the image is resampled; that of :meth:`factor` if None.

        Returns:
            ``[B, K, X, Y]``.
        """
        return self._whole(image, self.factor(image, network) if scale is None else scale, network)

    def factor(
        self,
        image: torch.Tensor,
        network: Callable[[torch.Tensor], torch.Tensor],
        source: str | os.PathLike | None = None,
    ) -> float:
        """The factor by which an image is resampled: where the scale is "auto", what is found in it, and said.

        Args:
            image: ``[B, C, X, Y]``.
            network: gives ``[B, K, X, Y]``, the probability of vessel first.
            source: its file, to be named with the scale that was found.
        """
        if self.scale != "auto":
            return self.scale
        scale = self.fit(middle(image), network)
        say_scale(scale, source)
        return scale

    def __call__(
        self, inputs: torch.Tensor, network: Callable[..., torch.Tensor], *args: object, **kwargs: object
    ) -> torch.Tensor:
        """The same as :meth:`whole`."""
        return self.whole(inputs, network)

    def parts(self, size: tuple[int, ...]) -> int:
        """How many parts of an image or stack the network will be shown, at the scale 1 where it is "auto".

        Args:
            size: X and Y, and Z of a stack.
        """
        scale = 1.0 if self.scale == "auto" else self.scale
        sides = [max(1, round(side * scale)) for side in size[:2]]
        windows = 1
        if math.prod(sides) > self.whole_pixels:
            windows = math.prod(len(_starts(side, min(self.window, side), self.overlap)) for side in sides)
        return windows * math.prod(size[2:])

    def threads(self, size: tuple[int, int], scale: float, device: torch.device) -> int:
        """On how many threads the network sees an image: few, where there is room for several images side by side.

        Of the image alone, not of how many there are, since the number of threads changes the last digits of what the
        network finds.

        Args:
            size: X and Y.
            scale: factor by which the image is resampled.
            device: where the network computes; only the CPU sees images side by side.

        Returns:
            All that there are for an image that is segmented alone.
        """
        threads = torch.get_num_threads()
        pixels = math.prod(size) * scale**2
        if device.type != "cpu" or pixels > self.whole_pixels:
            return threads
        return math.ceil(threads / min(threads, int(PIXELS_AT_ONCE // max(pixels, 1))))

    def fit(self, image: torch.Tensor, network: Callable[[torch.Tensor], torch.Tensor]) -> float:
        """Find the scale that an image asks for.

        Args:
            image: ``[B, C, X, Y]``; of an image larger than memory its :func:`middle`.
            network: gives ``[B, K, X, Y]``, the probability of vessel first.
        """
        found = self._whole(image, 1.0, network)
        return fitting_scale(found[0, 0].float().cpu().numpy() > 0.5)

    def rows(
        self, read: Rows, size: tuple[int, int], network: Callable[[torch.Tensor], torch.Tensor], scale: float
    ) -> Iterator[torch.Tensor]:
        """Segment an image of which one row of windows at a time is in memory.

        A call segments by the same steps, so that both give the same numbers.

        Args:
            read: gives parts of the image ``[B, C, X, Y]`` along its last axis.
            size: X and Y.
            network: gives ``[B, K, X, Y]`` for any X and Y.
            scale: factor by which the image is resampled.

        Yields:
            Parts ``[B, K, X, n]`` of the output, from the beginning of the last axis to its end.
        """
        if scale == 1.0:
            yield from self._scaled(read, size, network)
            return
        rows, columns = (max(1, round(side * scale)) for side in size)
        scaled = rows, columns
        shrunk = scale < 1.0  # then pixels are averages, lest what lies between the samples be lost
        across, along = (_Line(old, new, shrunk) for old, new in zip(size, scaled, strict=True))

        def resampled(start: int, stop: int) -> torch.Tensor:
            first, last = along.needs(start, stop)
            return along(across(read(first, last), 0, scaled[0], -2), start, stop, -1, first)

        yield from _resampled(self._scaled(resampled, scaled, network), scaled, size)

    def _whole(
        self, plane: torch.Tensor, scale: float, network: Callable[[torch.Tensor], torch.Tensor]
    ) -> torch.Tensor:
        parts = list(self.rows(lambda start, stop: plane[..., start:stop], plane.shape[-2:], network, scale))
        return parts[0] if len(parts) == 1 else torch.cat(parts, -1)

    def _scaled(
        self, read: Rows, size: tuple[int, int], network: Callable[[torch.Tensor], torch.Tensor]
    ) -> Iterator[torch.Tensor]:
        window = (
            None if size[0] * size[1] <= self.whole_pixels and self._fitting is None else self._fitting or self.window
        )
        while True:
            begun = False
            try:
                for part in self._in_windows(read, size, network, window):
                    begun = True
                    yield part
                return
            except Exception as error:
                smaller = _smaller(window, self.window, max(size))
                if begun or smaller < SMALLEST_WINDOW or not is_out_of_memory(error):
                    raise
            window = self._shrunk(smaller)

    def _shrunk(self, window: int) -> int:
        """Note a window that is to be tried, and say it; where another thread went further, give what that found."""
        with _SHRINKING:
            if self._fitting is None or window < self._fitting:
                logger.warning("out of memory: going on in windows of %d pixels a side", window)
                self._fitting = window
            return self._fitting

    def _in_windows(
        self,
        read: Rows,
        size: tuple[int, int],
        network: Callable[[torch.Tensor], torch.Tensor],
        side: int | None,
    ) -> Iterator[torch.Tensor]:
        if side is None:
            yield _seen(network, read(0, size[1]), None)
            return
        # a window larger than the image would be padded, and show the network an edge that is not there
        window = tuple(min(side, length) for length in size)
        across, along = (_starts(side, part, self.overlap) for side, part in zip(size, window, strict=True))
        total = weights = torch.zeros(0)
        for start, following in zip(along, [*along[1:], size[1]], strict=True):
            image = read(start, start + window[1])
            for left in across:
                channels = total.shape[1] if total.numel() else None
                output = _seen(network, image[..., left : left + window[0], :], channels)
                if not total.numel():
                    device = image.device if self.device is None else self.device
                    gaussian = _importance(window).to(device)
                    total = torch.zeros((*output.shape[:2], size[0], window[1]), device=device)
                    weights = torch.zeros_like(total[0, 0])
                total[..., left : left + window[0], :] += output.to(device) * gaussian
                weights[left : left + window[0]] += gaussian
            del image  # before the next is read
            done = following - start
            for first in range(0, done, YIELDED):
                last = min(first + YIELDED, done)
                yield total[..., first:last] / weights[:, first:last]
            _move(total, done)
            _move(weights, done)


def _importance(window: tuple[int, ...]) -> torch.Tensor:
    """How much each pixel of a window counts: a Gaussian of an eighth of its sides, as MONAI's inferers have it."""
    lines = [torch.exp((torch.arange(side) - (side - 1) / 2) ** 2 / (-2 * (0.125 * side) ** 2)) for side in window]
    importance = lines[0][:, None] * lines[1]
    return importance.clamp(min=max(importance.min().item(), 1e-3))


def _smaller(window: int | None, usual: int, longest: int) -> int:
    """The next window to try where one did not fit into memory; None is the whole image."""
    if window is None and longest > usual:
        return usual
    return min(window or longest, longest) // 2 // 16 * 16


def middle(image: torch.Tensor) -> torch.Tensor:
    """The middle of an image ``[..., X, Y]``, in which widths are measured; all of it if it is no larger."""
    for axis in (-2, -1):
        start, stop = middle_of(image.shape[axis])
        image = image.narrow(axis, start, stop - start)
    return image


def middle_of(side: int) -> tuple[int, int]:
    """Where the middle of a side begins and ends."""
    length = min(side, MEASURED_SIDE)
    start = (side - length) // 2
    return start, start + length


def _seen(network: Callable[[torch.Tensor], torch.Tensor], image: torch.Tensor, channels: int | None) -> torch.Tensor:
    """What the network finds in a part of an image, and nothing in its margins, which it sees filled.

    Where all of it is margin, as of most windows of a large mosaic, and it is known how many channels the network
    gives, the network is not asked.

    The copy's strides say ``channels_last``: ``contiguous`` leaves those of one channel as they are, by which others
    compute.

    Raises:
        InputError: it finds no numbers.
    """
    image = image.clone(memory_format=torch.channels_last)
    margins = {}
    for index, planes in enumerate(image):
        margin = empty_margin(planes.amax(0).float().cpu().numpy())
        if margin is None:
            continue
        margins[index] = torch.from_numpy(margin).to(image.device)
        if not margin.all():
            for plane in planes:
                filled = mirrored(plane.float().cpu().numpy(), margin)
                plane.copy_(torch.from_numpy(filled))
    if channels is not None and len(margins) == len(image) and all(margin.all() for margin in margins.values()):
        return image.new_zeros((len(image), channels, *image.shape[2:]))
    output = network(image)
    if not output.isfinite().all():  # which every threshold takes for background
        raise InputError(
            None, "what the network finds is not a number (NaN or infinite)", "give other weights, or train more slowly"
        )
    if margins:
        output = output.clone()  # which may be a view of the network's own
    for index, margin in margins.items():
        output[index, :, margin] = 0
    return output


def _starts(side: int, window: int, overlap: float) -> list[int]:
    step = max(1, int(window * (1 - overlap)))
    return [min(number * step, side - window) for number in range(math.ceil((side - window) / step) + 1)]


def _move(buffer: torch.Tensor, done: int) -> None:
    """Move what is not done to the buffer's beginning, and make room for as much at its end.

    Plane by plane, since of a wide page a second buffer would be half a gigabyte.
    """
    for plane in buffer.view(-1, *buffer.shape[-2:]):
        plane[:, : plane.shape[1] - done] = plane[:, done:].clone()
        plane[:, plane.shape[1] - done :] = 0


class _Line:
    """Linear interpolation along one axis, a part at a time: every pixel comes out as if all were made at once.

    As :func:`torch.nn.functional.interpolate` with ``mode="bilinear"`` and ``align_corners=False``.

    Args:
        old: pixels that there are.
        new: pixels that are made of them.
        average: shrinking, weigh all pixels that a new one covers (``antialias``).
    """

    def __init__(self, old: int, new: int, average: bool = False) -> None:
        ratio = old / new
        reach = ratio if average and ratio > 1 else 1.0
        centre = (torch.arange(new, dtype=torch.float64) + 0.5) * ratio - 0.5
        if reach == 1.0:
            centre = centre.clamp(0, old - 1)
        first = torch.ceil(centre - reach)
        places = first[:, None] + torch.arange(math.floor(2 * reach) + 1)
        weights = (1 - (places - centre[:, None]).abs() / reach).clamp(min=0)
        weights[(places < 0) | (places > old - 1)] = 0
        self.weights = (weights / weights.sum(1, keepdim=True)).float()
        self.places = places.clamp(0, old - 1).long()

    def needs(self, start: int, stop: int) -> tuple[int, int]:
        """Which of the old pixels make the new ones from ``start`` to ``stop``."""
        return int(self.places[start].min()), int(self.places[stop - 1].max()) + 1

    def __call__(self, image: torch.Tensor, start: int, stop: int, axis: int, offset: int = 0) -> torch.Tensor:
        """Make new pixels.

        Args:
            image: the old pixels from ``offset`` on.
            start: the first new one.
            stop: the one after the last.
            axis: -1 or -2.
            offset: the first old pixel of ``image``.
        """
        places = (self.places[start:stop] - offset).to(image.device)
        weights = self.weights[start:stop].to(image.device, image.dtype)
        out = None
        for tap in range(places.shape[1]):
            weight = weights[:, tap] if axis == -1 else weights[:, tap, None]
            part = image.index_select(axis, places[:, tap]) * weight
            out = part if out is None else out + part
        return out


def _resampled(parts: Iterator[torch.Tensor], old: tuple[int, int], new: tuple[int, int]) -> Iterator[torch.Tensor]:
    """Resample an image that comes part by part along its last axis."""
    across, along = (_Line(*sides) for sides in zip(old, new, strict=True))
    held, offset, made = None, 0, 0
    for part in parts:
        part = across(part, 0, new[0], -2)
        held = part if held is None else torch.cat([held, part], -1)
        end = offset + held.shape[-1]
        ready = made
        while ready < new[1] and along.needs(ready, ready + 1)[1] <= end:
            ready += 1
        if ready > made:
            yield along(held, made, ready, -1, offset)
            made = ready
        if made < new[1]:
            keep = along.needs(made, made + 1)[0]
            held, offset = held[..., keep - offset :], keep
