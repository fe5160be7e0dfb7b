"""What a peer that was trained here does: its rate-distortion curve, and how it came to be."""

from __future__ import annotations

from pathlib import Path

from pydantic import BaseModel, ConfigDict

__all__ = ["PeerCurve", "PeerPoint"]


class PeerPoint(BaseModel):
    """Means over test pictures at one rate, from the lengths of real strings.

    Attributes:
        lmbda: weight of ``255**2 * MSE`` beside bits a pixel in its training.
        steps: behind it, those of the point that it went on from among them.
        cpu_hours: processor time behind it, of all threads.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    lmbda: float
    steps: int
    cpu_hours: float
    bpp: float
    psnr: float
    ms_ssim: float


class PeerCurve(BaseModel):
    """A peer's points in order of rate, with the hashes of the settings and data of its training."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    config_digest: str
    data_digest: str
    points: tuple[PeerPoint, ...]

    def write(self, folder: Path) -> None:
        """Write the curve to ``folder/<name>.json``."""
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{self.name}.json").write_text(self.model_dump_json(indent=2) + "\n")

    @classmethod
    def read(cls, path: Path) -> PeerCurve:
        """Raises: OSError, pydantic.ValidationError: there is none, or it is not a curve."""
        return cls.model_validate_json(path.read_text())
