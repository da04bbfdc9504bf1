"""Settings of a config, judged before any work begins."""

from __future__ import annotations

import math
from collections.abc import Callable
from numbers import Integral, Real
from typing import Any

import torch

from ..errors import InputError
from ..io import is_foreground, is_possible_size

__all__ = ["check_settings", "usable_device"]

Judge = Callable[[Any], bool]


def check_settings(**values: object) -> None:
    """Refuse numbers that mean nothing, such as a batch size of ``abc``.

    Args:
        values: by the setting's name, one of :data:`SETTINGS`.

    Raises:
        InputError: a setting has no possible value.
    """
    for name, value in values.items():
        possible, wanted = SETTINGS[name]
        if not possible(value):
            raise InputError(None, f"{name} {value!r} is not possible", f"give {wanted}")


def usable_device(name: object) -> torch.device:
    """The device of a name.

    Args:
        name: such as ``cpu``, ``cuda`` or ``cuda:1``, or a device.

    Raises:
        InputError: it is none, or not one of this machine.
    """
    try:
        device = torch.device(name)
        torch.zeros(1, device=device).item()
    except (RuntimeError, AssertionError, TypeError) as error:
        there = ["cpu", *(f"cuda:{number}" for number in range(torch.cuda.device_count()))]
        raise InputError(
            None, f"no device {str(name)!r} on this machine", f"choose {' or '.join(there)}, or leave --device out"
        ) from error
    return device


def _whole(value: Any) -> bool:
    return isinstance(value, Integral) and not isinstance(value, bool)


def _real(value: Any) -> bool:
    return isinstance(value, Real) and not isinstance(value, bool) and math.isfinite(value)


def _counts(value: Any) -> bool:
    return _whole(value) and value > 0


def _not_negative(value: Any) -> bool:
    return _real(value) and value >= 0


def _share(value: Any) -> bool:
    return _real(value) and 0 <= value <= 1


def _spacing(value: Any) -> bool:
    lengths = isinstance(value, list | tuple) and len(value) in (2, 3) and all(map(_real, value))
    return value is None or (lengths and all(map(is_possible_size, value)))


COUNT = _counts, "a whole number above 0"
COUNT_OR_NONE = (lambda value: _whole(value) and value >= 0), "a whole number, 0 for none"
SHARE = _share, "a number from 0 to 1"
SIZE = _not_negative, "a number of pixels, 0 for none"
SETTINGS: dict[str, tuple[Judge, str]] = {
    "max_epochs": COUNT,
    "crops_per_image": COUNT,
    "batch_size": COUNT,
    "val_interval": COUNT,
    "norm_crops": COUNT_OR_NONE,
    "num_workers": COUNT_OR_NONE,
    "seed": COUNT_OR_NONE,
    "crop": (
        lambda value: isinstance(value, list | tuple) and len(value) == 2 and all(map(_counts, value)),
        "height and width in pixels, such as [192,192] without a space",
    ),
    "learning_rate": (lambda value: _real(value) and value > 0, "a number above 0, such as 0.003"),
    "averaging": (lambda value: _real(value) and 0 <= value < 1, "a number from 0, for none, to below 1"),
    "blur": SHARE,
    "margins": SHARE,
    "foreground": (
        is_foreground,
        "the label of vessels, any for all but 0, or None for masks of 0 and one other",
    ),
    "low": SHARE,
    "high": SHARE,
    "close_gaps": SIZE,
    "remove_fragments": SIZE,
    "scale": (
        lambda value: value == "auto" or (_real(value) and 0.01 <= value <= 16),
        "auto, or a number from 0.01 to 16",
    ),
    "spacing": (_spacing, "micrometres along Z, Y and X, such as [2,0.5,0.5] without a space"),
    "overwrite": (lambda value: isinstance(value, bool), "True or False"),
}
