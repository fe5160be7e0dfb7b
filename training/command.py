"""``sidewire train``: a configuration says what kind of thing is trained, and this starts it."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from shared.errors import SidewireError
from training.config import Stage1Config
from training.joint import JointConfig
from training.joint_run import JointRequest, joint_run
from training.matcher import MatcherConfig, train_matcher
from training.peer import PeerConfig, train_peer
from training.run import TrainingRequest, train_stage1
from training.stage2_config import Stage2Config
from training.stage2_run import GeneratorRequest, generator_run

__all__ = ["Places", "train_command"]


@dataclass(frozen=True)
class Places:
    """Where a run finds and leaves things.

    Attributes:
        data: folder that the configuration's globs start from.
        out: folder of the run.
        bundle: folder to write the finished bundle to.
        snapshot: train no further: export what the checkpoint holds.
        start: checkpoint of another run whose first phase this one shares.
    """

    data: Path
    out: Path
    bundle: Path
    snapshot: bool = False
    start: Path | None = None


def _stream(settings: dict[str, Any], places: Places) -> str:
    if places.start is not None:
        raise SidewireError("--start: a stream's run starts from its own checkpoint alone")
    config = Stage1Config.model_validate(settings)
    request = TrainingRequest(config, places.data, places.out, places.bundle, places.snapshot)
    return f"model {train_stage1(request).model_id[:16]}"


def _generator(settings: dict[str, Any], places: Places) -> str:
    config = Stage2Config.model_validate(settings)
    request = GeneratorRequest(
        config,
        places.data,
        places.out,
        places.out.parent / "cache",
        places.bundle,
        places.start,
        places.snapshot,
    )
    manifest = generator_run(request, os.cpu_count() or 1)
    return f"generator {manifest.tensors_sha256[:16]} of stream {manifest.stream_model_id[:16]}"


def _joint(settings: dict[str, Any], places: Places) -> str:
    if places.start is not None:
        raise SidewireError("--start: a joint run starts from its stream alone")
    config = JointConfig.model_validate(settings)
    cache = places.out.parent / "cache"
    request = JointRequest(config, places.data, places.out, cache, places.bundle, places.snapshot)
    manifest = joint_run(request, os.cpu_count() or 1)
    return f"encoder and generator {manifest.tensors_sha256[:16]}"


def _matcher(settings: dict[str, Any], places: Places) -> str:
    if places.start is not None or places.snapshot:
        raise SidewireError("--start, --snapshot: a matcher's run has no checkpoints")
    config = MatcherConfig.model_validate(settings)
    cache = places.out.parent / "cache"
    manifest = train_matcher(config, places.data, cache, places.bundle, os.cpu_count() or 1)
    return f"matcher {manifest.tensors_sha256[:16]}"


def _peer(settings: dict[str, Any], places: Places) -> str:
    if places.start is not None or places.snapshot:
        raise SidewireError(
            "--start, --snapshot: a peer's run goes on from its own checkpoints alone"
        )
    config = PeerConfig.model_validate(settings)
    curve = train_peer(config, places.data, places.out, places.bundle, os.cpu_count() or 1)
    return f"{config.name}, a curve of {len(curve.points)} points"


#: What ``kind`` in a configuration may be; without one it is a stream.
KINDS: dict[str, Callable[[dict[str, Any], Places], str]] = {
    "stream": _stream,
    "generator": _generator,
    "joint": _joint,
    "matcher": _matcher,
    "peer": _peer,
}


def train_command(config: Path, places: Places) -> None:
    """What ``sidewire train`` does.

    Raises:
        SidewireError: the configuration or the data cannot be used; the message says which field.
    """
    try:
        settings = yaml.safe_load(config.read_text())
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise SidewireError(f"cannot read {config}: {error}") from None
    if not isinstance(settings, dict):
        raise SidewireError(f"{config}: not a list of settings")
    kind = settings.pop("kind", "stream")
    if kind not in KINDS:
        raise SidewireError(f"{config}: kind is {kind!r}, known are {', '.join(KINDS)}")
    try:
        made = KINDS[kind](settings, places)
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(map(str, first["loc"])) or "the file"
        raise SidewireError(f"{config}: {field}: {first['msg']}") from None
    except FileNotFoundError as error:
        raise SidewireError(str(error)) from None
    print(f"{places.bundle}: {made}")
