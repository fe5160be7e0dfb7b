"""``sidewire receive --decoder ray``: a gateway in this process, its decoders on Ray."""

from __future__ import annotations

from cluster.actors.metrics import GatewayMetrics
from cluster.actors.pool import RayPool
from cluster.actors.roster import PoolSpec
from cluster.actors.runtime import Connection, connected, gpus
from receiver.decoders.worker import DecodingSettings, PictureFormat
from receiver.serve import serve
from receiver.settings import ReceiveSettings

__all__ = ["ray_pool", "serve_on_ray"]


def ray_pool(settings: ReceiveSettings, connection: Connection | None = None) -> RayPool:
    """The decoders that the settings ask for, on the cluster that is connected.

    Args:
        connection: see :class:`RayPool`.
    """
    decoding = DecodingSettings(
        PictureFormat(settings.picture_format),
        settings.bundle.resolve() if settings.bundle else None,
        threads=1,
        generator=settings.generator,
    )
    share = settings.decoder_gpus if gpus() else 0.0
    spec = PoolSpec(decoding, settings.decoder_processes, share)
    return RayPool(spec, settings.ray_namespace, settings.decode_seconds, connection)


def serve_on_ray(settings: ReceiveSettings) -> None:
    """The command.

    Raises:
        SidewireError: as :func:`receiver.serve.serve`, or Ray cannot be started or reached, or it has ended.
    """
    with connected(settings.ray_address, settings.ray_namespace) as connection:
        pool = ray_pool(settings, connection)
        serve(settings, pool=pool, observer=GatewayMetrics(settings.images))
