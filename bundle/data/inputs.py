"""Images to be segmented, of which some may not be readable."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from pathlib import Path

from torch.utils.data import Dataset

from ..errors import InputError, input_error

__all__ = ["FAILURE", "InputDataset"]

FAILURE = "failure"

logger = logging.getLogger(__name__)


class InputDataset(Dataset):
    """Images read when they are asked for; a bad one becomes its error, so that the others go on.

    Args:
        data: the files.
        transform: from ``{"image": path}`` to what the network takes.
    """

    def __init__(self, data: Sequence[str | Path], transform: Callable[[dict], dict]) -> None:
        self.data = list(data)
        self.transform = transform

    def __len__(self) -> int:
        return len(self.data)

    def __getitem__(self, index: int) -> dict:
        """Read one image.

        Returns:
            What the transform makes of it, or ``{"failure": text}`` with one line for the user.
        """
        path = self.data[index]
        try:
            return self.transform({"image": str(path)})
        except Exception as exception:
            # not raised: it would end the loader's thread, and ignite take the images before it again for those behind
            error = input_error(exception) or _unexpected(exception)
            if error.path is None:
                error = InputError(path, error.problem, error.remedy)
            return {FAILURE: str(error)}


def _unexpected(exception: Exception) -> InputError:
    cause = exception
    while cause.__cause__ is not None:  # of MONAI's wrapping
        cause = cause.__cause__
    if isinstance(cause, MemoryError):
        return InputError(None, "does not fit into memory", "crop it")
    logger.debug("unexpected", exc_info=exception)
    return InputError(None, f"cannot be read ({type(cause).__name__}: {cause})", "it may be damaged; get another copy")
