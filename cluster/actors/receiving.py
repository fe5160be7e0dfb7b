"""``sidewire receive --decoder ray``: a gateway in this process, its decoders on Ray."""

from __future__ import annotations

from cluster.actors.metrics import GatewayMetrics
from cluster.actors.pool import RayPool
from cluster.actors.roster import PoolSpec
from cluster.actors.runtime import connected, gpus
from receiver.decoders.worker import DecodingSettings, PictureFormat
from receiver.serve import serve
from receiver.settings import ReceiveSettings

__all__ = ["pool_spec", "serve_on_ray"]


def pool_spec(settings: ReceiveSettings) -> PoolSpec:
    """The decoders that the settings ask for, on the cluster that is connected."""
    decoding = DecodingSettings(
        PictureFormat(settings.picture_format),
        settings.bundle.resolve() if settings.bundle else None,
        threads=1,
        generator=settings.generator,
    )
    return PoolSpec(decoding, settings.decoder_processes, settings.decoder_gpus if gpus() else 0.0)


def serve_on_ray(settings: ReceiveSettings) -> None:
    """The command.

    Raises:
        SidewireError: as :func:`receiver.serve.serve`, or Ray cannot be started or reached, or it has ended.
    """
    with connected(settings.ray_address, settings.ray_namespace) as connection:
        pool = RayPool(
            pool_spec(settings), settings.ray_namespace, settings.decode_seconds, connection
        )
        serve(settings, pool=pool, observer=GatewayMetrics(settings.images))
