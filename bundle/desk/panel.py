"""The panel in napari's window: segment, measure, correct, adapt, label next."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from napari.layers import Image as ImageLayer
from napari.viewer import Viewer
from qtpy.QtCore import Qt
from qtpy.QtWidgets import (
    QApplication,
    QComboBox,
    QFileDialog,
    QFormLayout,
    QGroupBox,
    QHBoxLayout,
    QLabel,
    QLineEdit,
    QProgressBar,
    QPushButton,
    QSpinBox,
    QVBoxLayout,
    QWidget,
)

from ..errors import InputError
from ..interface import Segmentation, adapt, measure, segment
from ..io import is_possible_size
from ..measurements import Measurement
from ..trust import Box, Kind, choose, learned, look_into_boxes
from .layers import (
    MICROMETRE,
    Layer,
    Layout,
    box_layer,
    graph_layers,
    nearest_vessel,
    picture_of,
    pieces,
    result_layers,
    spacing_of,
    strokes_layer,
    vector_arguments,
    vessel_path,
)
from .saving import file_name, save_for_training, save_tables
from .table import VesselTable
from .work import Work

__all__ = ["VesselPanel"]

MODES = {"fuse stacks into one image": "auto", "slice by slice, in 3D": "stack"}
BOX = 128  # pixels: the side of a place to label next, which is painted in a minute
REACH = 5  # pixels beside a centre line within which a click means it
LEARN_FROM = {"the strokes painted": "strokes", "the mask, all of what is shown": "mask"}


@dataclass
class _Found:
    """What was found in a layer.

    Args:
        layer: of the image.
        image: that was segmented, ``[Y, X]`` or ``[Z, Y, X]``.
        layout: of it.
        spacing: micrometres along its axes.
        mode: "auto" or "stack".
        result: the segmentation.
        measurement: of the mask, once it was measured.
        boxes: the places of the result, once it was asked which to label.
        shown: numbers of those that were shown since.
    """

    layer: ImageLayer
    image: np.ndarray
    layout: Layout
    spacing: tuple[float, ...] | None
    mode: str
    result: Segmentation
    measurement: Measurement | None = None
    boxes: list[Box] | None = None
    shown: set[int] = field(default_factory=set)


class VesselPanel(QWidget):
    """Everything for the vessels of the image that is chosen at its top.

    Args:
        napari_viewer: the window's viewer; napari gives it.

    Attributes:
        work: what is being done.
        status: the last line for the user.
    """

    def __init__(self, napari_viewer: Viewer) -> None:
        super().__init__()
        self.viewer = napari_viewer
        self.work = Work()
        self.status = ""
        self._found: dict[ImageLayer, _Found] = {}
        self._table: VesselTable | None = None
        self._buttons: list[QPushButton] = []
        self._build()
        layers = self.viewer.layers
        for event in (layers.events.inserted, layers.events.removed, layers.events.reordered):
            event.connect(self._list_images)
        self.work.progressed.connect(self._show_progress)
        self.work.ended.connect(self.say)
        application = QApplication.instance()
        if application is not None:
            application.aboutToQuit.connect(self.work.cancel)
        self._list_images()

    # -- what the user sees

    def _build(self) -> None:
        column = QVBoxLayout(self)
        self.images = QComboBox()
        self.images.currentIndexChanged.connect(self._show_spacing)
        self.spacing = QLineEdit()
        self.spacing.setPlaceholderText("unknown: lengths in pixels")
        self.spacing.setToolTip("Micrometres along Z, Y and X, such as 2 0.8 0.8; of an image along Y and X")
        form = QFormLayout()
        form.addRow("Image (one channel)", self.images)
        form.addRow("Pixel size (µm)", self.spacing)
        column.addLayout(form)

        self.modes = _choice(MODES)
        self.modes.setToolTip("How a stack is segmented; an image is one either way")
        self.scale = QLineEdit()
        self.scale.setPlaceholderText("1, or what the weights say")
        self.scale.setToolTip("auto, or a factor: 0.5 where vessels are twice as wide as 2.5 to 12 pixels")
        self.weights = QLineEdit()
        self.weights.setPlaceholderText("the shipped ones")
        self.weights.setToolTip("A folder that Adapt wrote, or a file of weights")
        weights = QHBoxLayout()
        weights.addWidget(self.weights)
        weights.addWidget(self._button("…", self._choose_weights))
        form = QFormLayout()
        form.addRow("Stacks", self.modes)
        form.addRow("Scale", self.scale)
        form.addRow("Weights", weights)
        column.addWidget(_group("1  Segment", form, [self._button("Segment", self.segment)]))

        column.addWidget(
            _group(
                "2  Measure",
                QFormLayout(),
                [
                    self._button("Measure", self.measure),
                    self._button("Save mask and tables…", lambda: self._in_folder(self.save)),
                ],
            )
        )

        self.learn = _choice(LEARN_FROM)
        self.learn.setToolTip("Strokes: 1 on vessels, 2 where there is none. The mask: you looked at every pixel of it")
        self.steps = QSpinBox()
        self.steps.setRange(0, 1000)
        self.steps.setValue(60)
        self.steps.setToolTip("Of each of three trainings; 0 tries other settings alone")
        form = QFormLayout()
        form.addRow("Learn from", self.learn)
        form.addRow("Steps", self.steps)
        column.addWidget(
            _group(
                "3  Correct and learn",
                form,
                [
                    self._button("Label next", self.label_next),
                    self._button("Paint corrections", self.paint),
                    self._button("Put them on the mask", self.put_on_mask),
                    self._button("Adapt…", lambda: self._in_folder(self.adapt)),
                    self._button("Save for training…", lambda: self._in_folder(self.save_for_training)),
                ],
            )
        )

        self.bar = QProgressBar()
        self.bar.hide()
        self.cancel = QPushButton("Cancel")
        self.cancel.clicked.connect(self.work.cancel)
        self.cancel.hide()
        row = QHBoxLayout()
        row.addWidget(self.bar)
        row.addWidget(self.cancel)
        column.addLayout(row)
        self.line = QLabel()
        self.line.setWordWrap(True)
        self.line.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        column.addWidget(self.line)
        column.addStretch()

    def _button(self, text: str, action: Callable[[], object]) -> QPushButton:
        button = QPushButton(text)
        button.clicked.connect(lambda: self._try(action))
        self._buttons.append(button)
        return button

    def _try(self, action: Callable[[], object]) -> None:
        try:
            action()
        except InputError as error:
            self.say(str(error), True)

    def say(self, text: str, wrong: bool = False) -> None:
        """Show a line.

        Args:
            text: the line.
            wrong: whether it tells of an error.
        """
        self.status = text
        self.line.setText(text)
        self.line.setStyleSheet("color: #ff8a80" if wrong else "")
        self._set_busy(self.work.busy)

    def _set_busy(self, busy: bool) -> None:
        for button in self._buttons:
            button.setEnabled(not busy)
        for widget in (self.bar, self.cancel):
            widget.setVisible(busy)

    def _show_progress(self, stage: str, done: int, of: int) -> None:
        self.bar.setMaximum(of)
        self.bar.setValue(done)
        self.bar.setFormat(f"{stage} %v of %m".strip())

    def _start(self, what: str, function: Callable[[], Any], done: Callable[[Any], str]) -> None:
        if self.work.busy:
            raise InputError(None, "something is being done already", "wait for it, or cancel it")
        self.work.start(function, done)
        self.bar.setMaximum(0)
        self.say(what)

    def _list_images(self, event: object = None) -> None:
        """The layers that can be segmented, the results not among them; the choice stays."""
        chosen = self.images.currentData()
        made = {f"{layer.name} {kind}" for layer in self._found for kind in _KINDS}
        listed = [layer for layer in self.viewer.layers if isinstance(layer, ImageLayer) and layer.name not in made]
        self.images.blockSignals(True)
        self.images.clear()
        for layer in listed:
            self.images.addItem(layer.name, layer)
        if chosen in listed:
            self.images.setCurrentIndex(listed.index(chosen))
        self.images.blockSignals(False)
        if self.images.currentData() is not chosen:
            self._show_spacing()
        self._found = {layer: found for layer, found in self._found.items() if layer in self.viewer.layers}

    def _show_spacing(self, index: int = 0) -> None:
        layer = self.images.currentData()
        if layer is None:
            return
        axes = min(3, layer.data[0].ndim if layer.multiscale else layer.data.ndim - int(layer.rgb))
        spacing = spacing_of(layer.scale, layer.units, axes)
        self.spacing.setText("" if spacing is None else " ".join(f"{length:g}" for length in spacing))
        if spacing is None and any(step != 1 for step in layer.scale):
            steps = " ".join(f"{step:g}" for step in layer.scale[-axes:])
            self.say(f"{layer.name}: its scale {steps} has no unit; if these are micrometres, type them")

    # -- what the user asks for

    def segment(self) -> None:
        """Segment the image that is chosen, in a thread."""
        layer = self._layer()
        image, layout = picture_of(layer, self.viewer.dims.current_step)
        spacing = self._spacing(image.ndim)
        if spacing is not None and spacing != spacing_of(layer.scale, layer.units, image.ndim):
            layer.scale = (*layer.scale[: -image.ndim], *spacing)
            layer.units = (*map(str, layer.units[: -image.ndim]), *(MICROMETRE,) * image.ndim)
            layout = Layout.of_layer(layer).last(image.ndim)
        mode, scale, weights = self.modes.currentData(), self._scale(), self.weights.text().strip() or None

        def work() -> Segmentation:
            return segment(image, spacing, mode=mode, scale=scale, weights=weights, progress=self.work.tell)

        def done(result: Segmentation) -> str:
            self._found[layer] = _Found(layer, image, layout, spacing, mode, result)
            for each in result_layers(layer.name, result, layout):
                self._put(each)
            self._select(f"{layer.name} mask")
            share = 100 * float(result.mask.mean())
            return f"{layer.name}: {share:.3g} % is vessel; look at it where “{layer.name} disagreement” is high"

        self._start(f"segmenting {layer.name}", work, done)

    def measure(self) -> None:
        """Measure the mask as it is now, corrections included, in a thread."""
        found = self._result()
        name = found.layer.name
        mask = np.asarray(self._mask(found).data) > 0
        spacing = None if found.spacing is None else found.spacing[-mask.ndim :]
        result = found.result

        def work() -> Measurement:
            return measure(mask, spacing, image=result.image, probability=result.probability)

        def done(measurement: Measurement) -> str:
            found.measurement = measurement
            for each in graph_layers(name, measurement, mask.shape, found.layout):
                self._put(each)
            self._link(found, measurement)
            return "; ".join([f"{name}: measured", *measurement.remarks])

        self._start(f"measuring {name}", work, done)

    def label_next(self) -> None:
        """Go to the place that pays most to label, of all images that were segmented as the chosen one was.

        What is painted already, and what was shown since the image was segmented, is not shown again, and stands for
        what is like it.
        """
        chosen = self._result()
        kind: Kind = "image" if chosen.result.mask.ndim == 2 else "stack"
        images = [found for found in self._found.values() if found.result.mask.ndim == chosen.result.mask.ndim]
        unseen = sum(found.boxes is None for found in images)

        def work() -> list[list[Box]]:
            looked = []
            for number, found in enumerate(images):
                self.work.tell(min(number, unseen), unseen)
                result = found.result
                arrays = (result.image, result.probability, result.disagreement, result.mask)
                looked.append(list(look_into_boxes(*arrays, BOX)) if found.boxes is None else found.boxes)
            return looked

        def done(looked: list[list[Box]]) -> str:
            places: list[tuple[_Found, int, Box]] = []
            labelled: list[int] = []
            for found, boxes in zip(images, looked, strict=True):
                found.boxes = boxes
                for number, box in enumerate(boxes):
                    if number in found.shown or self._painted(found, box):
                        labelled.append(len(places))
                    places.append((found, number, box))
            choice = choose([box.evidence for _, _, box in places], learned(kind), kind, 1, labelled)
            if not choice.order:
                raise InputError(None, "every place was shown or is painted", "press Adapt, and then Label next again")
            found, number, box = places[choice.order[0]]
            found.shown.add(number)
            self.images.setCurrentIndex(self.images.findData(found.layer))
            self.show_box(found, box)
            before, after = choice.expected
            return (
                f"{found.layer.name}, {box}: expected Dice {choice.dice[choice.order[0]]:.2f}; with it labelled "
                f"{after:.2f} on average instead of {before:.2f}. Paint 1 where a vessel is, 2 where none is"
            )

        self._start("looking for what to label next", work, done)

    def show_box(self, found: _Found, box: Box) -> None:
        """Go to a place, frame it, and make ready to paint there.

        Args:
            found: of which image.
            box: the place.
        """
        self.viewer.dims.ndisplay = 2
        layout = found.layout.last(found.result.mask.ndim)
        frame = self._put(box_layer(found.layer.name, box, layout))
        low, high = (np.asarray(frame.data_to_world(place(frame.data[0], axis=0))) for place in (np.min, np.max))
        self.viewer.reset_view()  # all of it, so that it is known how much the zoom shows
        everything = np.ptp(np.asarray(self.viewer.layers.extent.world), axis=0)[-2:]
        self._camera().zoom *= max(1.0, 0.7 * float(min(everything / (high - low)[-2:])))
        self._go_to((low + high) / 2)
        self.paint()

    def paint(self) -> None:
        """Give a layer to paint corrections on: 1 where a vessel is, 2 where none is."""
        found = self._result()
        name = f"{found.layer.name} strokes"
        if name not in self.viewer.layers:
            layer = self._put(strokes_layer(found.layer.name, found.result.mask.shape, found.layout))
            layer.brush_size = 4
        layer = self._select(name)
        layer.mode = "paint"
        layer.selected_label = 1
        self.say("paint 1 where a vessel was missed, 2 where none is (key M: next label), some of both")

    def put_on_mask(self) -> None:
        """Make the mask what the strokes say, where there are any."""
        found = self._result()
        mask, strokes = self._mask(found), self._strokes(found)
        changed = np.array(mask.data)
        changed[strokes == 1] = 1
        changed[strokes == 2] = 0
        mask.data = changed
        self.say(f"{found.layer.name}: {int((strokes > 0).sum())} pixels were painted onto the mask")

    def adapt(self, folder: Path) -> None:
        """Learn from what was painted, in a thread, and segment the image again.

        Args:
            folder: where to write weights and settings.
        """
        found = self._result()
        scribbles = self.learn.currentData() == "strokes"
        stack = found.mode == "stack" and found.image.ndim == 3
        label, number = self._strokes(found) if scribbles else (np.asarray(self._mask(found).data) > 0), None
        if stack and not scribbles:
            number = self._slice(found)
            label = label[number]
        image = found.image if stack else found.result.image
        weights, steps = self.weights.text().strip() or None, self.steps.value()

        def work() -> Any:
            return adapt(
                image,
                label.astype(np.uint8),
                folder,
                scribbles=scribbles,
                slice=number,
                mode="stack" if stack else "fused",
                weights=weights,
                steps=steps,
                progress=self.work.tell_stage,
            )

        def done(adapted: Any) -> str:
            unchanged = adapted.tried["unchanged"]
            what = {
                "unchanged": "nothing that was tried is surely better than the weights as they are",
                "settings": "other settings are better",
                "weights": "weights trained further are better",
            }
            self.weights.setText(str(folder))
            line = f"{what[adapted.kind]}: Dice on what was held back {unchanged:.3f}, now {adapted.expected:.3f}"
            if adapted.kind == "unchanged":
                return line
            self.scale.clear()  # that of the settings is taken
            self.segment()
            return f"{line}; segmenting again with {folder}"

        self._start(f"adapting to {found.layer.name}", work, done)

    def save(self, folder: Path) -> None:
        """Write the masks, and the tables of what was measured.

        Args:
            folder: where to.
        """
        if (folder / "images.csv").exists():
            raise InputError(folder, "has tables already", "choose another folder")
        from ..io import write_image

        names = {file_name(layer.name): found for layer, found in self._found.items()}
        for name, found in names.items():
            mask = np.asarray(self._mask(found).data) > 0
            spacing = None if found.spacing is None else found.spacing[-mask.ndim :]
            write_image(folder / f"{name}_mask.tif", mask, "ZYX"[-mask.ndim :], spacing)
        save_tables(folder, {name: found.measurement for name, found in names.items() if found.measurement})
        self.say(f"{folder}: {len(names)} masks and their tables written")

    def save_for_training(self, folder: Path) -> None:
        """Add the image and its mask as it is now to a dataset folder; of a stack the slice that is shown.

        Args:
            folder: of the dataset.
        """
        found = self._result()
        image, mask = found.result.image, np.asarray(self._mask(found).data) > 0
        name = file_name(found.layer.name)
        if mask.ndim == 3:
            number = self._slice(found)
            image, mask, name = image[number], mask[number], f"{name}_z{number:03d}"
        spacing = None if found.spacing is None else found.spacing[-2:]
        self.say(f"{save_for_training(folder, name, image, mask, spacing)}: written, and its image beside it")

    # -- helpers

    def _in_folder(self, action: Callable[[Path], object]) -> None:
        chosen = QFileDialog.getExistingDirectory(self, "Folder to write to")
        if chosen:
            action(Path(chosen))

    def _choose_weights(self) -> None:
        chosen = QFileDialog.getExistingDirectory(self, "Folder that Adapt wrote")
        if chosen:
            self.weights.setText(chosen)

    def _layer(self) -> ImageLayer:
        layer = self.images.currentData()
        if layer is None:
            raise InputError(None, "no image is open", "drag a file into the window")
        return layer

    def _result(self) -> _Found:
        layer = self._layer()
        if layer not in self._found:
            raise InputError(None, f"{layer.name} is not segmented yet", "press Segment")
        return self._found[layer]

    def _mask(self, found: _Found) -> Any:
        name = f"{found.layer.name} mask"
        if name not in self.viewer.layers:
            raise InputError(None, f"the layer {name} is gone", "segment again")
        return self.viewer.layers[name]

    def _strokes(self, found: _Found) -> np.ndarray:
        name = f"{found.layer.name} strokes"
        strokes = np.asarray(self.viewer.layers[name].data) if name in self.viewer.layers else np.zeros(1)
        if not strokes.any():
            raise InputError(None, "nothing is painted yet", "press Paint corrections, and paint 1 and 2")
        return strokes

    def _painted(self, found: _Found, box: Box) -> bool:
        name = f"{found.layer.name} strokes"
        if name not in self.viewer.layers:
            return False
        strokes = np.asarray(self.viewer.layers[name].data)
        plane = strokes if box.z is None else strokes[box.z]
        return bool(plane[box.rows, box.columns].any())

    def _slice(self, found: _Found) -> int:
        """The slice of a stack's result that is shown."""
        place = self._mask(found).world_to_data(self.viewer.dims.point)
        return int(np.clip(round(place[0]), 0, len(found.result.mask) - 1))

    def _spacing(self, axes: int) -> tuple[float, ...] | None:
        words = self.spacing.text().replace(",", ".").split()
        if not words:
            return None
        try:
            lengths = tuple(float(word) for word in words)
        except ValueError:
            lengths = ()
        lengths = lengths[-axes:] if axes == 2 else lengths
        if len(lengths) != axes or not all(map(is_possible_size, lengths)):
            order = "Z, Y and X" if axes == 3 else "Y and X"
            raise InputError(None, f"{self.spacing.text()} is no pixel size", f"give micrometres along {order}")
        return lengths

    def _scale(self) -> Any:
        text = self.scale.text().strip().replace(",", ".")
        if text in ("", "auto"):
            return text or None
        try:
            value = float(text)
        except ValueError:
            value = 0.0
        if not 0.01 <= value <= 16:
            raise InputError(None, f"scale {text}", "give auto, or a factor from 0.01 to 16")
        return value

    def _put(self, layer: Layer) -> Any:
        """Add a layer, in the place of the one of its name."""
        data, options, kind = layer
        if options["name"] in self.viewer.layers:
            self.viewer.layers.remove(options["name"])
        return getattr(self.viewer, f"add_{kind}")(data, **options)

    def _select(self, name: str) -> Any:
        layer = self.viewer.layers[name]
        self.viewer.layers.selection.active = layer
        return layer

    def _camera(self) -> Any:
        """Napari moved it in 0.9."""
        return self.viewer.scene.camera if hasattr(self.viewer, "scene") else self.viewer.camera

    def _link(self, found: _Found, measurement: Measurement) -> None:
        """Show the table, and let each of table and picture choose in the other."""
        if self._table is None:
            self._table = VesselTable()
            self.viewer.window.add_dock_widget(self._table, name="Vessel table", area="bottom")
        table = self._table
        table.show_measurement(found.layer.name, measurement)
        try:
            table.chosen.disconnect()
        except (TypeError, RuntimeError):  # nothing was connected yet
            pass
        table.chosen.connect(lambda row: self.show_vessel(found, measurement, row))
        name = f"{found.layer.name} vessels"
        if name not in self.viewer.layers:
            return
        lines = self.viewer.layers[name]

        def clicked(layer: Any, event: Any) -> None:
            shown = [axis - (self.viewer.dims.ndim - layer.ndim) for axis in event.dims_displayed]
            direction = None if event.view_direction is None else np.asarray(event.view_direction)[-layer.ndim :]
            vessel = nearest_vessel(
                layer.data,
                layer.features["segment"].to_numpy(),
                np.asarray(layer.world_to_data(event.position)),
                None if direction is None else direction / np.asarray(layer.scale),
                [axis for axis in shown if axis >= 0],
                REACH,
            )
            if vessel is not None:
                table.choose(vessel)
                self.show_vessel(found, measurement, vessel, move=False)

        lines.mouse_drag_callbacks.append(clicked)
        self._select(name)

    def show_vessel(self, found: _Found, measurement: Measurement, row: int, move: bool = True) -> None:
        """Mark a vessel in the picture.

        Args:
            found: of which image.
            measurement: of its mask.
            row: number of the vessel.
            move: whether the view goes to it.
        """
        path = vessel_path(measurement, row, found.result.mask.shape)
        layout = found.layout.last(path.shape[1])
        options = vector_arguments(layout) | {
            "name": f"{found.layer.name} chosen vessel",
            "edge_width": 2.0,
            "edge_color": "cyan",
        }
        active = self.viewer.layers.selection.active
        layer = self._put((pieces(path), options, "vectors"))
        self.viewer.layers.selection.active = active
        if not move:
            return
        self._go_to(np.asarray(layer.data_to_world(path[len(path) // 2])))

    def _go_to(self, middle: np.ndarray) -> None:
        """Show a point, in the world's coordinates along the last axes, in the middle of the view."""
        dims = self.viewer.dims
        centre = dict(zip(range(dims.ndim - len(middle), dims.ndim), map(float, middle), strict=True))
        for axis, value in centre.items():
            if axis not in dims.displayed:
                dims.set_point(axis, value)
        shown = [centre.get(axis, 0.0) for axis in dims.displayed]
        self._camera().center = (0.0,) * (3 - len(shown)) + tuple(shown)


_KINDS = ("fused", "depth", "probability", "disagreement")


def _choice(options: dict[str, str]) -> QComboBox:
    box = QComboBox()
    for text, value in options.items():
        box.addItem(text, value)
    return box


def _group(title: str, form: QFormLayout, buttons: list[QPushButton]) -> QGroupBox:
    group = QGroupBox(title)
    column = QVBoxLayout(group)
    column.addLayout(form)
    for pair in (buttons[i : i + 2] for i in range(0, len(buttons), 2)):
        row = QHBoxLayout()
        for button in pair:
            row.addWidget(button)
        column.addLayout(row)
    return group
