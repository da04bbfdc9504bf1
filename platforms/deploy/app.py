"""A MONAI Deploy application: images and stacks in, masks as OME-TIFF out, by the bundle's own steps.

    python platforms/deploy/app.py --input IN --output OUT --model MODEL

MODEL is what ``python -m monai.bundle ckpt_export --use_trace True`` made, or the bundle as a folder; IN a file or a
folder. Each input NAME becomes OUT/NAME_mask.tif, the mask of ``python -m bundle segment`` with these weights: a stack
is fused first, and with --mode stack segmented slice by slice. A bad input is said in a line, the others go on, and the
exit status is 1.

The stock operator for bundles drops what loads and saves from the bundle's steps, so reading and writing are operators
of this application.
"""

from __future__ import annotations

import argparse
import contextlib
import logging
import sys
from pathlib import Path

import numpy as np
from monai.deploy.conditions import CountCondition
from monai.deploy.core import AppContext, Application, Fragment, Image, IOType, Operator, OperatorSpec, init_app_context
from monai.deploy.operators.monai_bundle_inference_operator import (
    BundleConfigNames,
    IOMapping,
    MonaiBundleInferenceOperator,
)
from monai.transforms import LoadImage

from bundle.commands import add_reading_arguments, reading_options
from bundle.errors import InputError, input_error
from bundle.io import MicroscopyReader, OMETiffWriter, image_name, list_images

# the steps from a file to the network, by name in configs/inference.json
STEPS = {"fused": "preprocessing", "stack": "stack_preprocessing"}


class ReadOperator(Operator):
    """Read one file after the other with the bundle's reader: axes, channel and pixel size as they are there.

    Args:
        fragment: the application.
        paths: the files.
        options: of :class:`bundle.io.MicroscopyReader`.

    Output:
        image: an ``Image`` of ``[1, X, Y]`` or ``[1, X, Y, Z]`` with the reader's metadata.
    """

    def __init__(self, fragment: Fragment, paths: list[Path], options: dict) -> None:
        self.left = list(paths)
        self.failed = 0
        self.load = LoadImage(reader=MicroscopyReader(**options), ensure_channel_first=True)
        super().__init__(fragment, CountCondition(fragment, len(paths)), name="read")

    def setup(self, spec: OperatorSpec) -> None:
        spec.output("image")

    def compute(self, op_input, op_output, context) -> None:
        try:
            image = self.load(self.left.pop(0))
        except Exception as exception:
            error = input_error(exception)
            if error is None:
                raise
            self.failed += 1
            print(error, file=sys.stderr)
        else:
            op_output.emit(Image(image.numpy(), dict(image.meta)), "image")


class WriteOperator(Operator):
    """Write a mask under its input's name.

    Args:
        fragment: the application.
        output_dir: the folder.

    Input:
        pred: an ``Image`` as the stock operator gives it: ``[X, Y]``, or ``[Z, Y, X]`` of a stack, 1 is vessel.
    """

    def __init__(self, fragment: Fragment, output_dir: Path) -> None:
        self.output_dir = output_dir
        super().__init__(fragment, name="write")

    def setup(self, spec: OperatorSpec) -> None:
        spec.input("pred")

    def compute(self, op_input, op_output, context) -> None:
        mask = op_input.receive("pred")
        writer = OMETiffWriter()
        found = mask.asnumpy().astype(bool)
        writer.set_data_array(np.swapaxes(found, 0, 2) if found.ndim == 3 else found, channel_dim=None)
        writer.set_metadata(mask.metadata())
        source = mask.metadata()["filename_or_obj"]
        path = self.output_dir / f"{image_name(source)}_mask.tif"
        writer.write(path, verbose=False)
        print(f"{source}: {100 * found.mean():.1f} % vessel, {path}", flush=True)


class VesselApplication(Application):
    """Read, segment, write.

    Args:
        context: input, output and model.
        mode: "fused" or "stack".
        options: of :class:`bundle.io.MicroscopyReader`.
    """

    def __init__(self, context: AppContext, mode: str, options: dict) -> None:
        self.app_context, self.mode, self.reading = context, mode, options
        super().__init__([sys.executable, __file__])  # Holoscan has no part in this program's words

    def compose(self) -> None:
        self.read = ReadOperator(self, list_images([self.app_context.input_path]), self.reading)
        segment = MonaiBundleInferenceOperator(
            self,
            app_context=self.app_context,
            input_mapping=[IOMapping("image", Image, IOType.IN_MEMORY)],
            output_mapping=[IOMapping("pred", Image, IOType.IN_MEMORY)],
            bundle_path=self.app_context.model_path,
            bundle_config_names=BundleConfigNames(preproc_name=STEPS[self.mode]),
            name="segment",
        )
        write = WriteOperator(self, Path(self.app_context.output_path))
        self.add_flow(self.read, segment, {("image", "image")})
        self.add_flow(segment, write, {("pred", "pred")})


def main() -> int:
    """Run the application.

    Returns:
        0 if every input got its mask, 1 otherwise.
    """
    parser = argparse.ArgumentParser(add_help=False)
    parser.add_argument("--mode", choices=STEPS, default="fused", help="fuse stacks first, or segment their slices")
    add_reading_arguments(parser)
    if {"-h", "--help"} & set(sys.argv):
        print(__doc__, parser.format_help(), "and those of MONAI Deploy:", sep="\n")
    words, rest = parser.parse_known_args()
    context = init_app_context([sys.argv[0], *rest])
    for name in ("input_path", "output_path", "model_path"):
        setattr(context, name, Path(getattr(context, name)).absolute())
    logging.getLogger("bundle").setLevel(logging.INFO)
    application = VesselApplication(context, words.mode, reading_options(words))
    folder = Path.cwd()
    if context.model_path.is_dir():
        folder = context.model_path  # a bundle's paths start from the working folder
        context.models = None  # the SDK takes a folder for a model of a kind that it cannot call; the operator loads it
    try:
        with contextlib.chdir(folder):
            application.run()
    except InputError as error:
        print(error, file=sys.stderr)
        return 1
    return 1 if application.read.failed else 0


if __name__ == "__main__":
    sys.exit(main())
