"""The ``sidewire`` command as a user meets it: files, exit codes, one-line errors, in real processes too."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from cluster.doctor import Examination, print_examination
from cluster.feeds import KODAK_FEED
from shared.bitstream.container import Container
from shared.metrics import psnr
from shared.pictures import Picture, read_picture, write_picture
from tests.commands import sidewire, sidewire_process
from tests.conftest import GOLDEN
from tests.data_sets import write_pictures


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory, kodak: dict[str, Picture]) -> Path:
    folder = tmp_path_factory.mktemp("files")
    write_picture(folder / "photo.png", kodak["kodim23"])
    sidewire_process("encode", folder / "photo.png", folder / "photo.swi", "--quality", 17)
    return folder


def test_help_teaches() -> None:
    text = sidewire("--help").stdout
    for word in ("encode", "decode", "inspect", "eval", "doctor", "train", "demo", "Exit codes"):
        assert word in text
    assert "0 is the smallest stream" in sidewire("encode", "--help").stdout


def test_encode_inspect_decode(files: Path) -> None:
    blob = (files / "photo.swi").read_bytes()
    seen = json.loads(sidewire_process("inspect", files / "photo.swi", "--json").stdout)
    assert (seen["width"], seen["height"], seen["quality"]) == (768, 512, 17)
    assert seen["bytes"] == len(blob)
    assert seen["container_bytes"] <= 20
    decoded = sidewire("decode", files / "photo.swi", files / "back.png", "--json")
    back = json.loads(decoded.stdout)
    assert seen["form"] == "long"
    assert back["symbols_crc32c"] == seen["check"]
    assert back["model_id"] == seen["model_id"]
    assert psnr(read_picture(files / "photo.png"), read_picture(files / "back.png")) > 28


def test_a_small_picture_has_six_bytes_beside_its_payload(files: Path, tmp_path: Path) -> None:
    photo = read_picture(files / "photo.png")
    write_picture(tmp_path / "icon.png", photo[:32, :32])
    stream = tmp_path / "icon.swi"
    sidewire("encode", tmp_path / "icon.png", stream, "--quality", 0)
    seen = json.loads(sidewire("inspect", stream, "--json").stdout)
    assert (seen["form"], seen["container_bytes"]) == ("short", 6)
    assert seen["payload_bytes"] == stream.stat().st_size - 6
    back = json.loads(sidewire("decode", stream, tmp_path / "back.png", "--json").stdout)
    assert (back["form"], back["model_id"]) == ("short", seen["model_id"])
    assert len(back["symbols_crc32c"]) == 8
    assert "check" not in seen


def test_encode_prints_real_bytes(files: Path, tmp_path: Path) -> None:
    out = tmp_path / "again.swi"
    said = json.loads(sidewire("encode", files / "photo.png", out, "-q", 0, "--json").stdout)
    assert said["bytes"] == out.stat().st_size
    assert said["bpp"] == pytest.approx(8 * out.stat().st_size / (768 * 512))


def test_encode_to_a_size_takes_the_best_level_that_fits(files: Path, tmp_path: Path) -> None:
    """And a stream's own bits a pixel ask for that very stream."""
    photo, out, again = files / "photo.png", tmp_path / "sized.swi", tmp_path / "again.swi"
    said = json.loads(sidewire("encode", photo, out, "--bytes", 8000, "--json").stdout)
    assert 4000 < said["bytes"] == out.stat().st_size <= 8000
    same = json.loads(sidewire("encode", photo, again, "--bpp", said["bpp"], "--json").stdout)
    assert same["quality"] == said["quality"]
    assert again.read_bytes() == out.read_bytes()


def test_a_preview_travels_as_text(files: Path, tmp_path: Path) -> None:
    photo, blob, shown = files / "photo.png", tmp_path / "preview.swi", tmp_path / "shown.png"
    said = json.loads(sidewire("preview", photo, "--bytes", 50, "--out", blob, "--json").stdout)
    assert said["bytes"] == blob.stat().st_size <= 50
    back = json.loads(sidewire("decode", "--text", said["text"], shown, "--json").stdout)
    assert (back["width"], back["height"], back["quality"]) == (768, 512, said["level"])
    assert psnr(read_picture(photo), read_picture(shown)) > 16


def test_a_caption_changes_the_picture_that_is_decoded(files: Path, tmp_path: Path) -> None:
    stream, words = tmp_path / "photo.swi", "Two parrots, one red and one blue."
    said = json.loads(
        sidewire(
            "encode", files / "photo.png", stream, "--codec", "ssa", "-q", "5", "--json"
        ).stdout
    )
    assert said["quality"] == 5
    pictures = []
    for options in ([], ["--caption", words], ["--codec", "none", "--caption", words]):
        out = tmp_path / f"{len(pictures)}.png"
        back = json.loads(sidewire("decode", stream, out, *options, "--json").stdout)
        assert back["codec"] == "ssa"
        assert ("trust" in back) == (options[:1] == ["--caption"])
        assert "caption_note" not in back
        pictures.append(read_picture(out).astype(int))
    silent, told, twin = pictures
    assert np.abs(silent - told).mean() > 0.05
    assert np.abs(silent - twin).mean() > 0.05
    german = ("--caption", "Zwei Papageien, einer rot und einer blau.")
    back = json.loads(sidewire("decode", stream, tmp_path / "de.png", *german, "--json").stdout)
    assert back["caption_note"].startswith("its language is de")


def test_another_bundle_is_used_and_a_foreign_stream_refused(files: Path, tmp_path: Path) -> None:
    out = tmp_path / "small.swi"
    sidewire("encode", files / "photo.png", out, "-q", 1, "--bundle", GOLDEN / "bundle")
    run = sidewire("decode", out, tmp_path / "x.png", code=1)
    assert "stream of model" in run.stderr
    assert "decode it with the bundle that made it" in run.stderr
    sidewire("decode", out, tmp_path / "x.png", "--bundle", GOLDEN / "bundle")


#: Messages that are read from a real process: of both exit codes, each behind the libraries' work.
IN_A_PROCESS = {"no quality 44", "checksum"}


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["encode", "{files}/missing.png", "{tmp}/x.swi"], 1, "cannot read"),
        (["encode", "{tmp}/empty.png", "{tmp}/x.swi"], 1, "empty (0 bytes)"),
        (["encode", "{tmp}/text.png", "{tmp}/x.swi"], 1, "not a picture"),
        (["encode", "{files}/photo.png", "{tmp}/x.swi", "-q", "44"], 2, "no quality 44"),
        (["encode", "{files}/photo.png", "{tmp}/x.swi", "--codec", "bsae"], 2, "no codec 'bsae'"),
        (["encode", "{files}/photo.png", "{tmp}/no/such/x.swi"], 1, "cannot write"),
        (["encode", "{files}/photo.png", "{tmp}/x.swi", "--bundle", "{tmp}"], 1, "model bundle"),
        (["encode", "{files}/photo.png", "{tmp}/x.swi", "--bytes", "9"], 1, "smallest takes"),
        (["preview", "{files}/photo.png", "--bytes", "9"], 1, "smallest takes"),
        (["decode", "--text", "no preview", "{tmp}/x.png"], 1, "neither base64url nor a data: URL"),
        (["decode", "{tmp}/cut.swi", "{tmp}/x.png"], 1, "where the header says"),
        (["decode", "{tmp}/flipped.swi", "{tmp}/x.png"], 1, "checksum"),
        (["decode", "{tmp}/empty.png", "{tmp}/x.png"], 1, "empty (0 bytes)"),
        (["decode", "{files}/photo.png", "{tmp}/x.png"], 1, "not a Sidewire stream"),
        (["decode", "{files}/photo.swi", "{tmp}/x.xyz"], 1, "no picture format"),
        (["decode", "{files}/photo.swi", "{tmp}/no/such/x.png"], 1, "cannot write"),
        (["inspect", "{tmp}/missing.swi"], 1, "cannot read"),
        (["eval", "--feed", "{tmp}/none.parquet", "--out", "{tmp}/o"], 1, "no feed at"),
        (["eval", "--feed", "{feed}", "--out", "{tmp}/o", "--codecs", "x"], 2, "no codec 'x'"),
        (["eval", "--feed", "{feed}", "--out", "{tmp}/o", "--qualities", "a"], 2, "--qualities"),
        # Before a receiver is waited for, and before anything is loaded.
        (["captions", "--feed", "{tmp}/none.parquet", "--to", "127.0.0.1:1"], 1, "no feed at"),
        (
            ["send", "--feed", "{tmp}/none", "--images", "127.0.0.1:1", "--state", "{tmp}/s"],
            1,
            "no feed at",
        ),
        (["train", "{tmp}/none.yaml", "--data", ".", "--out", ".", "--bundle", "."], 1, "cannot"),
    ],
)
def test_bad_input_is_one_line_and_an_exit_code(
    arguments: list[str], code: int, message: str, files: Path, tmp_path: Path
) -> None:
    (tmp_path / "empty.png").touch()
    (tmp_path / "text.png").write_text("not a picture")
    blob = (files / "photo.swi").read_bytes()
    (tmp_path / "cut.swi").write_bytes(blob[:-100])
    crc = len(blob) - len(Container.from_bytes(blob).payload) - 1
    (tmp_path / "flipped.swi").write_bytes(blob[:crc] + bytes([blob[crc] ^ 4]) + blob[crc + 1 :])
    places = {"files": files, "tmp": tmp_path, "feed": KODAK_FEED}
    ask = sidewire_process if message in IN_A_PROCESS else sidewire
    run = ask(*(argument.format(**places) for argument in arguments), code=code)
    assert message in run.stderr
    assert run.stdout == ""
    assert run.stderr.startswith("sidewire: ")
    assert run.stderr.count("\n") == 1
    assert not (tmp_path / "x.png").exists()
    assert not (tmp_path / "x.swi").exists()


def test_usage_errors_exit_with_two() -> None:
    assert "No such option" in sidewire_process("encode", "a", "b", "--nonsense", code=2).stderr
    assert "Missing argument" in sidewire("decode", code=2).stderr
    both = sidewire("encode", "a", "b", "--bytes", 500, "--bpp", 0.1, code=2)
    assert "give one of" in both.stderr
    assert "positive number" in sidewire("encode", "a", "b", "--bpp", "nan", code=2).stderr


def test_doctor_knows_the_weights(files: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = json.loads(sidewire("doctor", "--json").stdout)
    seen = json.loads(sidewire("inspect", files / "photo.swi", "--json").stdout)
    base = next(weights for weights in found["weights"] if weights["name"] == "base")
    assert base["status"] == "ok"
    assert base["model_id"].startswith(seen["model_id"])
    for name in ("ssa", "none"):
        (generator,) = (weights for weights in found["weights"] if weights["name"] == name)
        assert generator["model_id"] == base["model_id"]
    assert all(weights["status"] == "ok" for weights in found["weights"])
    assert {"base", "ssa", "none", "baseline/avif"} <= set(found["codecs"])
    assert "LPIPS" in found["not_measured"]
    print_examination(Examination.model_validate(found), as_json=False)
    shown = capsys.readouterr().out
    assert "weights base" in shown
    assert "not measured here" in shown


def test_eval_writes_its_tables(tmp_path: Path, kodak: dict[str, Picture]) -> None:
    feed, out = tmp_path / "feed.parquet", tmp_path / "eval"
    write_pictures(feed, {name: kodak[name][:192, :256] for name in ("kodim03", "kodim23")})
    arguments = ["--feed", feed, "--codecs", "base,baseline/webp", "--limit", 1]
    said = json.loads(sidewire("eval", *arguments, "--out", out, "--json").stdout)
    assert said == json.loads((out / "summary.json").read_text())
    base = [row for row in said if row["codec"] == "base"]
    assert [row["quality"] for row in base] == list(range(22))
    assert all(row["encode_ms"] > 0 and row["ssimulacra2"] is not None for row in base)
    rates = json.loads((out / "bd_rate.json").read_text())
    measures = {"psnr", "ms_ssim", "ssimulacra2", "feature_distance", "judge"}
    assert {row["metric"] for row in rates} == measures
    for name in ("results.parquet", "rd_psnr.png", "rd_ms_ssim.png", "rd_ssimulacra2.png"):
        assert (out / name).stat().st_size > 1000
