"""The one training loop: read it from top to bottom.

A `Task` knows its network, its data and its loss; the loop knows everything else: the order of the data, the number
format, processes and devices, the learning rate, the rate controller, averaged weights, checkpoints, the logs. Every
random number of step n comes from a generator seeded by (seed, n), so a run that was killed and resumed equals one that
was not. With several processes each takes its share of every batch and gradients are averaged over them.
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
from lightning_fabric.plugins import MixedPrecision
from torch import Tensor, nn

from clavilux.errors import TrainingError
from clavilux.models.losses import KLController, RisingBeta
from clavilux.system.files import remove_leftovers
from clavilux.system.memory import keep_memory
from clavilux.training.checkpoint import load_checkpoint, mismatch, save_checkpoint
from clavilux.training.logs import Logs
from clavilux.training.pace import Precision, choose_precision, choose_threads, using_threads
from clavilux.training.writing import writing_to

Batch = dict[str, Tensor]


class Task(nn.Module):
    """What is trained. `forward(batch, noise, beta)` gives the loss and its parts, each a scalar; "kl_nats" is in nats."""

    name: str
    items: str = "items"  # what a batch holds, for the unit of speeds
    network: nn.Module
    betas: tuple[float, float] = (0.9, 0.99)  # of AdamW: how long gradients and their squares are remembered

    def n_items(self) -> int:
        """Number of training items."""
        raise NotImplementedError

    def order(self, epoch_generator: torch.Generator) -> Tensor:
        """Order of the items in one epoch; a task that balances its data overrides it."""
        return torch.randperm(self.n_items(), generator=epoch_generator)

    def batch(self, items: Tensor, generator: torch.Generator) -> Batch:
        """Load and augment these items."""
        raise NotImplementedError

    def validate(self) -> dict[str, float]:
        """Figures on the validation split, with the averaged weights in `network`."""
        raise NotImplementedError


@dataclass(frozen=True)
class LoopSettings:
    """How long and how fast.

    `data` is a hash of what is learnt from, or "" where a resumed run need not have the same.
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


class _WholeInputs(MixedPrecision):
    """Mixed precision that leaves inputs and targets as they are: rounded to 8 bits, an MFCC of -500 is off by one, and
    autocast rounds what enters a convolution anyway."""

    def convert_input(self, data: Any) -> Any:
        return data


@dataclass(frozen=True)
class Processes:
    """How many processes train together: one for each device of each node.

    Attributes
    ----------
    devices : int
        GPUs of a node; processes of a node where there is none.
    num_nodes : int
        Machines.
    """

    devices: int = 1
    num_nodes: int = 1

    def join(self, precision: Precision = "32-true") -> Fabric:
        """Start the processes, or join those that run already.

        The first call in the first process of a node starts the others there, with the same command line. On several
        machines the same command is run on each, with MASTER_ADDR, MASTER_PORT and NODE_RANK in the environment.
        """
        accelerator = "cuda" if torch.cuda.is_available() else "cpu"
        strategy = "ddp" if self.devices * self.num_nodes > 1 else "auto"
        mixed = None if precision == "32-true" else _WholeInputs(precision, accelerator)
        fabric = Fabric(
            accelerator=accelerator,
            strategy=strategy,
            devices=self.devices,
            num_nodes=self.num_nodes,
            plugins=mixed,
        )
        fabric.launch()
        return fabric


ONE_PROCESS = Processes()


def train(
    task: Task,
    settings: LoopSettings,
    run_dir: Path,
    *,
    resume: bool,
    log: Callable[[str], None],
    after_validation: Callable[[int], None] | None = None,
    processes: Processes = ONE_PROCESS,
) -> nn.Module:
    """Train `task.network` and return it with its averaged weights.

    Parameters
    ----------
    task, settings
        What is trained, and how long.
    run_dir : Path
        Takes `<name>.ckpt`, `<name>.csv`, `<name>-validation.csv` and the TensorBoard log `tensorboard/<name>`.
    resume : bool
        Go on from the checkpoint if there is one; else a checkpoint that is already there is an error, because it
        would be lost.
    log : callable
        Takes lines about progress.
    after_validation : callable, optional
        Called with the step after each validation, for contact sheets.
    processes : Processes
        How many train together.

    Raises
    ------
    TrainingError
        The loss is no number, the gradient explodes, a checkpoint is there and `resume` is not given, a checkpoint is
        damaged or belongs to other settings, or `run_dir` cannot be written to.
    """
    keep_memory()
    fabric = processes.join()
    with writing_to(run_dir):
        run_dir.mkdir(parents=True, exist_ok=True)
        if fabric.is_global_zero:
            remove_leftovers(run_dir)
    checkpoint_path = run_dir / f"{task.name}.ckpt"
    saved = load_checkpoint(checkpoint_path, resume=resume, settings=_identity(settings))
    if settings.batch % fabric.world_size:
        raise TrainingError(
            f"{task.name}: a batch of {settings.batch} cannot be shared by {fabric.world_size} processes evenly; give "
            "another number of devices, or another batch in the recipe"
        )
    precision: Precision = saved["precision"] if saved else choose_precision(task, settings, log)
    # All processes have looked for the checkpoint before the first writes one, and use the format of the first.
    fabric = processes.join(fabric.broadcast(precision))
    threads = choose_threads(task, settings, precision, log, before=saved["threads"] if saved else None)
    with using_threads(threads):
        network = _run_steps(task, settings, checkpoint_path, saved, precision, fabric, log, after_validation)
    fabric.barrier()
    return network


def _run_steps(
    task: Task,
    settings: LoopSettings,
    checkpoint_path: Path,
    saved: dict[str, Any] | None,
    precision: Precision,
    fabric: Fabric,
    log: Callable[[str], None],
    after_validation: Callable[[int], None] | None,
) -> nn.Module:
    """Train from the state of a checkpoint, or from the first step, to the last step."""
    optimizer = torch.optim.AdamW(task.parameters(), lr=settings.learning_rate, weight_decay=1e-4, betas=task.betas)
    averaged = copy.deepcopy(task.network).eval()
    controller = _controller(settings)
    first_step = 0
    if saved:
        try:
            task.load_state_dict(saved["task"])
            optimizer.load_state_dict(saved["optimizer"])
            averaged.load_state_dict(saved["averaged"])
            if controller:
                controller.load_state_dict(saved["controller"])
        except (RuntimeError, ValueError, KeyError, TypeError) as error:  # of other shapes, names or parts
            raise mismatch(checkpoint_path) from error
        first_step = saved["step"]
        torch.set_rng_state(saved["random"])  # dropout draws from the global generator
        log(f"{task.name}: going on from step {first_step}")
    model, optimizer = fabric.setup(task, optimizer)
    averaged.to(fabric.device)

    logs = Logs(checkpoint_path.parent, task.name, first_step, log) if fabric.is_global_zero else None

    def validate(step: int) -> None:
        assert logs is not None, "the first process alone validates"
        # On the processor, where the data are.
        with _using(task, copy.deepcopy(averaged).cpu()), torch.no_grad():
            figures = task.validate()
            logs.add("-validation", step, figures)
            log(f"{task.name}: validation " + ", ".join(f"{key} {value:.4g}" for key, value in figures.items()))
            if after_validation:
                after_validation(step)

    order, order_epoch = torch.empty(0, dtype=torch.long), -1
    started, last_saved, last_told = time.monotonic(), time.monotonic(), 0.0
    task.train()
    with logs or nullcontext():
        for step in range(first_step, settings.steps):
            # Data: the step alone says which items come, in which order.
            per_epoch = max(1, task.n_items() // settings.batch)
            epoch, place = divmod(step, per_epoch)
            if epoch != order_epoch:
                order, order_epoch = task.order(seeded_generator(settings.seed, epoch, 0)), epoch
            items = order[place * settings.batch : (place + 1) * settings.batch]
            noise = seeded_generator(settings.seed, step, 1 + fabric.global_rank)
            batch = fabric.to_device(task.batch(items[fabric.global_rank :: fabric.world_size], noise))

            # One step.
            for group in optimizer.param_groups:
                group["lr"] = settings.learning_rate * _schedule(step, settings)
            beta = controller.beta if controller else 0.0
            optimizer.zero_grad(set_to_none=True)
            parts: dict[str, Tensor] = model(batch, noise, beta)
            loss = parts["loss"]
            if not math.isfinite(loss.item()):
                raise TrainingError(f"{task.name}: the loss is {loss.item()} at step {step}; {_ADVICE}")
            fabric.backward(loss)
            gradient = nn.utils.clip_grad_norm_(task.parameters(), _CLIP).item()
            if not gradient <= _EXPLODED:  # NaN compares false
                raise TrainingError(
                    f"{task.name}: the gradient explodes at step {step} (norm {gradient:.3g}); {_ADVICE}"
                )
            optimizer.step()
            if controller:
                rate = fabric.all_reduce(parts["kl_nats"].detach(), reduce_op="mean")
                assert isinstance(rate, Tensor)
                controller.update(rate.item())
            _average(averaged, task.network, min(settings.ema, (1 + step) / (10 + step)))

            # Report, validate, save: the first process alone, the others wait at the next gradient.
            if logs is None:
                continue
            done = step + 1
            now = time.monotonic()
            last = done == settings.steps
            if done % settings.log_every == 0 or last:
                figures = {"beta": beta, "gradient": gradient, **{key: value.item() for key, value in parts.items()}}
                logs.add("", done, figures)
                if now - last_told > 5.0 or last:
                    last_told = now
                    speed = (done - first_step) * settings.batch / (now - started)
                    text = ", ".join(f"{key} {value:.4g}" for key, value in figures.items())
                    log(f"{task.name}: step {done}/{settings.steps}, {text}, {speed:.0f} {task.items}/s")
            if done % settings.validate_every == 0 or last:
                validate(done)
            if now - last_saved > settings.checkpoint_s or last:
                last_saved = now
                save_checkpoint(
                    checkpoint_path,
                    {
                        "step": done,
                        "settings": _identity(settings),
                        "precision": precision,
                        "threads": torch.get_num_threads(),
                        "random": torch.get_rng_state(),
                        "task": task.state_dict(),
                        "averaged": averaged.state_dict(),
                        "optimizer": optimizer.state_dict(),
                        "controller": controller.state_dict() if controller else None,
                    },
                )
        if logs and not logs.has_validation(settings.steps):  # a finished run whose log was lost or cut
            validate(settings.steps)
    task.network.load_state_dict(averaged.state_dict())
    return task.network.eval().cpu()


_CLIP = 500.0  # losses are summed, so healthy gradients are large; this only breaks the rare spike
_EXPLODED = 1e8  # beyond any spike that a training recovered from
_ADVICE = "lower learning_rate or raise warmup in the recipe and train anew in another --run"


def seeded_generator(seed: int, step: int, stream: int) -> torch.Generator:
    """Return a generator that depends on (seed, step, stream) alone."""
    mixed = (seed * 0x9E3779B97F4A7C15 + step * 0xBF58476D1CE4E5B9 + stream * 0x94D049BB133111EB) % 2**63
    return torch.Generator().manual_seed(mixed)


def _schedule(step: int, settings: LoopSettings) -> float:
    """Linear warm-up, then a cosine from 1 to `final_learning_rate`."""
    if step < settings.warmup:
        return (step + 1) / settings.warmup
    done = (step - settings.warmup) / max(1, settings.steps - settings.warmup)
    return settings.final_learning_rate + (1 - settings.final_learning_rate) * 0.5 * (1 + math.cos(math.pi * done))


@torch.no_grad()
def _average(averaged: nn.Module, network: nn.Module, decay: float) -> None:
    for mean, value in zip(averaged.parameters(), network.parameters(), strict=True):
        mean.lerp_(value, 1 - decay)
    for kept, buffer in zip(averaged.buffers(), network.buffers(), strict=True):
        kept.copy_(buffer)


class _using:
    """Puts other weights into `task.network` for the time of a block."""

    def __init__(self, task: Task, network: nn.Module) -> None:
        self.task, self.network = task, network

    def __enter__(self) -> None:
        self.mine, self.task.network = self.task.network, self.network

    def __exit__(self, *_: object) -> None:
        self.task.network = self.mine


def _identity(settings: LoopSettings) -> dict[str, Any]:
    """What must be the same when a run goes on."""
    return {
        key: getattr(settings, key)
        for key in (
            *(
                "steps",
                "batch",
                "learning_rate",
                "warmup",
                "final_learning_rate",
                "ema",
                "seed",
                "target_nats",
                "max_beta",
            ),
            "data",
        )
    }


def _controller(settings: LoopSettings) -> KLController | RisingBeta | None:
    if settings.target_nats is not None:
        return KLController(settings.target_nats, log_beta=math.log(settings.first_beta))
    if settings.max_beta is not None:
        return RisingBeta(settings.max_beta, settings.steps)
    return None
