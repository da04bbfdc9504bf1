"""MONAI Label with what its stock app for bundles lacks for vessels.

As strategy ``disagreement``, the image on whose vessels the two cascades agree least is the next to annotate. As
scoring method ``vessels``, masks are compared with annotations by the paper's metrics and clDice. For QuPath, the tiled
inference call gives polygons that keep their holes. And weights that were trained here are used unasked.

The bundle's folders bundle, configs and models lie in ``model/NAME`` of this app; ``--conf models NAME``.
"""

from __future__ import annotations

import logging
import math
from pathlib import Path

import numpy as np
import torch
from fastapi import HTTPException  # whose words reach who asks; MONAI Label's own become a bare 500
from lib.polygons import polygons
from lib.ranking import disagreement, ranked
from monailabel.interfaces.app import MONAILabelApp
from monailabel.interfaces.datastore import Datastore, DefaultLabelTag
from monailabel.interfaces.tasks.scoring import ScoringMethod
from monailabel.interfaces.tasks.strategy import Strategy
from monailabel.tasks.activelearning.first import First
from monailabel.tasks.activelearning.random import Random
from monailabel.tasks.infer.bundle import BundleInferTask
from monailabel.tasks.train.bundle import BundleTrainTask
from monailabel.utils.others.generic import get_bundle_models, name_to_device
from monailabel.utils.others.pathology import create_asap_annotations_xml, create_dsa_annotations_json

logger = logging.getLogger(__name__)

COLOUR = (230, 25, 75)


class VesselInferTask(BundleInferTask):
    """Inference of the bundle, with the weights that were trained here, once there are any."""

    def config(self) -> dict:
        """Options and their first choices: of the files of weights, the trained ones."""
        folder = Path(self.path[0]).parent
        files = sorted((file.name for file in folder.glob("*.pt")), key=lambda name: (name != "trained.pt", name))
        self._config["model_filename"] = files
        return self._config

    def __call__(self, request: dict, callbacks: dict | None = None) -> tuple:
        self.config()
        return super().__call__(request, callbacks)

    def mask(self, request: dict) -> np.ndarray:
        """The mask of an image ``[Y, X]`` or a stack ``[Z, Y, X]``, 0 and 1."""
        _, data = self({**request, "skip_writer": True})
        return np.asarray(torch.as_tensor(data[self.output_label_key])).T

    def weights(self) -> Path:
        """The file of weights that is used where none is asked for."""
        return Path(self.path[0]).with_name(self.config()["model_filename"][0])

    def probabilities(self, image: str, device: str) -> tuple[np.ndarray, np.ndarray]:
        """L and N, the probabilities of the two cascades, of an image or of the slices of a stack."""
        data = {**self.config(), "image": image, "image_path": image, "device": device}
        data = self.run_pre_transforms(data, self.pre_transforms(data))
        network = self._get_network(device, data)

        def both(inputs: torch.Tensor) -> torch.Tensor:
            return torch.cat(network.probabilities(inputs), dim=1)

        with torch.no_grad():
            output = self.inferer(data)(data["image"][None].to(device), both)
        dbac, ddmac = np.asarray(torch.as_tensor(output).cpu()[0])
        return dbac, ddmac


class Disagreement(ScoringMethod):
    """Computes how much the cascades disagree on the images that have no label yet; others are left alone."""

    def __init__(self, task: VesselInferTask) -> None:
        super().__init__("Mean difference of the two cascades' probabilities on vessels")
        self.task = task

    def __call__(self, request: dict, datastore: Datastore) -> dict[str, float | None]:
        weights = self.task.weights()
        used = f"{weights.name} {weights.stat().st_mtime_ns}"
        device = name_to_device(request.get("device", "cuda"))
        found = {}
        for image in sorted(datastore.get_unlabeled_images()):
            info = datastore.get_image_info(image)
            if info.get("disagreement_weights") != used:
                value = disagreement(*self.task.probabilities(datastore.get_image_uri(image), device))
                # the answer is JSON, which has no NaN
                info = {"disagreement": None if math.isnan(value) else value, "disagreement_weights": used}
                datastore.update_image_info(image, info)
            found[image] = info["disagreement"]
        return found


class LeastAgreed(Strategy):
    """The next image to annotate is the one on whose vessels the cascades agree least.

    What is not known yet of the weights in use is computed first; ``/scoring/disagreement`` does it ahead.
    """

    def __init__(self, scoring: Disagreement) -> None:
        super().__init__("The image on whose vessels the two cascades agree least")
        self.scoring = scoring

    def __call__(self, request: dict, datastore: Datastore) -> dict | None:
        found = self.scoring(request, datastore)
        order = ranked({image: math.nan if value is None else value for image, value in found.items()})
        return {"id": order[0], "order": order} if order else None


class VesselScores(ScoringMethod):
    """Compares masks with annotations: label against label, by their tags; the mean is over images, without NaN."""

    def __init__(self) -> None:
        super().__init__("Sensitivity, precision, specificity, accuracy, Dice, clDice and topology of the masks")

    def __call__(self, request: dict, datastore: Datastore) -> dict[str, dict[str, float | None]]:
        from bundle.io import open_image  # on the path since the model was loaded
        from bundle.metrics import score

        truth = request.get("y", DefaultLabelTag.FINAL.value)
        prediction = request.get("y_pred", DefaultLabelTag.ORIGINAL.value)
        rows: dict[str, dict[str, float]] = {}
        for image in sorted(datastore.list_images()):
            files = [
                datastore.get_label_uri(datastore.get_label_by_image_id(image, tag), tag) for tag in (prediction, truth)
            ]
            if all(files):
                rows[image] = score(*(open_image(file).array() for file in files))
        result = {image: {name: _json(value) for name, value in row.items()} for image, row in rows.items()}
        for image, row in result.items():
            datastore.update_image_info(image, {"scores": row})
        if rows:
            columns = {name: [row[name] for row in rows.values()] for name in next(iter(rows.values()))}
            defined = {name: [value for value in column if not math.isnan(value)] for name, column in columns.items()}
            result["mean"] = {name: float(np.mean(column)) if column else None for name, column in defined.items()}
        return result


class VesselApp(MONAILabelApp):
    """The app."""

    def __init__(self, app_dir: str, studies: str, conf: dict[str, str]) -> None:
        self.bundles = get_bundle_models(app_dir, conf)
        super().__init__(
            app_dir=app_dir,
            studies=studies,
            conf=conf,
            name="Vessel cascades",
            description="Segmentation of blood vessels, annotation and retraining",
        )
        # not after every call by itself: while it runs, a scoring that is asked for is refused, and it writes the
        # datastore's file beside the server; the strategy computes what it needs
        self._auto_update_scoring = False

    def init_infers(self) -> dict:
        return {name: VesselInferTask(path, self.conf) for name, path in self.bundles.items()}

    def init_trainers(self) -> dict:
        return {name: BundleTrainTask(path, self.conf) for name, path in self.bundles.items()}

    def init_scoring_methods(self) -> dict:
        first = next(iter(self._infers.values()))
        return {"disagreement": Disagreement(first), "vessels": VesselScores()}

    def init_strategies(self) -> dict:
        first = next(iter(self._infers.values()))
        return {"disagreement": LeastAgreed(Disagreement(first)), "first": First(), "random": Random()}

    def infer_wsi(self, request: dict, datastore: Datastore | None = None) -> dict:
        """Polygons of an image or of a region of it.

        The image is segmented as ``/infer`` does, and the polygons are traced on the region as a whole: contrast and
        thresholds know no tiles, and no vessel is cut where two tiles meet. ``location`` and ``size`` say the region,
        sizes of 0 the whole image; ``min_poly_area`` the pixels below which a piece is left out; ``output`` asap, dsa
        or json. asap and dsa know no holes: a piece and its holes are one ring there, joined by cuts of no width.
        """
        model, name = request.get("model"), request["image"]
        task = self._infers.get(model)
        if task is None:
            raise HTTPException(404, f"There is no model '{model}' available")
        images = datastore or self.datastore()
        if name not in images.list_images():  # whatever else a name would open on the server is no image of the study
            raise HTTPException(404, f"There is no image '{name}' in the datastore")
        image = images.get_image_uri(name)
        mask = task.mask({**request, "image": image})
        if mask.ndim != 2:
            raise HTTPException(400, f"'{name}' is a stack: ask /infer for its label")
        left, top = (max(0, int(corner)) for corner in request.get("location") or (0, 0))
        width, height = (int(side) for side in request.get("size") or (0, 0))
        region = mask[top : top + height if height else None, left : left + width if width else None]
        pieces = polygons(region, (left, top), request.get("min_poly_area") or 0)
        annotation = {
            "location": [left, top],
            "size": list(region.shape[::-1]),
            "elements": [{"label": "vessel", "contours": [piece.ring]} for piece in pieces],
            "labels": {"vessel": COLOUR},
        }
        answer = {
            "name": f"Vessels of {Path(image).name}",
            "description": task.description,
            "model": model,
            "location": annotation["location"],
            "size": annotation["size"],
            "annotations": [{"annotation": annotation}],
        }
        output, file = request.get("output", "dsa"), None
        if output == "asap":
            file, _ = create_asap_annotations_xml(answer)
        elif output == "dsa":
            file, _ = create_dsa_annotations_json(answer)
        else:
            answer["polygons"] = [{"outer": piece.outer, "holes": piece.holes} for piece in pieces]
        return {"file": file, "params": answer}


def _json(value: float) -> float | None:
    return None if math.isnan(value) else value
