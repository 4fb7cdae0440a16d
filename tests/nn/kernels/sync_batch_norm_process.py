"""One of two processes that normalise their shares of a batch: the test beside it starts `python FILE RANK FOLDER`."""

from __future__ import annotations

import sys
from pathlib import Path

import torch
import torch.distributed as dist
from safetensors.torch import load_file, save_file
from torch import nn

from ablata.nn.kernels.sync_batch_norm import convert_sync_batchnorm


def main(rank: int, folder: Path) -> None:
    """Run two training steps on this rank's share and save what came out."""
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=(folder / "meeting").as_uri(), rank=rank, world_size=2)
    data = load_file(folder / "data.safetensors")
    net = nn.Sequential(nn.BatchNorm2d(3), nn.ReLU(), nn.BatchNorm2d(3, momentum=None))
    net.load_state_dict(load_file(folder / "weights.safetensors"))
    net = convert_sync_batchnorm(net)
    results = {}
    for step in range(2):
        # The shares differ in size: five samples and two.
        share = slice(0, 5) if rank == 0 else slice(5, 7)
        x = data[f"x{step}"][share].clone().requires_grad_()
        net.zero_grad()
        y = net(x)
        (y * data[f"g{step}"][share]).sum().backward()
        results |= {f"y{step}": y.detach(), f"dx{step}": x.grad}
        for name, parameter in net.named_parameters():
            dist.all_reduce(parameter.grad)
            results[f"d{name}{step}"] = parameter.grad.clone()
    results |= dict(net.state_dict())
    single = nn.Sequential(convert_sync_batchnorm(nn.BatchNorm1d(3)))
    try:
        single(torch.zeros(1 - rank, 3))
    except ValueError as error:
        results["refused"] = torch.tensor([int("more than one value" in str(error))])
    save_file({name: value.contiguous() for name, value in results.items()}, folder / f"rank{rank}.safetensors")
    dist.destroy_process_group()


if __name__ == "__main__":
    main(int(sys.argv[1]), Path(sys.argv[2]))
