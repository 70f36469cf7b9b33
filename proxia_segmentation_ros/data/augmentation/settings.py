"""Settings of augmentation: the ranges of random changes, and which can be combined."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator
from typing_extensions import Self

from proxia_segmentation_ros.config import SizeHW
from proxia_segmentation_ros.errors import ConfigError

# At this magnitude every operation is at the end of its range.
LARGEST_MAGNITUDE = 30
BLUR_SIGMA = (0.3, 1.3)


class RandAugmentSettings(BaseModel):
    """Number and magnitude of RandAugment operations."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    operations: int = Field(default=2, ge=1, le=14, description="operations drawn for a pair")
    magnitude: float = Field(
        default=9.0, ge=0, le=LARGEST_MAGNITUDE, description="their magnitude, 0 to 30"
    )


class AugmentationSettings(BaseModel):
    """Ranges of the random changes."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    crop_hw: SizeHW = Field(default=(224, 224), description="size of the training crop")
    scale_min: float = Field(default=0.5, gt=0, le=8, description="smallest image scale")
    scale_max: float = Field(default=2.0, gt=0, le=8, description="largest image scale")
    scale_spacing: Literal["log", "linear"] = Field(
        default="log",
        description="distribution of the scale: log draws 0.5 as often as 2; linear is uniform",
    )
    stretch: float = Field(
        default=0.1,
        ge=0,
        le=0.5,
        description="change of the aspect ratio, by up to e^this either way",
    )
    interpolation: Literal["mixed", "bicubic"] = Field(
        default="mixed",
        description="mixed is linear or area; bicubic is that of pillow, without aliasing",
    )
    flip: bool = Field(default=True, description="mirror half of the pairs")
    randaugment: RandAugmentSettings | None = Field(
        default=None, description="RandAugment after the flip; none is off"
    )
    brightness: float = Field(default=0.3, ge=0, lt=1, description="gain within 1 +- this")
    contrast: float = Field(default=0.3, ge=0, lt=1, description="contrast within 1 +- this")
    saturation: float = Field(default=0.4, ge=0, le=1, description="saturation within 1 +- this")
    hue: float = Field(
        default=0.0, ge=0, le=0.5, description="hue shifted within +- this, 1 is the whole circle"
    )
    white_balance: float = Field(default=0.1, ge=0, lt=1, description="channel gains, 1 +- this")
    gamma: float = Field(default=1.0, ge=1, le=4, description="gamma between 1/this and this")
    dusk: float = Field(default=0.0, ge=0, le=1, description="share of pairs dimmed as at dusk")
    darkest: float = Field(
        default=0.0,
        ge=0,
        le=0.5,
        description="mean brightness below which light is not reduced further, 1 is white",
    )
    class_mix: float = Field(
        default=0.0,
        ge=0,
        le=1,
        description="ClassMix: share of pairs that get classes of another pair",
    )
    blur: float = Field(default=0.1, ge=0, le=1, description="share of blurred pairs")
    blur_sigma: tuple[float, float] = Field(
        default=BLUR_SIGMA, description="least and most blur, pixels of the crop"
    )
    noise: float = Field(default=0.02, ge=0, le=0.2, description="largest noise, 1 is white")

    @model_validator(mode="after")
    def _check_scales(self) -> Self:
        """Refuse an empty range of scales.

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
        """Refuse a blur range that is empty or has no effect.

        Raises:
            ConfigError: `blur_sigma` is no range, or given although `blur` is 0.
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
