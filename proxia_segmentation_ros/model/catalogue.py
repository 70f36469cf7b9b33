"""Published third-party weights, and the folder of their converted files.

Does not import torch.
"""

import os
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Annotated

import yaml
from pydantic import BaseModel, ConfigDict, Field

from proxia_segmentation_ros.errors import WeightsError

PACKAGE = "proxia_segmentation_ros"
FOLDER_VARIABLE = "PROXIA_WEIGHTS_DIR"
SUFFIX = ".safetensors"

Name = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]*$")]
FileName = Annotated[str, Field(pattern=r"^[\w.-]+\.pth$")]
Address = Annotated[str, Field(pattern=r"^https://\S+$")]


class CatalogueEntry(BaseModel):
    """One published checkpoint; without `url` it must be downloaded by hand from `page`.

    `sha256` holds as many leading digits as the publisher gives: 64, fewer or none.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: Name
    architecture: str
    parameters: int
    size_hw: tuple[int, int]
    label_set: str
    classes: int
    training_data: str
    scores: dict[str, float]
    terms: str
    page: Address
    file: FileName
    url: Address | None = None
    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{0,64}$")] = ""


class _Catalogue(BaseModel):
    model_config = ConfigDict(extra="forbid")

    weights: tuple[CatalogueEntry, ...]


@cache
def read_catalogue() -> dict[str, CatalogueEntry]:
    """Return the published weights by name, in the order of catalogue.yaml."""
    file = resources.files(PACKAGE) / "weights" / "catalogue.yaml"
    raw = yaml.safe_load(file.read_text(encoding="utf-8"))
    return {entry.name: entry for entry in _Catalogue.model_validate(raw).weights}


def find_weights_folder() -> Path:
    """Return `$PROXIA_WEIGHTS_DIR`, else `$XDG_CACHE_HOME/proxia_segmentation_ros/weights`.

    Raises:
        WeightsError: neither variable is set and the user has no home folder.
    """
    own = os.environ.get(FOLDER_VARIABLE)
    if own:
        return Path(own)
    try:
        return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache", PACKAGE, "weights")
    except RuntimeError as error:
        raise WeightsError.from_parts(
            "there is no folder for downloaded weights: this user has no home",
            f"a folder in {FOLDER_VARIABLE}",
            f"set {FOLDER_VARIABLE}",
        ) from error


def locate_converted(name: str) -> Path:
    """Return the path of the converted file of a published name, whether or not it exists.

    Raises:
        WeightsError: no folder can be determined.
    """
    return find_weights_folder() / f"{name}{SUFFIX}"
