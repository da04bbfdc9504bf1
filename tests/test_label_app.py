"""The logic of the MONAI Label app: polygons that keep holes, and the order in which images are to be annotated."""

from __future__ import annotations

import math

import numpy as np
import pytest
from matplotlib.path import Path as Outline
from scipy.ndimage import gaussian_filter, generate_binary_structure, label

from platforms.monailabel.lib.polygons import area, polygons
from platforms.monailabel.lib.ranking import disagreement, ranked

# polygons


def filled(ring, shape):
    """The pixels whose centres lie in a ring, by matplotlib, which winds."""
    rows, columns = np.indices(shape)
    centres = np.column_stack([columns.ravel() + 0.5, rows.ravel() + 0.5])
    return Outline(ring + ring[:1], closed=True).contains_points(centres).reshape(shape)


def test_ring_has_one_outline_and_one_hole_of_exactly_its_areas():
    mask = np.zeros((9, 12), np.uint8)
    mask[1:8, 2:10] = 255
    mask[3:6, 4:8] = 0
    (ring,) = polygons(mask)
    assert set(ring.outer) == {(2, 1), (10, 1), (10, 8), (2, 8)}
    assert [set(hole) for hole in ring.holes] == [{(4, 3), (8, 3), (8, 6), (4, 6)}]
    assert area(ring.outer) == 7 * 8 and area(ring.holes[0]) == -3 * 4
    assert area(ring.ring) == (mask > 0).sum() == 44
    np.testing.assert_array_equal(filled(ring.ring, mask.shape), mask > 0)


def test_location_moves_polygons_and_small_pieces_are_left_out():
    mask = np.zeros((6, 6), bool)
    mask[0:2, 0:2] = mask[5, 5] = True
    assert [set(piece.outer) for piece in polygons(mask, (10, 20))] == [
        {(10, 20), (12, 20), (12, 22), (10, 22)},
        {(15, 25), (16, 25), (16, 26), (15, 26)},
    ]
    assert len(polygons(mask, smallest=4)) == 1
    assert polygons(mask, smallest=5) == polygons(np.zeros((3, 3))) == []


def test_pixels_that_touch_at_a_corner_are_one_piece_and_holes_that_do_are_two():
    diagonal = np.eye(3, dtype=bool)
    (piece,) = polygons(diagonal)
    assert area(piece.ring) == 3 and not piece.holes
    sieve = np.ones((4, 4), bool)
    sieve[1, 1] = sieve[2, 2] = False
    (piece,) = polygons(sieve)
    assert [area(hole) for hole in piece.holes] == [-1, -1]
    assert area(piece.ring) == 14


@pytest.mark.parametrize("seed", range(30))
def test_every_mask_is_its_polygons(seed):
    """Noise, worms and nets with hundreds of holes, holes in pieces within holes, pixels at the border."""
    rng = np.random.default_rng(seed)
    shape = tuple(int(side) for side in rng.integers(1, 60, 2))
    values = gaussian_filter(rng.random(shape), (0, 0.7, 1.5)[seed % 3])
    mask = values > np.quantile(values, rng.uniform(0.05, 0.95))
    found = polygons(mask)
    pieces, count = label(mask, generate_binary_structure(2, 2))
    background, regions = label(np.pad(~mask, 1, constant_values=True))
    assert len(found) == count and sum(len(piece.holes) for piece in found) == regions - 1
    for number, piece in enumerate(found, 1):
        assert area(piece.ring) == area(piece.outer) + sum(map(area, piece.holes)) == (pieces == number).sum()
        np.testing.assert_array_equal(filled(piece.ring, shape), pieces == number)


# ranking


def test_disagreement_counts_vessels_alone():
    dbac, ddmac = np.array([[0.9, 0.1, 0.6], [0.2, 0.5, 0.1]]), np.array([[0.7, 0.1, 0.2], [0.8, 0.5, 0.0]])
    # vessel to either: 0.9 | 0.7, 0.6 | 0.2 and 0.2 | 0.8
    assert disagreement(dbac, ddmac) == pytest.approx((0.2 + 0.4 + 0.6) / 3)
    wider = np.pad(dbac, 50, constant_values=0.1), np.pad(ddmac, 50, constant_values=0.3)
    assert disagreement(*wider) == pytest.approx(disagreement(dbac, ddmac))
    assert math.isnan(disagreement(np.zeros((3, 3)), np.full((3, 3), 0.4)))


def test_the_least_agreed_image_comes_first_and_empty_ones_last():
    assert ranked({"d": 0.1, "b": math.nan, "c": 0.3, "a": 0.1, "e": math.nan, "f": 0.0}) == list("cadfbe")
