"""``sidewire decoders``: the decoders of receivers on Ray, while they work."""

from __future__ import annotations

import json as json_module
from typing import TYPE_CHECKING, Annotated

import typer

from cluster.commands.options import Json
from cluster.console import errors_in_one_line, print_columns
from shared.extras import need

if TYPE_CHECKING:
    from cluster.actors.roster import PoolStatus

__all__ = ["app"]

app = typer.Typer(
    no_args_is_help=True,
    help="Look at, scale and renew the decoders of receivers on Ray, while pictures flow.",
)

RayAddress = Annotated[
    str,
    typer.Option("--ray-address", help="The cluster, as Ray takes it; auto finds this machine's."),
]
Namespace = Annotated[str, typer.Option("--ray-namespace", help="As the receiver has it.")]


@app.command()
def status(
    ray_address: RayAddress = "auto", ray_namespace: Namespace = "sidewire", json: Json = False
) -> None:
    """Show each decoder: its process, its model, and what it does."""
    with errors_in_one_line():
        need("decoders", "ray")
        from cluster.actors.remote import decoders_status  # noqa: PLC0415

        _print(decoders_status(ray_address, ray_namespace), json)


@app.command()
def scale(
    count: Annotated[int, typer.Argument(help="Decoders from now on, each with one CPU.")],
    ray_address: RayAddress = "auto",
    ray_namespace: Namespace = "sidewire",
    json: Json = False,
) -> None:
    """Start more decoders, or end some when they have finished what they have."""
    with errors_in_one_line():
        need("decoders", "ray")
        from cluster.actors.remote import decoders_scale  # noqa: PLC0415

        _print(decoders_scale(ray_address, ray_namespace, count), json)


@app.command()
def swap(
    generator: Annotated[
        str, typer.Argument(metavar="BUNDLE", help="Folder on every node, or a codec's name.")
    ],
    ray_address: RayAddress = "auto",
    ray_namespace: Namespace = "sidewire",
    json: Json = False,
) -> None:
    """Decode the same streams with a newer generator from now on; no sender notices."""
    with errors_in_one_line():
        need("decoders", "ray")
        from cluster.actors.remote import decoders_swap  # noqa: PLC0415

        _print(decoders_swap(ray_address, ray_namespace, generator), json)


@app.command()
def stop(ray_address: RayAddress = "auto", ray_namespace: Namespace = "sidewire") -> None:
    """End the decoders, which outlive receivers on a cluster, when they have finished what they have."""
    with errors_in_one_line():
        need("decoders", "ray")
        from cluster.actors.remote import decoders_stop  # noqa: PLC0415

        decoders_stop(ray_address, ray_namespace)


def _print(status: PoolStatus, as_json: bool) -> None:
    model = status.model.settings.model
    rows: list[dict[str, str | int | None]] = []
    for name, state in status.decoders.items():
        if state is None:
            rows.append({"decoder": name, "state": "starting"})
        else:
            rows.append(
                {
                    "decoder": name,
                    "state": "busy" if state.busy else "idle",
                    "pid": state.pid,
                    "node": state.node,
                    "pictures": state.pictures,
                    "version": state.model.version if state.model else None,
                }
            )
    if as_json:
        print(
            json_module.dumps({"model": model, "version": status.model.version, "decoders": rows})
        )
        return
    print_columns([("model", model), ("version", str(status.model.version))])
    names = ("decoder", "state", "pid", "node", "pictures", "version")
    print_columns([names, *([str(row.get(name, "-")) for name in names] for row in rows)])
