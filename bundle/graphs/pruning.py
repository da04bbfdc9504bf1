"""What of a traced skeleton is a vessel: side lines that hardly stand out go, junctions that are one become one."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import count

import numpy as np

__all__ = ["Line", "Net", "Node"]


@dataclass
class Node:
    """A place where lines end or meet.

    Args:
        position: (z, y, x), micrometres.
        depth: distance to the background there, micrometres.
        lines: names of the lines that end here; of one that begins and ends here twice.
    """

    position: np.ndarray
    depth: float
    lines: list[int] = field(default_factory=list)


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
            bases = []
            for name in small:
                line = self.take_line(name)
                tip, base = line.source, line.target
                if self.nodes[tip].lines:
                    tip, base = base, tip
                del self.nodes[tip]
                bases.append(base)
            self.straighten(sorted(set(bases)))

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
        return self.lines[line].target if self.lines[line].source == name else self.lines[line].source

    def _move(self, old: int, new: int) -> None:
        """Let the lines of one node end at another, and take it out."""
        for name in sorted(set(self.nodes[old].lines)):
            line = self.take_line(name)
            if line.source == old and line.target != old:
                line = line.turned()
            source = new if line.source == old else line.source
            self.add_line(Line(source, new, line.points, line.depths))
        del self.nodes[old]

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
