"""What the speed is worth: Kodak curves of a codec of ours and of CompressAI's ``mbt2018_mean``.

Of the latter there are two: trained here by our recipe (``training/configs/mbt2018-mean.yaml``), with
no fewer processor hours behind any of its points than all of ours had, and as published.
"""

from __future__ import annotations

from collections.abc import Sequence
from importlib import resources
from pathlib import Path

from cluster.bench.kodak import KodakPoint, PeerQuality
from shared.bundle import read_manifest, shipped_bundle
from shared.errors import BundleError
from shared.metrics.bd_rate import Curve, bd_rate
from shared.peer_curve import PeerCurve

__all__ = ["PUBLISHED", "peer_quality"]

#: What ``sidewire train`` has written.
PEER = "peers/mbt2018-mean.json"
#: Bits a pixel between which curves are compared.
WINDOW = (0.1, 1.0)


#: The shipped streams' own runs had so many cores; a bundle knows the time on the clock.
TRAINED_ON_CORES = 2

#: CompressAI's own figures for its trained weights, from rANS bytes and 8-bit pictures: its repository's
#: ``results/image/8bit-decoded/kodak/compressai-mbt2018-mean_mse_ans_cuda.json``.
PUBLISHED = (
    KodakPoint(0.1239, 27.696, 0.9178),
    KodakPoint(0.1980, 29.354, 0.9430),
    KodakPoint(0.3072, 31.121, 0.9614),
    KodakPoint(0.4606, 32.939, 0.9751),
    KodakPoint(0.6617, 34.950, 0.9835),
    KodakPoint(0.9144, 36.883, 0.9892),
    KodakPoint(1.2342, 38.794, 0.9930),
    KodakPoint(1.6191, 40.569, 0.9953),
)


def peer_quality(codec: str) -> PeerQuality | None:
    """The curves of a codec that ships; None where its bundle holds no Kodak curve."""
    try:
        provenance = read_manifest(shipped_bundle(codec)).provenance
    except BundleError:
        return None
    if not provenance.kodak:
        return None
    ours = [KodakPoint(row.bpp, row.psnr, row.ms_ssim) for row in provenance.kodak]
    peer = PeerCurve.read(Path(str(resources.files("cluster.bench").joinpath(PEER))))
    trained = [KodakPoint(point.bpp, point.psnr, point.ms_ssim) for point in peer.points]
    return PeerQuality(
        codec=codec,
        hours=TRAINED_ON_CORES * provenance.hours,
        ours=ours,
        trained=trained,
        peer_hours=[point.cpu_hours for point in peer.points],
        published=PUBLISHED,
        against_trained=_saving(trained, ours),
        against_published=_saving(PUBLISHED, ours),
    )


def _saving(anchor: Sequence[KodakPoint], test: Sequence[KodakPoint]) -> float | None:
    found = bd_rate(_curve(anchor), _curve(test), *WINDOW)
    return None if found is None else found.percent


def _curve(points: Sequence[KodakPoint]) -> Curve:
    return Curve(tuple(one.bpp for one in points), tuple(one.psnr for one in points))
