"""A run: models that learn in phases, with their moving averages, optimisers and position.

A phase is a number of steps in which some learners descend, each on a loss of its own, in order, on one
batch. What a step sees is drawn from ``(seed, step)`` alone, so that a run that is resumed from a
checkpoint ends where an unbroken one would. Several workers can take the steps of one run together
(:mod:`training.together`).
"""

from __future__ import annotations

import copy
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar

import torch
from torch import Tensor, nn

from shared.errors import SidewireError
from training.together import ALONE, Together

__all__ = [
    "Average",
    "Learner",
    "Move",
    "Phase",
    "Run",
    "Schedule",
    "carry_out",
    "rise_and_fall",
]

T = TypeVar("T")
ModuleT = TypeVar("ModuleT", bound=nn.Module)

#: Steps done in a phase, steps of it -> factor of the learning rate.
Schedule = Callable[[int, int], float]


def rise_and_fall(warmup_steps: int, fall: float = 1.0, peak: float = 1.0) -> Schedule:
    """A linear rise over ``warmup_steps``, a plateau, and a linear fall to zero.

    Args:
        fall: share of the phase that the fall takes.
        peak: factor on the plateau.
    """

    def factor(done: int, steps: int) -> float:
        rise = min(1.0, (done + 1) / max(1, warmup_steps))
        return peak * rise * min(1.0, (steps - done) / max(1.0, fall * steps))

    return factor


class Average(Generic[ModuleT]):
    """The moving average of a module's weights, as ``module``, a model like the one that learns."""

    def __init__(self, module: ModuleT, decay: float) -> None:
        self.source, self._decay = module, decay
        self.module: ModuleT = copy.deepcopy(module).requires_grad_(False)
        pairs = zip(self.module.parameters(), module.parameters(), strict=True)
        self._own, self._theirs = map(list, zip(*pairs, strict=True))

    @torch.no_grad()
    def update(self) -> None:
        """Take in the weights as they are; buffers are copied."""
        torch._foreach_lerp_(self._own, [one.data for one in self._theirs], 1 - self._decay)
        for own, theirs in zip(self.module.buffers(), self.source.buffers(), strict=True):
            own.copy_(theirs)


class Learner:
    """Parameters that descend together.

    Attributes:
        reduce: makes several workers' gradients one, in place, before they are clipped; None for one worker.

    Args:
        optimisers: of all of them, each at its own rate.
        clip_norm: of the gradients together; None for none.
        average: follows after each step.
        decayed: parameters that shrink by ``decay`` times the rate at each step.
    """

    def __init__(
        self,
        optimisers: Sequence[torch.optim.Optimizer],
        clip_norm: float | None = None,
        average: Average[Any] | None = None,
        decayed: Iterable[nn.Parameter] = (),
        decay: float = 0.0,
    ) -> None:
        self.reduce: Callable[[Sequence[Tensor]], None] | None = None
        self.optimisers = list(optimisers)
        self._clip_norm, self._average = clip_norm, average
        self._decayed, self._decay = list(decayed), decay
        for group in self._groups():
            group.setdefault("initial_lr", group["lr"])

    def recordable(self, device: torch.device) -> None:
        """Keep the rates in tensors, so that a recorded step can be replayed at others."""
        for group in self._groups():
            group["lr"] = torch.tensor(float(group["lr"]), device=device)
            if "capturable" in group:
                group["capturable"] = True
        for optimiser in self.optimisers:
            for state in optimiser.state.values():
                if isinstance(state.get("step"), Tensor):
                    state["step"] = state["step"].to(device)

    def load(self, states: Sequence[dict[str, Any]]) -> None:
        """Go on from saved optimisers, whatever device they were saved on."""
        for one, saved in zip(self.optimisers, states, strict=True):
            one.load_state_dict(saved)
        for group in self._groups():
            group["lr"] = float(group["lr"])
            if "capturable" in group:
                group["capturable"] = False

    def set_rates(self, factor: float) -> None:
        """Let the next step go at ``factor`` times each group's rate."""
        for group in self._groups():
            rate = group["initial_lr"] * factor
            if isinstance(group["lr"], Tensor):
                group["lr"].fill_(rate)
            else:
                group["lr"] = rate

    def _groups(self) -> list[dict[str, Any]]:
        return [group for optimiser in self.optimisers for group in optimiser.param_groups]

    def descend(self, loss: Tensor) -> None:
        """One step on ``loss`` at the rates that are set."""
        for optimiser in self.optimisers:
            optimiser.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        parameters = [one for group in self._groups() for one in group["params"]]
        if self.reduce is not None:
            self.reduce([one.grad for one in parameters if one.grad is not None])
        if self._clip_norm is not None:
            nn.utils.clip_grad_norm_(parameters, self._clip_norm)
        for optimiser in self.optimisers:
            optimiser.step()
        if self._decayed:
            shrink = 1 - self._groups()[0]["lr"] * self._decay
            with torch.no_grad():
                for parameter in self._decayed:
                    parameter.mul_(shrink)
        if self._average is not None:
            self._average.update()


@dataclass(frozen=True)
class Move(Generic[T]):
    """What one learner does in each step of a phase: it descends on ``loss`` of what the step sees."""

    learner: Learner
    loss: Callable[[T], Tensor]
    schedule: Schedule


@dataclass(frozen=True)
class Phase(Generic[T]):
    """Some steps.

    Attributes:
        moves: in order; a step's loss is the last one's.
        begin: called once before the first step.
        recorder: carries the moves out in another way than one by one.
    """

    name: str
    steps: int
    moves: Sequence[Move[T]]
    begin: Callable[[], None] | None = None
    recorder: Callable[[Sequence[Move[T]], T], Tensor] | None = None


def carry_out(moves: Sequence[Move[T]], seen: T) -> Tensor:
    """Each move in order; returns the last one's loss."""
    loss = torch.zeros(())
    for move in moves:
        loss = move.loss(seen)
        move.learner.descend(loss)
    return loss.detach()


class Run(Generic[T]):
    """Where a training stands.

    Args:
        draw: what a step sees, by its number; also told the phase's name.
        models: all that learns, and averages, by name: what a checkpoint holds.
        learners: all that the phases use, by name.

    Attributes:
        together: the workers that take this run's steps.
    """

    together: Together = ALONE

    def __init__(
        self,
        seed: int,
        draw: Callable[[int, str], T],
        phases: Sequence[Phase[T]],
        models: dict[str, nn.Module],
        learners: dict[str, Learner],
    ) -> None:
        self.seed = seed
        self.phases = [phase for phase in phases if phase.steps > 0]
        self._draw, self._models, self._learners = draw, models, learners
        #: Steps done, the seconds that they took, and those of processors.
        self.step, self.seconds, self.cpu_seconds = 0, 0.0, 0.0

    @property
    def steps(self) -> int:
        """The steps of all phases."""
        return sum(phase.steps for phase in self.phases)

    @property
    def done(self) -> dict[str, int]:
        """Steps done in each phase, by its name."""
        left, counts = self.step, {}
        for phase in self.phases:
            counts[phase.name] = min(left, phase.steps)
            left -= counts[phase.name]
        return counts

    def ends(self) -> dict[int, str]:
        """The names of phases by the step at which they are over."""
        ends, end = {}, 0
        for phase in self.phases:
            end += phase.steps
            ends[end] = phase.name
        return ends

    def join(self, together: Together) -> None:
        """Take all further steps together with others, from the weights of the first of them.

        Raises:
            SidewireError: the others stand elsewhere.
        """
        if together.alone:
            return
        self.together = together
        steps = together.answers(self.step)
        if len(set(steps)) > 1:
            raise SidewireError(
                f"workers stand at steps {', '.join(map(str, steps))}: the folder of the run must be"
                " one that all of them see"
            )
        for learner in self._learners.values():
            learner.reduce = together.average
        # Machines differ in the last bits of how a run begins.
        for model in self._models.values():
            together.follow([*model.parameters(), *model.buffers()])

    def train_step(self) -> float:
        """One step of whichever phase it is; returns its loss."""
        return float(self.advance().item())

    def advance(self) -> Tensor:
        """One step, without waiting for a GPU to be done with it; returns its loss."""
        done, began = self.step, time.process_time()
        for phase in self.phases:
            if done < phase.steps:
                break
            done -= phase.steps
        if done == 0 and phase.begin is not None:
            phase.begin()
        # Noise is each worker's own: the first one's is that of a worker alone.
        ranks = () if self.together.first else (self.together.rank,)
        torch.manual_seed(hash((self.seed, self.step, *ranks)))
        seen = self._draw(self.step, phase.name)
        for move in phase.moves:
            move.learner.set_rates(move.schedule(done, phase.steps))
        if self.together.alone:
            loss = (phase.recorder or carry_out)(phase.moves, seen)
        else:
            # A recording would hold what one GPU does, and no exchange with others.
            loss = carry_out(phase.moves, seen)
            # Peaks and running means are those of the first worker's pictures.
            buffers = [one for model in self._models.values() for one in model.buffers()]
            self.together.follow(buffers)
        self.step += 1
        self.cpu_seconds += time.process_time() - began
        return loss

    def save(self, path: Path) -> None:
        """Write all that it takes to go on; the file is replaced whole."""
        state = {
            "models": {name: model.state_dict() for name, model in self._models.items()},
            "optimisers": {
                name: [one.state_dict() for one in learner.optimisers]
                for name, learner in self._learners.items()
            },
            "step": self.step,
            "seconds": self.seconds,
            "cpu_seconds": self.cpu_seconds,
        }
        temporary = path.with_suffix(".tmp")
        torch.save(state, temporary)
        temporary.replace(path)

    def load(self, path: Path) -> None:
        """Go on from a checkpoint of this run, or of one that has the same phases up to there.

        Raises:
            RuntimeError, ValueError, KeyError: it is of another recipe.
        """
        state = torch.load(path, map_location="cpu", weights_only=True)
        for name, model in self._models.items():
            model.load_state_dict(state["models"][name])
        for name, learner in self._learners.items():
            learner.load(state["optimisers"][name])
        self.step, self.seconds = state["step"], state["seconds"]
        self.cpu_seconds = state["cpu_seconds"]
