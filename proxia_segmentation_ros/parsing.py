"""Parse JSON and YAML that others wrote: whatever is wrong with it is the parser's usual error."""

import json
from typing import Any

import yaml

TOO_DEEP = "it is nested too deeply"


def parse_json(text: str | bytes) -> Any:
    """Parse JSON.

    Raises:
        ValueError: the text is no JSON, or nested too deeply for Python's stack.
    """
    try:
        return json.loads(text)
    except RecursionError:
        raise ValueError(TOO_DEEP) from None


def parse_yaml(text: str, loader: type[yaml.SafeLoader] = yaml.SafeLoader) -> Any:
    """Parse YAML, as `yaml.safe_load` does.

    Raises:
        yaml.YAMLError: the text is no YAML, or nested too deeply for Python's stack.
    """
    try:
        return yaml.load(text, loader)
    except RecursionError:
        raise yaml.YAMLError(TOO_DEEP) from None
