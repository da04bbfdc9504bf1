"""Print what pyproject.toml asks for, a word for each: the core's dependencies, and those of the extras named.

python scripts/platforms/dependencies.py [EXTRA…]
"""

from __future__ import annotations

import sys
import tomllib
from pathlib import Path

project = tomllib.loads((Path(__file__).resolve().parents[2] / "pyproject.toml").read_text(encoding="utf-8"))["project"]
print(*project["dependencies"], *(one for extra in sys.argv[1:] for one in project["optional-dependencies"][extra]))
