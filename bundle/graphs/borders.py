"""Where the axis of a vessel leaves the field: the mask goes on beyond, and a skeleton follows it along the border.

The part of a vessel whose axis has left the field still shows, as less than half a tube, and the deepest voxels of it
lie in the border's own layer. A line through them is length that is not in the field: 0.8 radii times the field's
surface of it, 6 to 18 % in fields of a few dozen slices.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from scipy.spatial import cKDTree

from .fields import Field
from .pruning import Line, Net, Node

__all__ = ["leave", "room"]

_STEEP = 0.25  # sine of the angle to the border from which a vessel's cut face is short enough to have a middle
_HALF = math.pi / 8  # section / (width at the border)² of half a disc


def room(points: np.ndarray, shape: tuple[int, ...], spacing: np.ndarray) -> np.ndarray:
    """How far points are from the border along each axis, ``[P, 3]``, micrometres; infinite along one of one slice."""
    low = points + spacing / 2
    high = (np.array(shape) - 0.5) * spacing - points
    return np.where(np.array(shape) > 1, np.minimum(low, high), np.inf)


def leave(net: Net, field: Field, spacing: np.ndarray) -> None:
    """End each line where its vessel's axis leaves the field, and take out what lies outside altogether.

    Where a vessel comes to the border at an angle, its axis is in the middle of the face that the border cuts. Where
    it runs along the border, it is outside from where the section shown is less than half a disc over its width at the
    border. Lines between branch points stay, for pieces and loops are those of the mask.

    Args:
        net: the lines of the skeleton, pruned; nodes get their ``exit``.
        field: the mask.
        spacing: micrometres.
    """
    if not net.lines:
        return
    names = list(net.lines)
    parts = [net.points_of(net.lines[name]) for name in names]
    tree = cKDTree(np.concatenate([points for points, _ in parts]))
    starts = np.cumsum([0, *(len(points) for points, _ in parts)])
    outside: dict[int, None] = {}
    for name, start, stop in zip(names, starts[:-1], starts[1:], strict=True):
        line = net.lines[name]
        for node in (line.source, line.target):
            if len(net.nodes[node].lines) != 1 or name in outside:
                continue
            outward = line.target == node
            order = np.arange(start, stop) if outward else np.arange(start, stop)[::-1]
            end = _End.of(net, line if outward else line.turned(), order, field, spacing)
            if end is not None and not end.settle(net, name, node, tree):
                outside[name] = None
    alone = [name for name in outside if not net.branching(name)]
    for name in alone:  # what is left of a piece without length in the field
        points, depths = net.points_of(net.lines[name])
        deepest = int(np.argmax(depths))
        net.add_node(Node(points[deepest], float(depths[deepest])))
    net.drop(list(outside))


@dataclass
class _End:
    """A free end in the border's layer.

    Args:
        points: of its line, towards the end, ``[P, 3]``, micrometres.
        depths: at these points.
        order: the number of each among the points of all lines.
        first: the first point of the last that lie in the layer.
        stop: behind the last one of them; there the line may turn into another border's layer.
        axis: that the border is normal to.
        side: −1 where it is the first layer of that axis, 1 where it is the last.
        field: the mask.
        spacing: micrometres.
    """

    points: np.ndarray
    depths: np.ndarray
    order: np.ndarray
    first: int
    stop: int
    axis: int
    side: int
    field: Field
    spacing: np.ndarray

    @classmethod
    def of(cls, net: Net, line: Line, order: np.ndarray, field: Field, spacing: np.ndarray) -> _End | None:
        """The end of a line, if it is in the layer of one border."""
        points, depths = net.points_of(line)
        index = np.rint(points / spacing).astype(int)
        at = np.zeros((len(points), 3), int)  # −1 or 1 in the first or the last layer of an axis
        for axis, size in enumerate(field.shape):
            if size > 2 and size * spacing[axis] >= 2 * np.median(depths):  # one as wide as the field has no side
                at[:, axis] = (index[:, axis] == size - 1).astype(int) - (index[:, axis] == 0)
        away = np.flatnonzero(~at.any(axis=1))
        first = int(away[-1]) + 1 if away.size else 0
        if first == len(points):
            return None
        axis = int(np.argmax(at[first:].astype(bool).sum(axis=0) * at[first].astype(bool)))
        side = int(at[first, axis])
        leaves = np.flatnonzero(at[first:, axis] != side)
        stop = first + int(leaves[0]) if leaves.size else len(points)
        return cls(points, depths, order, first, stop, axis, side, field, spacing)

    @property
    def plane(self) -> float:
        """Where the border is along its axis, micrometres."""
        last = self.field.shape[self.axis] - 1
        return float(self.spacing[self.axis] * (-0.5 if self.side < 0 else last + 0.5))

    def settle(self, net: Net, name: int, node: int, tree: cKDTree) -> bool:
        """Cut the line where its vessel leaves the field; whether anything of it is left."""
        image = self.field.shape[0] == 1
        to_border = room(self.points, self.field.shape, self.spacing)[:, self.axis]
        whole = np.flatnonzero(to_border >= self.depths)  # where the ball is not cut
        touched = int(whole[-1]) if whole.size else 0
        if touched and self.first:
            base = touched if image else self.first - 1
            far = np.linalg.norm(self.points[: base + 1] - self.points[base], axis=1)
            behind = np.flatnonzero(far >= max(self.depths[base], 2 * self.spacing.min()))
            way = self.points[base] - self.points[behind[-1] if behind.size else 0]
            if way.any() and self.side * way[self.axis] / np.linalg.norm(way) >= _STEEP:
                middle = self._middle_of_face(touched, tree)
                if middle is not None:
                    self._end_at(net, name, node, base, middle)
                    return True
        return True if image else self._along(net, name, node, tree)

    def _end_at(self, net: Net, name: int, node: int, last: int, middle: np.ndarray) -> None:
        """Keep a line up to a point, and let it go on through the middle of the face to the border."""
        far = np.linalg.norm(self.points[: last + 1] - middle, axis=1)
        behind = np.flatnonzero(far >= max(2 * self.depths[last], 4 * self.spacing.min()))
        way = middle - self.points[behind[-1] if behind.size else 0]
        over = (self.plane - middle[self.axis]) / way[self.axis] if way[self.axis] * self.side > 0 else 0.0
        place = middle + np.clip(over, 0, 1) * way
        place[self.axis] = self.plane
        self._cut(net, name, node, last, place)

    def _cut(self, net: Net, name: int, node: int, last: int, place: np.ndarray) -> None:
        line = net.lines[name]
        end = net.nodes[node]
        end.exit = place
        inner = slice(1, last)
        end.position, end.depth = self.points[last], float(self.depths[last])
        points, depths = self.points[inner], self.depths[inner]
        line.points, line.depths = (points, depths) if line.target == node else (points[::-1], depths[::-1])

    def _around(self, first: int, tree: cKDTree) -> tuple[np.ndarray, np.ndarray]:
        """The voxels of the mask that belong to the points from the first one on, and the point of each."""
        reach = 2 * float(self.depths[first:].max()) + self.spacing.max()
        low = np.maximum((self.points[first:].min(axis=0) - reach) / self.spacing, 0).astype(int)
        high = np.minimum((self.points[first:].max(axis=0) + reach) / self.spacing + 1, self.field.shape).astype(int)
        z, y, x = map(slice, low.tolist(), high.tolist())
        box = self.field.read((z, y, x))
        voxels = np.argwhere(box) + low
        away, nearest = tree.query(voxels * self.spacing, distance_upper_bound=reach)
        start, stop = sorted((int(self.order[first]), int(self.order[-1])))
        own = np.isfinite(away) & (nearest >= start) & (nearest <= stop)
        place = np.abs(nearest[own] - self.order[0])
        return voxels[own], place

    def _layer(self, voxels: np.ndarray) -> np.ndarray:
        return voxels[:, self.axis] == (0 if self.side < 0 else self.field.shape[self.axis] - 1)

    def _middle_of_face(self, first: int, tree: cKDTree) -> np.ndarray | None:
        voxels, _ = self._around(first, tree)
        face = voxels[self._layer(voxels)]
        return face.mean(axis=0) * self.spacing if len(face) else None

    def _along(self, net: Net, name: int, node: int, tree: cKDTree) -> bool:
        """Cut a line that runs along the border where less than half a disc is seen."""
        run = self.stop - self.first
        if run < 3:
            return True
        voxels, place = self._around(self.first, tree)
        place = place - self.first
        voxels, place = voxels[place < run], place[place < run]
        volume = np.bincount(place, minlength=run) * np.prod(self.spacing)
        face = np.bincount(place[self._layer(voxels)], minlength=run) * np.prod(np.delete(self.spacing, self.axis))
        points, depths = self.points[self.first : self.stop], self.depths[self.first : self.stop]
        whole = run == len(self.points) and not net.branching(name)  # it is in the layer from end to end
        beyond = [
            _beyond_half(points, volume, face, self.spacing[self.axis], i, np.inf if whole else 2 * depths[i])
            for i in range(run)
        ]
        # where most of what is more than half a disc lies before, and of what is less behind
        kept = int(np.argmax(np.cumsum([0, *beyond])))
        if kept >= run - 1:
            return True
        last = self.first + kept - 1
        if last < 1:
            return False
        place = self.points[last + 1].copy()
        place[self.axis] = self.plane
        self._cut(net, name, node, last, place)
        return True


def _beyond_half(
    points: np.ndarray, volume: np.ndarray, face: np.ndarray, step: float, middle: int, reach: float
) -> float:
    """By how much area the section around one of a line's points is more than half a disc over its width.

    The width is that of the first layer, half a step from the border, where half a disc is wider.
    """
    near = np.linalg.norm(points - points[middle], axis=1) <= reach
    near[max(0, middle - 1) : middle + 2] = True
    at = np.flatnonzero(near)
    count = at[-1] - at[0]
    length = np.linalg.norm(points[at[-1]] - points[at[0]]) * (count + 1) / count
    inside = slice(at[0], at[-1] + 1)
    width = face[inside].sum() / length
    return float(volume[inside].sum() / length - _HALF * (width**2 + step**2))
