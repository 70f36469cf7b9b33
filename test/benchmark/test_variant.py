import pytest

from proxia_segmentation_ros.benchmark.variant import parse_variant, split_outside_brackets
from proxia_segmentation_ros.errors import ConfigError

DEFAULTS = {"weights": "synthetic", "backend": "auto", "precision": "auto"}


def parse(text, kind="model"):
    return parse_variant(text, kind=kind, defaults=DEFAULTS)


def test_options_go_to_loading_or_to_the_call():
    variant = parse("backend=torch,threads=2,with_confidence=true,output_size=network")
    assert (variant.kind, variant.weights) == ("model", "synthetic")
    assert variant.loading == {"backend": "torch", "precision": "auto", "threads": 2}
    assert variant.calling == {"with_confidence": True, "output_size": "network"}


def test_first_word_chooses_what_is_run():
    assert parse("pipeline,precision=f32").kind == "pipeline"
    assert parse("model", kind="pipeline").kind == "model"
    assert parse("precision=f32", kind="pipeline").kind == "pipeline"


def test_only_a_pipeline_finds_objects():
    assert parse("pipeline,objects=false").calling == {"objects": False}
    with pytest.raises(ConfigError):
        parse("objects=false")


def test_plain_pytorch_takes_no_backend():
    variant = parse("eager,threads=1,weights=attention")
    assert (variant.kind, variant.weights, variant.loading) == (
        "eager",
        "attention",
        {"threads": 1},
    )


def test_lists_keep_their_commas():
    assert split_outside_brackets("scales=[0.5,1.0], size=input,") == [
        "scales=[0.5,1.0]",
        "size=input",
    ]
    assert parse("scales=[0.5,1.0]").loading["scales"] == [0.5, 1.0]


@pytest.mark.parametrize(
    "text", ["colour=red", "threads", "eager,backend=torch", "path_or_name=x", "self=1"]
)
def test_unknown_option_is_refused(text):
    with pytest.raises(ConfigError, match=r"is no option of '(model|eager)'"):
        parse(text)


def test_value_that_is_no_yaml_is_refused():
    with pytest.raises(ConfigError, match="holds no YAML value"):
        parse("size={")
