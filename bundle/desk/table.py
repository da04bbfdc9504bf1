"""The table of vessels, linked with the picture."""

from __future__ import annotations

import math
from collections.abc import Sequence

from qtpy.QtCore import QAbstractTableModel, QModelIndex, QSortFilterProxyModel, Qt, Signal
from qtpy.QtWidgets import QAbstractItemView, QLabel, QTableView, QVBoxLayout, QWidget

from ..measurements import SEGMENTS, Measurement, unit_of

__all__ = ["VesselTable"]

SHOWN = (
    "segment",
    "length",
    "diameter_mean",
    "diameter_min",
    "diameter_max",
    "tortuosity",
    "depth",
    "orientation",
    "volume",
    "cut_by_border",
)
SIGNS = {"micrometer": "µm", "micrometer^3": "µm³", "pixel^3": "pixel³", "degree": "°", "1": ""}


class VesselTable(QWidget):
    """A row for each vessel; a row that is clicked is said by :attr:`chosen`.

    Attributes:
        chosen: signal with the number of the vessel.
    """

    chosen = Signal(int)

    def __init__(self) -> None:
        super().__init__()
        self._summary = QLabel()
        self._summary.setWordWrap(True)
        self.view = QTableView()
        self.view.setSortingEnabled(True)
        self.view.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        self.view.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
        self.view.verticalHeader().hide()
        self._sorted = QSortFilterProxyModel()
        self._sorted.setSortRole(Qt.ItemDataRole.UserRole)
        self.view.setModel(self._sorted)
        layout = QVBoxLayout(self)
        layout.addWidget(self._summary)
        layout.addWidget(self.view)
        self._told = True

    def show_measurement(self, name: str, measurement: Measurement) -> None:
        """Show what was measured of an image.

        Args:
            name: of the image.
            measurement: of it.
        """
        self._summary.setText(f"<b>{name}</b>: {summary(measurement)}")
        dimensions = len(measurement.axes)
        listed = [
            column
            for column in SEGMENTS
            if column.name in SHOWN and (dimensions == 3 or column.name not in ("depth", "volume"))
        ]
        units = (SIGNS.get(unit, unit) for unit in (unit_of(each, measurement.unit, dimensions) for each in listed))
        headings = [
            f"{column.name.replace('_', ' ')}{f' ({unit})' if unit else ''}"
            for column, unit in zip(listed, units, strict=True)
        ]
        rows = [[segment.get(column.name) for column in listed] for segment in measurement.segments]
        self._sorted.setSourceModel(_Rows(headings, rows, [column.definition for column in listed], self))
        self.view.selectionModel().currentRowChanged.connect(self._tell)
        self.view.resizeColumnsToContents()

    def choose(self, vessel: int) -> None:
        """Show a vessel's row, without saying that it was clicked."""
        index = self._sorted.mapFromSource(self._sorted.sourceModel().index(vessel, 0))
        self._told = False
        try:
            self.view.selectRow(index.row())
            self.view.scrollTo(index)
        finally:
            self._told = True

    def _tell(self, current: QModelIndex, _: QModelIndex) -> None:
        if self._told and current.isValid():
            self.chosen.emit(self._sorted.mapToSource(current).row())


class _Rows(QAbstractTableModel):
    def __init__(
        self, headings: Sequence[str], rows: Sequence[Sequence[object]], tips: Sequence[str], parent: QWidget
    ) -> None:
        super().__init__(parent)
        self.headings = headings
        self.rows = rows
        self.tips = tips

    def rowCount(self, parent: QModelIndex | None = None) -> int:  # noqa: N802
        return len(self.rows)

    def columnCount(self, parent: QModelIndex | None = None) -> int:  # noqa: N802
        return len(self.headings)

    def data(self, index: QModelIndex, role: int = Qt.ItemDataRole.DisplayRole) -> object:
        value = self.rows[index.row()][index.column()]
        if role == Qt.ItemDataRole.UserRole:  # by which is sorted
            return -math.inf if _is_missing(value) else value
        if role == Qt.ItemDataRole.DisplayRole:
            return _text(value)
        if role == Qt.ItemDataRole.TextAlignmentRole:
            return Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter
        return None

    def headerData(  # noqa: N802
        self, section: int, orientation: Qt.Orientation, role: int = Qt.ItemDataRole.DisplayRole
    ) -> object:
        if orientation != Qt.Orientation.Horizontal:
            return None
        if role == Qt.ItemDataRole.ToolTipRole:
            return self.tips[section]
        return self.headings[section] if role == Qt.ItemDataRole.DisplayRole else None


def _is_missing(value: object) -> bool:
    return value is None or (isinstance(value, float) and not math.isfinite(value))


def _text(value: object) -> str:
    if _is_missing(value):
        return ""
    if isinstance(value, bool):
        return "yes" if value else ""
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def summary(measurement: Measurement) -> str:
    """The image's numbers in a line."""
    row, known = measurement.image, measurement.unit == "micrometer"
    dimensions = len(measurement.axes)
    density = f"mm/mm{'²' if dimensions == 2 else '³'}" if known else f"pixel/pixel{'²' if dimensions == 2 else '³'}"
    unit = "µm" if known else "pixels"
    return (
        f"{row['segments']} vessels, length {row['length']:.4g} {unit} ({row['length_density']:.4g} {density}), "
        f"mean diameter {row['diameter_mean']:.3g} {unit}, {row['branch_points']} branch points, "
        f"{row['fraction']:.3g} % covered"
    )
