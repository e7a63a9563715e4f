"""Processes that train together, one for each device of each machine."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from lightning_fabric import Fabric
from lightning_fabric.plugins import MixedPrecision

from clavilux.training.pace import Precision


@dataclass(frozen=True)
class Processes:
    """How many processes train together.

    Attributes
    ----------
    devices : int
        Number of GPUs of each machine; without a GPU, number of processes on each machine.
    num_nodes : int
        Number of machines.
    """

    devices: int = 1
    num_nodes: int = 1

    def join(self, precision: Precision = "32-true") -> Fabric:
        """Return the `Fabric` of this process; processes that do not run yet are started.

        The first call in the first process of a machine starts the other processes of this machine, with the same
        command line. With several machines, the user runs the same command on each of them, with MASTER_ADDR,
        MASTER_PORT and NODE_RANK in the environment.
        """
        accelerator = "cuda" if torch.cuda.is_available() else "cpu"
        strategy = "ddp" if self.devices * self.num_nodes > 1 else "auto"
        mixed = None if precision == "32-true" else _FullPrecisionInputs(precision, accelerator)
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


class _FullPrecisionInputs(MixedPrecision):
    """Mixed precision that does not round inputs and targets.

    In bfloat16 an MFCC of -500 is off by one, and autocast rounds the input of each layer anyway.
    """

    def convert_input(self, data: Any) -> Any:
        """Return the data unchanged."""
        return data
