"""The training loop: what is killed and resumed equals what was not; what goes wrong stops with a sentence."""

import csv
import dataclasses

import pytest
import torch
from torch import Tensor, nn

from clavilux.errors import TrainingError
from clavilux.training.loop import Batch, LoopSettings, Task, train

SETTINGS = LoopSettings(
    steps=12,
    batch=4,
    learning_rate=1e-2,
    warmup=3,
    ema=0.9,
    seed=5,
    target_nats=2.0,
    checkpoint_s=0.0,
    validate_every=5,
)


class _Line(Task):
    """A line through points, with noise in the data and in the loss, and a made-up rate."""

    name = "line"

    def __init__(self, poison_at: int | None = None, stop_at: int | None = None, poison: float = float("nan")) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.network = nn.Linear(3, 1)
        self.data = torch.randn(23, 3, generator=torch.Generator().manual_seed(1))
        self.poison_at, self.poison, self.stop_at, self.calls = poison_at, poison, stop_at, 0

    def n_items(self) -> int:
        return len(self.data)

    def batch(self, items: Tensor, generator: torch.Generator) -> Batch:
        return {"x": self.data[items] + 0.1 * torch.randn(len(items), 3, generator=generator)}

    def forward(self, batch: Batch, noise: torch.Generator, beta: float) -> dict[str, Tensor]:
        self.calls += 1
        if self.stop_at is not None and self.calls == self.stop_at:
            raise KeyboardInterrupt
        x = batch["x"]
        error = (self.network(x) - x.sum(dim=1, keepdim=True) + 0.1 * torch.randn(len(x), 1, generator=noise)).square()
        rate = self.network.weight.square().sum()
        loss = error.sum() + beta * rate
        if self.poison_at is not None and self.calls == self.poison_at:
            loss = loss * self.poison
        return {"loss": loss, "rate": rate}

    def validate(self) -> dict[str, float]:
        return {"weight": float(self.network.weight.sum())}


def _quiet(line: str) -> None:
    pass


@pytest.fixture(autouse=True)
def _float32(monkeypatch):
    """One number format, whatever this machine would choose."""
    monkeypatch.setattr("clavilux.training.loop.choose_precision", lambda *_: "32-true")


@pytest.mark.parametrize("stop_at", [1, 2, 6, 11])
def test_a_killed_and_resumed_run_equals_an_unbroken_one(tmp_path, stop_at):
    unbroken = train(_Line(), SETTINGS, tmp_path / "a", resume=False, log=_quiet)
    with pytest.raises(KeyboardInterrupt):
        train(_Line(stop_at=stop_at), SETTINGS, tmp_path / "b", resume=False, log=_quiet)
    resumed = train(_Line(), SETTINGS, tmp_path / "b", resume=True, log=_quiet)
    for one, other in zip(unbroken.parameters(), resumed.parameters(), strict=True):
        assert torch.equal(one, other)
    states = [torch.load(tmp_path / side / "line.ckpt", weights_only=True) for side in "ab"]
    assert states[0]["controller"] == states[1]["controller"]


def test_a_finished_run_is_not_trained_again(tmp_path):
    first = train(_Line(), SETTINGS, tmp_path, resume=False, log=_quiet)
    task = _Line()
    again = train(task, SETTINGS, tmp_path, resume=True, log=_quiet)
    assert task.calls == 0
    assert torch.equal(first.weight, again.weight)


def test_a_checkpoint_is_not_overwritten_by_mistake(tmp_path):
    train(_Line(), SETTINGS, tmp_path, resume=False, log=_quiet)
    with pytest.raises(TrainingError, match="--resume"):
        train(_Line(), SETTINGS, tmp_path, resume=False, log=_quiet)


def test_a_checkpoint_of_other_settings_is_refused_by_name(tmp_path):
    train(_Line(), SETTINGS, tmp_path, resume=False, log=_quiet)
    other = dataclasses.replace(SETTINGS, learning_rate=1e-3)
    with pytest.raises(TrainingError, match="learning_rate"):
        train(_Line(), other, tmp_path, resume=True, log=_quiet)


def test_a_loss_that_is_no_number_stops_the_run_with_advice(tmp_path):
    with pytest.raises(TrainingError, match=r"nan at step 3; lower learning_rate"):
        train(_Line(poison_at=4), SETTINGS, tmp_path, resume=False, log=_quiet)


def test_a_gradient_that_explodes_stops_the_run_with_advice(tmp_path):
    with pytest.raises(TrainingError, match=r"the gradient explodes at step 3 .*; lower learning_rate"):
        train(_Line(poison_at=4, poison=1e12), SETTINGS, tmp_path, resume=False, log=_quiet)


def test_tensorboard_gets_what_the_csv_gets(tmp_path):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    train(_Line(), dataclasses.replace(SETTINGS, log_every=3), tmp_path, resume=False, log=_quiet)
    board = EventAccumulator(str(tmp_path / "tensorboard" / "line")).Reload()
    assert {"training/loss", "training/rate", "training/beta", "validation/weight"} <= set(board.Tags()["scalars"])
    assert [point.step for point in board.Scalars("training/loss")] == [3, 6, 9, 12]


def test_the_log_has_the_rate_and_the_validation(tmp_path):
    train(_Line(), SETTINGS, tmp_path, resume=False, log=_quiet)
    with (tmp_path / "line.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert {"step", "beta", "loss", "rate"} <= set(rows[-1])
    with (tmp_path / "line-validation.csv").open() as file:
        assert [int(row["step"]) for row in csv.DictReader(file)] == [5, 10, 12]


def test_the_returned_weights_are_the_averaged_ones(tmp_path):
    network = train(_Line(), SETTINGS, tmp_path, resume=False, log=_quiet)
    saved = torch.load(tmp_path / "line.ckpt", weights_only=True)
    assert torch.equal(network.weight, saved["averaged"]["weight"])
    assert not torch.equal(network.weight, saved["task"]["network.weight"])


@pytest.mark.parametrize("precision", ["32-true", "bf16-mixed"])
def test_what_the_network_is_given_is_not_rounded(tmp_path, monkeypatch, precision):
    """Lightning's own mixed precision gives the network inputs of 8 bits; layers compute in them, where asked for."""
    monkeypatch.setattr("clavilux.training.loop.choose_precision", lambda *_: precision)
    seen = {}

    class Looking(_Line):
        def forward(self, batch, noise, beta):
            seen["inputs"] = {value.dtype for value in batch.values()}
            seen["layer"] = torch.nn.functional.linear(torch.ones(1, 2), torch.ones(1, 2)).dtype
            return super().forward(batch, noise, beta)

    train(Looking(), SETTINGS, tmp_path, resume=False, log=_quiet)
    assert seen["inputs"] == {torch.float32}
    assert seen["layer"] == (torch.float32 if precision == "32-true" else torch.bfloat16)
