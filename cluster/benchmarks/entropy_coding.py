"""Our entropy coding against the coder libraries' own time, on a real picture's symbols.

    python -m cluster.benchmarks.entropy_coding

``ours`` goes from symbol and index arrays to bytes and back, sorting included. ``constriction`` is
the library alone: the same calls on symbols that lie grouped already. ``compressai`` is the other
candidate, with its tables and lists built outside the timing.
"""

from __future__ import annotations

import argparse
import json

import constriction
import numpy as np
from compressai.ans import RansDecoder, RansEncoder

from cluster.benchmarks.timing import interleaved_medians
from cluster.feeds import KODAK_FEED
from shared.codecs import load_encoder
from shared.codecs.halves import LatentEncoder
from shared.entropy.tables import FREQUENCY_TOTAL
from shared.feed import read_feed
from shared.latents.hyperprior import Hyperprior, HyperpriorSymbols
from shared.pictures import picture_from_bytes

REPEATS = 30


def main() -> None:
    """Print one JSON object a quality level."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--qualities", type=int, nargs="*", default=[2, 4, 6])
    encoder = load_encoder("base")
    assert isinstance(encoder, LatentEncoder)
    picture = picture_from_bytes(next(read_feed(KODAK_FEED)).image)
    for quality in parser.parse_args().qualities:
        print(json.dumps(compare(encoder, picture, quality)))


def compare(
    encoder: LatentEncoder, picture: np.ndarray[tuple[int, ...], np.dtype[np.uint8]], quality: int
) -> dict[str, float]:
    """Medians in milliseconds and ratios for y's coded symbols."""
    latents = encoder.symbols(picture, quality)
    assert isinstance(encoder.latent, Hyperprior)
    assert isinstance(latents, HyperpriorSymbols)
    coder, tables = encoder.latent.coder, encoder.latent.coder.tables
    active = np.flatnonzero(latents.index)
    symbols, indices = latents.y.reshape(-1)[active], latents.index.reshape(-1)[active]
    payload = coder.encode([(symbols, indices)])

    order = np.argsort(indices, kind="stable")
    used = np.flatnonzero(np.bincount(indices))
    groups = []
    for table in used.tolist():
        top = len(tables[table]) - 1
        offset = symbols[order][indices[order] == table].astype(np.int32) - tables.lows[table]
        groups.append((np.clip(offset, 0, top).astype(np.int32), coder.model(table)))

    def library_encode() -> np.ndarray[tuple[int, ...], np.dtype[np.uint32]]:
        ans = constriction.stream.stack.AnsCoder()
        for values, model in reversed(groups):
            ans.encode_reverse(values, model)
        packed: np.ndarray[tuple[int, ...], np.dtype[np.uint32]] = ans.get_compressed()
        return packed

    packed = library_encode()

    def library_decode() -> None:
        ans = constriction.stream.stack.AnsCoder(packed)
        for values, model in groups:
            ans.decode(model, len(values))

    # CompressAI: cumulative tables that end in their total, and an escape of its own.
    cdfs = [np.cumsum([0, *tables[i].astype(int)]).tolist() for i in range(64)]
    assert all(cdf[-1] == FREQUENCY_TOTAL for cdf in cdfs)
    lists = symbols.tolist(), indices.tolist(), cdfs, [len(cdf) for cdf in cdfs]
    lows = tables.lows[:64].tolist()
    peer = RansEncoder().encode_with_indexes(*lists, lows)

    medians = interleaved_medians(
        {
            "ours_encode": lambda: coder.encode([(symbols, indices)]),
            "ours_decode": lambda: coder.open(payload).decode(indices),
            "constriction_encode": library_encode,
            "constriction_decode": library_decode,
            "compressai_encode": lambda: RansEncoder().encode_with_indexes(*lists, lows),
            "compressai_decode": lambda: RansDecoder().decode_with_indexes(peer, *lists[1:], lows),
        },
        REPEATS,
    )
    totals = {
        name: medians[f"{name}_encode"] + medians[f"{name}_decode"]
        for name in ("ours", "constriction", "compressai")
    }
    return {
        "quality": quality,
        "symbols": len(symbols),
        **{name: round(value, 3) for name, value in medians.items()},
        "ours_to_constriction": round(totals["ours"] / totals["constriction"], 2),
        "ours_to_compressai": round(totals["ours"] / totals["compressai"], 2),
    }


if __name__ == "__main__":
    main()
