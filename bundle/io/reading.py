"""Which image of a file is read, and how."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

__all__ = ["Reading"]


class Reading:
    """The options of :func:`bundle.io.open_image`, as :class:`bundle.io.MicroscopyReader` takes them."""

    def __init__(
        self,
        channel: int | str | None = None,
        time: int | str | None = None,
        scene: int | str | None = None,
        axes: str | None = None,
        spacing: Sequence[float] | None = None,
        position: int | str | None = None,
    ) -> None:
        self.options: dict[str, Any] = {
            "channel": channel,
            "time": time,
            "scene": scene,
            "axes": axes,
            "spacing": spacing,
            "position": position,
        }
