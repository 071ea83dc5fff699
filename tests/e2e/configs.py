"""Configurations of several models."""

from pathlib import Path
from typing import Any

import yaml

Section = dict[str, Any]


def model(name: str, provider_url: str, **parameters: object) -> Section:
    """Give one deployment of the public model ``name``; ``parameters`` join its litellm_params."""
    return {
        "model_name": name,
        "litellm_params": {
            "model": f"openai/{name}-1",
            "api_base": provider_url,
            "api_key": "sk-sim",
            "input_cost_per_token": 0.000001,
            "output_cost_per_token": 0.000002,
            **parameters,
        },
    }


def write(
    folder: Path, *models: Section, router: Section | None = None, concurrency: int = 128, **ours: object
) -> Path:
    """Write a configuration; ``router``: its router_settings; ``ours``: members of its section ``forebay``."""
    document = {
        "model_list": list(models),
        "router_settings": router or {},
        "forebay": {"worker": {"concurrency": concurrency}, **ours},
    }
    file = folder / "config.yaml"
    file.write_text(yaml.safe_dump(document))
    return file
