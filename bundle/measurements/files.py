"""The graph as files that other programs read: JSON, GraphML, VTP, SWC."""

from __future__ import annotations

import base64
import json
import math
import struct
from pathlib import Path
from xml.sax.saxutils import quoteattr

import numpy as np

from ..io import atomic
from .measurement import Measurement

__all__ = ["read_rows", "write_graphml", "write_json", "write_swc", "write_vtp"]


def write_json(path: str | Path, measurement: Measurement, measured: dict | None = None) -> None:
    """Write the graph as JSON, as ``python -m bundle phantom`` writes that of a phantom: truth and measurement compare.

    Args:
        path: the file to write.
        measurement: whose graph it is.
        measured: what is written beside the graph, under ``measured``: the rows of the tables, say; NaN is null.

    Raises:
        InputError: the file cannot be written.
    """
    graph = {**measurement.graph.as_dict(), "units": measurement.unit}
    if measured is not None:
        graph["measured"] = _without_nan(measured)
    with atomic(path) as partial:
        partial.write_text(json.dumps(graph), encoding="utf-8")


def read_rows(path: str | Path) -> dict[str, list[dict]] | None:
    """The rows of the tables that :func:`write_json` put beside a graph; None if there are none in the file."""
    try:
        return json.loads(Path(path).read_text(encoding="utf-8"))["measured"]["rows"]
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _without_nan(value: object) -> object:
    if isinstance(value, dict):
        return {key: _without_nan(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_without_nan(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def write_graphml(path: str | Path, measurement: Measurement) -> None:
    """Write the graph as GraphML, for networkx, Gephi, Cytoscape, igraph: a multigraph, undirected.

    Nodes and edges carry the columns of nodes.csv and segments.csv that are numbers or words; what is not known is left
    out.

    Args:
        path: the file to write.
        measurement: whose graph it is.

    Raises:
        InputError: the file cannot be written.
    """
    keys, body = {}, []
    for kind, rows, identity in (("node", measurement.nodes, "node"), ("edge", measurement.segments, "segment")):
        for row in rows:
            ends = f' source="n{row["source"]}" target="n{row["target"]}"' if kind == "edge" else ""
            body.append(f'    <{kind} id="{kind[0]}{row[identity]}"{ends}>')
            for name, value in row.items():
                if name in (identity, "source", "target") or value != value or value is None or value == "":
                    continue
                form = _GRAPHML[type(value)]
                keys[kind, name] = form
                text = str(value).lower() if isinstance(value, bool) else value
                body.append(f'      <data key="{kind[0]}_{name}">{text}</data>')
            body.append(f"    </{kind}>")
    head = ['<?xml version="1.0" encoding="UTF-8"?>', '<graphml xmlns="http://graphml.graphdrawing.org/xmlns">']
    head += [
        f'  <key id="{kind[0]}_{name}" for="{kind}" attr.name={quoteattr(name)} attr.type="{form}"/>'
        for (kind, name), form in keys.items()
    ]
    head.append('  <graph edgedefault="undirected">')
    _write_lines(path, [*head, *body, "  </graph>", "</graphml>", ""])


_GRAPHML = {bool: "boolean", int: "long", float: "double", str: "string"}


def write_vtp(path: str | Path, measurement: Measurement) -> None:
    """Write the centre lines as VTK's XML PolyData, for ParaView and 3D Slicer: a polyline for each vessel.

    Points are x, y, z, as these programs have them, each with its ``Radius``; lines carry ``Segment`` and some numbers
    of segments.csv. In ParaView the filter Tube, by Radius, shows the vessels.

    Args:
        path: the file to write.
        measurement: whose graph it is.

    Raises:
        InputError: the file cannot be written.
    """
    graph = measurement.graph
    points = np.concatenate(graph.paths)[:, ::-1] if graph.paths else np.empty((0, 3))
    radii = np.concatenate(graph.path_radii) if graph.paths else np.empty(0)
    counts = [len(line) for line in graph.paths]
    lines = [
        '<?xml version="1.0"?>',
        '<VTKFile type="PolyData" version="1.0" byte_order="LittleEndian" header_type="UInt64">',
        "  <PolyData>",
        f'    <Piece NumberOfPoints="{len(points)}" NumberOfVerts="0" NumberOfLines="{len(counts)}" '
        'NumberOfStrips="0" NumberOfPolys="0">',
        '      <PointData Scalars="Radius">',
        _array("Radius", radii),
        "      </PointData>",
        '      <CellData Scalars="Segment">',
        _array("Segment", np.arange(len(counts))),
    ]
    for name in ("length", "tortuosity", "diameter_mean", "volume", "exists"):
        lines.append(_array(name, np.array([segment[name] for segment in measurement.segments], dtype=float)))
    lines += [
        "      </CellData>",
        "      <Points>",
        _array("Points", points, components=3),
        "      </Points>",
        "      <Lines>",
        _array("connectivity", np.arange(len(points))),
        _array("offsets", np.cumsum(counts, dtype=int)),
        "      </Lines>",
        "    </Piece>",
        "  </PolyData>",
        "</VTKFile>",
        "",
    ]
    _write_lines(path, lines)


def _array(name: str, values: np.ndarray, components: int = 1) -> str:
    """Base64, since VTK does not read NaN in text."""
    form, kind = ("Int64", "<i8") if np.issubdtype(values.dtype, np.integer) else ("Float64", "<f8")
    data = values.astype(kind).tobytes()
    text = base64.b64encode(struct.pack("<Q", len(data)) + data).decode("ascii")
    return (
        f'        <DataArray type="{form}" Name="{name}" NumberOfComponents="{components}" format="binary">'
        f"{text}</DataArray>"
    )


def write_swc(path: str | Path, measurement: Measurement) -> int:
    """Write the network as SWC, the format of neurons, for programs that read trees.

    A tree has no loops: each is cut at one end of a vessel, which then ends beside its node. How often is said in the
    file's first lines. Coordinates are x, y, z.

    Args:
        path: the file to write.
        measurement: whose graph it is.

    Returns:
        How many loops were cut.

    Raises:
        InputError: the file cannot be written.
    """
    graph = measurement.graph
    beside: list[list[int]] = [[] for _ in graph.nodes]
    for e, (a, b) in enumerate(graph.edges.tolist()):
        beside[a].append(e)
        beside[b].append(e)
    samples: list[str] = []
    sample_of = np.zeros(len(graph.nodes), dtype=int)
    done = np.zeros(len(graph.edges), dtype=bool)
    cut = 0

    def add(point: np.ndarray, radius: float, parent: int) -> int:
        z, y, x = point
        samples.append(f"{len(samples) + 1} 0 {x:.6g} {y:.6g} {z:.6g} {radius:.6g} {parent}")
        return len(samples)

    for start in range(len(graph.nodes)):
        if sample_of[start] or not beside[start]:
            continue
        first = beside[start][0]
        radius = graph.path_radii[first][0 if graph.edges[first, 0] == start else -1]
        sample_of[start] = add(graph.nodes[start], radius, -1)
        waiting = [start]
        while waiting:
            node = waiting.pop()
            for e in beside[node]:
                if done[e]:
                    continue
                done[e] = True
                forward = graph.edges[e, 0] == node
                far = int(graph.edges[e, 1 if forward else 0])
                line, radii = graph.paths[e], graph.path_radii[e]
                if not forward:
                    line, radii = line[::-1], radii[::-1]
                parent = int(sample_of[node])
                for point, radius in zip(line[1:-1], radii[1:-1], strict=True):
                    parent = add(point, radius, parent)
                if sample_of[far]:
                    cut += 1
                else:
                    sample_of[far] = add(line[-1], radii[-1], parent)
                    waiting.append(far)
    head = [
        f"# vessels; lengths in {measurement.unit}; sample, type, x, y, z, radius, parent",
        f"# {cut} loops cut: SWC holds trees",
    ]
    _write_lines(path, [*head, *samples, ""])
    return cut


def _write_lines(path: str | Path, lines: list[str]) -> None:
    with atomic(path) as partial:
        partial.write_text("\n".join(lines), encoding="utf-8", newline="\n")
