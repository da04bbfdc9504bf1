"""The BioImage Model Zoo: its own tool on the resource that `python -m bundle package --format bioimageio` writes.

    bash scripts/check_platforms.sh bioimage

Offline: proxies that answer nothing stand before every address.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tempfile
import zipfile
from importlib.metadata import version
from pathlib import Path

from claims import Claims

ROOT = Path(__file__).resolve().parents[2]
NOWHERE = "http://127.0.0.1:9"


def call(words: list[object], folder: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run a program; what it says is kept."""
    return subprocess.run(
        [str(word) for word in words],
        cwd=folder,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        encoding="utf-8",
        errors="replace",
    )


def package(path: Path, seed: int) -> str:
    """Write the resource.

    Returns:
        What went wrong, or nothing.
    """
    words = [sys.executable, "-W", "ignore", "-m", "bundle", "package", path, "--format", "bioimageio"]
    done = call(words, ROOT, PYTHONHASHSEED=str(seed))
    return done.stderr if done.returncode else ""


def main() -> None:
    """Check."""
    platform = f"bioimageio.core {version('bioimageio.core')} with spec {version('bioimageio.spec')}"
    with tempfile.TemporaryDirectory() as name, Claims("BioImage Model Zoo", platform) as claims:
        folder = Path(name)
        resource = folder / "vessels.zip"
        problem = package(resource, 1)
        size = f"{resource.stat().st_size / 2**20:.1f} MiB" if resource.exists() else ""
        claims.claim("bundle package --format bioimageio", not problem, problem or size)
        if problem:
            return
        again = folder / "again.zip"
        problem = package(again, 2)
        same = not problem and resource.read_bytes() == again.read_bytes()
        claims.claim("the same again, in another process", same, problem or ("the same bytes" if same else "others"))

        offline = {name: NOWHERE for name in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY")}
        offline["BIOIMAGEIO_CACHE_PATH"] = str(folder / "cache")
        tool = Path(sys.executable).with_name("bioimageio")
        done = call([tool, "validate-format", resource, "--summary", folder / "format.json"], folder, **offline)
        summary = json.loads((folder / "format.json").read_text(encoding="utf-8"))
        claims.claim("bioimageio validate-format", done.returncode == 0, summary["status"])
        with zipfile.ZipFile(resource) as archive:
            description = archive.read("rdf.yaml").decode()
        formats = [one for one in ("torchscript", "onnx") if re.search(rf"^  {one}:$", description, re.M)]
        claims.claim("its weight formats", formats == ["torchscript", "onnx"], ", ".join(formats))
        for weights in formats:
            report = folder / f"{weights}.json"
            words = ["test", resource, "--weight-format", weights, "--summary", report]
            done = call([tool, *words], folder, **offline)
            summary = json.loads(report.read_text(encoding="utf-8"))
            passed = [one["name"] for one in summary["details"] if one["status"] == "passed"]
            reproduced = any(one.startswith("Reproduce test outputs") for one in passed)
            ran = sum(one.startswith(f"Run {weights} inference") for one in passed)
            claims.claim(
                f"bioimageio test --weight-format {weights}",
                done.returncode == 0 and summary["status"] == "passed" and reproduced and ran >= 6,
                f"{summary['status']}: test output reproduced, {ran} sizes of image and batch"
                if reproduced
                else done.stdout,
            )


if __name__ == "__main__":
    main()
