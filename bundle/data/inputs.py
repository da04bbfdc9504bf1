"""Images to be segmented, of which some may not be readable."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from torch.utils.data import Dataset

from ..errors import InputError, input_error

__all__ = ["FAILURE", "InputDataset"]

FAILURE = "failure"


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
            error = input_error(exception)
            if error is None:
                raise
            if error.path is None:
                error = InputError(path, error.problem, error.remedy)
            return {FAILURE: str(error)}
