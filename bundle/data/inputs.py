"""Images to be segmented, of which some may not be readable."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from pathlib import Path

from monai.data import MetaTensor
from torch.utils.data import Dataset

from ..errors import InputError, foreseen, unreadable
from ..io import MicroscopyReader, Source, as_source

__all__ = ["FAILURE", "InputDataset"]

FAILURE = "failure"


class InputDataset(Dataset):
    """Images read when they are asked for; a bad one becomes its error, so that the others go on.

    Args:
        data: the files; one that is a :class:`bundle.io.Source` gives the image its NAME, as ``output_name`` in the
            metadata.
        transform: from ``{"image": path}`` to what the network takes.
        reader: with which the transform reads; it then reads of each source what that has of its own.
        claim: called with a source before it is read, and raises an InputError if it is not to be.
    """

    def __init__(
        self,
        data: Sequence[str | Path | Source],
        transform: Callable[[dict], dict],
        reader: MicroscopyReader | None = None,
        claim: Callable[[Source], None] | None = None,
    ) -> None:
        self.data = [as_source(path) for path in data]
        self.transform = transform
        self.reader = reader
        self.claim = claim

    def __len__(self) -> int:
        return len(self.data)

    def __getitem__(self, index: int) -> dict:
        """Read one image.

        Returns:
            What the transform makes of it, or ``{"failure": text}`` with one line for the user.
        """
        source = self.data[index]
        try:
            if self.claim is not None:
                self.claim(source)
            with nullcontext() if self.reader is None else self.reader.choosing(source.choices):
                item = self.transform({"image": os.fspath(source)})
            if isinstance(item.get("image"), MetaTensor):
                item["image"].meta["output_name"] = source.name
            return item
        except Exception as exception:
            # not raised: it would end the loader's thread, and ignite take the images before it again for those behind
            error = foreseen(exception, source) or unreadable(exception)
            if error.path is None:
                error = InputError(source, error.problem, error.remedy)
            return {FAILURE: str(error)}
