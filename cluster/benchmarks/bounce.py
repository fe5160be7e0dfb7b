"""Everybody stopped at random, again and again, until all is acked: what is lost, what is done twice?

    python -m cluster.benchmarks.bounce [--frames 30000] [--rate 300] [--seed N]

``sidewire send``, ``sidewire captions``, and ``sidewire receive`` with a Parquet sink and a decoder that
hands containers on. Every so often one of them gets SIGKILL, now and then SIGTERM, and is started again at
once; or SIGSTOP for a while. Judged is what came out: the sink's rows, the ledger's, and the number in each
payload.
"""

from __future__ import annotations

import argparse
import json
import random
import signal
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from cluster.trials.effects import Verdict, as_sent, judge, parquet_deliveries
from cluster.trials.feed import write_feed
from cluster.trials.processes import Ends, Program

__all__ = ["Bounced", "bounce", "main"]

PAYLOAD_BYTES = 1000
#: Seconds between two bounces, at most, where a start takes half of one; on a busy machine it is so many of
#: the receiver's starts instead, as nobody would ever come to work.
LONGEST_PEACE = 2.0
STARTS_IN_PEACE = 2
LONGEST_PAUSE = 1.5
#: How often which signal is chosen.
SIGNALS = {signal.SIGKILL: 8, signal.SIGTERM: 1, signal.SIGSTOP: 1}
#: Exit codes of a run that ended by itself, and of one that was stopped in order.
DONE, WORK_LEFT = 0, 4


@dataclass(frozen=True)
class Bounced:
    """A run's end.

    Attributes:
        kills: signals, such as "receiver SIGKILL", and how often.
        seconds: of the whole run.
    """

    verdict: Verdict
    kills: Counter[str]
    seconds: float


class Bouncer:
    """The three processes of a stream, and the chance that befalls them."""

    def __init__(self, ends: Ends, chance: random.Random) -> None:
        self._ends = ends
        self._chance = chance
        self._start: dict[str, Callable[[], Program]] = {
            "receiver": ends.start_receiver,
            "sender": partial(ends.start_sender, "--set", "expect_captions=true"),
            "publisher": ends.start_publisher,
        }
        began = time.monotonic()
        receiver = ends.start_receiver()
        receiver.line()
        self._peace = max(LONGEST_PEACE, STARTS_IN_PEACE * (time.monotonic() - began))
        self._programs: dict[str, Program] = {"receiver": receiver}
        self._programs |= {name: self._start[name]() for name in ("sender", "publisher")}
        self.kills: Counter[str] = Counter()

    def run(self) -> None:
        """Run until all is acked.

        Raises:
            RuntimeError: a process gave up, or did not stop as it should.
        """
        while len(self._running(self._chance.uniform(0, self._peace))) > 1:
            self._bounce()
        self._stop(self._programs["receiver"], signal.SIGTERM)

    def _running(self, seconds: float) -> list[str]:
        """The programs that still run after so long, or as soon as only the receiver does."""
        end = time.monotonic() + seconds
        while True:
            running = [name for name, program in self._programs.items() if program.running]
            for name in self._programs.keys() - running:
                code = self._programs[name].wait()
                if name == "receiver" or code != DONE:
                    raise RuntimeError(
                        f"the {name} gave up with code {code}: see {self._ends.folder}"
                    )
            if len(running) == 1 or time.monotonic() > end:
                return running
            time.sleep(0.01)

    def _bounce(self) -> None:
        name = self._chance.choice(self._running(0))
        number = self._chance.choices(list(SIGNALS), list(SIGNALS.values()))[0]
        program = self._programs[name]
        self.kills[f"{name} {number.name}"] += 1
        if number is signal.SIGSTOP:
            program.signal(number)
            time.sleep(self._chance.uniform(0, LONGEST_PAUSE))
            program.signal(signal.SIGCONT)
        else:
            self._stop(program, number)
            self._programs[name] = self._start[name]()

    @staticmethod
    def _stop(program: Program, number: signal.Signals) -> None:
        program.signal(number)
        code = program.wait()
        if code not in (DONE, WORK_LEFT, -number):
            raise RuntimeError(f"{number.name} ended process {program.pid} with code {code}")


def bounce(folder: Path, frames: int, rate: float, seed: int) -> Bounced:
    """Send so many frames, so many a second at most, and bounce everybody at random meanwhile.

    Raises:
        RuntimeError: a process gave up, or did not stop as it should.
    """
    feed = folder / "bounce.parquet"
    write_feed(feed, frames, PAYLOAD_BYTES)
    options = ["decoder=benchmark-echo", "sink_kind=parquet", "commit_rows=64", "late_window=3600"]
    receive = [word for one in options for word in ("--set", one)]
    began = time.monotonic()
    send = ("--codec", "sealed", "--rate", rate)
    with Ends(folder, feed, receive, send) as ends:
        bouncer = Bouncer(ends, random.Random(seed))
        bouncer.run()
        seconds = time.monotonic() - began
        right = as_sent(PAYLOAD_BYTES)
        verdict = judge(parquet_deliveries(ends.sink), ends.ledger, frames, right)
    return Bounced(verdict, bouncer.kills, seconds)


def main() -> None:
    """Print one JSON object; the exit code is 1 if anything is wrong."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--frames", type=int, default=30_000)
    parser.add_argument("--rate", type=float, default=300.0)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        bounced = bounce(Path(name), arguments.frames, arguments.rate, arguments.seed)
    verdict = bounced.verdict
    print(
        json.dumps(
            {
                "frames": arguments.frames,
                "seed": arguments.seed,
                "kills": bounced.kills,
                "lost": len(verdict.lost),
                "captions_lost": len(verdict.wordless),
                "applied_twice": len(verdict.applied_twice),
                "damaged": len(verdict.damaged),
                "unrecorded": len(verdict.unrecorded),
                "undelivered": len(verdict.undelivered),
                "dispositions": verdict.dispositions,
                "seconds": round(bounced.seconds, 1),
            }
        )
    )
    if verdict.flaws or verdict.wordless:
        raise SystemExit(1)


if __name__ == "__main__":
    main()
