"""Ranges of the random changes of a training pair, and which of them fit together."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator
from typing_extensions import Self

from proxia_segmentation_ros.errors import ConfigError

SizeHW = tuple[int, int]
# A magnitude of this much is the far end of every operation's range.
LARGEST_MAGNITUDE = 30
BLUR_SIGMA = (0.3, 1.3)


class RandAugmentSettings(BaseModel):
    """How many operations of RandAugment a pair gets, and how strong they are."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    operations: int = Field(default=2, ge=1, le=14, description="operations drawn for a pair")
    magnitude: float = Field(
        default=9.0, ge=0, le=LARGEST_MAGNITUDE, description="their strength, 30 is the largest"
    )


class AugmentationSettings(BaseModel):
    """Ranges of the random changes."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    crop_hw: SizeHW = Field(default=(224, 224), description="size of the training crop")
    scale_min: float = Field(default=0.5, gt=0, le=8, description="smallest image scale")
    scale_max: float = Field(default=2.0, gt=0, le=8, description="largest image scale")
    scale_spacing: Literal["log", "linear"] = Field(
        default="log", description="log draws halves as often as doubles; linear all scales alike"
    )
    stretch: float = Field(
        default=0.1, ge=0, le=0.5, description="height against width up to e^this and back"
    )
    interpolation: Literal["mixed", "bicubic"] = Field(
        default="mixed", description="mixed is linear or by area; bicubic smooths what shrinks"
    )
    flip: bool = Field(default=True, description="mirror half of the pairs")
    randaugment: RandAugmentSettings | None = Field(
        default=None, description="random operations after the flip; none is without"
    )
    brightness: float = Field(default=0.3, ge=0, lt=1, description="gain within 1 +- this")
    contrast: float = Field(default=0.3, ge=0, lt=1, description="contrast within 1 +- this")
    saturation: float = Field(default=0.4, ge=0, le=1, description="saturation within 1 +- this")
    hue: float = Field(
        default=0.0, ge=0, le=0.5, description="hue turned within +- this, 1 is the whole circle"
    )
    white_balance: float = Field(default=0.1, ge=0, lt=1, description="channel gains, 1 +- this")
    gamma: float = Field(default=1.0, ge=1, le=4, description="gamma between 1/this and this")
    dusk: float = Field(default=0.0, ge=0, le=1, description="share of pairs dimmed as at dusk")
    darkest: float = Field(
        default=0.0,
        ge=0,
        le=0.5,
        description="mean brightness below which no change of light takes an image, 1 is white",
    )
    class_mix: float = Field(
        default=0.0, ge=0, le=1, description="share of pairs that get classes of another one"
    )
    blur: float = Field(default=0.1, ge=0, le=1, description="share of blurred pairs")
    blur_sigma: tuple[float, float] = Field(
        default=BLUR_SIGMA, description="least and most blur, pixels of the crop"
    )
    noise: float = Field(default=0.02, ge=0, le=0.2, description="largest noise, 1 is white")

    @model_validator(mode="after")
    def _check_scales(self) -> Self:
        """Refuse scales that can't be drawn.

        Raises:
            ConfigError: `scale_min` is above `scale_max`.
        """
        if self.scale_min > self.scale_max:
            raise ConfigError.from_parts(
                f"recipe setting augmentation.scale_min is {self.scale_min}",
                f"at most augmentation.scale_max, {self.scale_max}",
                "correct the recipe or the --set option",
            )
        return self

    @model_validator(mode="after")
    def _check_blur(self) -> Self:
        """Refuse a blur that can't be drawn or can't act.

        Raises:
            ConfigError: `blur_sigma` is no range, or set without any blur.
        """
        least, most = self.blur_sigma
        if not 0 < least <= most:
            raise ConfigError.from_parts(
                f"recipe setting augmentation.blur_sigma is {[least, most]}",
                "two numbers above 0, the smaller one first",
                "correct the recipe or the --set option",
            )
        if self.blur == 0 and self.blur_sigma != BLUR_SIGMA:
            raise ConfigError.from_parts(
                f"recipe setting augmentation.blur_sigma is {[least, most]}, which "
                f"augmentation.blur {self.blur} does not use",
                f"{list(BLUR_SIGMA)} or no such line with it (it acts with a blur above 0)",
                "remove augmentation.blur_sigma from the recipe or change augmentation.blur",
            )
        return self
