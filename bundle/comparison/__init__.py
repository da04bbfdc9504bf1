"""Groups of animals compared: differences, intervals, exact tests, superplots. The animal is the unit."""

from .compare import Animal, Comparison, Difference, compare
from .effects import Estimate, hedges_g, holm, welch_difference
from .groups import Assignment, Placed, place, read_groups, read_table
from .measurement import redrawn
from .mixed import Mixed, mixed_model
from .permutation import Permutation, permutation_test, smallest_p
from .quantities import DEFAULT_QUANTITIES, numbers, quantities_of, title, unit_of
from .superplot import draw_superplot, svg_text
from .tables import animal_rows, comparison_rows, csv_text, plot_rows, write_rows

__all__ = [
    "DEFAULT_QUANTITIES",
    "Animal",
    "Assignment",
    "Comparison",
    "Difference",
    "Estimate",
    "Mixed",
    "Permutation",
    "Placed",
    "animal_rows",
    "compare",
    "comparison_rows",
    "csv_text",
    "draw_superplot",
    "hedges_g",
    "holm",
    "mixed_model",
    "numbers",
    "permutation_test",
    "place",
    "plot_rows",
    "quantities_of",
    "read_groups",
    "read_table",
    "redrawn",
    "smallest_p",
    "svg_text",
    "title",
    "unit_of",
    "welch_difference",
    "write_rows",
]
