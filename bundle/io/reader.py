"""The readers of this package as one MONAI ``ImageReader``."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path

import numpy as np
from monai.data.image_reader import ImageReader
from monai.utils import ensure_tuple

from ..errors import InputError
from .formats import is_readable, open_image
from .reading import Reading

_CHOSEN: ContextVar[dict[str, object]] = ContextVar("chosen", default={})  # noqa: B039


class MicroscopyReader(Reading, ImageReader):
    """Read one image or stack for :py:class:`monai.transforms.LoadImage`.

    The array is ``[X, Y]`` or ``[X, Y, Z]``, rows and columns exchanged as MONAI's own readers of pictures do, so that
    ``LoadImaged(keys, reader=MicroscopyReader(), ensure_channel_first=True)`` gives ``[1, X, Y]`` or ``[1, X, Y, Z]``.
    The metadata hold ``affine`` and ``original_affine`` (4 × 4, micrometres on the diagonal, ones where the spacing is
    unknown), ``axes`` (of the file: ``"YX"`` or ``"ZYX"``), ``original_dtype``, and, where it is known, ``spacing``
    (micrometres along ``axes``). Where it is unknown ``spacing`` is left out rather than None, which no ``DataLoader``
    can collate: ask by ``meta.get("spacing")``. ``world_affine`` is a NIfTI header's affine, in millimetres.

    Args:
        channel: see :py:func:`bundle.io.open_image`, as all that follow.
        time: index of the time point.
        scene: index or name.
        axes: what the stored dimensions are.
        spacing: micrometres along Z, Y, X.
        position: of the stage; index or name.
    """

    @contextmanager
    def choosing(self, choices: Mapping[str, object]) -> Iterator[None]:
        """Read, while the ``with`` lasts and in this thread, what an input has of its own; see :class:`Source`."""
        token = _CHOSEN.set(dict(choices))
        try:
            yield
        finally:
            _CHOSEN.reset(token)

    def verify_suffix(self, filename: Sequence[str | Path] | str | Path) -> bool:
        """Tell whether all files have suffixes that are read."""
        return all(is_readable(Path(name)) for name in ensure_tuple(filename))

    def read(self, data: Sequence[str | Path] | str | Path, **kwargs: object) -> tuple[Path, ...]:
        """Return the paths; the files are opened in :py:meth:`get_data`.

        ``LoadImage`` takes an error here for a wrong guess of the reader and goes on to the next one, and Pillow would
        read the first page of a stack that was refused with good reason.
        """
        return tuple(Path(name) for name in ensure_tuple(data))

    def get_data(self, img: Sequence[Path]) -> tuple[np.ndarray, dict]:
        """Read the file.

        Returns:
            The array and its metadata.

        Raises:
            InputError: the file cannot be read as one image or stack, or several files are given.
        """
        if len(img) != 1:
            raise InputError(img[0] if img else None, f"{len(img)} files given as one image", "give one file at a time")
        image = open_image(img[0], **{**self.options, **_CHOSEN.get()})
        array = image.array().T
        steps = (image.spacing or (1.0,) * array.ndim)[::-1]
        affine = np.diag([*steps, 1.0, 1.0][:3] + [1.0])
        meta = {
            "affine": affine,
            "original_affine": affine.copy(),
            "axes": image.axes,
            "original_dtype": image.dtype.name,
            "original_channel_dim": "no_channel",
            "spatial_shape": np.asarray(array.shape),
            "filename_or_obj": str(image.path),
        }
        if image.spacing is not None:
            meta["spacing"] = image.spacing
        if image.affine is not None:
            meta["world_affine"] = image.affine
        return array, meta
