"""What a weight file says of its network in 8-bit integers; all of it without torch.

The tensors stay as they are: metadata key `quantisation` holds one JSON object with the range of
every layer's input, found on sample images, and what rounding to them cost.
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
    """Ranges by layer, and the trial that they passed.

    `lost_points` is mIoU x 100 of float minus that of int8, at most `gate_points`; `speedup` is
    the time of float over that of int8 on the processor `cpu`, float being `compared_with`.
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
        """Tell whether `auto` may take int8 on processors of that kind."""
        return self.lost_points <= self.gate_points and self.speedup >= MIN_SPEEDUP


def read_quantisation(path_or_name: str | Path) -> Quantisation | None:
    """Return what a weight file says; None where it was never quantised.

    Raises:
        WeightsError: the file is missing or corrupt, or says it in another form.
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
    """Write a copy of a weight file that says this; its tensors stay the same bytes.

    Raises:
        WeightsError: the source is no weight file of ours, or the target is one of the shipped
            files, has another suffix, or can't be written.
    """
    source, target = find_weights(source), Path(target)
    check_copy(source, target)
    text = json.dumps(quantisation.model_dump(), ensure_ascii=False)
    write_weight_file(target, replace_metadata(source, {QUANTISATION_KEY: text}))
