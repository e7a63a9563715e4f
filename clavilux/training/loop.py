"""The one training loop: read it from top to bottom.

A `Task` knows its network, its data and its loss; the loop knows everything else: the order of the data, the number
format, processes and devices, the learning rate, the rate controller, averaged weights, checkpoints, the logs. Every
random number of step n comes from a generator seeded by (seed, n), so a run that was killed and resumed equals one that
was not. With several processes each takes its share of every batch and gradients are averaged over them.
"""

from __future__ import annotations

import copy
import csv
import math
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from lightning_fabric import Fabric
from lightning_fabric.plugins import MixedPrecision
from torch import Tensor, nn

from clavilux.errors import TrainingError
from clavilux.models.losses import RateController, RisingBeta
from clavilux.system.memory import keep_memory

Batch = dict[str, Tensor]
Precision = Literal["32-true", "bf16-mixed"]


class Task(nn.Module):
    """What is trained. `forward(batch, noise, beta)` gives the loss and its parts, each a scalar; "rate" is in nats."""

    name: str
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
    """How long and how fast."""

    steps: int
    batch: int
    learning_rate: float
    warmup: int
    ema: float
    seed: int
    precision: Precision | Literal["auto"] = "auto"
    final_rate: float = 0.02
    target_nats: float | None = None
    first_beta: float = 0.05
    max_beta: float | None = None
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
        The loss is no number, the gradient explodes, a checkpoint is there and `resume` is not given, or a checkpoint
        belongs to other settings.
    """
    keep_memory()
    fabric = processes.join()
    run_dir.mkdir(parents=True, exist_ok=True)
    checkpoint_path = run_dir / f"{task.name}.ckpt"
    saved = _load_checkpoint(checkpoint_path, resume, settings)
    if settings.batch % fabric.world_size:
        raise TrainingError(
            f"{task.name}: a batch of {settings.batch} cannot be shared by {fabric.world_size} processes evenly; give "
            "another number of devices, or another batch in the recipe"
        )
    precision: Precision = saved["precision"] if saved else choose_precision(task, settings, log)
    # All processes have looked for the checkpoint before the first writes one, and use the format of the first.
    fabric = processes.join(fabric.broadcast(precision))

    optimizer = torch.optim.AdamW(task.parameters(), lr=settings.learning_rate, weight_decay=1e-4, betas=task.betas)
    averaged = copy.deepcopy(task.network).eval()
    controller = _controller(settings)
    first_step = 0
    if saved:
        task.load_state_dict(saved["task"])
        optimizer.load_state_dict(saved["optimizer"])
        averaged.load_state_dict(saved["averaged"])
        first_step = saved["step"]
        if controller:
            controller.load_state_dict(saved["controller"])
        log(f"{task.name}: going on from step {first_step}")
    model, optimizer = fabric.setup(task, optimizer)
    averaged.to(fabric.device)

    logs = _Logs(run_dir, task.name, first_step) if fabric.is_global_zero else None
    order, order_epoch = torch.empty(0, dtype=torch.long), -1
    started, last_saved, last_told = time.monotonic(), time.monotonic(), 0.0
    task.train()
    for step in range(first_step, settings.steps):
        # Data: the step alone says which items come, in which order.
        per_epoch = max(1, task.n_items() // settings.batch)
        epoch, place = divmod(step, per_epoch)
        if epoch != order_epoch:
            order, order_epoch = task.order(_generator(settings.seed, epoch, 0)), epoch
        items = order[place * settings.batch : (place + 1) * settings.batch]
        noise = _generator(settings.seed, step, 1 + fabric.global_rank)
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
            raise TrainingError(f"{task.name}: the gradient explodes at step {step} (norm {gradient:.3g}); {_ADVICE}")
        optimizer.step()
        if controller:
            rate = fabric.all_reduce(parts["rate"].detach(), reduce_op="mean")
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
                log(f"{task.name}: step {done}/{settings.steps}, {text}, {speed:.0f} a second")
        if done % settings.validate_every == 0 or last:
            # On the processor, where the data are.
            with _using(task, copy.deepcopy(averaged).cpu()), torch.no_grad():
                figures = task.validate()
                logs.add("-validation", done, figures)
                log(f"{task.name}: validation " + ", ".join(f"{key} {value:.4g}" for key, value in figures.items()))
                if after_validation:
                    after_validation(done)
        if now - last_saved > settings.checkpoint_s or last:
            last_saved = now
            save_atomically(
                checkpoint_path,
                {
                    "step": done,
                    "settings": _identity(settings),
                    "precision": precision,
                    "task": task.state_dict(),
                    "averaged": averaged.state_dict(),
                    "optimizer": optimizer.state_dict(),
                    "controller": controller.state_dict() if controller else None,
                },
            )
    if logs:
        logs.close()
    fabric.barrier()
    task.network.load_state_dict(averaged.state_dict())
    return task.network.eval().cpu()


_CLIP = 500.0  # losses are summed, so healthy gradients are large; this only breaks the rare spike
_EXPLODED = 1e8  # beyond any spike that a training recovered from
_ADVICE = "lower learning_rate or raise warmup in the recipe and train anew in another --run"


def choose_precision(task: Task, settings: LoopSettings, log: Callable[[str], None]) -> Precision:
    """Choose the number format by a short trial on this machine, unless the settings say one.

    With AMX bfloat16 convolutions are several times faster than float32; on processors that emulate them they are many
    times slower. No list of processors says it as well as half a second of each.
    """
    if settings.precision != "auto":
        return settings.precision
    if torch.cuda.is_available():
        log(f"{task.name}: number format bf16-mixed (GPU)")
        return "bf16-mixed"
    seconds: dict[Precision, float] = {}
    trials: list[tuple[Precision, torch.dtype | None]] = [("32-true", None), ("bf16-mixed", torch.bfloat16)]
    batch = task.batch(torch.arange(min(settings.batch, task.n_items())), _generator(settings.seed, 0, 0))
    trial = copy.deepcopy(task)
    for name, dtype in trials:
        times = []
        for _ in range(3):
            start = time.perf_counter()
            with torch.autocast("cpu", dtype=dtype, enabled=dtype is not None):
                trial(batch, _generator(0, 0, 0), 0.0)["loss"].backward()
            times.append(time.perf_counter() - start)
        seconds[name] = min(times)
    chosen = min(seconds, key=lambda name: seconds[name])
    log(f"{task.name}: number format {chosen} (" + ", ".join(f"{k} {v * 1e3:.0f} ms" for k, v in seconds.items()) + ")")
    return chosen


def save_atomically(path: Path, content: Any) -> None:
    """Write with `torch.save` to a temporary name and rename, so that a checkpoint is whole or not there."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    torch.save(content, temporary)
    with temporary.open("rb") as file:
        os.fsync(file.fileno())
    os.replace(temporary, path)


def _generator(seed: int, step: int, stream: int) -> torch.Generator:
    """A generator that depends on (seed, step, stream) alone."""
    mixed = (seed * 0x9E3779B97F4A7C15 + step * 0xBF58476D1CE4E5B9 + stream * 0x94D049BB133111EB) % 2**63
    return torch.Generator().manual_seed(mixed)


def _schedule(step: int, settings: LoopSettings) -> float:
    """Linear warm-up, then a cosine from 1 to `final_rate`."""
    if step < settings.warmup:
        return (step + 1) / settings.warmup
    done = (step - settings.warmup) / max(1, settings.steps - settings.warmup)
    return settings.final_rate + (1 - settings.final_rate) * 0.5 * (1 + math.cos(math.pi * done))


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
        for key in ("steps", "batch", "learning_rate", "warmup", "final_rate", "ema", "seed", "target_nats", "max_beta")
    }


def _load_checkpoint(path: Path, resume: bool, settings: LoopSettings) -> dict[str, Any] | None:
    if not path.exists():
        return None
    if not resume:
        raise TrainingError(f"{path} is there; go on from it with --resume, or give another folder with --run")
    saved: dict[str, Any] = torch.load(path, weights_only=True)
    if saved["settings"] != _identity(settings):
        changed = sorted(k for k, v in _identity(settings).items() if saved["settings"].get(k) != v)
        raise TrainingError(
            f"{path} was made with other settings ({', '.join(changed)}); resume with the same recipe, or give another "
            "folder with --run"
        )
    return saved


def _controller(settings: LoopSettings) -> RateController | RisingBeta | None:
    if settings.target_nats is not None:
        return RateController(settings.target_nats, log_beta=math.log(settings.first_beta))
    if settings.max_beta is not None:
        return RisingBeta(settings.max_beta, settings.steps)
    return None


class _Logs:
    """Figures by step, as CSV and for TensorBoard. What a killed run wrote after its last checkpoint is cut off."""

    def __init__(self, folder: Path, name: str, first_step: int) -> None:
        from torch.utils.tensorboard import SummaryWriter  # slow to import

        self._folder, self._name = folder, name
        self._board = SummaryWriter(folder / "tensorboard" / name, purge_step=first_step + 1)
        for path in (self._path(""), self._path("-validation")):
            if path.exists():
                with path.open(newline="", encoding="utf-8") as file:
                    # The last row may be cut off: then a value is missing.
                    whole = (row for row in csv.DictReader(file) if None not in row.values())
                    rows = [row for row in whole if int(row["step"]) <= first_step]
                temporary = path.with_name(f".{path.name}.{os.getpid()}")
                with temporary.open("w", newline="", encoding="utf-8") as file:
                    if rows:
                        writer = csv.DictWriter(file, fieldnames=list(rows[0]))
                        writer.writeheader()
                        writer.writerows(rows)
                os.replace(temporary, path)

    def add(self, kind: str, step: int, figures: dict[str, float]) -> None:
        """Append a row to `<name><kind>.csv` and points to the board."""
        path = self._path(kind)
        row = {"step": float(step), **figures}
        new = not path.exists() or path.stat().st_size == 0
        with path.open("a", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, fieldnames=list(row))
            if new:
                writer.writeheader()
            writer.writerow({key: f"{value:.8g}" for key, value in row.items()})
        for key, value in figures.items():
            self._board.add_scalar(f"{kind.removeprefix('-') or 'training'}/{key}", value, step)

    def close(self) -> None:
        self._board.close()

    def _path(self, kind: str) -> Path:
        return self._folder / f"{self._name}{kind}.csv"
