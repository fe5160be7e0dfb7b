"""From a rate-distortion run to a bundle: float networks, integer scale branch, frozen tables, figures."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path

import numpy as np
from torch import Tensor

from shared.bundle import (
    Bundle,
    Manifest,
    Provenance,
    QualityRow,
    half,
    identity,
    read_bundle,
    save_bundle,
)
from shared.codecs.interface import encode
from shared.codecs.loading import bundle_folder, decoder_of, encoder_of
from shared.feed import read_feed
from shared.metrics import ms_ssim, psnr
from shared.networks.precision import coarse
from shared.pictures import picture_from_bytes
from shared.systems.catalogue import TextPlacement, system
from training.fresh import stream_model_id
from training.integer_cost import integer_cost
from training.integers import Integers
from training.rate_distortion_run import RateDistortionRun
from training.recipe import provenance
from training.tables import fit_tables

__all__ = ["export"]

#: Batches of training pictures that the tables are fitted on, drawn behind all steps of a run.
TABLE_BATCHES = 100
TABLE_STEP = 2**41


def export(run: RateDistortionRun, folder: Path, kodak: Path) -> Manifest:
    """Write the bundle of a finished run; a stream's, with what it does on the pictures of ``kodak``."""
    recipe, integers = run.recipe, run.integers
    module = import_module(system(recipe.system).module)
    size = module.Size.model_validate(recipe.size)
    tensors = _transforms(run)
    own = not run.parts.stream
    if own:
        latent = _kept(run) if integers is None else _latent(run, integers)
        tensors |= {name: half(tensor) for name, tensor in latent.items()}
    tensors = {name: tensor.cpu().contiguous() for name, tensor in tensors.items()}
    reads = recipe.told is not TextPlacement.NOWHERE
    manifest = Manifest(
        codec=recipe.system,
        text=recipe.told,
        text_encoder=recipe.text_encoder if reads else "",
        size=size.model_dump(mode="json"),
        model_id=stream_model_id(run.parts)
        or identity(system(recipe.system).stream, size, tensors, run.parts.latent.stream_sections),
        provenance=provenance(recipe, run, run.examples.digest),
    )
    exact = run.parts.latent.sections if own else ()
    saved = save_bundle(folder, manifest, tensors, exact=exact)
    if integers is None or not kodak.exists():
        return saved
    measured = _measured(read_bundle(folder), integers, kodak)
    update = {"provenance": measured}
    return save_bundle(folder, saved.model_copy(update=update), tensors, exact=exact)


def _transforms(run: RateDistortionRun) -> dict[str, Tensor]:
    """Those that learnt, in float32."""
    parts, tensors = run.averaged, dict[str, Tensor]()
    for name in run.recipe.learns:
        if name != "latent":
            tensors |= getattr(parts, name).state_dict(prefix=f"{name}.")
    return tensors


def _kept(run: RateDistortionRun) -> dict[str, Tensor]:
    """h_a, h_mu and context as they were learnt, with scale branch and tables of the stream they began as."""
    start = read_bundle(bundle_folder(system(run.recipe.start)))
    fixed = {n: t for n, t in start.tensors.items() if n.partition(".")[0] in {"scale", "tables"}}
    return run.averaged.latent.state_dict() | fixed


def _latent(run: RateDistortionRun, integers: Integers) -> dict[str, Tensor]:
    """Networks as they learnt, the integer scale branch, and tables from counts over training pictures."""
    latent = integers.latent
    steps = range(TABLE_STEP, TABLE_STEP + TABLE_BATCHES)
    batches = (run.batch(step, group) for step in steps for group in run.groups)
    with coarse(run.device):
        tables = fit_tables(
            latent, ((run.analysed(one), one.quality, run.told(one)) for one in batches)
        )
    fitted = {"scale": integers.scale.export(), "tables": tables.to_tensors()}
    found = dict[str, Tensor]()
    for section in latent.sections:
        state = fitted.get(section) or getattr(latent, section).state_dict()
        found |= {f"{section}.{key}": value for key, value in state.items()}
    return found


def _measured(bundle: Bundle, integers: Integers, feed: Path) -> Provenance:
    """The provenance with means over test pictures, from real container bytes."""
    encoder, decoder = encoder_of(bundle), decoder_of(bundle)
    read = list(read_feed(feed))
    pictures = [picture_from_bytes(row.image) for row in read]
    captions = [row.captions[0] if row.captions else None for row in read]
    rows = []
    for quality in encoder.qualities:
        values = []
        for picture, caption in zip(pictures, captions, strict=True):
            encoded = encode(encoder, picture, quality, caption)
            decoded = decoder.decode(encoded.blob, caption).picture
            similarity = ms_ssim(picture, decoded)
            assert similarity is not None, "the test pictures have room for five scales"
            values.append((encoded.bits_per_pixel, psnr(picture, decoded), similarity))
        bpp, decibel, similarity = np.mean(values, axis=0).round(4).tolist()
        rows.append(QualityRow(quality=quality, bpp=bpp, psnr=decibel, ms_ssim=similarity))
    cost = integer_cost(integers.float_twin.cpu(), encoder, pictures)
    return bundle.manifest.provenance.model_copy(
        update={
            "kodak": tuple(rows),
            "integer_cost_percent": cost.index,
            "payload_cost_percent": cost.payload,
        }
    )
