"""The study of planted relations: arms differ from the control by their relations and graph alone."""

from __future__ import annotations

from ablata.base.settings import diff, settings_hash
from ablata.data.detection.class_graph import Cooccurrence, IdentityGraph, RandomGraph
from ablata.models.detection.relations.spatial_relation import GaussianWeights, ReluWeights
from ablata.studies.catalogue.relations import relation_planted
from ablata.studies.chain import lineage
from ablata.tasks.detection.task import Detect


def arms() -> dict[str, Detect]:
    return {name: recipe for name, recipe in relation_planted().recipes.items() if isinstance(recipe, Detect)}


def test_arms_differ_by_relations_and_graph_alone() -> None:
    recipes = arms()
    assert len(recipes) == 7
    for name, recipe in recipes.items():
        changed = [change.key for change in diff(recipes["control"], recipe)]
        assert all(key.startswith(("model.relations", "graph")) for key in changed)
        assert bool(changed) == (name != "control")


def test_arms_have_the_relations_of_their_names() -> None:
    for name, recipe in arms().items():
        relations = recipe.model.relations
        if relations is None:
            assert name == "control"
            continue
        assert (relations.classes is not None) == ("class" in name or "graph" in name)
        assert (relations.spatial is not None) == ("spatial" in name)
        expected = {"identity_graph": IdentityGraph, "random_graph": RandomGraph}.get(name, Cooccurrence)
        assert isinstance(recipe.graph, expected)
        if relations.spatial is not None:
            assert isinstance(relations.spatial.weights, GaussianWeights if "gaussian" in name else ReluWeights)


def test_all_arms_go_on_from_one_plain_detector() -> None:
    parents = [lineage(recipe)[0] for recipe in arms().values()]
    assert {settings_hash(parent) for parent in parents} == {settings_hash(parents[0])}
    assert isinstance(parents[0], Detect)
    assert parents[0].model.relations is None
    assert all(len(lineage(recipe)) == 2 for recipe in arms().values())
