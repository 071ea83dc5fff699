"""Configurations to be read."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import yaml

from shared.domain.routing import Deployment
from shared.wire.config import Configuration, load

CONTRACT: Final = """\
model_list:
  - model_name: gpt-4o-mini                  # the public name; a repeated name is one load-balanced group
    litellm_params:
      model: openai/gpt-4o-mini
      api_base: http://127.0.0.1:9000/v1
      api_key: os.environ/OPENAI_API_KEY
      rpm: 6000                              # enforced, across all workers
      tpm: 600000
      max_parallel_requests: 200
      weight: 1
      order: 1
      timeout: 120
      region_name: eu
      input_cost_per_token: 0.00000015
      output_cost_per_token: 0.0000006
router_settings:
  fallbacks: [{gpt-4o-mini: [claude-haiku]}]
  context_window_fallbacks: []
  content_policy_fallbacks: []
  num_retries: 3
  allowed_fails: 3
  cooldown_time: 5
  routing_strategy: simple-shuffle           # also least-busy, latency-based-routing, cost-based-routing
  model_group_alias: {gpt-4: gpt-4o}
litellm_settings:
  cache: true
  cache_params: {ttl: 3600, similarity_threshold: 0.95, namespace: prod}
general_settings:
  master_key: os.environ/FOREBAY_ADMIN_KEY
forebay:
  off_peak: {timezone: Europe/Zurich, windows: ["22:00-06:00", "sat", "sun"]}
  priorities: {interactive: 64, standard: 16, bulk: 4, deferrable: 1}   # weights
  interactive_reserve: 0.1                   # share of every limit that only interactive work may use
"""
"""The example of the documentation."""


def read(folder: Path, text: str, environment: Mapping[str, str] | None = None) -> Configuration:
    """Load a configuration of that text."""
    file = folder / "config.yaml"
    file.write_text(text, encoding="utf-8")
    return load(file, environment or {})


def read_document(
    folder: Path, document: Mapping[str, Any], environment: Mapping[str, str] | None = None
) -> Configuration:
    """Load a configuration that says this."""
    return read(folder, yaml.safe_dump(dict(document), sort_keys=False), environment)


def entry(name: str = "fast", info: Mapping[str, Any] | None = None, **parameters: object) -> dict[str, Any]:
    """Give one entry of ``model_list``; ``parameters`` join its litellm_params."""
    made: dict[str, Any] = {
        "model_name": name,
        "litellm_params": {"model": "openai/m", "api_base": "http://127.0.0.1:1/v1", **parameters},
    }
    return made if info is None else made | {"model_info": dict(info)}


def read_models(folder: Path, *entries: Mapping[str, Any], **environment: str) -> tuple[Deployment, ...]:
    """Load a configuration of these models, and give their deployments."""
    configuration = read_document(folder, {"model_list": list(entries)}, environment)
    return tuple(configured.deployment for configured in configuration.deployments)
