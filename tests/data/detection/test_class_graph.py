"""Graphs over classes: values worked out by hand, controls, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest

from ablata.base.errors import DataError
from ablata.data.detection.class_graph import Cooccurrence, GraphFile, IdentityGraph, RandomGraph, read_graph
from ablata.data.drawing.class_graph import graph_svg

NAMES = ("a", "b", "c")
PRESENCE = np.array([[1, 1, 0], [2, 0, 0], [1, 3, 1], [0, 1, 0]])


def foreground(settings: Cooccurrence) -> np.ndarray:
    return settings.build(PRESENCE, NAMES).matrix[1:, 1:]


def test_counts_are_images_and_not_objects() -> None:
    graph = Cooccurrence(normalize="counts", self_loops="counted").build(PRESENCE, NAMES)
    assert graph.counts.tolist() == [[3, 2, 1], [2, 3, 1], [1, 1, 1]]
    assert graph.matrix[1:, 1:].tolist() == graph.counts.tolist()
    assert graph.images == 4


def test_conditional_weights_are_probabilities_of_the_column_where_the_row_is() -> None:
    matrix = foreground(Cooccurrence(normalize="conditional"))
    expected = [[1, 2 / 3, 1 / 3], [2 / 3, 1, 1 / 3], [1, 1, 1]]
    np.testing.assert_allclose(matrix, expected)


def test_symmetric_weights_divide_by_degrees_without_the_diagonal() -> None:
    matrix = foreground(Cooccurrence(normalize="symmetric"))
    expected = [[1, 2 / 3, 0.408248], [2 / 3, 1, 0.408248], [0.408248, 0.408248, 1]]
    np.testing.assert_allclose(matrix, expected, atol=1e-6)


def test_pmi_is_positive_for_pairs_seen_more_often_than_by_chance() -> None:
    matrix = foreground(Cooccurrence(normalize="pmi", self_loops="none"))
    expected = np.log([[1, 1, 4 / 3], [1, 1, 4 / 3], [4 / 3, 4 / 3, 1]])
    np.testing.assert_allclose(matrix, expected, atol=1e-12)


@pytest.mark.parametrize(("policy", "row"), [("zero", [0, 0, 0, 0]), ("self", [1, 0, 0, 0])])
def test_the_background_is_tied_to_nothing(policy: str, row: list[float]) -> None:
    matrix = Cooccurrence.model_validate({"background": policy}).build(PRESENCE, NAMES).matrix
    assert matrix[0].tolist() == matrix[:, 0].tolist() == row


def test_a_background_on_every_image_is_counted_like_a_class() -> None:
    matrix = Cooccurrence(normalize="conditional", background="every").build(PRESENCE, NAMES).matrix
    np.testing.assert_allclose(matrix[0], [1, 3 / 4, 3 / 4, 1 / 4])
    np.testing.assert_allclose(matrix[:, 0], 1)


def test_classes_that_do_not_take_part_have_no_weight() -> None:
    matrix = foreground(Cooccurrence(normalize="symmetric", classes=("a", "c")))
    assert matrix[1].tolist() == matrix[:, 1].tolist() == [0, 0, 0]
    np.testing.assert_allclose(matrix[0], [1, 0, 1])


def test_a_class_never_seen_has_no_ties_without_smoothing_and_some_with_it() -> None:
    for normalize in ("counts", "conditional", "symmetric", "pmi"):
        presence = np.concatenate([PRESENCE, np.zeros((4, 1), dtype=np.int64)], axis=1)
        chosen = {"normalize": normalize, "self_loops": "none"}
        bare = Cooccurrence.model_validate(chosen).build(presence, (*NAMES, "d")).matrix
        smooth = Cooccurrence.model_validate(chosen | {"smoothing": 0.5}).build(presence, (*NAMES, "d")).matrix
        assert np.isfinite(bare).all()
        assert not bare[4].any()
        assert np.isfinite(smooth).all()
        if normalize != "pmi":
            assert (smooth[4, 1:4] > 0).all()


def test_the_identity_control_ties_every_class_to_itself() -> None:
    assert np.array_equal(IdentityGraph().build(PRESENCE, NAMES).matrix, np.eye(4))


def test_the_random_control_has_the_true_weights_between_other_classes() -> None:
    names = tuple("abcdef")
    presence = np.random.default_rng(0).integers(0, 2, (40, 6))
    true = Cooccurrence().build(presence, names).matrix
    shuffled = RandomGraph().build(presence, names).matrix
    np.testing.assert_allclose(shuffled, shuffled.T)
    np.testing.assert_allclose(np.diag(shuffled), np.diag(true))
    np.testing.assert_allclose(np.sort(shuffled, axis=None), np.sort(true, axis=None))
    assert not np.allclose(shuffled, true)
    assert np.array_equal(RandomGraph().build(presence, names).matrix, shuffled)
    assert not np.array_equal(RandomGraph(graph_seed=1).build(presence, names).matrix, shuffled)


def test_a_graph_survives_being_written_and_read(tmp_path: Path) -> None:
    graph = Cooccurrence(smoothing=0.1).build(PRESENCE, NAMES)
    graph.save(tmp_path / "deep" / "graph.json")
    again = GraphFile(path=str(tmp_path / "deep" / "graph.json")).build(PRESENCE, NAMES)
    assert again.names == graph.names
    assert np.array_equal(again.matrix, graph.matrix)
    assert np.array_equal(again.counts, graph.counts)
    assert again.origin == graph.origin


def test_a_graph_of_other_classes_is_refused_with_both_sides(tmp_path: Path) -> None:
    path = tmp_path / "graph.json"
    Cooccurrence().build(PRESENCE, NAMES).save(path)
    with pytest.raises(DataError, match="only in the graph: c; only in the data: d"):
        GraphFile(path=str(path)).build(PRESENCE, ("a", "b", "d"))
    with pytest.raises(DataError, match="another order"):
        GraphFile(path=str(path)).build(PRESENCE, ("b", "a", "c"))
    with pytest.raises(DataError, match="found: z"):
        Cooccurrence(classes=("a", "z")).build(PRESENCE, NAMES)


def test_damaged_graphs_are_refused_by_name(tmp_path: Path) -> None:
    path = tmp_path / "graph.json"
    with pytest.raises(DataError, match="No such file"):
        read_graph(path)
    Cooccurrence().build(PRESENCE, NAMES).save(path)
    tree = json.loads(path.read_text())
    path.write_text(json.dumps(tree | {"matrix": [[1, 2]]}))
    with pytest.raises(DataError, match="4 names"):
        read_graph(path)
    path.write_text(json.dumps(tree | {"format": "other"}))
    with pytest.raises(DataError, match="other"):
        read_graph(path)


def test_the_image_names_every_class_and_pair() -> None:
    names = ("a<b", "b", "c")
    tree = ElementTree.fromstring(graph_svg(Cooccurrence().build(PRESENCE, names)))
    texts = "".join(tree.itertext())
    assert all(name in texts for name in names)
    assert "a<b to b: 0.6667, 2 images" in texts
    assert len(tree.findall(".//{http://www.w3.org/2000/svg}rect")) == 1 + 16
