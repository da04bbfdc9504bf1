"""What the transforms have in common: the arrays they take, and the form of their dictionary twins."""

from __future__ import annotations

import inspect
from collections.abc import Hashable, Mapping
from typing import Any

import numpy as np
import torch
from monai.config import KeysCollection, NdarrayOrTensor
from monai.data import MetaTensor
from monai.transforms import MapTransform, Randomizable, Transform

from ..errors import InputError


class DictionaryTwin(MapTransform):
    """Apply an array transform to the items of given keys.

    ``class Xd(DictionaryTwin, of=X)`` is the twin of ``X``, and takes the same arguments behind the keys.

    Args:
        keys: the items.
        args: of the array transform.
        allow_missing_keys: whether a key may be absent.
        kwargs: of the array transform.
    """

    _array_transform: type[Transform]

    def __init_subclass__(cls, of: type[Transform] | None = None, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if of is None:
            return
        cls._array_transform, cls.backend = of, of.backend
        if "__init__" not in vars(cls):  # what is asked for a signature, as configs' words are, gets the true one
            keys, _, missing, _ = list(inspect.signature(DictionaryTwin.__init__).parameters.values())[1:]
            own = inspect.signature(of).parameters.values()
            cls.__signature__ = inspect.Signature([keys, *own, missing])

    def __init__(self, keys: KeysCollection, *args: Any, allow_missing_keys: bool = False, **kwargs: Any) -> None:
        super().__init__(keys, allow_missing_keys)
        self.transform = self._array_transform(*args, **kwargs)

    def __call__(self, data: Mapping[Hashable, NdarrayOrTensor]) -> dict[Hashable, NdarrayOrTensor]:
        out = dict(data)
        for key in self.key_iterator(out):
            out[key] = self.transform(out[key])
        return out


class RandomTwin(Randomizable, DictionaryTwin):
    """Apply a random array transform to the items of given keys, with one draw for all of them.

    Args:
        keys: the items.
        args: of the array transform.
        allow_missing_keys: whether a key may be absent.
        kwargs: of the array transform.
    """

    def set_random_state(self, seed: int | None = None, state: np.random.RandomState | None = None) -> RandomTwin:
        """Seed the draws."""
        super().set_random_state(seed, state)
        self.transform.set_random_state(seed, state)
        return self

    def randomize(self, data: Mapping[Hashable, NdarrayOrTensor]) -> None:
        """Draw for all items."""
        self.transform.randomize()

    def changed(self, key: Hashable, item: NdarrayOrTensor) -> NdarrayOrTensor:
        """What the draw makes of the item of a key."""
        return self.transform(item, randomize=False)

    def __call__(self, data: Mapping[Hashable, NdarrayOrTensor]) -> dict[Hashable, NdarrayOrTensor]:
        out = dict(data)
        self.randomize(out)
        for key in self.key_iterator(out):
            out[key] = self.changed(key, out[key])
        return out


def share(setting: str, value: object, example: float) -> float:
    """A share of the crops.

    Args:
        setting: what it is called in the config.
        value: what was given.
        example: of what may be given.

    Raises:
        InputError: it is no number from 0 to 1.
    """
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 1:
        remedy = f"give 0 for none, or a number up to 1, such as {example}"
        raise InputError(None, f"{setting} {value} is no share", remedy)
    return value


def channels_first(image: NdarrayOrTensor) -> np.ndarray:
    """Take an image as a NumPy array, and refuse one that no transform can treat.

    NaN is refused because every comparison with it is false: it would pass for background.

    Args:
        image: `[C, X, Y]` or `[C, X, Y, Z]`, numeric or boolean.

    Returns:
        The same values; memory may be shared with `image`.

    Raises:
        InputError: if the number of axes is another, an axis is empty, or a value is NaN or infinite; it names the
            file if the metadata do.
    """
    if isinstance(image, torch.Tensor):
        image_type = torch.float32 if image.dtype == torch.bfloat16 else image.dtype  # NumPy has no bfloat16
        array = image.detach().to("cpu", image_type).numpy()
    else:
        array = np.asarray(image)
        array = array.astype(array.dtype.newbyteorder("="), copy=False)  # some files' order is the other
    if array.ndim not in (3, 4):
        raise InputError(source(image), f"the image has shape {array.shape}", "give [C, X, Y] or [C, X, Y, Z]")
    if not array.size:
        raise InputError(source(image), f"the image is empty, of shape {array.shape}")
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        raise InputError(source(image), "the image holds NaN or infinite values", "replace them by numbers first")
    return array


def source(image: NdarrayOrTensor) -> str | None:
    """Return the file that an image was read from, or None where its metadata do not tell."""
    return image.meta.get("filename_or_obj") if isinstance(image, MetaTensor) else None
