"""Run a config as "python -m monai.bundle run" does, after its words have been looked at.

The words are those of MONAI: the id to run, --config_file and the settings to change. A slip in a name, however deep
it lies, ends in one line that says what was meant, before any work; MONAI itself says a deep one in its own words. So
does Ctrl-C, at any time.

Examples:
  python -m bundle run training --config_file configs/train.yaml --dataset_dir DIR
  python -m bundle run --config_file configs/inference.json --dataset_dir IN --output_dir OUT
"""

from __future__ import annotations

import argparse
import runpy
import sys

import yaml

from ..errors import InputError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's words."""
    parser.add_argument("words", metavar="WORD", nargs="*", help="as of python -m monai.bundle run")


def run(arguments: argparse.Namespace) -> int:
    """Hand the words over to MONAI, if they mean something.

    Returns:
        0; what fails raises.
    """
    from ..runner import check_words

    if not any(word.startswith("--config_file") or word.startswith("--args_file") for word in arguments.words):
        raise InputError(None, "no config is named", "say --config_file configs/train.yaml, or another")
    try:
        check_words(arguments.words)
    except InputError:
        raise
    except (OSError, ValueError, yaml.YAMLError) as error:
        remedy = "check the names after --config_file: configs end in .yaml or .json"
        raise InputError(None, f"a config cannot be read ({error})", remedy) from error
    sys.argv = ["bundle", "run", *arguments.words]  # where MONAI and the configs look for them
    runpy.run_module("monai.bundle", run_name="__main__", alter_sys=True)
    return 0
