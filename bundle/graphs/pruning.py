"""What of a traced skeleton is a vessel: side lines that hardly stand out go, junctions that are one become one."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import count

import numpy as np

__all__ = ["Line", "Net", "Node"]

_CORNER = 1.5  # radii


@dataclass
class Node:
    """A place where lines end or meet.

    Args:
        position: (z, y, x), micrometres.
        depth: distance to the background there, micrometres.
        lines: names of the lines that end here; of one that begins and ends here twice.
        tips: where lines ended that were taken out here, ``[3]`` each.
        exit: of an end, where the axis of its vessel leaves the field, ``[3]``, on the border.
    """

    position: np.ndarray
    depth: float
    lines: list[int] = field(default_factory=list)
    tips: list[np.ndarray] = field(default_factory=list)
    exit: np.ndarray | None = None


@dataclass
class Line:
    """A line between two nodes.

    Args:
        source: name of the node that it leaves.
        target: name of the node that it enters.
        points: those between the nodes, ``[P, 3]``, micrometres.
        depths: distance to the background at each, ``[P]``.
    """

    source: int
    target: int
    points: np.ndarray
    depths: np.ndarray

    def turned(self) -> Line:
        """The same line from its other end."""
        return Line(self.target, self.source, self.points[::-1], self.depths[::-1])


class Net:
    """Nodes and lines by name, which can be taken out and put together."""

    def __init__(self) -> None:
        self.nodes: dict[int, Node] = {}
        self.lines: dict[int, Line] = {}
        self._names = count()

    def add_node(self, node: Node) -> int:
        """Add a node and give its name."""
        name = next(self._names)
        self.nodes[name] = node
        return name

    def add_line(self, line: Line) -> int:
        """Add a line and give its name."""
        name = next(self._names)
        self.lines[name] = line
        self.nodes[line.source].lines.append(name)
        self.nodes[line.target].lines.append(name)
        return name

    def take_line(self, name: int) -> Line:
        """Take a line out; its nodes stay."""
        line = self.lines.pop(name)
        self.nodes[line.source].lines.remove(name)
        self.nodes[line.target].lines.remove(name)
        return line

    def points_of(self, line: Line) -> tuple[np.ndarray, np.ndarray]:
        """Points and depths of a line with those of its nodes."""
        source, target = self.nodes[line.source], self.nodes[line.target]
        points = np.concatenate([source.position[None], line.points, target.position[None]])
        return points, np.concatenate([[source.depth], line.depths, [target.depth]])

    def straighten(self, names: list[int]) -> None:
        """Join the two lines at each of these nodes, if two lines end there that are not one."""
        for name in names:
            node = self.nodes.get(name)
            if node is None or len(node.lines) != 2 or node.lines[0] == node.lines[1]:
                continue
            one, other = (self.take_line(line) for line in list(node.lines))
            one = one if one.target == name else one.turned()
            other = other if other.source == name else other.turned()
            del self.nodes[name]
            points = np.concatenate([one.points, node.position[None], other.points])
            self.add_line(
                Line(one.source, other.target, points, np.concatenate([one.depths, [node.depth], other.depths]))
            )

    def prune(self, least: float) -> None:
        """Take out the ends that stand out too little, until all that are left stand out enough.

        What counts is the bulge size, as Drees et al. call it (BMC Bioinformatics 2021 22:346,
        doi:10.1186/s12859-021-04262-w): how far a line reaches beyond the ball that fits in where it branches off,
        up to the surface, in radii of the line where it leaves that ball. The corner of a vessel cut square is 1.4.
        All that are too small go at once, so that no order decides.

        Args:
            least: bulge size of a line that stays.
        """
        while True:
            small = [name for name in self.lines if self._bulge(name) < least]
            if not small:
                return
            self.drop(small)

    def drop(self, names: list[int]) -> None:
        """Take out lines, with their free ends; where they branched off, what is left is joined."""
        tips = {end for name in names for end in self._ends(name) if len(self.nodes[end].lines) == 1}
        bases = {end for name in names for end in self._ends(name)} - tips
        for name in names:
            line = self.take_line(name)
            for tip, base in ((line.source, line.target), (line.target, line.source)):
                if tip in tips:
                    gone = self.nodes.pop(tip)
                    if base in bases:
                        self.nodes[base].tips += gone.tips or [gone.position]
        self.straighten(sorted(bases))

    def branching(self, name: int) -> bool:
        """Whether a line leaves a branch point."""
        return any(len(self.nodes[end].lines) >= 3 for end in self._ends(name))

    def _ends(self, line: int) -> tuple[int, int]:
        return self.lines[line].source, self.lines[line].target

    def merge(self) -> None:
        """Make one branch point of two between which runs one line, if the ball that fits into the one holds the other.

        Two vessels that cross, or four that meet, are thinned to two branch points side by side. The deepest node
        takes in its neighbours first. Nodes that two lines join stay apart, for these are a loop.
        """
        branching = [name for name, node in self.nodes.items() if len(node.lines) >= 3]
        for name in sorted(branching, key=lambda name: (-self.nodes[name].depth, name)):
            if name not in self.nodes:
                continue
            node = self.nodes[name]
            taken = [node.position]
            while (line := self._within(name)) is not None:
                gone = self.take_line(line)
                other = gone.target if gone.source == name else gone.source
                taken.append(self.nodes[other].position)
                self._move(other, name)
            node.position = np.mean(taken, axis=0)

    def _within(self, name: int) -> int | None:
        """A line from this node to another branch point inside its ball, the only one between the two."""
        node = self.nodes[name]
        others = [self._other(line, name) for line in node.lines]
        for line, other in zip(node.lines, others, strict=True):
            near = self.nodes[other]
            if other == name or others.count(other) > 1 or len(near.lines) < 3:
                continue
            if np.linalg.norm(near.position - node.position) < node.depth:
                return line
        return None

    def _other(self, line: int, name: int) -> int:
        source, target = self._ends(line)
        return target if source == name else source

    def _move(self, old: int, new: int) -> None:
        """Let the lines of one node end at another, and take it out."""
        for name in sorted(set(self.nodes[old].lines)):
            line = self.take_line(name)
            if line.source == old and line.target != old:
                line = line.turned()
            source = new if line.source == old else line.source
            self.add_line(Line(source, new, line.points, line.depths))
        del self.nodes[old]

    def shorten(self) -> None:
        """Cut free ends back to the last ball that is far from the tip, so that a line points out of its vessel's end.

        A line runs on into a corner of a vessel that ends square. What lies within 1.5 radii of the tip goes; a corner
        is 1.4 radii from the last ball.
        """
        for name, node in list(self.nodes.items()):
            if len(node.lines) != 1 or node.exit is not None:
                continue
            line = self.lines[node.lines[0]]
            outward = line if line.target == name else line.turned()
            points, depths = self.points_of(outward)
            last = max(self._first_near(points, depths, tip) for tip in node.tips or [node.position])
            node.position, node.depth = points[last], float(depths[last])
            kept = Line(outward.source, name, points[1:last], depths[1:last])
            kept = kept if outward is line else kept.turned()
            line.points, line.depths = kept.points, kept.depths

    @staticmethod
    def _first_near(points: np.ndarray, depths: np.ndarray, tip: np.ndarray) -> int:
        """Of the points of a line, but its first, the first one that is near the tip."""
        near = np.linalg.norm(points[1:] - tip, axis=1) <= _CORNER * depths[1:]
        return int(np.argmax(near)) + 1 if near.any() else len(points) - 1

    def _bulge(self, name: int) -> float:
        """Bulge size of a line with one free end; infinite for others."""
        line = self.lines[name]
        ends = len(self.nodes[line.source].lines), len(self.nodes[line.target].lines)
        if min(ends) != 1 or max(ends) < 3:
            return np.inf
        points, depths = self.points_of(line if ends[1] == 1 else line.turned())
        out = np.flatnonzero(np.linalg.norm(points - points[0], axis=1) > depths[0])
        if not out.size:
            return 0.0
        length = np.linalg.norm(np.diff(points[out[0] :], axis=0), axis=1).sum()
        return float((length + depths[-1]) / depths[out[0]])
