"""Networks trained in parts: each part is a warm restart, and an interrupted training equals an unbroken one."""

import dataclasses
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from clavilux.errors import TrainingError
from clavilux.training.loop import Batch, LoopSettings, Task, train
from clavilux.training.processes import ONE_PROCESS
from clavilux.training.recipe import Restart
from clavilux.training.run import part_names, train_in_parts

FIRST = LoopSettings(
    steps=8, batch=4, learning_rate=1e-2, warmup=2, ema=0.9, seed=3, precision="32-true", target_nats=2.0
)
RESTARTS = (Restart(steps=6, learning_rate=5e-3, warmup=1), Restart(steps=5, learning_rate=2e-3, warmup=1))


class _Network(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.encoder, self.to_kind = nn.Linear(3, 4), nn.Linear(4, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.to_kind(nn.functional.dropout(self.encoder(x), 0.2, self.training))


class _Task(Task):
    name = "net"

    def __init__(self, stop_in: str = "", stop_at: int = 0) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.network = _Network()
        self.data = torch.randn(23, 3, generator=torch.Generator().manual_seed(1))
        self.stop_in, self.stop_at, self.calls = stop_in, stop_at, 0
        self.betas_seen: list[float] = []
        self.first_heads: list[Tensor] = []

    def n_items(self) -> int:
        return len(self.data)

    def batch(self, items: Tensor, generator: torch.Generator) -> Batch:
        return {"x": self.data[items]}

    def forward(self, batch: Batch, noise: torch.Generator, beta: float) -> dict[str, Tensor]:
        if self.name == self.stop_in:
            self.calls += 1
            if self.calls == self.stop_at:
                raise KeyboardInterrupt
        self.betas_seen.append(beta)
        self.first_heads.append(self.network.to_kind.weight.detach().clone())
        error = (self.network(batch["x"]) - batch["x"].sum(dim=1, keepdim=True)).square().sum()
        rate = self.network.encoder.weight.square().sum()
        return {"loss": error + beta * rate, "kl_nats": rate}

    def validate(self) -> dict[str, float]:
        return {"weight": float(self.network.encoder.weight.sum())}


def _run(folder, resume=False):
    return SimpleNamespace(folder=folder, resume=resume, log=lambda line: None, processes=ONE_PROCESS)


def test_each_part_has_its_own_checkpoint_and_the_last_one_the_name_of_the_network(tmp_path):
    assert part_names("net", ()) == ["net"]
    train_in_parts(_run(tmp_path), _Task(), FIRST, RESTARTS)
    names = part_names("net", RESTARTS)
    assert names == ["net-part-1", "net-part-2", "net"]
    steps = [torch.load(tmp_path / f"{name}.ckpt", weights_only=True)["step"] for name in names]
    assert steps == [8, 6, 5]


def test_a_part_equals_a_training_that_starts_from_the_weights_of_the_part_before(tmp_path):
    one_part = train_in_parts(_run(tmp_path / "one"), _Task(), FIRST)
    two_parts = train_in_parts(_run(tmp_path / "two"), _Task(), FIRST, RESTARTS[:1])
    task = _Task()
    heads = {name: value for name, value in task.network.state_dict().items() if name.startswith("to_kind")}
    task.network.load_state_dict(one_part.state_dict() | heads)
    settings = dataclasses.replace(FIRST, steps=6, learning_rate=5e-3, warmup=1, first_beta=0.5)
    again = train(task, settings, tmp_path / "again", resume=False, log=lambda line: None)
    for one, other in zip(two_parts.parameters(), again.parameters(), strict=True):
        assert torch.equal(one, other)


def test_a_part_starts_with_initial_linear_heads_and_the_beta_of_a_trained_network(tmp_path):
    task = _Task()
    initial = task.network.to_kind.weight.detach().clone()
    train_in_parts(_run(tmp_path), task, FIRST, RESTARTS)
    for start in (0, 8, 14):
        assert torch.equal(task.first_heads[start], initial)
    assert task.betas_seen[0] == pytest.approx(0.05)
    np.testing.assert_allclose([task.betas_seen[8], task.betas_seen[14]], 0.5)


@pytest.mark.parametrize(("part", "call"), [("net-part-1", 4), ("net-part-2", 1), ("net-part-2", 5), ("net", 3)])
def test_a_training_interrupted_in_any_part_equals_an_unbroken_one(tmp_path, part, call):
    settings = dataclasses.replace(FIRST, checkpoint_s=0.0)
    unbroken = train_in_parts(_run(tmp_path / "a"), _Task(), settings, RESTARTS)
    with pytest.raises(KeyboardInterrupt):
        train_in_parts(_run(tmp_path / "b"), _Task(part, call), settings, RESTARTS)
    with pytest.raises(TrainingError, match="--resume"):
        train_in_parts(_run(tmp_path / "b"), _Task(), settings, RESTARTS)
    resumed = train_in_parts(_run(tmp_path / "b", resume=True), _Task(), settings, RESTARTS)
    for one, other in zip(unbroken.parameters(), resumed.parameters(), strict=True):
        assert torch.equal(one, other)
