"""What joins the configs to MONAI's runner: words as they were typed, and one line for a bad input."""

from .arguments import as_typed, one_of
from .failures import show_input_errors

__all__ = ["as_typed", "one_of", "show_input_errors"]
