"""What joins the configs to MONAI's runner: words as they were typed, slips of them, and one line for a bad input."""

from .arguments import as_typed, chosen, one_of
from .failures import show_input_errors
from .retraining import is_on_platform, run_folder
from .settings import check_settings, usable_device
from .words import check_words

__all__ = [
    "as_typed",
    "check_settings",
    "check_words",
    "chosen",
    "is_on_platform",
    "one_of",
    "run_folder",
    "show_input_errors",
    "usable_device",
]
