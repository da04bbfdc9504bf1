"""What the columns of the tables mean: one list, from which tables, definitions.csv and the documents are made."""

from __future__ import annotations

from typing import NamedTuple

__all__ = ["IMAGES", "NODES", "SEGMENTS", "Column", "columns", "unit_of"]


class Column(NamedTuple):
    """A column of a table.

    Args:
        name: its heading.
        unit: "unit" (micrometre, or pixel without a pixel size), a power of it such as "1/unit", "1/mm^(d-1)" and the
            like, per millimetre (per pixel without a pixel size), "%", "degree", "1" for a number without a unit,
            "count", or "" for words.
        definition: what it is and how it is estimated.
        interval: it has a 90 % interval, in ``name_low`` and ``name_high``.
    """

    name: str
    unit: str
    definition: str
    interval: bool = False


IMAGES = (
    Column("image", "", "NAME of the input"),
    Column("axes", "", "YX: an image, or a stack's projection; ZYX: a stack"),
    Column("spacing_z", "unit", "between slices"),
    Column("spacing_y", "unit", "between rows"),
    Column("spacing_x", "unit", "between columns"),
    Column("unit", "", "micrometer, or pixel where no pixel size is known"),
    Column("field", "unit^d", "area (2D) or volume (3D) of what is measured, without margins and what is not finite"),
    Column("length", "unit", "sum over smoothed centre lines, free ends drawn out to the mask's edge", True),
    Column("length_density", "1/mm^(d-1)", "length / field", True),
    Column("fraction", "%", "share of the field that the mask covers", True),
    Column("expected_fraction", "%", "mean probability of a vessel over the field"),
    Column("diameter_mean", "unit", "mean over segments of their mean diameters", True),
    Column("diameter_length_weighted", "unit", "integral of diameter ds / length, over all centre lines", True),
    Column("diameter_p5", "unit", "5 % of the length is thinner", True),
    Column("diameter_p50", "unit", "half of the length is thinner", True),
    Column("diameter_p95", "unit", "95 % of the length is thinner", True),
    Column("volume", "unit^3", "integral of pi r^2 ds over all centre lines; in 2D of round vessels", True),
    Column("surface", "unit^2", "integral of 2 pi r ds over all centre lines; in 2D of round vessels", True),
    Column("branch_points", "count", "nodes where three vessels or more meet, crossings among them", True),
    Column("end_points", "count", "nodes where one vessel ends inside the field", True),
    Column("border_points", "count", "nodes where a vessel leaves the field"),
    Column("crossings", "count", "of the branch points of a 2D image those of four vessels in two straight pairs"),
    Column("segments", "count", "vessels between two nodes", True),
    Column("pieces", "count", "connected parts of the network: C, the mask's Betti number 0", True),
    Column("loops", "count", "independent loops E - N + C, the mask's Betti number 1 after pinholes are filled", True),
    Column("branch_point_density", "1/mm^d", "branch points / field", True),
    Column("end_point_density", "1/mm^d", "end points / field"),
    Column("loop_density", "1/mm^d", "loops / field"),
    Column("branch_points_per_length", "1/mm", "branch points / length"),
    Column("end_points_per_length", "1/mm", "end points / length"),
    Column("degree_3", "count", "nodes where three vessels meet"),
    Column("degree_4", "count", "nodes where four vessels meet"),
    Column("degree_5_up", "count", "nodes where five vessels or more meet"),
    Column("tortuosity_mean", "1", "mean over segments of arc / chord; closed ones have none", True),
    Column("curvature_mean", "1/unit", "mean of |dt/ds| over the length, on pieces one diameter long", True),
    Column("segment_length_mean", "unit", "mean of the lengths seen, cut ones among them", True),
    Column("segment_length_median", "unit", "median of the lengths seen"),
    Column("segment_length_censored_mean", "unit", "Kaplan-Meier mean: those cut by the border count as longer", True),
    Column("segment_length_censored_median", "unit", "Kaplan-Meier median"),
    Column(
        "distance_mean",
        "unit",
        "mean distance of tissue to the nearest vessel's wall; points nearer to the border "
        "than to a vessel left out, the others weighted for it (Hanisch)",
        True,
    ),
    Column("distance_p95", "unit", "95th percentile of that distance", True),
    Column("distance_max", "unit", "largest distance of a point that is not left out", True),
    Column("distance_left_out", "%", "share of the tissue that is left out"),
    Column(
        "length_crofton",
        "unit",
        "length by Crofton's formula on pixel configurations, without a skeleton, as a "
        "check; free ends add about a radius each",
    ),
    Column("fractal_dimension", "1", "box counting of the mask, sides 2, 4, 8 and so on up to a quarter of the image"),
    Column("lacunarity", "1", "mean over the same boxes, gliding, of E[M^2] / E[M]^2"),
    Column("branching_angle_mean", "degree", "mean angle between the vessels of branch points of three"),
    Column("murray_exponent_median", "1", "median k of r_parent^k = sum of r_daughter^k at branch points of three"),
    Column("murray_ratio_median", "1", "median of sum of r_daughter^3 / r_parent^3 at branch points of three"),
    Column("strahler_max", "1", "highest Strahler order of a piece without loops, the widest end its root"),
    Column("expected_length", "unit", "sum of length times probability that the segment exists"),
    Column("interval", "", "which intervals _low and _high are, and what has none; why there are none"),
)

SEGMENTS = (
    Column("image", "", "NAME of the input"),
    Column("segment", "", "number of the vessel, as in the graph's files"),
    Column("source", "", "node where it begins"),
    Column("target", "", "node where it ends"),
    Column("length", "unit", "along the centre line", True),
    Column("chord", "unit", "distance between its ends"),
    Column("tortuosity", "1", "length / chord; none where it is closed"),
    Column("curvature", "1/unit", "mean of |dt/ds|, on pieces one diameter long"),
    Column("diameter_mean", "unit", "mean over the length", True),
    Column("diameter_sd", "unit", "standard deviation along the length"),
    Column("diameter_min", "unit", "smallest along the length"),
    Column("diameter_max", "unit", "largest along the length"),
    Column("volume", "unit^3", "integral of pi r^2 ds; in 2D of a round vessel"),
    Column("surface", "unit^2", "integral of 2 pi r ds; in 2D of a round vessel"),
    Column("depth", "unit", "mean z of the centre line below the first slice; none in 2D"),
    Column("orientation", "degree", "of the chord in the plane: 0 along x, 90 along y (down), below 180"),
    Column("inclination", "degree", "of the chord to the plane: 0 in it, 90 along z; none in 2D"),
    Column("closed", "", "1: it ends where it begins"),
    Column("cut_by_border", "", "1: it leaves the field, and is longer than what is seen"),
    Column(
        "diameter_source",
        "",
        "profile: fitted to grey values; section: the mask's, normal to the centre line; "
        "distance: twice the distance to the background, too short for the others",
    ),
    Column("strahler", "1", "Strahler order, where its piece is a tree"),
    Column("exists", "1", "probability that the vessel exists; none where only a mask is given"),
)

NODES = (
    Column("image", "", "NAME of the input"),
    Column("node", "", "number of the node, as in the graph's files"),
    Column("z", "unit", "from the centre of the first voxel; none in 2D"),
    Column("y", "unit", "from the centre of the first pixel"),
    Column("x", "unit", "from the centre of the first pixel"),
    Column("degree", "count", "vessels that meet"),
    Column(
        "kind",
        "",
        "branch, crossing (2D: two straight pairs), end, border (leaves the field), loop (on a ring), point (a speck)",
    ),
    Column("angles", "degree", "between the vessels, one diameter out; pair by pair, with semicolons between"),
    Column("murray_exponent", "1", "k of r_parent^k = sum of r_daughter^k, of three vessels"),
    Column("murray_ratio", "1", "sum of r_daughter^3 / r_parent^3, of three vessels"),
)


def columns(table: tuple[Column, ...]) -> list[str]:
    """The headings of a table: the columns, those with an interval followed by ``_low`` and ``_high``."""
    return [
        name
        for column in table
        for name in ((column.name, f"{column.name}_low", f"{column.name}_high") if column.interval else (column.name,))
    ]


def unit_of(column: Column, unit: str, dimensions: int) -> str:
    """A column's unit in the table of an image of 2 or 3 dimensions, in "micrometer" or "pixel"."""
    long = "mm" if unit == "micrometer" else unit
    units = {
        "unit": unit,
        "1/unit": f"1/{unit}",
        "unit^2": f"{unit}^2",
        "unit^3": f"{unit}^3",
        "unit^d": f"{unit}^{dimensions}",
        "1/mm": f"1/{long}",
        "1/mm^d": f"1/{long}^{dimensions}",
        "1/mm^(d-1)": f"{long}/{long}^{dimensions}",
    }
    return units.get(column.unit, column.unit)
