"""The training loop: an interrupted and resumed run equals an unbroken one; errors stop it with one line."""

import csv
import dataclasses
import io
import os
import pickle
import re
import resource
import zipfile
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from torch import Tensor, nn

from clavilux.errors import TrainingError
from clavilux.training import pace
from clavilux.training.logs import last_validation, log_counts, log_to_file
from clavilux.training.loop import Batch, LoopSettings, Task, train
from clavilux.training.pace import choose_threads

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
    """A linear regression with noise in the data and in the loss, and an artificial KL divergence."""

    name = "line"

    def __init__(self, poison_at: int | None = None, stop_at: int | None = None, poison: float = float("nan")) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.network = nn.Linear(3, 1)
        self.data = torch.randn(23, 3, generator=torch.Generator().manual_seed(1))
        self.n_items = len(self.data)
        self.poison_at, self.poison, self.stop_at, self.calls = poison_at, poison, stop_at, 0

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
        return {"loss": loss, "kl_nats": rate}

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


def test_an_interruption_of_the_last_validation_costs_no_step(tmp_path):
    class Interrupted(_Line):
        def validate(self) -> dict[str, float]:
            if self.calls == SETTINGS.steps:
                raise KeyboardInterrupt
            return super().validate()

    settings = dataclasses.replace(SETTINGS, checkpoint_s=1e9)
    with pytest.raises(KeyboardInterrupt):
        train(Interrupted(), settings, tmp_path, resume=False, log=_quiet)
    task = _Line()
    train(task, settings, tmp_path, resume=True, log=_quiet)
    assert task.calls == 0
    assert last_validation(tmp_path, "line")["step"] == settings.steps


def test_a_checkpoint_is_not_overwritten_by_mistake(tmp_path):
    train(_Line(), SETTINGS, tmp_path, resume=False, log=_quiet)
    with pytest.raises(TrainingError, match="--resume"):
        train(_Line(), SETTINGS, tmp_path, resume=False, log=_quiet)


def test_a_checkpoint_of_other_settings_is_refused_by_name(tmp_path):
    train(_Line(), SETTINGS, tmp_path, resume=False, log=_quiet)
    other = dataclasses.replace(SETTINGS, learning_rate=1e-3)
    with pytest.raises(TrainingError, match="learning_rate"):
        train(_Line(), other, tmp_path, resume=True, log=_quiet)


def test_a_loss_that_is_not_finite_stops_the_run_with_advice(tmp_path):
    with pytest.raises(TrainingError, match=r"nan at step 3; lower learning_rate"):
        train(_Line(poison_at=4), SETTINGS, tmp_path, resume=False, log=_quiet)


def test_a_gradient_that_explodes_stops_the_run_with_advice(tmp_path):
    with pytest.raises(TrainingError, match=r"the gradient explodes at step 3 .*; lower learning_rate"):
        train(_Line(poison_at=4, poison=1e12), SETTINGS, tmp_path, resume=False, log=_quiet)


def test_tensorboard_gets_what_the_csv_gets(tmp_path):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    train(_Line(), dataclasses.replace(SETTINGS, log_every=3), tmp_path, resume=False, log=_quiet)
    board = EventAccumulator(str(tmp_path / "tensorboard" / "line")).Reload()
    assert {"training/loss", "training/kl_nats", "training/beta", "validation/weight"} <= set(board.Tags()["scalars"])
    assert [point.step for point in board.Scalars("training/loss")] == [3, 6, 9, 12]


def test_the_log_has_the_kl_divergence_and_the_validation(tmp_path):
    train(_Line(), SETTINGS, tmp_path, resume=False, log=_quiet)
    with (tmp_path / "line.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert {"step", "beta", "loss", "kl_nats"} <= set(rows[-1])
    with (tmp_path / "line-validation.csv").open() as file:
        assert [int(row["step"]) for row in csv.DictReader(file)] == [5, 10, 12]


def test_the_returned_weights_are_the_averaged_ones(tmp_path):
    network = train(_Line(), SETTINGS, tmp_path, resume=False, log=_quiet)
    saved = torch.load(tmp_path / "line.ckpt", weights_only=True)
    assert torch.equal(network.weight, saved["averaged"]["weight"])
    assert not torch.equal(network.weight, saved["task"]["network.weight"])


@pytest.mark.parametrize("precision", ["32-true", "bf16-mixed"])
def test_inputs_of_the_network_are_not_rounded(tmp_path, monkeypatch, precision):
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


# Checkpoints and logs that are read back ------------------------------------------------------------------------------


def _as_zip(content: bytes) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("archive/data.pkl", content)
    return packed.getvalue()


class _Evil:
    def __reduce__(self):
        return os.system, ("touch pwned",)


def _saved(**changes) -> bytes:
    content = io.BytesIO()
    torch.save({"format": 3, "clavilux": "0", "step": 1, **changes}, content)
    return content.getvalue()


def _change_a_byte(whole: bytes) -> bytes:
    changed = bytearray(whole)
    changed[len(whole) // 2] ^= 64
    return bytes(changed)


DAMAGE = {
    "empty": lambda whole: b"",
    "cut": lambda whole: whole[: len(whole) // 2],
    "cut by a byte": lambda whole: whole[:-1],
    "text": lambda whole: b"no checkpoint\n" * 99,
    "one byte changed": _change_a_byte,
    "a pickle": lambda whole: pickle.dumps({"step": 1}),
    "a pickle of code": lambda whole: pickle.dumps(_Evil()),
    "code in a checkpoint": lambda whole: _saved(task=_Evil()),
    "a zip file": lambda whole: _as_zip(b"no pickle"),
    "a list": lambda whole: _saved().replace(b"step", b"stop"),
    "parts are missing": lambda whole: _saved(),
    "of another version": lambda whole: _saved(format=1),
}  # fmt: skip


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_damaged_checkpoint_is_one_line_and_stays(tmp_path, monkeypatch, damage):
    monkeypatch.chdir(tmp_path)
    train(_Line(), SETTINGS, tmp_path, resume=False, log=_quiet)
    path = tmp_path / "line.ckpt"
    content = DAMAGE[damage](path.read_bytes())
    path.write_bytes(content)
    with pytest.raises(TrainingError, match=r"line\.ckpt .*--run") as caught:
        train(_Line(), SETTINGS, tmp_path, resume=True, log=_quiet)
    assert "\n" not in str(caught.value)
    assert path.read_bytes() == content
    assert not (tmp_path / "pwned").exists()


@pytest.mark.parametrize("kind", ["folder", "pipe"])
def test_a_folder_or_a_pipe_is_not_a_checkpoint(tmp_path, kind):
    path = tmp_path / "line.ckpt"
    path.mkdir() if kind == "folder" else os.mkfifo(path)
    with pytest.raises(TrainingError, match="not a valid checkpoint"):
        train(_Line(), SETTINGS, tmp_path, resume=True, log=_quiet)


def test_a_checkpoint_of_another_network_is_refused(tmp_path):
    train(_Line(), SETTINGS, tmp_path, resume=False, log=_quiet)
    task = _Line()
    task.network = nn.Linear(3, 2)
    with pytest.raises(TrainingError, match="another kind or size"):
        train(task, SETTINGS, tmp_path, resume=True, log=_quiet)


def test_a_run_is_resumed_only_with_the_same_data(tmp_path):
    settings = dataclasses.replace(SETTINGS, data="a")
    with pytest.raises(KeyboardInterrupt):
        train(_Line(stop_at=6), settings, tmp_path, resume=False, log=_quiet)
    with pytest.raises(TrainingError, match="other data"):
        train(_Line(), dataclasses.replace(settings, data="b"), tmp_path, resume=True, log=_quiet)
    train(_Line(), settings, tmp_path, resume=True, log=_quiet)
    train(
        _Line(), dataclasses.replace(settings, data="b"), tmp_path, resume=True, log=_quiet
    )  # nothing is left to learn


def test_dropout_of_a_resumed_run_equals_that_of_an_unbroken_one(tmp_path):
    class Dropping(_Line):
        def forward(self, batch, noise, beta):
            return super().forward({"x": nn.functional.dropout(batch["x"], 0.5)}, noise, beta)

    unbroken = train(Dropping(), SETTINGS, tmp_path / "a", resume=False, log=_quiet)
    with pytest.raises(KeyboardInterrupt):
        train(Dropping(stop_at=6), SETTINGS, tmp_path / "b", resume=False, log=_quiet)
    resumed = train(Dropping(), SETTINGS, tmp_path / "b", resume=True, log=_quiet)
    assert torch.equal(unbroken.weight, resumed.weight)


@pytest.mark.parametrize(
    "content", [b"", b"st", b"step,weight\r\n", b"step,weight\r\n5,1\r\n12,", b"\xff\0\n\xff", b"a,b\r\n1,2\r\n"]
)
def test_a_damaged_log_of_a_finished_run_is_written_again(tmp_path, content):
    train(_Line(), SETTINGS, tmp_path, resume=False, log=_quiet)
    whole = last_validation(tmp_path, "line")
    (tmp_path / "line-validation.csv").write_bytes(content)
    (tmp_path / "line.csv").write_bytes(content)
    train(_Line(), SETTINGS, tmp_path, resume=True, log=_quiet)
    assert last_validation(tmp_path, "line") == whole
    assert whole["step"] == 12


def test_damage_inside_a_log_is_reported(tmp_path):
    train(_Line(), SETTINGS, tmp_path, resume=False, log=_quiet)
    (tmp_path / "line-validation.csv").write_text("step,weight\n5,x\n10,1\n12,1\n")
    lines: list[str] = []
    train(_Line(), SETTINGS, tmp_path, resume=True, log=lines.append)
    assert any("line-validation.csv: 1 " in line for line in lines)


# Where nothing can be written -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("what", [".", "tensorboard", "line.csv"])
def test_a_file_or_folder_in_the_way_is_one_line(tmp_path, what):
    run = tmp_path / "run"
    in_the_way = run / what
    in_the_way.parent.mkdir(exist_ok=True)
    in_the_way.mkdir(parents=True) if what.endswith(".csv") else in_the_way.write_text("mine")
    with pytest.raises(TrainingError, match=r"run: cannot be written to \(.*give another folder"):
        train(_Line(), SETTINGS, run, resume=False, log=_quiet)


def test_a_full_disk_is_one_line_and_the_last_checkpoint_stays(tmp_path):
    class Large(_Line):
        def __init__(self, limit: bool) -> None:
            super().__init__()
            self.ballast, self.limit = nn.Parameter(torch.zeros(30_000)), limit

        def forward(self, batch, noise, beta):
            if self.limit and self.calls == 5:  # files can grow no further: EFBIG, one of the errors of a full disk
                resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, hard))
            return super().forward(batch, noise, beta)

    unbroken = train(Large(False), SETTINGS, tmp_path / "whole", resume=False, log=_quiet)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    try:
        with pytest.raises(TrainingError, match=r"run: cannot be written to \(File too large\); make room"):
            train(Large(True), SETTINGS, tmp_path / "run", resume=False, log=_quiet)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert {path.name for path in (tmp_path / "run").iterdir()} == {"line.ckpt", "line-validation.csv", "tensorboard"}
    lines: list[str] = []
    resumed = train(Large(False), SETTINGS, tmp_path / "run", resume=True, log=lines.append)
    assert "line: resuming at step 5" in lines
    assert torch.equal(unbroken.weight, resumed.weight)


# Threads --------------------------------------------------------------------------------------------------------------


@pytest.fixture
def slow_threads(monkeypatch):
    """Steps that take as long as the test says; four cores."""
    seconds = {1: 8.0, 2: 4.0, 4: 3.9}
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    monkeypatch.delenv("MKL_NUM_THREADS", raising=False)
    monkeypatch.setattr(pace, "count_cores", lambda: 4)
    monkeypatch.setattr(pace, "_time_step", lambda *_: seconds[torch.get_num_threads()])
    return seconds


def test_threads_are_added_while_that_helps(slow_threads):
    lines: list[str] = []
    assert choose_threads(_Line(), SETTINGS, "32-true", lines.append) == 2
    assert lines == ["line: threads 2 (1 8000 ms, 2 4000 ms, 4 3900 ms)"]
    slow_threads[2] = 160.0  # as where another program needs the core
    assert choose_threads(_Line(), SETTINGS, "32-true", _quiet) == 1


def test_the_threads_setting_of_the_user_and_of_a_resumed_run_is_kept(slow_threads, monkeypatch, tmp_path):
    assert choose_threads(_Line(), SETTINGS, "32-true", _quiet, before=3) == 3
    assert choose_threads(_Line(), SETTINGS, "32-true", _quiet, before=64) == 4
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    assert choose_threads(_Line(), SETTINGS, "32-true", _quiet) is None


def test_the_number_of_threads_is_restored_after_the_training(slow_threads, tmp_path):
    before = torch.get_num_threads()

    class Counting(_Line):
        def forward(self, batch, noise, beta):
            assert torch.get_num_threads() == 2
            return super().forward(batch, noise, beta)

    train(Counting(), SETTINGS, tmp_path, resume=False, log=_quiet)
    assert torch.get_num_threads() == before
    assert torch.load(tmp_path / "line.ckpt", weights_only=True)["threads"] == 2


def test_speeds_have_a_unit(tmp_path):
    lines: list[str] = []
    train(_Line(), SETTINGS, tmp_path, resume=False, log=lines.append)
    assert any(re.search(r"line: step 12/12, .*, \d+ items/s$", line) for line in lines)


def test_counts_are_logged_once_in_five_seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    lines, now = [], iter((0.0, 4.0, 6.0, 6.0, 7.0, 12.0, 12.0))
    monkeypatch.setattr("clavilux.training.logs.time", SimpleNamespace(monotonic=lambda: next(now)))
    counted = log_counts(lines.append, "paintings", 9)
    for done in (1, 2, 3, 4):
        counted(done)
    assert lines == ["paintings 2/9", "paintings 4/9"]


def test_the_log_file_has_every_line_of_every_command(tmp_path: Path) -> None:
    said: list[str] = []
    folder = tmp_path / "run"
    log = log_to_file(folder, "clavilux train audio", said.append)
    log("before there is a folder")
    assert not folder.exists()
    folder.mkdir()
    log("with one: é")
    log_to_file(folder, "clavilux train image", said.append)("of another command")
    lines = (folder / "train.log").read_text(encoding="utf-8").splitlines()
    titles = [line for line in lines if line not in said]
    assert [line for line in lines if line in said] == said
    assert [line.split(" ", 2)[2] for line in titles] == ["clavilux train audio", "clavilux train image"]
    assert lines.index(titles[1]) == 3


def test_a_log_file_that_cannot_be_written_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "train.log").mkdir()
    with pytest.raises(TrainingError, match="cannot be written to"):
        log_to_file(tmp_path, "clavilux train audio", lambda _: None)("a line")
