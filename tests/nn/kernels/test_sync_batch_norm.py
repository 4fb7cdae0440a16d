"""Two gloo processes with synchronised batch normalisation equal one process on the joined batch."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from ablata.nn.kernels.sync_batch_norm import SyncBatchNorm, convert_sync_batchnorm

PROCESS = Path(__file__).with_name("sync_batch_norm_process.py")


@pytest.fixture(scope="module")
def ranks_and_reference(tmp_path_factory: pytest.TempPathFactory) -> tuple[list[dict[str, Tensor]], dict[str, Tensor]]:
    folder = tmp_path_factory.mktemp("sync")
    torch.manual_seed(0)
    data = {f"x{step}": torch.randn(7, 3, 4, 4) * 2 + 30 for step in range(2)}
    data |= {f"g{step}": torch.randn(7, 3, 4, 4) for step in range(2)}
    net = nn.Sequential(nn.BatchNorm2d(3), nn.ReLU(), nn.BatchNorm2d(3, momentum=None))
    for norm in (net[0], net[2]):
        nn.init.normal_(norm.weight)
        nn.init.normal_(norm.bias)
    save_file(data, folder / "data.safetensors")
    save_file(dict(net.state_dict()), folder / "weights.safetensors")
    processes = [subprocess.Popen([sys.executable, PROCESS, str(rank), str(folder)]) for rank in range(2)]
    assert [process.wait(timeout=120) for process in processes] == [0, 0]

    net.double()
    reference = {}
    for step in range(2):
        x = data[f"x{step}"].double().requires_grad_()
        net.zero_grad()
        y = net(x)
        (y * data[f"g{step}"]).sum().backward()
        reference |= {f"y{step}": y.detach(), f"dx{step}": x.grad}
        reference |= {f"d{name}{step}": parameter.grad.clone() for name, parameter in net.named_parameters()}
    reference |= {name: value.clone() for name, value in net.state_dict().items()}
    return [load_file(folder / f"rank{rank}.safetensors") for rank in range(2)], reference


def close(found: Tensor, expected: Tensor) -> None:
    torch.testing.assert_close(found.to(expected.dtype), expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("step", [0, 1])
def test_outputs_and_input_gradients_are_those_of_the_joined_batch(ranks_and_reference, step: int) -> None:
    ranks, reference = ranks_and_reference
    for name in (f"y{step}", f"dx{step}"):
        # Step 0 starts from a running mean of 0 with data around 30, the worst case for the sums.
        joined = torch.cat([rank[name] for rank in ranks]).double()
        torch.testing.assert_close(joined, reference[name], rtol=1e-4, atol=5e-5)


def test_parameter_gradients_add_up_to_those_of_the_joined_batch(ranks_and_reference) -> None:
    ranks, reference = ranks_and_reference
    names = [name for name in reference if name.startswith("d") and name[1].isdigit()]
    assert len(names) == 8
    for name in names:
        torch.testing.assert_close(ranks[0][name].double(), reference[name], rtol=1e-4, atol=5e-4)


def test_running_statistics_are_those_of_the_joined_batch_in_both_processes(ranks_and_reference) -> None:
    ranks, reference = ranks_and_reference
    for name in reference:
        if "running" in name or "tracked" in name:
            close(ranks[0][name], reference[name])
            assert torch.equal(ranks[0][name], ranks[1][name])


def test_one_value_a_channel_in_all_processes_is_refused(ranks_and_reference) -> None:
    ranks, _ = ranks_and_reference
    assert [int(rank["refused"]) for rank in ranks] == [1, 1]


def test_conversion_keeps_parameters_buffers_modes_and_their_names() -> None:
    net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4, eps=0.1), nn.Sequential(nn.BatchNorm1d(4, affine=False)))
    net.eval()
    before = net.state_dict(keep_vars=True)
    converted = convert_sync_batchnorm(net)
    after = converted.state_dict(keep_vars=True)
    assert list(before) == list(after)
    assert all(before[name] is after[name] for name in before)
    assert isinstance(converted[1], SyncBatchNorm)
    assert isinstance(converted[2][0], SyncBatchNorm)
    assert (converted[1].eps, converted[1].training) == (0.1, False)


def test_in_one_process_it_is_batch_normalisation_bit_for_bit() -> None:
    torch.manual_seed(0)
    plain, x = nn.BatchNorm2d(3), torch.randn(4, 3, 5, 5)
    synchronised = convert_sync_batchnorm(nn.BatchNorm2d(3))
    assert torch.equal(plain(x), synchronised(x))
    assert torch.equal(plain.running_var, synchronised.running_var)
