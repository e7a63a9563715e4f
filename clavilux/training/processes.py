"""Start the processes that train a network together, on one or more machines."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from lightning_fabric import Fabric
from lightning_fabric.plugins import MixedPrecision

from clavilux.training.pace import Precision


@dataclass(frozen=True)
class Processes:
    """The number of machines that train a network together, and the number of processes on each machine."""

    devices: int = 1  # number of GPUs of each machine; without GPUs, number of processes on each machine
    num_nodes: int = 1  # number of machines

    def join(self, precision: Precision = "32-true") -> Fabric:
        """Return the `Fabric` of this process; the first call also starts the other processes of this machine.

        The other processes run the command line of this process. With several machines, the user runs the same command
        on each machine, with MASTER_ADDR, MASTER_PORT and NODE_RANK in the environment.
        """
        accelerator = "cuda" if torch.cuda.is_available() else "cpu"
        fabric = Fabric(
            accelerator=accelerator,
            strategy="ddp" if self.devices * self.num_nodes > 1 else "auto",
            devices=self.devices,
            num_nodes=self.num_nodes,
            plugins=None if precision == "32-true" else _FullPrecisionInputs(precision, accelerator),
        )
        fabric.launch()
        return fabric


ONE_PROCESS = Processes()


class _FullPrecisionInputs(MixedPrecision):
    """Mixed precision that does not convert inputs and targets to bfloat16.

    In bfloat16, inputs and targets would lose precision: an MFCC of -500 would be wrong by up to 1. Autocast converts
    the inputs of those layers that compute in bfloat16.
    """

    def convert_input(self, data: Any) -> Any:
        """Return the data unchanged."""
        return data
