"""The writers of this package as one MONAI ``ImageWriter``."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from monai.config import DtypeLike, NdarrayOrTensor
from monai.data.image_writer import ImageWriter
from monai.data.utils import affine_to_spacing
from monai.utils import convert_data_type, get_equivalent_dtype

from .output import write_image


class OMETiffWriter(ImageWriter):
    """Write ``[C, X, Y]`` or ``[C, X, Y, Z]`` as OME-TIFF with rows, columns and slices as the reader found them.

    One channel gives the axes ``YX`` or ``ZYX``, several give ``CYX`` or ``CZYX``. The pixel size comes from the
    affine, if the metadata's ``spacing`` tells that it is in micrometres. For
    ``SaveImage(writer=OMETiffWriter, output_ext=".tif")``; with ``.nii.gz`` or ``.ome.zarr`` the same in that
    format.

    Args:
        output_dtype: the type to store; that of the array if None.
        scale: 255 or 65535 to store values of [0, 1] as ``uint8`` or ``uint16``.
        kwargs: ignored, as other writers' options.
    """

    def __init__(self, output_dtype: DtypeLike = None, scale: int | None = None, **kwargs: object) -> None:
        super().__init__(output_dtype=output_dtype, scale=scale, affine=None, spacing=None, **kwargs)

    def set_data_array(self, data_array: NdarrayOrTensor, channel_dim: int | None = 0, **kwargs: object) -> None:
        """Take the array, brought to ``[X, Y, C]`` or ``[X, Y, Z, C]``.

        Args:
            data_array: the array, channel first or as ``channel_dim`` says.
            channel_dim: the axis of the channels; None if there is none.
            kwargs: ignored: an axis of one is kept, since the slices of a stack are no channels.
        """
        self.data_obj = self.convert_to_channel_last(
            data_array, channel_dim=channel_dim, squeeze_end_dims=False, spatial_ndim=None
        )

    def set_metadata(self, meta_dict: Mapping | None, resample: bool = False, **options: object) -> None:
        """Take affine and spacing.

        Args:
            meta_dict: ``affine``, and ``spacing`` if the affine is in micrometres; ``original_affine`` and
                ``spatial_shape`` for resampling.
            resample: bring the array to the original affine and shape.
            options: for :py:meth:`monai.data.ImageWriter.resample_if_needed`.
        """
        meta = meta_dict or {}
        original, affine, shape = self.get_meta_info(meta)
        if resample:
            self.data_obj, affine = self.resample_if_needed(
                self.data_obj, affine=affine, target_affine=original, output_spatial_shape=shape, **options
            )
        if affine is not None and meta.get("spacing") is not None:
            steps = affine_to_spacing(convert_data_type(affine, np.ndarray)[0], r=self.data_obj.ndim - 1)
            self.spacing = tuple(float(step) for step in steps[::-1])

    def write(self, filename: str | Path, verbose: bool = True, **kwargs: object) -> None:
        """Write the file.

        Args:
            filename: where.
            verbose: log the name.
            kwargs: ignored.

        Raises:
            InputError: the file cannot be written.
        """
        super().write(filename, verbose=verbose)
        array = convert_data_type(self.data_obj, np.ndarray)[0]
        if self.scale is not None:
            kind = {255: np.uint8, 65535: np.uint16}[self.scale]
            array = np.round(np.clip(array, 0, 1) * self.scale).astype(kind)
        elif self.output_dtype is not None:
            array = array.astype(get_equivalent_dtype(self.output_dtype, np.ndarray), copy=False)
        axes = "ZYX"[-(array.ndim - 1) :]
        array = array.T
        if len(array) == 1:
            array = array[0]
        else:
            axes = f"C{axes}"
        write_image(filename, array, axes, self.spacing)
