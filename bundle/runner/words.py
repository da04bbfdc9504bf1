"""Names of settings that were typed, or stand in a user's config file: a slip must not be taken for a wish."""

from __future__ import annotations

import inspect
import logging
import re
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from difflib import get_close_matches
from itertools import zip_longest
from pathlib import Path
from pydoc import ErrorDuringImport, locate
from typing import Any

from fire.parser import DefaultParseValue
from monai.bundle import ConfigParser, ConfigWorkflow, run
from monai.bundle.config_item import ComponentLocator
from monai.bundle.properties import InferProperties, TrainProperties
from monai.utils import ensure_tuple

from ..errors import InputError
from ..home import ROOT

__all__ = ["check_words"]

logger = logging.getLogger(__name__)

# a reference to another part of the config, in any text of it
REFERENCE = re.compile(r"(?<![\w@])[@%](\w+)")
# arguments of MONAI's runner itself
OF_THE_RUNNER = {
    name
    for function in (run, ConfigWorkflow)
    for name, parameter in inspect.signature(function).parameters.items()
    if parameter.kind is not inspect.Parameter.VAR_KEYWORD
}


def check_words(words: Sequence[str] | None = None) -> None:
    """Refuse settings of ``python -m monai.bundle run …`` that the configs do not know.

    MONAI adds them to the config, where nothing refers to them. Names of a config file to which nothing refers get a
    remark and no more, since platforms and users add their own.

    Args:
        words: those after ``run``; those of the process if None, if it is such a program.

    Raises:
        InputError: a word names no setting.
    """
    if words is None:
        if Path(sys.argv[0]).parts[-3:] != ("monai", "bundle", "__main__.py"):
            return
        words = sys.argv[2:]
    given = dict(_options(words))
    if "args_file" in given:
        given = {**ConfigParser.load_config_file(given["args_file"]), **given}
    files = [str(file) for file in ensure_tuple(given.get("config_file", ()))]
    if not files:
        return
    config = ConfigParser.load_config_files(files)
    known = {*config, *OF_THE_RUNNER, *_references([config, *given.values()])}
    for word in given:
        name, *inner = re.split("#|::", word.lstrip("+"))
        if name not in known and not (name.startswith("no") and name[2:] in known):
            raise InputError(None, f"--{word} is no setting of {' and '.join(files)}", _meant(name, known))
        if inner and not _fits(config.get(name), inner):
            likely = _likely(config.get(name), inner)
            raise InputError(
                None,
                f"--{word} is no setting of {' and '.join(files)}",
                f"did you mean {'#'.join([name, *likely])}?" if likely else f"look at what {name} holds in the config",
            )
    ours = set().union(
        *(ConfigParser.load_config_file(str(file)) for file in (ROOT / "configs").glob("*.*") if _is_config(file))
    )
    of_platforms = {entry["id"].split("#")[0] for entry in (*TrainProperties.values(), *InferProperties.values())}
    known = ours | of_platforms | _references([config]) | {"_meta_"}
    for file in files:
        for name in sorted(ConfigParser.load_config_file(file).keys() - known):
            logger.warning("%s: nothing refers to %r; %s", file, name, _meant(name, known))


def _is_config(file: Path) -> bool:
    return file.suffix in (".yaml", ".json") and file.name != "metadata.json"


def _options(words: Iterable[str]) -> Iterator[tuple[str, object]]:
    """Names and values as python-fire tells them apart."""
    words = list(words)
    for word, following in zip_longest(words, words[1:], fillvalue="--"):
        name, equals, value = word.partition("=")
        if not re.match(r"--?[a-zA-Z_+]", name) or len(name) == 2:
            continue
        text = value if equals else following if not re.match(r"--|-[a-zA-Z]", following) else "True"
        # what follows a setting's "#" keeps its dashes: it may be a name of the user's
        yield name.lstrip("-").replace("-", "_"), DefaultParseValue(text)


def _references(values: Iterable[object]) -> set[str]:
    """The top-level names that texts of a config refer to."""
    found: set[str] = set()
    for value in values:
        if isinstance(value, Mapping):
            found |= _references(value.values())
        elif isinstance(value, list | tuple):
            found |= _references(value)
        elif isinstance(value, str):
            found |= set(REFERENCE.findall(value))
    return found


def _fits(part: object, inner: Sequence[str]) -> bool:
    """Whether a part of the config has a place for a setting inside of it."""
    for position, name in enumerate(inner):
        last = position == len(inner) - 1
        if isinstance(part, list):
            if not name.isdecimal() or int(name) >= len(part):
                return False
            part = part[int(name)]
        elif isinstance(part, Mapping):
            if name not in part:
                return last and _takes(part, name)
            part = part[name]
        else:
            return isinstance(part, str)  # an expression or a reference, whose inside is not known
    return True


def _likely(part: object, inner: Sequence[str]) -> list[str]:
    """The names inside of a part of the config that were meant; none where nothing is like one of them."""
    found: list[str] = []
    for name in inner:
        if not isinstance(part, Mapping):
            return [*found, *inner[len(found) :]] if isinstance(part, str) else []
        names = [str(one) for one in part if not str(one).startswith("_")] + _arguments(part)
        near = [name] if name in names else get_close_matches(name, names, 1, 0.7)
        if not near:
            return []
        found += near
        part = part.get(near[0], "")
    return found


def _takes(part: Mapping, name: str) -> bool:
    """Whether the component that a part of the config makes has an argument of this name."""
    if part.get("_target_") is None:
        return False
    if name.startswith("_") and name.endswith("_"):
        return True  # of MONAI's own: _disabled_, _requires_, _desc_, _mode_
    try:
        parameters = _parameters(part)
    except (ErrorDuringImport, TypeError, ValueError):
        return True  # what it takes cannot be told
    return any(one.name == name or one.kind is inspect.Parameter.VAR_KEYWORD for one in parameters)


def _arguments(part: Mapping) -> list[str]:
    """Names of the arguments of the component that a part of the config makes, as far as they can be told."""
    if part.get("_target_") is None:
        return []
    try:
        return [one.name for one in _parameters(part)]
    except (ErrorDuringImport, TypeError, ValueError):
        return []


def _parameters(part: Mapping) -> list[inspect.Parameter]:
    target = part["_target_"]
    if "." not in str(target):
        module = ComponentLocator().get_component_module_name(target)
        target = f"{module[0] if isinstance(module, list) else module}.{target}"
    found: Any = locate(target)
    return list(inspect.signature(found).parameters.values())


def _meant(name: str, known: Iterable[str]) -> str:
    near = get_close_matches(name, sorted(known), 1, 0.7)
    return f"did you mean {near[0]}?" if near else "look into the config for the names that there are"
