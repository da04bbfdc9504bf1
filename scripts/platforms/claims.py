"""What a platform is claimed to do with the bundle, said line by line, and recorded for docs/platforms.md.

Of the standard library alone, since it runs in each platform's environment. A check is a script
``scripts/platforms/check_NAME.py`` that starts so::

    from claims import Claims

    with Claims("MONAI Label", "0.8.5") as claims:
        claims.claim("GET /info", "vessels" in answer["models"], "names the model")
        with claims.attempt("POST /infer of a TIFF"):  # what is raised here is a claim that failed; others go on
            ...
            claims.claim("POST /infer of a TIFF", same, f"{differing} pixels differ from segment")

What is claimed and what came back stand in the docs: no path of this machine in them.
"""

from __future__ import annotations

import csv
import os
import sys
import time
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date
from pathlib import Path
from types import TracebackType

COLUMNS = ("platform", "version", "what was called", "what came back", "when")
RESULTS = Path(__file__).resolve().parents[2] / "docs" / "results"


class Claims:
    """Claims about one platform; leaving the ``with`` block ends the program, with status 1 if one failed.

    With ``--record`` among the program's words, and if all hold, they are written to docs/results/platforms_NAME.csv,
    NAME being that of the script, check_NAME.py. A run without it changes nothing, so that CI can run it.

    Args:
        platform: its name.
        version: its version, as installed.
    """

    def __init__(self, platform: str, version: str) -> None:
        self.platform = platform
        self.version = version
        self.path = RESULTS / f"platforms_{Path(sys.argv[0]).stem.removeprefix('check_')}.csv"
        self.rows: list[tuple[str, ...]] = []
        self.failed = 0
        self.started = self.last = time.monotonic()

    def claim(self, text: str, ok: bool, came_back: object = "") -> bool:
        """Say whether a claim holds.

        Args:
            text: what was called.
            ok: whether it did what it should.
            came_back: what it gave, in one line.

        Returns:
            ``ok``.
        """
        came_back = " ".join(str(came_back).split())
        now = time.monotonic()
        print(f"{'ok    ' if ok else 'FAILED'} {now - self.last:6.1f} s  {text}: {came_back}", flush=True)
        self.last = now
        self.failed += not ok
        self.rows.append((self.platform, self.version, text, came_back, date.today().isoformat()))
        return bool(ok)

    @contextmanager
    def attempt(self, text: str) -> Iterator[None]:
        """Make an exception of the block a failed claim."""
        try:
            yield
        except Exception as error:
            traceback.print_exc()
            self.claim(text, False, f"{type(error).__name__}: {error}")

    def __enter__(self) -> Claims:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if isinstance(error, KeyboardInterrupt):
            return
        if error is not None:
            traceback.print_exception(kind, error, trace)
            self.claim("the check itself", False, f"{type(error).__name__}: {error}")
        held = len(self.rows) - self.failed
        print(f"== {self.platform} {self.version}: {held} claims hold, {self.failed} failed", flush=True)
        if self.failed or not self.rows:
            sys.exit(1)
        if "--record" in sys.argv[1:]:
            self._record()
        sys.exit(0)

    def _record(self) -> None:
        partial = self.path.with_name(f".{self.path.name}")
        with open(partial, "w", newline="", encoding="utf-8") as stream:
            writer = csv.writer(stream, lineterminator="\n")
            writer.writerow(COLUMNS)
            writer.writerows(self.rows)
        os.replace(partial, self.path)
