"""The version that `proxia --version` prints."""

import re
from importlib import metadata
from pathlib import Path

import pytest

from proxia_segmentation_ros.apps import version

ROOT = Path(__file__).parents[2]


def test_checkout_has_the_version_of_its_manifest() -> None:
    found = re.search(r"<version>(.+)</version>", (ROOT / "package.xml").read_text())
    assert found is not None
    assert version.find_version() == found[1]


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Move the module to a place without a manifest beside the package."""
    monkeypatch.setattr(version, "__file__", str(tmp_path / "lib" / "apps" / "version.py"))
    return tmp_path


def test_installed_package_has_the_version_of_its_metadata(
    installed: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert installed.is_dir()
    monkeypatch.setattr(metadata, "version", lambda _name: "4.5.6")
    assert version.find_version() == "4.5.6"


def test_colcon_install_has_the_version_of_its_share_folder(
    installed: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(name: str) -> str:
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr(metadata, "version", refuse)
    monkeypatch.setenv("AMENT_PREFIX_PATH", str(installed))
    assert version.find_version() == "unknown"
    share = installed / "share" / "proxia_segmentation_ros"
    share.mkdir(parents=True)
    (share / "package.xml").write_text("<package><version>7.8.9</version></package>")
    assert version.find_version() == "7.8.9"
