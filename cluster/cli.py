"""The ``sidewire`` command. Heavy imports wait until a command needs them: ``--help`` is instant."""

from __future__ import annotations

import faulthandler
import math
import os
import sys
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cluster.commands import actors, bench, compare, demo, evidence, page, receiving, sending
from cluster.commands.completion import codec_names, offered
from cluster.commands.options import BundleFolder, Json
from cluster.commands.settings import command_of
from cluster.console import EXIT_USAGE, errors_in_one_line, print_result, progress_console, stop
from cluster.ending import leave
from shared.core_log import divert_core_log
from shared.errors import SidewireError
from shared.extras import need
from shared.systems.catalogue import systems
from shared.version import VERSION

if TYPE_CHECKING:
    from shared.bitstream.container import Container

__all__ = ["app", "main"]

app = typer.Typer(
    name="sidewire",
    no_args_is_help=True,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="""A learned image codec whose streams decode to the same symbols on every machine.

Try:  sidewire encode photo.jpg photo.swi --quality 4
      sidewire decode photo.swi photo.png
      sidewire inspect photo.swi
      sidewire receive --sink pictures --state state
      sidewire send --feed photos.parquet --images 127.0.0.1:7601

Exit codes: 0 done, 1 bad input or something was refused,
2 a wrong command line or setting, 3 stored state is damaged,
4 stopped in order with work left for the next start.""",
)


def _print_version(asked: bool) -> None:
    if asked:
        print(f"sidewire {VERSION}")
        raise typer.Exit


@app.callback()
def options(
    version: Annotated[
        bool,
        typer.Option("--version", is_eager=True, callback=_print_version, help="Print it and end."),
    ] = False,
) -> None:
    """Options of the command itself; its help is the app's own."""


def _described(container: Container) -> dict[str, str | int]:
    """What a container says of itself, for printing; a short one's check shows only when it is decoded."""
    from shared.systems.catalogue import stream_name  # noqa: PLC0415

    header, check = container.header, container.check
    return {
        "codec": stream_name(header.codec_id),
        "quality": header.quality,
        "width": header.width,
        "height": header.height,
        "form": container.form.value,
        "model_id": header.model_id.hex(),
        **({} if check is None else {"check": f"{check:08x}"}),
    }


@app.command()
def encode(
    source: Annotated[Path, typer.Argument(metavar="IN", help="A picture, in nearly any format.")],
    target: Annotated[Path, typer.Argument(metavar="OUT.swi", help="The stream to write.")],
    codec: Annotated[
        str,
        typer.Option(
            help="See [bold]sidewire doctor[/] for the names.", autocompletion=offered(codec_names)
        ),
    ] = "base",
    quality: Annotated[
        int | None,
        typer.Option(
            "--quality", "-q", help="0 is the smallest stream. [dim]default: the middle one[/]"
        ),
    ] = None,
    size: Annotated[
        int | None,
        typer.Option("--bytes", min=1, help="Instead: the best level of at most so many bytes."),
    ] = None,
    bpp: Annotated[
        float | None,
        typer.Option(help="Instead: the best level of at most so many bits a pixel."),
    ] = None,
    caption: Annotated[
        str | None,
        typer.Option(help="What is said of the picture, for codecs whose encoder reads it."),
    ] = None,
    captioner: Annotated[
        Path | None,
        typer.Option(
            metavar="FOLDER",
            help="Instead: folder of a transformers model, such as a BLIP, that says what it sees.",
        ),
    ] = None,
    bundle: BundleFolder = None,
    json: Json = False,
) -> None:
    """Compress a picture. [dim]baseline/* codecs write their own format, for comparison.[/]"""
    with errors_in_one_line(), progress_console.status("encoding"):
        if sum(one is not None for one in (quality, size, bpp)) > 1:
            raise typer.BadParameter("give one of --quality, --bytes and --bpp")
        if bpp is not None and not 0 < bpp < math.inf:
            raise typer.BadParameter("--bpp must be a positive number")
        if caption is not None and captioner is not None:
            raise typer.BadParameter("give one of --caption and --captioner")
        need("encode", "sender")
        from sender.captioning import captioner_for  # noqa: PLC0415
        from sender.encode import encode_file  # noqa: PLC0415
        from shared.codecs import ToldEncoder, load_encoder  # noqa: PLC0415
        from shared.codecs.fitting import Wanted  # noqa: PLC0415

        encoder, wanted = load_encoder(codec, bundle), Wanted(quality, size, bpp)
        asked = captioner_for(captioner, encoder.name, isinstance(encoder, ToldEncoder))
        made = encode_file(source, target, encoder, wanted, caption, asked)
    if made.told.warning:
        typer.echo(
            f"sidewire: encoded as if nothing was said: {made.told.warning}",
            err=True,
        )
    encoded = made.encoded
    values = {
        "file": str(target),
        "codec": codec,
        "quality": made.level,
        "width": encoded.width,
        "height": encoded.height,
        "bytes": encoded.counted,
        "bpp": encoded.bits_per_pixel,
        **({} if asked is None else {"caption": made.told.caption or ""}),
    }
    print_result(values, json)


@app.command()
def preview(
    source: Annotated[Path, typer.Argument(metavar="IN", help="A picture, in nearly any format.")],
    size: Annotated[int, typer.Option("--bytes", min=1, help="Bytes at most, header and all.")],
    out: Annotated[Path | None, typer.Option(help="File for the preview's bytes.")] = None,
    codec: Annotated[
        str, typer.Option(help="Whose ladder is used.", autocompletion=offered(systems))
    ] = "base",
    json: Json = False,
) -> None:
    """Put a picture into thirty to a few hundred bytes, for JSON as text; [bold]decode --text[/] shows it."""
    with errors_in_one_line(), progress_console.status("encoding"):
        need("preview", "sender")
        from shared.codecs.preview import preview as make  # noqa: PLC0415
        from shared.pictures import read_picture, write_atomically  # noqa: PLC0415

        picture = read_picture(source)
        made = make(picture, size, codec)
        if out is not None:
            write_atomically(out, made.blob)
    values = {
        "codec": codec,
        "level": made.level,
        "width": picture.shape[1],
        "height": picture.shape[0],
        "bytes": len(made.blob),
        "text": made.text,
        "data_url": made.data_url,
    }
    print_result(values, json)


@app.command()
def decode(
    source: Annotated[
        str, typer.Argument(metavar="IN.swi", help="A stream made by encode or preview.")
    ],
    target: Annotated[Path, typer.Argument(metavar="OUT", help="Picture to write: .png, .webp, …")],
    caption: Annotated[
        str | None, typer.Option(help="What is said of the picture, for codecs that read it.")
    ] = None,
    codec: Annotated[
        str | None,
        typer.Option(
            help="Decode with this one, where several decode the stream: ssa or none."
            " [dim]default: the one that the stream names[/]",
            autocompletion=offered(systems),
        ),
    ] = None,
    bundle: BundleFolder = None,
    text: Annotated[
        bool, typer.Option("--text", help="IN is no file but a preview's text: base64url or data:.")
    ] = False,
    json: Json = False,
) -> None:
    """Decompress a stream, checking it whole: a damaged one is refused, never shown as noise."""
    with errors_in_one_line(), progress_console.status("decoding"):
        need("decode", "decoder")
        from receiver.decode import decode_to_file, read_stream  # noqa: PLC0415
        from shared.bitstream.container import Container  # noqa: PLC0415
        from shared.codecs import load_decoder  # noqa: PLC0415
        from shared.systems.catalogue import decoders_of, stream_name  # noqa: PLC0415

        if text:
            from shared.codecs.preview import blob_of  # noqa: PLC0415

        blob = blob_of(source) if text else read_stream(Path(source))
        container = Container.from_bytes(blob)
        stream = stream_name(container.header.codec_id)
        decoder = load_decoder(codec or decoders_of(stream)[0], bundle)
        decoded = decode_to_file(blob, target, decoder, caption)
        note = decoder.caption_note(caption)
    values: dict[str, object] = {"file": str(target), **_described(container)}
    if decoded.symbols_crc32c is not None:
        values["symbols_crc32c"] = f"{decoded.symbols_crc32c:08x}"
    if decoded.telling is not None:
        values["told"] = decoded.telling.description
        for number, item in enumerate(decoded.telling.items, 1):
            values[f"item_{number}"] = ": ".join(filter(None, (item.name, item.detail)))
    if decoded.trust is not None:
        values["trust"] = round(decoded.trust, 3)
    if note:
        values["caption_note"] = note
    print_result(values, json)


@app.command()
def inspect(
    source: Annotated[Path, typer.Argument(metavar="IN.swi", help="A stream made by encode.")],
    json: Json = False,
) -> None:
    """Show what a stream's header says, without decoding it."""
    with errors_in_one_line():
        from receiver.decode import read_stream  # noqa: PLC0415
        from shared.bitstream.container import Container  # noqa: PLC0415

        blob = read_stream(source)
        container = Container.from_bytes(blob)
        header, payload_bytes = container.header, len(container.stored)
        described = _described(container)
    values = {
        "file": str(source),
        **described,
        "bytes": len(blob),
        "payload_bytes": payload_bytes,
        "container_bytes": len(blob) - payload_bytes,
        "bpp": 8 * len(blob) / (header.width * header.height),
    }
    print_result(values, json)


@app.command()
def doctor(json: Json = False) -> None:
    """Show versions, devices, weights with their hashes, and what is not measured here."""
    with errors_in_one_line():
        need("doctor", "sender")
        from cluster.doctor import examine, print_examination  # noqa: PLC0415

        print_examination(examine(load=True), json)


@app.command()
def train(
    config: Annotated[Path, typer.Argument(metavar="CONFIG", help="A training/configs/*.yaml.")],
    data: Annotated[Path, typer.Option(help="Folder that the configuration's globs start from.")],
    out: Annotated[Path, typer.Option(help="Folder of the run: checkpoint.pt, log.csv.")],
    bundle: Annotated[Path, typer.Option(help="Folder to write the finished bundle to.")],
    snapshot: Annotated[
        bool, typer.Option(help="Train no further: export what the checkpoint holds.")
    ] = False,
    start: Annotated[
        Path | None,
        typer.Option(help="A generator's run: begin with another run's distortion.pt."),
    ] = None,
    ray_workers: Annotated[
        int | None,
        typer.Option(min=1, help="Take every step on so many Ray Train workers, a part on each."),
    ] = None,
    ray_address: Annotated[
        str,
        typer.Option(
            help="Their cluster, as Ray takes it; all of its machines see these folders at the same paths."
            " Empty for one of its own."
        ),
    ] = "",
) -> None:
    """Train a stream or a generator, or resume where its checkpoint stands, and export a bundle."""
    # CompressAI compiles a function with torch.jit when it is imported, which torch deprecates.
    warnings.filterwarnings("ignore", "`torch.jit", FutureWarning)
    with errors_in_one_line():
        need("train", "research")
        from training.command import Places, train_command  # noqa: PLC0415

        places = Places(data, out, bundle, snapshot, start)
        if ray_workers is None:
            if ray_address:
                stop(SidewireError("ray_address is set, and no ray_workers"), EXIT_USAGE)
            train_command(config, places)
            return
        need("train --ray-workers", "ray-train")
        from cluster.actors.training import RayTrain  # noqa: PLC0415

        train_command(config, places, RayTrain(ray_workers, ray_address))


app.command("eval")(evidence.evaluate)
app.command()(compare.compare)
app.command()(evidence.reproduce)
for command, settings in (
    (receiving.receive, "receiver.settings:ReceiveSettings"),
    (sending.send, "sender.settings:SendSettings"),
    (sending.captions, "sender.settings:CaptionSettings"),
    (receiving.status, "sender.settings:StatusSettings"),
    (demo.demo, "cluster.demo.options:DemoOptions"),
    (page.page, "receiver.viewer.upload.settings:PageSettings"),
    (bench.bench, "cluster.bench.options:BenchOptions"),
):
    app.command(cls=command_of(settings))(command)
app.add_typer(actors.app, name="decoders")


def main() -> None:
    """Entry point of the ``sidewire`` script."""
    # Where machine code crashes, the last thing said is where that was: to the standard error that this
    # process began with, as nothing is passed on any more.
    faulthandler.enable(os.dup(2))
    # gRPC's core writes lines of its own to standard error; what they say comes as our errors too. Only a
    # receiver has no other way to hear of handshakes that failed.
    if sys.argv[1:2] == ["receive"]:
        divert_core_log()
    os.environ.setdefault("GRPC_VERBOSITY", "NONE")
    try:
        app()
    except SystemExit as end:
        leave(end)
