"""The plugin in a real napari, with Qt, on a screen that nobody sees (Xvfb): one stack from file to learnt weights.

bash scripts/check_platforms.sh napari [--record] [--pictures FOLDER]

--pictures keeps a screenshot of the window after each step.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path

from claims import Claims

SPACING = (2.0, 0.8, 0.8)
SIZE = "1500x1000x24"


def on_a_screen() -> None:
    """Begin again on a screen of Xvfb, and end with that program's status."""
    if os.environ.get("VESSELS_SCREEN"):
        return
    reading, writing = os.pipe()
    words = ["Xvfb", "-displayfd", str(writing), "-screen", "0", SIZE, "-nolisten", "tcp"]
    screen = subprocess.Popen(words, pass_fds=[writing], stderr=subprocess.DEVNULL)
    try:
        os.close(writing)
        number = os.read(reading, 16).decode().strip()
        environment = os.environ | {"DISPLAY": f":{number}", "VESSELS_SCREEN": "1", "QT_QPA_PLATFORM": "xcb"}
        status = subprocess.run([sys.executable, *sys.argv], env=environment).returncode
    finally:
        screen.terminate()
        screen.wait()
    sys.exit(status)


on_a_screen()

import napari  # noqa: E402 (needs a screen)
import numpy as np  # noqa: E402
import tifffile  # noqa: E402
from qtpy.QtWidgets import QApplication  # noqa: E402
from scipy.ndimage import zoom  # noqa: E402

from bundle import segment  # noqa: E402
from bundle.io import write_ome_tiff  # noqa: E402
from bundle.phantoms import make_phantom  # noqa: E402

PICTURES = Path(sys.argv[sys.argv.index("--pictures") + 1]) if "--pictures" in sys.argv else None


def until(condition: Callable[[], bool], seconds: float = 300) -> tuple[int, float]:
    """Let the window live until something holds.

    Returns:
        How often the window answered meanwhile, and for how long that was.

    Raises:
        TimeoutError: it did not come to hold.
    """
    began, answers = time.monotonic(), 0
    while not condition():
        QApplication.processEvents()
        answers += 1
        if time.monotonic() > began + seconds:
            raise TimeoutError(f"not within {seconds:.0f} s")
        time.sleep(0.01)
    return answers, time.monotonic() - began


def dice(mask: np.ndarray, truth: np.ndarray) -> float:
    """Of two masks."""
    return 2 * float((mask & truth).sum()) / float(mask.sum() + truth.sum())


def see(viewer: napari.Viewer, name: str) -> None:
    """Keep a picture of the window."""
    for _ in range(20):
        QApplication.processEvents()
        time.sleep(0.02)
    if PICTURES is not None:
        PICTURES.mkdir(parents=True, exist_ok=True)
        viewer.window.screenshot(str(PICTURES / f"{name}.png"), canvas_only=False, flash=False)


def main() -> None:
    """Run all of it."""
    with Claims("napari", version("napari")) as claims, tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        manifest = Path(__file__).resolve().parents[2] / "bundle" / "desk" / "napari.yaml"
        done = subprocess.run(["npe2", "validate", str(manifest)], capture_output=True, text=True)
        claims.claim("npe2 validate", done.returncode == 0, done.stdout + done.stderr)
        pins = subprocess.run([sys.executable, "-m", "pip", "check"], capture_output=True, text=True)
        claims.claim("pip check beside napari's own pins", pins.returncode == 0, pins.stdout)

        phantom = make_phantom((10, 160, 192), SPACING, seed=3)
        channels = np.stack([phantom.stack, phantom.stack[:, ::-1]])
        write_ome_tiff(folder / "mouse.ome.tif", channels, "CZYX", SPACING, ["vessels", "nuclei"])
        viewer = napari.Viewer()
        viewer.window.resize(1480, 980)
        until(lambda: viewer.window._qt_window.isVisible(), 30)

        layers = viewer.open(str(folder / "mouse.ome.tif"), plugin="vessel-cascades")
        names = [layer.name for layer in layers]
        as_told = all(tuple(layer.scale) == SPACING and str(layer.units[0]) == "micrometer" for layer in layers)
        claims.claim("open an OME-TIFF of two channels", as_told and len(names) == 2, f"{names}, µm {SPACING}")
        claims.claim("its pixels", np.array_equal(layers[0].data, phantom.stack), "as in the file")
        viewer.layers.remove(names[1])

        _, panel = viewer.window.add_plugin_dock_widget("vessel-cascades", "Vessels")
        see(viewer, "1-opened")
        until(lambda: panel.spacing.text() != "", 5)
        claims.claim("the panel's pixel size", panel.spacing.text() == "2 0.8 0.8", panel.spacing.text())

        panel._try(panel.measure)
        claims.claim("measuring before segmenting", "not segmented yet" in panel.status, panel.status)

        sliders = viewer.dims.range
        panel.modes.setCurrentIndex(1)
        panel._try(panel.segment)
        until(lambda: panel.bar.value() >= 2)
        panel.work.cancel()
        until(lambda: not panel.work.busy)
        claims.claim("Segment, then Cancel", panel.status == "cancelled", panel.status)

        panel._try(panel.segment)
        answers, took = until(lambda: not panel.work.busy)
        name = names[0]
        mask = viewer.layers[f"{name} mask"]
        expected = segment(phantom.stack, SPACING, mode="stack").mask
        claims.claim("Segment slice by slice", np.array_equal(mask.data > 0, expected), "the mask of segment")
        claims.claim("the window meanwhile", answers > took, f"answered {answers} times in {took:.0f} s")
        same = all(tuple(layer.scale) == SPACING for layer in viewer.layers if layer.name.startswith(name))
        made = [layer.name for layer in viewer.layers]
        claims.claim("its layers, on the image's grid", same and len(made) == 4, made)
        see(viewer, "2-segmented")

        panel._try(panel.measure)
        until(lambda: not panel.work.busy)
        lines = viewer.layers[f"{name} vessels"]
        colours = len(np.unique(lines.edge_color, axis=0))
        found = panel._result()
        count = len(found.measurement.segments)
        claims.claim("Measure", count > 3 and colours > 3, f"{count} vessels in {colours} shades")
        claims.claim("the slider of slices", viewer.dims.nsteps[0] == 10, f"{viewer.dims.nsteps[0]} slices, as before")
        see(viewer, "3-measured")
        table = panel._table
        longest_vessel = max(range(count), key=lambda row: found.measurement.segments[row]["length"])
        table.choose(0)
        index = table._sorted.mapFromSource(table._sorted.sourceModel().index(longest_vessel, 0))
        table.view.setCurrentIndex(index)
        until(lambda: f"{name} chosen vessel" in viewer.layers, 5)
        chosen = viewer.layers[f"{name} chosen vessel"]
        path = found.measurement.graph.paths[longest_vessel]
        shown = np.allclose(chosen.data[:, 0] * SPACING, path[:-1], atol=max(SPACING) / 2 + 1e-6)
        near = np.allclose(panel._camera().center[1:], path[len(path) // 2][1:], atol=1)
        claims.claim("a click on a row", shown and near, f"the view goes to vessel {longest_vessel}")
        slice_shown = viewer.dims.point[0]
        near = abs(slice_shown - path[len(path) // 2][0]) <= SPACING[0] / 2 + 1e-6
        claims.claim("and to its slice", near, f"z {slice_shown:g} µm")
        see(viewer, "4-vessel-chosen")
        viewer.dims.ndisplay = 3
        see(viewer, "5-in-space")
        viewer.dims.ndisplay = 2

        panel.save(folder / "saved")
        rows = (folder / "saved" / "segments.csv").read_text(encoding="utf-8").splitlines()
        claims.claim("Save mask and tables", len(rows) == count + 1, f"{len(rows) - 1} rows of segments.csv")

        panel._try(lambda: panel.adapt(folder / "mine"))
        claims.claim("Adapt before painting", "nothing is painted" in panel.status, panel.status)
        panel._try(panel.label_next)
        until(lambda: not panel.work.busy)
        frame = viewer.layers[f"{name} label next"].data[0]
        slice_shown = panel._slice(panel._found[layers[0]])
        centre = viewer.layers[f"{name} mask"].world_to_data((0, *panel._camera().center[-2:]))
        there = (frame.min(axis=0) < centre)[1:].all() and (centre < frame.max(axis=0))[1:].all()
        ready = viewer.layers.selection.active.name == f"{name} strokes"
        claims.claim("Label next", there and ready and slice_shown == frame[0, 0], panel.status)
        see(viewer, "6-next")
        panel._try(panel.label_next)
        until(lambda: not panel.work.busy)
        other = viewer.layers[f"{name} label next"].data[0]
        claims.claim("Label next once more", not np.array_equal(other, frame), panel.status)
        claims.claim("the sliders with all layers", viewer.dims.range == sliders, "as the image alone has them")
        viewer.reset_view()

        panel._try(panel.paint)
        strokes = viewer.layers[f"{name} strokes"]
        z = 5
        vessel = np.argwhere(phantom.mask[z])
        background = np.argwhere(~phantom.mask[max(z - 1, 0) : z + 2].any(axis=0))
        rng = np.random.default_rng(0)
        strokes.brush_size = 3
        for value, places in ((1, vessel), (2, background)):
            strokes.selected_label = value
            for y, x in places[rng.permutation(len(places))[:60]]:
                strokes.paint((z, y, x), value)
        viewer.dims.set_point(0, z * SPACING[0])
        see(viewer, "7-corrections")
        before = np.array(mask.data)
        panel._try(panel.put_on_mask)
        put = np.asarray(mask.data)
        as_painted = (put[strokes.data == 1] == 1).all() and (put[strokes.data == 2] == 0).all()
        claims.claim("Put corrections on the mask", as_painted and (put != before).any(), panel.status)
        panel.save_for_training(folder / "training")
        there = tifffile.imread(folder / "training" / "masks" / f"{name.replace(' ', '_')}_z005.tif") > 0
        claims.claim("Save for training", np.array_equal(there, put[z] > 0), "the slice that is shown, with its image")

        panel.steps.setValue(4)
        panel._try(lambda: panel.adapt(folder / "mine"))
        answers, took = until(lambda: not panel.work.busy, 560)
        first = panel.status
        claims.claim("Adapt to the strokes, 4 steps", (folder / "mine" / "adapted.pt").exists(), first.split(";")[0])
        claims.claim("the window meanwhile", answers > took, f"answered {answers} times in {took:.0f} s")
        see(viewer, "8-adapted")

        # vessels three times as wide as the weights know: other settings are better, which zero steps find
        wide, truth = (
            zoom(each.astype(np.float32), 3, order=1) for each in (phantom.stack.max(0), phantom.mask.any(0))
        )
        wide, truth = wide[:256, :256], truth[:256, :256] > 0.5
        write_ome_tiff(folder / "wide.ome.tif", wide, "YX", SPACING[1:])
        (layer,) = viewer.open(str(folder / "wide.ome.tif"), plugin="vessel-cascades")
        panel.images.setCurrentIndex(panel.images.findData(layer))
        panel.weights.clear()
        panel._try(panel.segment)
        until(lambda: not panel.work.busy)
        mask = viewer.layers[f"{layer.name} mask"]
        before = dice(np.asarray(mask.data) > 0, truth)
        mask.data = truth.astype(np.uint8)  # as a patient person would correct it
        panel.learn.setCurrentIndex(1)
        panel.steps.setValue(0)
        lines: list[str] = []
        panel.work.ended.connect(lambda line, wrong: lines.append(line))
        panel._try(lambda: panel.adapt(folder / "wide"))
        until(lambda: len(lines) == 2, 560)
        again = np.asarray(viewer.layers[f"{layer.name} mask"].data) > 0
        same = np.array_equal(again, segment(wide, SPACING[1:], weights=folder / "wide").mask)
        better = f"Dice {before:.3f}, then {dice(again, truth):.3f}"
        claims.claim(
            "Adapt to a mask, and the image segmented again", "segmenting again" in lines[0], lines[0].split(";")[0]
        )
        claims.claim(
            "its new mask", same and dice(again, truth) > before + 0.02, f"that of segment --weights: {better}"
        )
        see(viewer, "9-segmented-again")

        for text, said in (("none.pt", "no such file"), ("", "is vessel")):
            panel.weights.setText(text and str(folder / text))
            panel._try(panel.segment)
            until(lambda: not panel.work.busy)
            claims.claim(f"weights {text or 'shipped'}", said in panel.status, panel.status.replace(str(folder), "…"))
        (folder / "broken.tif").write_bytes(b"II*\0nothing")
        try:
            viewer.open(str(folder / "broken.tif"), plugin="vessel-cascades")
            came = "opened"
        except Exception as error:  # noqa: BLE001
            came = str(error).replace(str(folder), "…")
        claims.claim("a damaged file", came != "opened" and "\n" not in came, came)
        viewer.open_sample("vessel-cascades", "phantom")
        claims.claim("File > Open Sample", "phantom" in viewer.layers, "a phantom stack")
        viewer.layers["phantom"].save(str(folder / "out.ome.tif"), plugin="vessel-cascades")
        with tifffile.TiffFile(folder / "out.ome.tif") as tiff:
            described = 'PhysicalSizeZ="2.0"' in (tiff.ome_metadata or "")
        claims.claim("Save layer", described, "an OME-TIFF with its pixel size")
        viewer.close()


main()
