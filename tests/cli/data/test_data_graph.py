"""`ablata data graph`: class graphs of recipes, kinds and folders, and their way into a training."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from PIL import Image

from ablata.data.detection.class_graph import read_graph

SMALL = ("data.train=40", "data.val=2")


def test_a_kind_is_counted_written_and_drawn(ablata: Callable, tmp_path: Path) -> None:
    file = tmp_path / "out" / "graph.json"
    answer = ablata("data", "graph", "scene_boxes", *SMALL, "--normalize", "conditional", "--output", str(file))
    assert answer.status == 0
    graph = read_graph(file)
    ring, cross, bead = (graph.names.index(name) for name in ("ring", "cross", "bead"))
    assert graph.matrix[bead, ring] == 1
    assert graph.matrix[bead, cross] == graph.matrix[ring, cross] == 0
    assert "40 training images" in answer.out
    assert f"graph.path={file}" in answer.err
    drawn = "".join(ElementTree.parse(file.with_suffix(".svg")).getroot().itertext())
    assert all(name in drawn for name in graph.names)


def test_options_are_the_settings_of_the_graph(ablata: Callable) -> None:
    options = ("--classes", "bead", "--classes", "beside square", "--smoothing", "2", "--self-loops", "none")
    assert ablata("data", "graph", "scene_boxes", *SMALL, *options, "--background", "self").status == 0
    origin = read_graph(Path("graph.json")).origin
    assert origin["classes"] == ["bead", "beside square"]
    assert (origin["smoothing"], origin["self_loops"], origin["background"]) == (2, "none", "self")


def test_the_controls_are_the_identity_and_the_same_weights_elsewhere(ablata: Callable) -> None:
    assert ablata("data", "graph", "scene_boxes", *SMALL).status == 0
    true = read_graph(Path("graph.json")).matrix
    random = ("--control", "random", "--seed", "3", "--output", "random.json", "--image", "other.svg")
    assert ablata("data", "graph", "scene_boxes", *SMALL, *random).status == 0
    shuffled = read_graph(Path("random.json")).matrix
    assert Path("other.svg").is_file()
    assert not np.allclose(shuffled, true)
    np.testing.assert_allclose(np.sort(shuffled, axis=None), np.sort(true, axis=None))
    assert ablata("data", "graph", "scene_boxes", *SMALL, "--control", "identity").status == 0
    assert np.array_equal(read_graph(Path("graph.json")).matrix, np.eye(8))


def test_a_recipe_shows_its_own_graph(ablata: Callable) -> None:
    assert ablata("data", "graph", "relation_rcnn_scenes", *SMALL, "graph.normalize=pmi").status == 0
    assert read_graph(Path("graph.json")).origin["normalize"] == "pmi"


def voc_folder(root: Path) -> None:
    """Two images of blood, the first with a box of no size."""
    for folder in ("ImageSets/Main", "Annotations", "JPEGImages"):
        (root / folder).mkdir(parents=True)
    box = "<object><name>{}</name><bndbox><xmin>{}</xmin><ymin>2</ymin><xmax>9</xmax><ymax>9</ymax></bndbox></object>"
    for source in ("train", "val"):
        (root / "ImageSets" / "Main" / f"{source}.txt").write_text(f"{source}\n")
        Image.new("RGB", (30, 20)).save(root / "JPEGImages" / f"{source}.jpg")
        objects = box.format("RBC", 2) + box.format("WBC", 3) + box.format("WBC", 9)
        (root / "Annotations" / f"{source}.xml").write_text(f"<annotation>{objects}</annotation>")


def test_a_folder_of_boxes_alone_is_counted_and_its_faults_are_told(ablata: Callable, tmp_path: Path) -> None:
    voc_folder(tmp_path / "cells")
    answer = ablata("data", "graph", str(tmp_path / "cells"), "--normalize", "counts")
    assert answer.status == 0
    assert "train.xml" in answer.err
    graph = read_graph(Path("graph.json"))
    assert graph.names == ("background", "Platelets", "RBC", "WBC")
    assert graph.counts.tolist() == [[0, 0, 0], [0, 1, 1], [0, 1, 1]]


WRONG: dict[str, tuple[tuple[str, ...], str]] = {
    "normalize": (("scene_boxes", "--normalize", "symetric"), "did you mean graph.normalize=symmetric?"),
    "control": (("scene_boxes", "--control", "file"), "identity or random"),
    "identity with an option": (("scene_boxes", "--control", "identity", "--smoothing", "1"), "--smoothing"),
    "seed of nothing": (("scene_boxes", "--seed", "1"), "--control random"),
    "class": (("scene_boxes", *SMALL, "--classes", "beed"), "beed"),
    "smoothing": (("scene_boxes", "--smoothing=-1"), "graph.smoothing"),
    "another task": (("digits",), "classify"),
    "a word": (("scene_box",), "did you mean scene_boxes?"),
    "an empty folder": (("./",), "none of these layouts"),
    "no folder": (("./nowhere",), "./nowhere"),
    "one file for both": (("scene_boxes", "--output", "graph.svg"), "graph.svg for both"),
}  # fmt: skip


def test_what_does_not_fit_is_refused_in_words(ablata: Callable, subtests: pytest.Subtests) -> None:
    for fault in WRONG:
        with subtests.test(fault=fault):
            arguments, said = WRONG[fault]
            answer = ablata("data", "graph", *arguments)
            assert answer.status == 2
            assert said in answer.err
            assert "Traceback" not in answer.err
            assert not Path("graph.json").exists()


TINY = (*SMALL, "train.steps=1", "train.batch=2", "train.evaluate_batch=2", "compute.threads=1")


def test_a_written_graph_trains(ablata: Callable) -> None:
    assert ablata("data", "graph", "scene_boxes", *SMALL, "--control", "random").status == 0
    graph = ("graph=file", "graph.path=graph.json")
    assert ablata("train", "relation_rcnn_scenes", *TINY, *graph).status == 0


def test_a_graph_of_other_names_is_refused_with_both_sides(ablata: Callable) -> None:
    assert ablata("data", "graph", "scene_boxes", *SMALL).status == 0
    tree = json.loads(Path("graph.json").read_text())
    tree["names"][1] = "hoop"
    Path("graph.json").write_text(json.dumps(tree))
    answer = ablata("train", "relation_rcnn_scenes", *TINY, "graph=file", "graph.path=graph.json")
    assert answer.status == 2
    assert "only in the graph: hoop; only in the data: ring" in answer.err


@pytest.mark.realdata
@pytest.mark.parametrize(("name", "classes"), [("chest_xray", 13), ("penn_fudan", 1), ("blood_cells", 3)])
def test_folders_of_real_sets_are_recognised(ablata: Callable, data_home: Path, name: str, classes: int) -> None:
    answer = ablata("data", "graph", str(data_home / name), "--normalize", "symmetric")
    assert answer.status == 0
    assert len(read_graph(Path("graph.json")).names) == classes + 1
