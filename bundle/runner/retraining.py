"""Trainings that a platform starts, with a config that it has changed."""

from __future__ import annotations

from pathlib import Path

from ..training import new_run
from .arguments import as_typed

__all__ = ["is_on_platform", "run_folder"]


def is_on_platform(first_handler: object) -> bool:
    """Tell whether a platform that retrains, such as MONAI Label, runs this config.

    It puts a loader of the weights to start from before the handlers of the config.

    Args:
        first_handler: the ``_target_`` of the first handler.
    """
    return first_handler == "CheckpointLoader"


def run_folder(output_dir: str | Path, bundle_root: str | Path, on_platform: bool) -> str:
    """The folder of a training.

    Args:
        output_dir: what the config has for it.
        bundle_root: folder of the bundle.
        on_platform: each training begins anew, in a folder of its own in the bundle.
    """
    return new_run(bundle_root) if on_platform else str(as_typed("output_dir", output_dir))
