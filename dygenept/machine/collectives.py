"""What the processes of one training tell each other; in one process each says what it was told.

``processes`` says which processes there are. This module imports torch only where there are
several.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from dygenept.errors import DistributedError
from dygenept.machine import processes

if TYPE_CHECKING:
    import torch


def broadcast(tensors: Sequence[torch.Tensor]) -> None:
    """Overwrite tensors with the writer's."""
    if processes.current().size == 1:
        return
    from torch import distributed

    for tensor in tensors:
        distributed.broadcast(tensor, src=0)


def told(value: Any) -> Any:
    """Return the writer's value in every process; it can be pickled."""
    if processes.current().size == 1:
        return value
    from torch import distributed

    box = [value if processes.current().is_writer else None]
    distributed.broadcast_object_list(box, src=0)
    return box[0]


def total(tensor: torch.Tensor) -> torch.Tensor:
    """Sum a tensor over processes; it stays where it is and as it is.

    Args:
        tensor: On any device; a copy on the process's own one travels.
    """
    world = processes.current()
    if world.size == 1:
        return tensor
    import torch
    from torch import distributed

    is_nccl = distributed.get_backend() == "nccl"
    device = torch.device("cuda", torch.cuda.current_device()) if is_nccl else torch.device("cpu")
    summed = tensor.detach().to(device, copy=True)
    distributed.all_reduce(summed)
    return summed.to(tensor.device)


def any_of(flag: bool) -> bool:
    """True in every process if it is in one."""
    if processes.current().size == 1:
        return flag
    import torch

    return bool(total(torch.tensor([int(flag)])))


def share_of(n: int) -> slice:
    """Return the positions out of n that this process takes."""
    world = processes.current()
    return slice(world.rank * n // world.size, (world.rank + 1) * n // world.size)


def gathered(rows: torch.Tensor, mine: slice, n: int) -> torch.Tensor:
    """Put the rows of all processes together.

    Args:
        rows: Rows ``mine`` of the whole, as ``share_of(n)`` gave them; what follows them is left
            out, so that a process without rows of its own can show their shape by any one.
        mine: Their positions.
        n: Rows of the whole.
    """
    if processes.current().size == 1:
        return rows
    whole = rows.new_zeros(n, *rows.shape[1:])
    whole[mine] = rows[: mine.stop - mine.start]
    return total(whole)


def check_agreement(values: Sequence[int], what: str) -> None:
    """Check that every process has the writer's whole numbers.

    Raises:
        DistributedError: If one has not.
    """
    if processes.current().size == 1:
        return
    import torch

    mine = torch.tensor(values, dtype=torch.int64)
    theirs = mine.clone() if processes.current().is_writer else torch.zeros_like(mine)
    theirs = total(theirs)
    differs = total(torch.tensor([int(not torch.equal(mine, theirs))]))
    if int(differs):
        raise DistributedError(
            f"the processes do not agree on {what}; all of them must see the same folder, data "
            "and options"
        )
