"""``sidewire train --ray-workers``: the same recipe and the same loop on several workers, by Ray Train.

Ray Train starts the workers, joins them in one process group of torch's (nccl where each has a GPU, gloo on
CPUs), and starts all of them again when one dies. A step's parts and what the workers exchange are
:mod:`training.together`'s. Checkpoints are the run's own, in its folder: a run goes on from the same file on
any number of workers, or on none of Ray's.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from tempfile import TemporaryDirectory
from typing import Any, TypeVar

import ray
from ray import train
from ray.exceptions import RayError
from ray.train import TrainingFailedError, UserCallback
from ray.train.torch import TorchTrainer
from rich.console import Console

from cluster.actors.runtime import ClusterError, connected, cpus, gpus
from shared.errors import LimitError, SidewireError, reason_of
from training.recipe import Places, Recipe
from training.step_log import StepLog
from training.together import Together

__all__ = ["RayTrain", "TrainingError"]

T = TypeVar("T")

#: Ray Train takes its second API at run time, where type checkers see the first.
api: Any = train

#: Times that a run goes on from its checkpoint when workers have died or failed.
RESTARTS = 3
#: Times that workers are waited for again which have not come within their time.
WAITS = 1
#: Seconds that workers may take to come: Ray Train gives them a minute, too short on a busy machine.
ENVIRONMENT = {"RAY_TRAIN_WORKER_GROUP_START_TIMEOUT_S": "240"}
#: On a cluster inside this process no node is taken away with a notice.
NO_NOTICE = {"RAY_TRAIN_ENABLE_PREEMPTION_WATCHER": "0"}
#: Seconds between two looks at the log that the first worker writes.
LOOK_SECONDS = 0.5
#: Errors that would come again: they end a run at once.
FINAL = (SidewireError, FileNotFoundError, FloatingPointError)


class TrainingError(SidewireError):
    """Workers on Ray died or failed more often than a run is begun again."""


class _Final(UserCallback):
    """Ends a run at an error that would come again; Ray Train begins anew after all others."""

    def after_exception(self, run_context: Any, worker_exceptions: dict[int, Exception]) -> None:
        for error in worker_exceptions.values():
            if isinstance(error, FINAL):
                raise error


@dataclass(frozen=True)
class RayTrain:
    """A host of recipes.

    Attributes:
        workers: how many, each with a GPU where the cluster has any, else with its part of the CPUs.
        address: of the cluster, as Ray takes it; empty for one that lives as long as the run.
    """

    workers: int
    address: str = ""

    def __call__(self, recipe: Recipe[Any], places: Places) -> str:
        """Carry a recipe out; rows of its log appear on this console.

        Raises:
            LimitError: the cluster has fewer CPUs or GPUs, or a step fewer pictures, than workers.
            SidewireError: as the recipe raises; no cluster can be reached or started; or the workers
                died or failed too often (TrainingError).
            FileNotFoundError, FloatingPointError: as the recipe raises.
        """
        places.out.mkdir(parents=True, exist_ok=True)
        places = _absolute(places)
        for name, value in (ENVIRONMENT if self.address else ENVIRONMENT | NO_NOTICE).items():
            os.environ.setdefault(name, value)
        with (
            connected(self.address),
            TemporaryDirectory(
                prefix="ray-", dir=places.out, ignore_cleanup_errors=True
            ) as scratch,
            _shown(StepLog(places.out)),
        ):
            work: Any = partial(_work, recipe, places)
            trainer = TorchTrainer(
                work,
                scaling_config=self._scaling(),
                run_config=api.RunConfig(
                    name=recipe.name,
                    storage_path=scratch,
                    failure_config=api.FailureConfig(
                        max_failures=RESTARTS, controller_failure_limit=WAITS
                    ),
                    callbacks=[_Final()],
                    logging_config=api.LoggingConfig(log_level="ERROR"),
                ),
            )
            fit: Callable[[], Any] = trainer.fit
            try:
                made = _interruptible(fit).return_value
            except TrainingFailedError as error:
                raise _cause(error) from None
            except RayError as error:
                raise ClusterError(f"the Ray cluster has ended: {reason_of(error)}") from None
        assert isinstance(made, str)
        return made

    def _scaling(self) -> Any:
        """What each worker takes of the cluster.

        Raises:
            LimitError: it has not so much.
        """
        on_gpus = gpus() > 0
        most = int(gpus()) if on_gpus else cpus()
        if self.workers > most:
            unit = "GPU" if on_gpus else "CPU"
            raise LimitError(f"workers, each with a {unit} of the Ray cluster,", self.workers, most)
        each = {"CPU": 1 if on_gpus else self._cpus_each()}
        if on_gpus:
            each["GPU"] = 1
        return api.ScalingConfig(
            num_workers=self.workers, use_gpu=on_gpus, resources_per_worker=each
        )

    def _cpus_each(self) -> int:
        """The most CPUs that all workers can have alike on the nodes that there are."""
        ask: Callable[[], list[dict[str, Any]]] = ray.nodes
        nodes = [int(one["Resources"].get("CPU", 0)) for one in ask() if one["Alive"]]
        fitting = (
            each
            for each in range(max(nodes), 1, -1)
            if sum(own // each for own in nodes) >= self.workers
        )
        return next(fitting, 1)


def _work(recipe: Recipe[Any], places: Places) -> str:
    """What each worker does; Ray Train has joined it to the others."""
    return recipe.carry_out(places, Together.here())


def _absolute(places: Places) -> Places:
    """The same places for processes that work in other folders."""
    return replace(
        places,
        data=places.data.resolve(),
        out=places.out.resolve(),
        bundle=places.bundle.resolve(),
        start=places.start and places.start.resolve(),
    )


def _cause(error: TrainingFailedError) -> Exception:
    """Why a run has ended: the recipe's own error, or what Ray Train says."""
    failure = getattr(error, "controller_failure", None)
    if isinstance(failure, FINAL):
        return failure
    failures: dict[int, Exception] = getattr(error, "worker_failures", {})
    if failures:
        each = "; ".join(f"worker {rank}: {reason_of(one)}" for rank, one in failures.items())
        return TrainingError(f"training failed, also after {RESTARTS} restarts: {each}")
    return TrainingError(f"workers could not be started: {reason_of(failure or error)}")


def _interruptible(work: Callable[[], T]) -> T:
    """Do this on another thread: on the main one Ray Train would make Ctrl-C an end with code 0."""
    done: Future[T] = Future()

    def carry_out() -> None:
        try:
            done.set_result(work())
        except BaseException as error:  # whatever it is, the caller gets it
            done.set_exception(error)

    threading.Thread(target=carry_out, name="ray-train", daemon=True).start()
    return done.result()


@contextmanager
def _shown(log: StepLog) -> Iterator[None]:
    """Print the rows that come to the log meanwhile: workers have no console."""
    console, over = Console(), threading.Event()

    def show() -> None:
        for row in log.newer():
            console.print(row.line, highlight=False)

    def watch() -> None:
        while not over.wait(LOOK_SECONDS):
            show()

    thread = threading.Thread(target=watch, name="log", daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
        show()
