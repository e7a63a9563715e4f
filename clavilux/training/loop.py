"""The training loop of all networks.

A task provides the network, batches, loss and validation. The loop handles processes and devices, learning rate, KL
control, averaged weights, checkpoints and logs. The random numbers of step n depend only on (seed, n), so a run that
was interrupted and resumed gives the same weights as an uninterrupted run. With several processes, every batch is
divided among them, and gradients are averaged.
"""

from __future__ import annotations

import copy
import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from lightning_fabric import Fabric
from torch import Tensor, nn

from clavilux.errors import TrainingError
from clavilux.models.losses import KLController, RisingBeta
from clavilux.system.files import remove_leftovers
from clavilux.system.memory import keep_memory
from clavilux.training.checkpoint import load_checkpoint, mismatch, save_checkpoint
from clavilux.training.logs import Logs
from clavilux.training.pace import Precision, choose_precision, choose_threads, using_threads
from clavilux.training.processes import ONE_PROCESS, Processes
from clavilux.training.writing import writing_to

Batch = dict[str, Tensor]
Log = Callable[[str], None]

_LARGEST_GRADIENT = 500.0  # norm; losses are summed, so normal gradients are large, and only rare spikes are clipped
_EXPLODED = 1e8  # norm; larger than any spike from which a training recovered
_ADVICE = "lower learning_rate or raise warmup in the recipe, and train again in another --run"
_LOG_SECONDS = 5.0  # between two lines about progress


class Task(nn.Module):
    """A network with its data and its loss.

    `forward(batch, noise, beta)` returns a dict of scalar tensors: "loss", and the parts of the loss by name. The KL
    divergence of a VAE is "kl_nats". `noise` is a random generator, `beta` the weight of the KL divergence.
    """

    name: str  # of checkpoints and logs
    items: str = "items"  # what a batch contains, as unit of the speed
    network: nn.Module
    betas: tuple[float, float] = (0.9, 0.99)  # of AdamW

    def n_items(self) -> int:
        """Return the number of training items."""
        raise NotImplementedError

    def order(self, epoch_generator: torch.Generator) -> Tensor:
        """Return the indices (n_items,) of the items in the order of one epoch; tasks may balance their data here."""
        return torch.randperm(self.n_items(), generator=epoch_generator)

    def batch(self, items: Tensor, generator: torch.Generator) -> Batch:
        """Return a batch of the items with these indices (B,), loaded and augmented: name -> tensor (B, ...)."""
        raise NotImplementedError

    def validate(self) -> dict[str, float]:
        """Return figures on the validation split by name; `network` has the averaged weights during the call."""
        raise NotImplementedError


@dataclass(frozen=True)
class LoopSettings:
    """Numbers of one training.

    Attributes
    ----------
    steps : int
        Number of optimiser steps.
    batch : int
        Items of a batch, over all processes.
    learning_rate, warmup, final_learning_rate
        The learning rate rises linearly to `learning_rate` over `warmup` steps, then falls along a cosine to
        `final_learning_rate` times `learning_rate`.
    ema : float
        Decay of the averaged weights, per step.
    seed : int
    precision : str
        "32-true", "bf16-mixed", or "auto" for the faster of the two.
    target_nats : float or None
        If given, the KL divergence is held at this value (`KLController`), starting with the beta `first_beta`.
    first_beta : float
    max_beta : float or None
        If given and `target_nats` is None, beta rises linearly to this value (`RisingBeta`). If both are None, beta is
        0.
    data : str
        Hash of the training data; a resumed run must have the same. "" is not compared.
    checkpoint_s : float
        Seconds between checkpoints.
    log_every, validate_every : int
        Steps between log entries, and between validations.
    """

    steps: int
    batch: int
    learning_rate: float
    warmup: int
    ema: float
    seed: int
    precision: Precision | Literal["auto"] = "auto"
    final_learning_rate: float = 0.02
    target_nats: float | None = None
    first_beta: float = 0.05
    max_beta: float | None = None
    data: str = ""
    checkpoint_s: float = 60.0
    log_every: int = 20
    validate_every: int = 1_000

    def identity(self) -> dict[str, Any]:
        """Return the settings, by name, that must be the same in a resumed run."""
        names = ("steps", "batch", "learning_rate", "warmup", "final_learning_rate", "ema", "seed", "target_nats")
        return {name: getattr(self, name) for name in (*names, "max_beta", "data")}


def train(
    task: Task,
    settings: LoopSettings,
    run_dir: Path,
    *,
    resume: bool,
    log: Log,
    after_validation: Callable[[int], None] | None = None,
    processes: Processes = ONE_PROCESS,
) -> nn.Module:
    """Train `task.network` and return it with its averaged weights.

    Parameters
    ----------
    task, settings
        What to train, and how long.
    run_dir : Path
        Folder for `<name>.ckpt`, `<name>.csv`, `<name>-validation.csv` and the TensorBoard log `tensorboard/<name>`.
    resume : bool
        Continue from the checkpoint if there is one. Without it, an existing checkpoint is an error, because it would
        be overwritten.
    log : callable
        Receives lines about progress.
    after_validation : callable, optional
        Called with the step after each validation, for contact sheets.
    processes : Processes
        How many processes train together.

    Raises
    ------
    TrainingError
        If the loss is not finite, the gradient explodes, a checkpoint exists and `resume` is false, a checkpoint is
        damaged or has other settings, a batch cannot be divided among the processes, or `run_dir` cannot be written to.
    """
    keep_memory()
    fabric = processes.join()
    with writing_to(run_dir):
        run_dir.mkdir(parents=True, exist_ok=True)
        if fabric.is_global_zero:
            remove_leftovers(run_dir)
    checkpoint = run_dir / f"{task.name}.ckpt"
    saved = load_checkpoint(checkpoint, resume=resume, settings=settings.identity())
    if settings.batch % fabric.world_size:
        raise TrainingError(
            f"{task.name}: a batch of {settings.batch} cannot be divided evenly among {fabric.world_size} processes; "
            "give another number of devices, or another batch in the recipe"
        )
    precision: Precision = saved["precision"] if saved else choose_precision(task, settings, log)
    # All processes have looked for the checkpoint before the first one writes it, and use the precision of the first.
    fabric = processes.join(fabric.broadcast(precision))
    threads = choose_threads(task, settings, precision, log, before=saved["threads"] if saved else None)
    with using_threads(threads):
        network = _run_steps(_Training(task, settings, checkpoint, precision, fabric, saved, log, after_validation))
    fabric.barrier()
    return network


def _run_steps(training: _Training) -> nn.Module:
    """Train up to the last step, and return the network with its averaged weights."""
    task, settings = training.task, training.settings
    started = saved = time.monotonic()
    logged = 0.0
    task.train()
    with training.logs or nullcontext():
        for step in range(training.first_step, settings.steps):
            figures = training.update(step, training.load_batch(step))
            if training.logs is None:  # the first process reports and saves; the others wait at the next gradient
                continue
            done, now = step + 1, time.monotonic()
            last = done == settings.steps
            if done % settings.log_every == 0 or last:
                values = {name: float(value) for name, value in figures.items()}
                training.logs.add("", done, values)
                if now - logged > _LOG_SECONDS or last:
                    logged = now
                    speed = (done - training.first_step) * settings.batch / (now - started)
                    text = _list_figures(values)
                    training.log(f"{task.name}: step {done}/{settings.steps}, {text}, {speed:.0f} {task.items}/s")
            if done % settings.validate_every == 0 or last:
                training.validate(done)
            if now - saved > settings.checkpoint_s or last:
                saved = now
                training.save(done)
        if training.logs and not training.logs.has_validation(settings.steps):  # the log of a finished run was damaged
            training.validate(settings.steps)
    task.network.load_state_dict(training.averaged.state_dict())
    return task.network.eval().cpu()


class _Training:
    """The state of a training between two steps, and what is done in one."""

    def __init__(
        self,
        task: Task,
        settings: LoopSettings,
        checkpoint: Path,
        precision: Precision,
        fabric: Fabric,
        saved: dict[str, Any] | None,
        log: Log,
        after_validation: Callable[[int], None] | None,
    ) -> None:
        self.task, self.settings, self.checkpoint, self.precision = task, settings, checkpoint, precision
        self.fabric, self.log, self.after_validation = fabric, log, after_validation
        self.optimizer = torch.optim.AdamW(
            task.parameters(), lr=settings.learning_rate, weight_decay=1e-4, betas=task.betas
        )
        self.averaged = copy.deepcopy(task.network).eval()
        self.controller = _make_controller(settings)
        self.first_step = 0
        self._order, self._epoch = torch.empty(0, dtype=torch.long), -1
        if saved:
            self._restore(saved)
        self.model, self.optimizer = fabric.setup(task, self.optimizer)
        self.averaged.to(fabric.device)
        self.logs = Logs(checkpoint.parent, task.name, self.first_step, log) if fabric.is_global_zero else None

    def _restore(self, saved: dict[str, Any]) -> None:
        try:
            self.task.load_state_dict(saved["task"])
            self.optimizer.load_state_dict(saved["optimizer"])
            self.averaged.load_state_dict(saved["averaged"])
            if self.controller:
                self.controller.load_state_dict(saved["controller"])
        except (RuntimeError, ValueError, KeyError, TypeError) as error:  # other shapes, names or parts
            raise mismatch(self.checkpoint) from error
        self.first_step = saved["step"]
        torch.set_rng_state(saved["random"])  # dropout uses the global generator
        self.log(f"{self.task.name}: resuming at step {self.first_step}")

    def load_batch(self, step: int) -> Batch:
        """Return the batch of a step; the step alone decides which items it contains."""
        settings, fabric = self.settings, self.fabric
        per_epoch = max(1, self.task.n_items() // settings.batch)
        epoch, place = divmod(step, per_epoch)
        if epoch != self._epoch:
            self._order, self._epoch = self.task.order(seeded_generator(settings.seed, epoch, 0)), epoch
        items = self._order[place * settings.batch : (place + 1) * settings.batch]
        self._noise = seeded_generator(settings.seed, step, 1 + fabric.global_rank)
        batch: Batch = fabric.to_device(self.task.batch(items[fabric.global_rank :: fabric.world_size], self._noise))
        return batch

    def update(self, step: int, batch: Batch) -> dict[str, Tensor | float]:
        """Take one optimiser step, and return the loss, its parts, beta and the norm of the gradient.

        Raises
        ------
        TrainingError
            If the loss is not finite or the gradient explodes.
        """
        task, settings = self.task, self.settings
        for group in self.optimizer.param_groups:
            group["lr"] = settings.learning_rate * _schedule(step, settings)
        beta = self.controller.beta if self.controller else 0.0
        self.optimizer.zero_grad(set_to_none=True)
        parts: dict[str, Tensor] = self.model(batch, self._noise, beta)
        loss = parts["loss"]
        if not math.isfinite(loss.item()):
            raise TrainingError(f"{task.name}: the loss is {loss.item()} at step {step}; {_ADVICE}")
        self.fabric.backward(loss)
        gradient = nn.utils.clip_grad_norm_(task.parameters(), _LARGEST_GRADIENT).item()
        if not gradient <= _EXPLODED:  # also true for NaN
            raise TrainingError(f"{task.name}: the gradient explodes at step {step} (norm {gradient:.3g}); {_ADVICE}")
        self.optimizer.step()
        if self.controller:
            kl_nats = self.fabric.all_reduce(parts["kl_nats"].detach(), reduce_op="mean")
            assert isinstance(kl_nats, Tensor)
            self.controller.update(kl_nats.item())
        _update_average(self.averaged, task.network, min(settings.ema, (1 + step) / (10 + step)))
        return {"beta": beta, "gradient": gradient, **{name: part.detach() for name, part in parts.items()}}

    def validate(self, step: int) -> None:
        """Log the validation figures of the averaged weights."""
        assert self.logs is not None, "only the first process validates"
        # On the CPU, where the data are.
        with _swapped_network(self.task, copy.deepcopy(self.averaged).cpu()), torch.no_grad():
            figures = self.task.validate()
            self.logs.add("-validation", step, figures)
            self.log(f"{self.task.name}: validation {_list_figures(figures)}")
            if self.after_validation:
                self.after_validation(step)

    def save(self, step: int) -> None:
        """Write the checkpoint after so many steps."""
        state = {
            "step": step,
            "settings": self.settings.identity(),
            "precision": self.precision,
            "threads": torch.get_num_threads(),
            "random": torch.get_rng_state(),
            "task": self.task.state_dict(),
            "averaged": self.averaged.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "controller": self.controller.state_dict() if self.controller else None,
        }
        save_checkpoint(self.checkpoint, state)


def seeded_generator(seed: int, step: int, stream: int) -> torch.Generator:
    """Return a new random generator whose state depends only on (seed, step, stream)."""
    mixed = (seed * 0x9E3779B97F4A7C15 + step * 0xBF58476D1CE4E5B9 + stream * 0x94D049BB133111EB) % 2**63
    return torch.Generator().manual_seed(mixed)


def _schedule(step: int, settings: LoopSettings) -> float:
    """Return the factor of the learning rate: linear warm-up, then a cosine from 1 to `final_learning_rate`."""
    if step < settings.warmup:
        return (step + 1) / settings.warmup
    done = (step - settings.warmup) / max(1, settings.steps - settings.warmup)
    return settings.final_learning_rate + (1 - settings.final_learning_rate) * 0.5 * (1 + math.cos(math.pi * done))


def _make_controller(settings: LoopSettings) -> KLController | RisingBeta | None:
    if settings.target_nats is not None:
        return KLController(settings.target_nats, log_beta=math.log(settings.first_beta))
    if settings.max_beta is not None:
        return RisingBeta(settings.max_beta, settings.steps)
    return None


@torch.no_grad()
def _update_average(averaged: nn.Module, network: nn.Module, decay: float) -> None:
    for mean, value in zip(averaged.parameters(), network.parameters(), strict=True):
        mean.lerp_(value, 1 - decay)
    for copied, buffer in zip(averaged.buffers(), network.buffers(), strict=True):
        copied.copy_(buffer)


@contextmanager
def _swapped_network(task: Task, network: nn.Module) -> Iterator[None]:
    """Replace `task.network` inside a block."""
    original, task.network = task.network, network
    try:
        yield
    finally:
        task.network = original


def _list_figures(figures: dict[str, float]) -> str:
    return ", ".join(f"{name} {value:.4g}" for name, value in figures.items())
