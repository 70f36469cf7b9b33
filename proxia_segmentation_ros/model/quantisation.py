"""Activation ranges for int8 in a weight file's metadata. Does not import torch.

The tensors stay in float. Metadata key `quantisation` holds a JSON object with the range of every
layer's input, found on sample images, and the measured loss of accuracy.
"""

import json
from pathlib import Path
from typing import Annotated, TypeAlias

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from proxia_segmentation_ros.errors import WeightsError
from proxia_segmentation_ros.model.card_file import read_metadata
from proxia_segmentation_ros.model.lookup import SUFFIX, find_weights
from proxia_segmentation_ros.model.weight_file import (
    check_copy,
    replace_metadata,
    write_weight_file,
)

QUANTISATION_KEY = "quantisation"
MIN_SPEEDUP = 1.2

Range: TypeAlias = tuple[float, float]


class Quantisation(BaseModel):
    """Activation ranges by layer, and the results of the trial on sample images.

    `lost_points` is mIoU x 100 of float minus that of int8; int8 is accepted up to `gate_points`.
    `speedup` is the time of float (`compared_with`: f32 or bf16) over that of int8 on `cpu`.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    ranges: dict[str, Range] = Field(min_length=1)
    images: int = Field(ge=1)
    miou: Annotated[float, Field(ge=0, le=1)]
    lost_points: float
    gate_points: float = Field(ge=0)
    agreement: Annotated[float, Field(ge=0, le=1)]
    speedup: float = Field(gt=0)
    compared_with: str
    cpu: str

    @property
    def is_worthwhile(self) -> bool:
        """Whether precision `auto` may choose int8 on such a CPU."""
        return self.lost_points <= self.gate_points and self.speedup >= MIN_SPEEDUP


def read_quantisation(path_or_name: str | Path) -> Quantisation | None:
    """Return the int8 ranges of a weight file; None if it was never quantised.

    Raises:
        WeightsError: the file is missing or corrupt, or the metadata has another form.
    """
    path = find_weights(path_or_name)
    if path.suffix != SUFFIX:
        return None
    text = read_metadata(path).get(QUANTISATION_KEY)
    if text is None:
        return None
    try:
        return Quantisation.model_validate_json(text)
    except ValidationError as error:
        raise WeightsError.from_parts(
            f"metadata {QUANTISATION_KEY!r} of {str(path)!r} is wrong "
            f"({error.errors(include_url=False)[0]['msg']})",
            "what `proxia quantise` of this version writes",
            "quantise the weights again",
        ) from error


def copy_with_quantisation(
    source: str | Path, target: str | Path, quantisation: Quantisation
) -> None:
    """Write a copy of a weight file with these ranges; the bytes of the tensors stay the same.

    Raises:
        WeightsError: the source is not a safetensors file, or the target is one of the shipped
            files, has another suffix, or can't be written.
    """
    source, target = find_weights(source), Path(target)
    check_copy(source, target)
    text = json.dumps(quantisation.model_dump(), ensure_ascii=False)
    write_weight_file(target, replace_metadata(source, {QUANTISATION_KEY: text}))
