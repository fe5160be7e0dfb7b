"""``python -m tests.conformance receiver|sender``: see README.md. Exit code 0 if every rule holds."""

from __future__ import annotations

import argparse
import asyncio
import sys
from collections.abc import Sequence
from pathlib import Path

from tests.conformance.caption_checks import CAPTION_CHECKS
from tests.conformance.flow_checks import FLOW_CHECKS
from tests.conformance.peer import Peer
from tests.conformance.picture_checks import PICTURE_CHECKS
from tests.conformance.rules import Check, Result, Verdict, table
from tests.conformance.sender_checks import SENDER_CHECKS
from tests.conformance.sender_run import observe
from tests.conformance.session_checks import SESSION_CHECKS

GOLDEN = Path(__file__).parents[1] / "golden"
RECEIVER_CHECKS = (*SESSION_CHECKS, *FLOW_CHECKS, *PICTURE_CHECKS, *CAPTION_CHECKS)


async def check_receiver(options: argparse.Namespace) -> list[Result]:
    """Play a sender, one check after the other."""
    containers = [path.read_bytes() for path in options.frame]
    peer = Peer(options.images, options.captions, containers, options.patience)
    try:
        results = [await check.run(peer) for check in chosen(RECEIVER_CHECKS, options.only)]
        await peer.begin()  # ends the last epoch: nothing of ours stays in the receiver's memory
        return results
    finally:
        await peer.close()


async def check_sender(options: argparse.Namespace) -> list[Result]:
    """Play a receiver for the command's whole run, then judge what was seen."""
    run = await observe(
        options.command, options.listen_images, options.listen_captions, options.patience
    )
    return [await check.run(run) for check in chosen(SENDER_CHECKS, options.only)]


def chosen(checks: Sequence[Check], only: str) -> list[Check]:
    """Those whose name holds the words."""
    return [check for check in checks if only in check.name]


def parser() -> argparse.ArgumentParser:
    """The command line."""
    main = argparse.ArgumentParser("python -m tests.conformance", description=__doc__)
    shared = argparse.ArgumentParser(add_help=False)
    shared.add_argument("--only", default="", help="only checks whose name holds this")
    shared.add_argument("--list", action="store_true", help="print the rules and do nothing else")
    kinds = main.add_subparsers(dest="kind", required=True)

    receiver = kinds.add_parser("receiver", parents=[shared], help="play a sender")
    receiver.add_argument("--images", default="127.0.0.1:7601", help="host:port of its pictures")
    receiver.add_argument("--captions", default="127.0.0.1:7602", help="and of its captions")
    receiver.add_argument(
        "--frame",
        type=Path,
        action="append",
        help="a container that it decodes (the golden ones of tests/golden if none is given)",
    )
    receiver.add_argument(
        "--patience", type=float, default=20.0, help="seconds; more than its caption_wait"
    )

    sender = kinds.add_parser("sender", parents=[shared], help="play a receiver")
    sender.add_argument("--listen-images", default="127.0.0.1:0", help="host:port for pictures")
    sender.add_argument("--listen-captions", default="127.0.0.1:0", help="host:port for captions")
    sender.add_argument("--patience", type=float, default=120.0, help="seconds for its whole run")
    sender.add_argument(
        "command", nargs="*", help="after --: its command, with {images} and {captions} in it"
    )
    return main


def main(arguments: Sequence[str] | None = None) -> int:
    """The command; its exit code."""
    options = parser().parse_args(arguments)
    receiver = options.kind == "receiver"
    if options.list:
        for check in chosen(RECEIVER_CHECKS if receiver else SENDER_CHECKS, options.only):
            print(f"{check.name} ({check.section})\n    {check.text}")
        return 0
    if receiver:
        options.frame = options.frame or [GOLDEN / "pixel.swi"]
    elif not options.command:
        parser().error("give the sender's command after --")
    results = asyncio.run(check_receiver(options) if receiver else check_sender(options))
    print(table(results))
    return int(not results or any(one.verdict is Verdict.BROKEN for one in results))


if __name__ == "__main__":
    sys.exit(main())
