"""How near the networks come to what the processor can multiply, and whether compiling them pays.

    python -m cluster.benchmarks.networks [--threads 1]

``base``'s analysis and synthesis transforms on a 768x512 picture in the machine's faster precision, as they
run in a codec and compiled by ``torch.compile``, beside the largest matrix product of the same precision: in
turn, in one process. The ratio of multiplications a second to the matrix product's is what is left to win.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from dataclasses import asdict, dataclass

import torch
from torch import Tensor, nn

from cluster.benchmarks.timing import interleaved_medians
from shared.codecs.halves import LatentDecoder, LatentEncoder
from shared.codecs.loading import load_decoder, load_encoder
from shared.networks.transforms import Y_STRIDE

WIDTH, HEIGHT = 768, 512
QUALITY = 4
#: Side of the matrices.
SIDE = 1024
REPEATS = 15


@dataclass(frozen=True)
class NetworkSpeed:
    """Medians in milliseconds.

    Attributes:
        gmacs: multiplications of its convolutions, in 10^9.
        compiled_times_faster: 1 where compiling changes nothing.
        of_matrix_product: multiplications a second, by those of a matrix product.
    """

    network: str
    gmacs: float
    ms: float
    compiled_ms: float
    compiled_times_faster: float
    of_matrix_product: float


def multiplications(network: nn.Module, call: Callable[[], object]) -> int:
    """The multiplications of all convolutions in one call."""
    total = 0

    def count(module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        nonlocal total
        assert isinstance(module, nn.Conv2d)
        total += output.numel() * module.weight[0].numel()

    layers = [module for module in network.modules() if isinstance(module, nn.Conv2d)]
    hooks = [layer.register_forward_hook(count) for layer in layers]
    call()
    for hook in hooks:
        hook.remove()
    return total


def main() -> None:
    """Print one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--threads", type=int, default=1)
    torch.set_num_threads(parser.parse_args().threads)
    encoder, decoder = load_encoder("base"), load_decoder("base")
    assert isinstance(encoder, LatentEncoder)
    assert isinstance(decoder, LatentDecoder)
    dtype = encoder.terms.dtype
    layout = torch.channels_last
    level = torch.tensor([QUALITY])
    x = torch.randn(1, 3, HEIGHT, WIDTH).to(dtype).to(memory_format=layout)
    y = torch.randn(1, encoder.g_a.latent, HEIGHT // Y_STRIDE, WIDTH // Y_STRIDE)
    y = y.to(dtype).to(memory_format=layout)
    matrix = torch.randn(SIDE, SIDE).to(dtype)
    networks = {"g_a": (encoder.g_a, x), "g_s": (decoder.g_s, y)}
    calls: dict[str, Callable[[], object]] = {"product": lambda: matrix @ matrix}
    for name, (network, value) in networks.items():
        compiled = torch.compile(network)
        calls[name] = lambda network=network, value=value: network(value, level)  # type: ignore[misc]
        calls[f"compiled {name}"] = lambda network=compiled, value=value: network(value, level)  # type: ignore[misc]
    with torch.inference_mode():
        for call in calls.values():
            call()
        medians = interleaved_medians(calls, REPEATS)
        speeds = []
        for name, (network, _) in networks.items():
            macs, ms = multiplications(network, calls[name]), medians[name]
            share = macs / ms / (SIDE**3 / medians["product"])
            other = medians[f"compiled {name}"]
            speeds.append(NetworkSpeed(name, macs / 1e9, ms, other, ms / other, share))
    print(json.dumps({"precision": str(dtype), "networks": [asdict(one) for one in speeds]}))


if __name__ == "__main__":
    main()
