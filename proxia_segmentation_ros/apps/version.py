"""The version of this package, however it was installed."""

import os
import re
from importlib import metadata
from pathlib import Path

PACKAGE = "proxia_segmentation_ros"
MANIFEST = "package.xml"


def find_version() -> str:
    """Return the version, `unknown` where no manifest is found.

    The manifest of a checkout comes first, then pip's metadata, then what colcon installed.
    """
    checkout = Path(__file__).parents[2] / MANIFEST
    if checkout.is_file():
        return _read_manifest(checkout)
    try:
        return metadata.version(PACKAGE)
    except metadata.PackageNotFoundError:
        prefixes = os.environ.get("AMENT_PREFIX_PATH", "").split(os.pathsep)
        manifests = (Path(prefix, "share", PACKAGE, MANIFEST) for prefix in prefixes)
        return next((_read_manifest(path) for path in manifests if path.is_file()), "unknown")


def _read_manifest(path: Path) -> str:
    found = re.search(r"<version>\s*(.+?)\s*</version>", path.read_text(encoding="utf-8"))
    return found[1] if found else "unknown"
