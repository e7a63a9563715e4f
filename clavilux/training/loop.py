"""The training loop of all networks.

A task provides the network, its batches, the loss and the validation. The loop handles all the rest: processes,
devices, learning rate, KL control, averaged weights, checkpoints and logs. The random numbers of a step depend only on
the seed and the number of the step, so an interrupted and resumed run gives the same weights as an uninterrupted run.
With several processes, every batch is divided among them, and gradients are averaged.
"""

from __future__ import annotations

import copy
import math
import time
from collections.abc import Callable
from contextlib import nullcontext
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
from clavilux.training.checkpoint import RECIPE_SETTINGS, load_checkpoint, mismatch, save_checkpoint
from clavilux.training.logs import LOG_SECONDS, Logs, last_validation
from clavilux.training.pace import Precision, choose_precision, choose_threads, using_threads
from clavilux.training.processes import ONE_PROCESS, Processes
from clavilux.training.writing import writing_to

Batch = dict[str, Tensor]
Log = Callable[[str], None]

_LARGEST_GRADIENT = 500.0  # norm above which gradients are clipped; losses are sums, so only rare spikes exceed it
_EXPLODED = 1e8  # norm that stops a training; no training has recovered from such a spike
_ADVICE = "lower learning_rate or raise warmup in the recipe, and train again in another --run"


class Task(nn.Module):
    """A network with its data and its loss.

    `forward(batch, noise, beta)` returns a dict of scalar tensors: "loss", and the parts of the loss by name. The KL
    divergence of a VAE has the name "kl_nats". `noise` is a random generator, `beta` the weight of the KL divergence.
    """

    name: str  # in the names of checkpoints and logs
    items: str = "items"  # unit of the logged speed, such as "windows"
    network: nn.Module
    n_items: int  # number of training items
    weights: Tensor | None = None  # (n_items,), sampling weights of items; with None, an epoch has each item once
    betas: tuple[float, float] = (0.9, 0.99)  # coefficients of AdamW

    def order(self, epoch_generator: torch.Generator) -> Tensor:
        """Return the indices (n_items,) of the items of one epoch, in random order.

        If the task has sampling `weights`, items are drawn with replacement; otherwise each item occurs once.
        """
        if self.weights is None:
            return torch.randperm(self.n_items, generator=epoch_generator)
        return torch.multinomial(self.weights, self.n_items, replacement=True, generator=epoch_generator)

    def batch(self, items: Tensor, generator: torch.Generator) -> Batch:
        """Return the items with these indices (B,), augmented at random, as a dict of tensors (B, ...)."""
        raise NotImplementedError

    def validate(self) -> dict[str, float]:
        """Return validation metrics by name; when the loop calls this method, `network` has the averaged weights."""
        raise NotImplementedError


@dataclass(frozen=True)
class LoopSettings:
    """Settings of one training.

    The learning rate rises linearly over `warmup` steps, and then falls along a cosine. If `target_nats` is given, the
    KL divergence is held at this value (`KLController`). If only `max_beta` is given, beta rises linearly to it
    (`RisingBeta`). If neither is given, beta is 0.
    """

    steps: int
    batch: int  # number of items in a batch, over all processes
    learning_rate: float  # after the warm-up
    warmup: int  # steps
    ema: float  # decay of the averaged weights, per step
    seed: int
    precision: Precision | Literal["auto"] = "auto"  # "auto": the faster of the two
    final_learning_rate: float = 0.02  # at the last step, as a fraction of `learning_rate`
    target_nats: float | None = None
    first_beta: float = 0.05  # initial beta, if `target_nats` is given
    max_beta: float | None = None
    data: str = ""  # hash of the training data, which must be the same in a resumed run
    checkpoint_s: float = 60.0  # seconds between checkpoints
    log_every: int = 20  # steps between log entries
    validate_every: int = 1_000  # steps between validations

    def identity(self) -> dict[str, Any]:
        """Return the settings, by name, that must be the same in a resumed run."""
        names = (*RECIPE_SETTINGS, "seed", "target_nats", "max_beta", "data")
        return {name: getattr(self, name) for name in names}


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
    """Train `task.network` in place, set its weights to their moving average, and return it.

    Parameters
    ----------
    run_dir : Path
        Folder for `<name>.ckpt`, `<name>.csv`, `<name>-validation.csv` and the TensorBoard log `tensorboard/<name>`.
    resume : bool
        Whether to continue from the checkpoint, if there is one. If false, an existing checkpoint is an error, because
        it would be overwritten.
    log : callable
        Receives lines about progress.
    after_validation : callable, optional
        Function that receives the number of completed steps after each validation, for example to save contact sheets.

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
    # All processes look for the checkpoint before the first process writes one, and use the precision of that process.
    fabric = processes.join(fabric.broadcast(precision))
    threads = choose_threads(task, settings, precision, log, before=saved["threads"] if saved else None)
    with using_threads(threads):
        network = _run_steps(_Training(task, settings, checkpoint, precision, fabric, saved, log, after_validation))
    fabric.barrier()
    return network


def _run_steps(training: _Training) -> nn.Module:
    """Train up to the last step, set the weights of the network to their moving average, and return it."""
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
                if now - logged > LOG_SECONDS or last:
                    logged = now
                    speed = (done - training.first_step) * settings.batch / (now - started)
                    text = _list_figures(values)
                    training.log(f"{task.name}: step {done}/{settings.steps}, {text}, {speed:.0f} {task.items}/s")
            if last:  # before the validation, so that an interruption during it costs no step
                training.save(done)
            if done % settings.validate_every == 0 or last:
                training.validate(done)
            if now - saved > settings.checkpoint_s and not last:
                saved = now
                training.save(done)
        if training.logs and last_validation(training.checkpoint.parent, task.name).get("step") != settings.steps:
            training.validate(settings.steps)  # the log of a finished run was damaged
    task.network.load_state_dict(training.averaged.state_dict())
    return task.network.eval().cpu()


class _Training:
    """The state of a training, and the actions of one step."""

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
        self.controller: KLController | RisingBeta | None = None
        if settings.target_nats is not None:
            self.controller = KLController(settings.target_nats, log_beta=math.log(settings.first_beta))
        elif settings.max_beta is not None:
            self.controller = RisingBeta(settings.max_beta, settings.steps)
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
        """Return the part of a step's batch on which this process trains."""
        settings, fabric = self.settings, self.fabric
        per_epoch = max(1, self.task.n_items // settings.batch)
        epoch, place = divmod(step, per_epoch)
        if epoch != self._epoch:
            self._order, self._epoch = self.task.order(_seeded_generator(settings.seed, epoch, 0)), epoch
        items = self._order[place * settings.batch : (place + 1) * settings.batch]
        self._noise = _seeded_generator(settings.seed, step, 1 + fabric.global_rank)
        batch: Batch = fabric.to_device(self.task.batch(items[fabric.global_rank :: fabric.world_size], self._noise))
        return batch

    def update(self, step: int, batch: Batch) -> dict[str, Tensor | float]:
        """Take one optimiser step, and return the loss, its parts, beta and the gradient norm, all by name.

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
        """Compute and log the validation metrics of the averaged weights."""
        assert self.logs is not None, "only the first process validates"
        trained, self.task.network = self.task.network, copy.deepcopy(self.averaged).cpu()  # the data are on the CPU
        with torch.no_grad():
            figures = self.task.validate()
            self.logs.add("-validation", step, figures)
            self.log(f"{self.task.name}: validation {_list_figures(figures)}")
            if self.after_validation:
                self.after_validation(step)
        self.task.network = trained

    def save(self, step: int) -> None:
        """Write a checkpoint; ``step`` is the number of completed steps."""
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


def _seeded_generator(seed: int, step: int, stream: int) -> torch.Generator:
    """Return a new random generator, seeded from (seed, step, stream); ``stream`` tells generators of a step apart."""
    mixed = (seed * 0x9E3779B97F4A7C15 + step * 0xBF58476D1CE4E5B9 + stream * 0x94D049BB133111EB) % 2**63
    return torch.Generator().manual_seed(mixed)


def _schedule(step: int, settings: LoopSettings) -> float:
    """Return the factor by which `learning_rate` is multiplied at a step.

    The factor rises linearly to 1 during the warm-up, and then falls along a cosine to `final_learning_rate`.
    """
    if step < settings.warmup:
        return (step + 1) / settings.warmup
    done = (step - settings.warmup) / max(1, settings.steps - settings.warmup)
    return settings.final_learning_rate + (1 - settings.final_learning_rate) * 0.5 * (1 + math.cos(math.pi * done))


@torch.no_grad()
def _update_average(averaged: nn.Module, network: nn.Module, decay: float) -> None:
    for mean, value in zip(averaged.parameters(), network.parameters(), strict=True):
        mean.lerp_(value, 1 - decay)
    for copied, buffer in zip(averaged.buffers(), network.buffers(), strict=True):
        copied.copy_(buffer)


def _list_figures(figures: dict[str, float]) -> str:
    return ", ".join(f"{name} {value:.4g}" for name, value in figures.items())
