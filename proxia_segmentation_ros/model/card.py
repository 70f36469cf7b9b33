"""The model card, the metadata of a weight file. Does not import torch."""

import json
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator
from typing_extensions import Self

from proxia_segmentation_ros.errors import ConfigError, WeightsError, make_printable
from proxia_segmentation_ros.labels import LabelSet
from proxia_segmentation_ros.model.network.names import SCALES_RULE, follow_scales_rule

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)

Side = Annotated[int, Field(ge=16, le=16384)]
Channels = Annotated[int, Field(ge=1, le=8192)]
Deviation = Annotated[float, Field(gt=0)]
Colour = Annotated[int, Field(ge=0, le=255)]


class _CardPart(BaseModel):
    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        allow_inf_nan=False,
        protected_namespaces=(),
        populate_by_name=True,
    )


class CardClass(_CardPart):
    """One class of the card's label set.

    `source_ids` are its pixel values in the training masks; cards of version 0.1 don't say them.
    """

    id: int
    name: str
    rgb: tuple[Colour, Colour, Colour]
    source_ids: tuple[int, ...] | None = None


class CardLabelSet(_CardPart):
    """The classes of the network's logits, in the order of their ids."""

    name: str
    source_ignore: tuple[int, ...] = ()
    classes: tuple[CardClass, ...]

    @model_validator(mode="after")
    def _check_classes(self) -> Self:
        try:
            self.to_label_set()
        except ConfigError as error:
            raise ValueError(str(error)) from error
        return self

    def to_label_set(self) -> LabelSet:
        """Return the classes as a `LabelSet`."""
        return LabelSet.from_dict(self.model_dump(exclude_none=True))

    @classmethod
    def from_label_set(cls, label_set: LabelSet) -> Self:
        """Convert a label set with its source ids, by which masks can be read again."""
        return cls.model_validate(label_set.to_dict())


class ModelCard(_CardPart):
    """Metadata of a weight file: the JSON stored under the safetensors metadata key `card`.

    `mean` and `std` apply to pixel values scaled to 0..1, in the order `channel_order`.
    """

    schema_version: Literal[1] = Field(default=1, alias="schema")
    name: str = Field(min_length=1)
    architecture: str = Field(min_length=1)
    ocr_mid: Channels = 512
    ocr_key: Channels = 256
    attention_mid: Channels = 256
    scales: tuple[float, ...] = (1.0,)
    size_hw: tuple[Side, Side]
    channel_order: Literal["rgb", "bgr"] = "rgb"
    mean: tuple[float, float, float] = IMAGENET_MEAN
    std: tuple[Deviation, Deviation, Deviation] = IMAGENET_STD
    label_set: CardLabelSet
    temperature: float = Field(default=1.0, gt=0)
    training_data: str = ""
    terms: str = ""
    scores: dict[str, float] = Field(default_factory=dict)
    made_with: str = ""

    @field_validator("name", "training_data", "terms", "made_with")
    @classmethod
    def _make_printable(cls, text: str) -> str:
        # Logs and lists show these of files that strangers made.
        return make_printable(" ".join(text.split("\n")))

    @field_validator("scales")
    @classmethod
    def _check_scales(cls, scales: tuple[float, ...]) -> tuple[float, ...]:
        if not follow_scales_rule(scales):
            raise ValueError(SCALES_RULE)
        return scales

    def to_label_set(self) -> LabelSet:
        """Return the classes as a `LabelSet`."""
        return self.label_set.to_label_set()

    def to_json(self) -> str:
        """Return the JSON object for the file's metadata."""
        return json.dumps(self.model_dump(by_alias=True, exclude_none=True), ensure_ascii=False)

    @classmethod
    def from_json(cls, text: str, source: str) -> Self:
        """Parse the card of the file `source`.

        Raises:
            WeightsError: the text is not a card of schema 1.
        """
        try:
            return cls.model_validate_json(text, strict=True)
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            place = ".".join(str(part) for part in first["loc"]) or "its JSON"
            value = "" if first["type"] == "missing" else f" ({str(first['input'])[:80]!r})"
            raise WeightsError.from_parts(
                f"the model card of {source!r} is wrong at {place}{value}",
                first["msg"].removeprefix("Value error, "),
                "save the weights again with save_weights of this version of the package",
            ) from error
