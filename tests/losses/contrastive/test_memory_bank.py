"""The memory of pixels and regions: pure, first in first out, of unit length, complete, never ignored, resumed."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from ablata.losses.contrastive.memory_bank import ClassQueues, MemoryBank, mean_regions
from ablata.losses.contrastive.pixel_contrast import PixelContrast, gather_unit_vectors, resize_nearest
from ablata.nn.projection import Projection


@settings(max_examples=60, deadline=None)
@given(
    batches=st.lists(st.lists(st.integers(-1, 4), max_size=12), max_size=5),
    length=st.integers(1, 5),
)
def test_queues_hold_the_newest_of_their_own_class_in_the_order_they_came(
    batches: list[list[int]], length: int
) -> None:
    queues, expected = ClassQueues(3, length, 2), {label: [] for label in range(3)}
    angle = 0
    for labels in batches:
        angles = [angle + i for i in range(len(labels))]
        angle += len(labels)
        vectors = torch.tensor([[torch.cos(torch.tensor(0.1 * a)), torch.sin(torch.tensor(0.1 * a))] for a in angles])
        queues.add(3.0 * vectors.view(-1, 2), torch.tensor(labels, dtype=torch.int64))
        for a, label in zip(angles, labels, strict=True):
            if label in expected:
                expected[label] = [*expected[label], a][-length:]
    for label, held in expected.items():
        angles = torch.tensor(held) * 0.1
        torch.testing.assert_close(queues.oldest_first(label), torch.stack((angles.cos(), angles.sin()), 1).view(-1, 2))
    assert queues.filled.tolist() == [len(held) for held in expected.values()]


def test_what_is_read_has_the_right_class_and_unit_length_and_empty_slots_are_marked() -> None:
    queues = ClassQueues(3, 4, 2)
    queues.add(torch.tensor([[2.0, 0.0], [0.0, 5.0], [3.0, 4.0]]), torch.tensor([0, 2, 0]))
    vectors, labels, filled = queues.content()
    assert labels[filled].tolist() == [0, 0, 2]
    torch.testing.assert_close(vectors[filled], torch.tensor([[1.0, 0.0], [0.6, 0.8], [0.0, 1.0]]))
    assert int(filled.sum()) == 3


def test_regions_are_the_means_of_a_class_in_an_image() -> None:
    pixels = F.normalize(torch.randn(2, 7, 3, generator=torch.Generator().manual_seed(0)), dim=2)
    labels = torch.tensor([[0, 0, 2, 2, 2, -1, 0], [1, 1, 1, 1, -1, -1, -1]])
    means, classes = mean_regions(pixels, labels, 3)
    assert classes.tolist() == [0, -1, 2, -1, 1, -1]
    torch.testing.assert_close(means[2], pixels[0, 2:5].mean(0))
    torch.testing.assert_close(means[4], pixels[1, :4].mean(0))


def memory_of(**fields: int) -> PixelContrast:
    return PixelContrast(max_views=3, projection=Projection(width=6), memory=MemoryBank(**fields))


def test_the_memory_holds_the_images_pixels_of_every_class_and_nothing_ignored() -> None:
    torch.manual_seed(0)
    embedding, labels = torch.randn(2, 6, 5, 4), torch.randint(3, (2, 5, 4))
    labels[:, :2] = 255
    built = memory_of(pixels=50, regions=4, per_image=3).build_contrast(3)
    built(embedding, torch.randn(2, 3, 5, 4), labels)
    queue = built.queues["pixels"]
    for label in range(3):
        own = [int((labels[b] == label).sum()) for b in range(2)]
        held = queue.oldest_first(label)
        assert len(held) == sum(min(3, count) for count in own) > 0
        rows = (labels.flatten() == label).nonzero().flatten()
        assert ((held @ gather_unit_vectors(embedding, rows).T).amax(1) > 1 - 1e-6).all()
        assert len(built.queues["regions"].oldest_first(label)) == sum(count > 0 for count in own)
        torch.testing.assert_close(held.norm(dim=1), torch.ones(len(held)))


def test_labels_of_another_size_reach_the_memory_at_the_embeddings_places() -> None:
    torch.manual_seed(0)
    embedding, labels = torch.randn(1, 6, 4, 4), torch.randint(3, (1, 32, 32))
    built = memory_of(pixels=50, regions=0, per_image=16).build_contrast(3)
    built(embedding, torch.randn(1, 3, 4, 4), labels)
    small = resize_nearest(labels, (4, 4))
    assert built.queues["pixels"].filled.tolist() == [int((small == label).sum()) for label in range(3)]


def test_the_memory_gives_positives_and_negatives_to_a_batch_of_one_class() -> None:
    torch.manual_seed(0)
    labels = torch.arange(2)[:, None, None].expand(2, 4, 4)
    built = memory_of(pixels=8, regions=0).build_contrast(2)
    built(torch.randn(2, 6, 4, 4), torch.randn(2, 2, 4, 4), labels)
    alone = torch.randn(1, 6, 4, 4).requires_grad_()
    loss = built(alone, torch.randn(1, 2, 4, 4), labels[:1])
    loss.backward()
    assert loss.item() > 0
    assert alone.grad is not None
    assert alone.grad.any()


def test_a_memory_without_queues_is_no_memory() -> None:
    assert not memory_of(pixels=0, regions=0).build_contrast(2).queues


def test_a_resumed_memory_is_the_saved_one_and_goes_on_equally() -> None:
    torch.manual_seed(0)
    batches = [(torch.randn(1, 6, 4, 4), torch.randn(1, 3, 4, 4), torch.randint(3, (1, 4, 4))) for _ in range(3)]
    built, resumed = (memory_of(pixels=5, regions=2).build_contrast(3) for _ in range(2))
    for step in batches[:2]:
        built(*step)
    resumed.load_state({name: value.clone() for name, value in built.state().items()})
    values = []
    for each in (built, resumed):
        torch.manual_seed(1)
        values.append(each(*batches[2]))
    assert torch.equal(*values)
    assert all(torch.equal(value, resumed.state()[name]) for name, value in built.state().items())


def test_a_memory_of_another_size_is_refused() -> None:
    with pytest.raises(ValueError, match=r"must be of shape \(3, 5, 6\)"):
        memory_of(pixels=5).build_contrast(3).load_state(memory_of(pixels=4).build_contrast(3).state())


def test_processes_that_join_their_vectors_hold_equal_queues() -> None:
    torch.manual_seed(0)
    own = [(torch.randn(1, 6, 4, 4), torch.randn(1, 3, 4, 4), torch.randint(3, (1, 4, 4))) for _ in range(2)]
    sent: list[list[torch.Tensor]] = [[], []]
    for rank in range(2):
        torch.manual_seed(rank)
        note = lambda rows, rank=rank: sent[rank].append(rows) or rows  # noqa: E731
        memory_of(pixels=9, regions=3).build_contrast(3, all_gather=note)(*own[rank])
    held = []
    for rank in range(2):
        torch.manual_seed(rank)
        answers = iter([torch.cat(pair) for pair in zip(*sent, strict=True)])
        built = memory_of(pixels=9, regions=3).build_contrast(3, all_gather=lambda rows, answers=answers: next(answers))
        built(*own[rank])
        held.append(built.state())
    assert all(torch.equal(value, held[1][name]) for name, value in held[0].items())
