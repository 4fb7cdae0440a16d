"""Studies whose noise is read from single items."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from ablata.api.flipped import keep_flipped
from ablata.base.errors import DataError, SettingsError
from ablata.records import Ledger
from ablata.records.questions.study_items import NoItems, study_items
from ablata.records.run_folder.item_images import LIMIT_BYTES, read_item_image, write_item_images
from ablata.records.run_folder.items import ItemScores, write_items
from ablata.reports.collect import study_view
from ablata.reports.items.evidence import item_sections
from ablata.reports.items.flips import MOST_FLIPS
from ablata.reports.sections import GridSection, ImageSection, TableSection, TermsSection
from ablata.stats.items.noise import ItemPrior
from ablata.studies.assess import assess
from ablata.studies.evidence import PRIOR, PRIOR_STUDIES, UNLEARNT, known_prior
from ablata.studies.identity import new_run, record_environment
from ablata.studies.launch import create
from ablata.studies.study import Study

KEY = "val/plain/top1"
CHANCES = {"control": 0.80, "wide": 0.90}
NAMES = tuple(map(str, range(400)))


def fill(
    ledger: Ledger, study: Study, end: Callable[..., None], rows: int, without: tuple[str, int] | None = None
) -> None:
    """End runs of hits and misses, with their items but for one."""
    environment = record_environment(ledger)
    hard = np.random.default_rng(9).random(len(NAMES))
    for row in range(rows):
        for arm, chance in CHANCES.items():
            rng = np.random.default_rng([row, len(arm)])
            values = 100.0 * (hard + 0.1 * rng.standard_normal(len(NAMES)) < chance)
            run = ledger.studies.enqueue(
                study.name, arm, new_run(ledger, study.recipes[arm], study.seed_row(row), environment)
            )
            if (arm, row) != without:
                write_items(ledger.runs.folder(run), ItemScores("val", "plain", NAMES, {"top1": values}))
            end(run, float(values.mean()))


@pytest.fixture
def asked(recorded: Callable[..., Study]) -> Callable[..., Study]:
    def make(**parts: object) -> Study:
        return recorded(**{"arms": {"wide": ("model.width=6",)}, "noise": "items", "futility": False, **parts})

    return make


def test_items_settle_a_study_before_its_scores_do(ledger: Ledger, asked: Callable, end_run: Callable) -> None:
    study = asked()
    fill(ledger, study, end_run, 2)
    found = assess(ledger, study.name)
    assert found.replay is not None
    last = found.replay.outcomes[0].last
    assert found.without_items == ""
    assert last.dof is not None
    assert last.dof > 5
    assert found.replay.outcomes[0].verdict == "better"
    spec = ledger.studies.get(study.name).spec
    assert ItemPrior.from_json(spec[PRIOR]) == UNLEARNT
    assert spec[PRIOR_STUDIES] == []


def test_a_run_without_items_is_judged_by_its_score_and_that_is_told(
    ledger: Ledger, asked: Callable, end_run: Callable
) -> None:
    study = asked()
    fill(ledger, study, end_run, 5, without=("wide", 1))
    found = assess(ledger, study.name)
    assert "kept none" in found.without_items
    assert found.as_look()["without_items"] == found.without_items
    assert found.replay is not None
    assert found.replay.outcomes[0].verdict == "better"


def test_items_whose_mean_is_not_the_score_do_not_count(ledger: Ledger, asked: Callable, end_run: Callable) -> None:
    study = asked()
    fill(ledger, study, end_run, 2)
    run = ledger.studies.cells(study.name)[0].run
    write_items(ledger.runs.folder(run), ItemScores("val", "plain", NAMES, {"top1": np.zeros(len(NAMES))}))
    assert "have the mean 0, not its" in assess(ledger, study.name).without_items


def test_a_study_that_did_not_ask_for_items_is_judged_as_ever(
    ledger: Ledger, asked: Callable, end_run: Callable
) -> None:
    study = asked(noise="scores")
    fill(ledger, study, end_run, 3)
    found = assess(ledger, study.name)
    assert PRIOR not in ledger.studies.get(study.name).spec
    assert "noise" not in study.spec()
    assert found.replay is not None
    assert found.replay.outcomes[0].last.dof is not None
    assert found.replay.outcomes[0].last.dof < 5


def test_the_noise_of_items_is_learnt_from_earlier_studies_and_then_fixed(
    ledger: Ledger, asked: Callable, end_run: Callable
) -> None:
    first = asked(name="first", noise="scores")
    fill(ledger, first, end_run, 5)
    prior, names = known_prior(ledger, first.recipes["control"].name, KEY)
    assert names == ("first",)
    assert prior.level != UNLEARNT.level
    assert (prior.between, prior.within) == (UNLEARNT.between, UNLEARNT.within)
    later = asked(name="later", seeds=4)
    assert ledger.studies.get("later").spec[PRIOR_STUDIES] == ["first"]
    before = ledger.studies.get("later").spec
    fill(ledger, asked(name="third", first_seed=20), end_run, 3)
    create(ledger, later)
    assert ledger.studies.get("later").spec == before


def test_items_and_a_history_are_not_both_the_noise(make_study: Callable[..., Study]) -> None:
    with pytest.raises(SettingsError, match="noise must be one of"):
        make_study(noise="pixels")
    with pytest.raises(SettingsError, match="noise=items and factors"):
        make_study(arms={}, noise="items", factors={"a": ("model.width=6",), "b": ("optim.lr=0.01",)})
    with pytest.raises(SettingsError, match="regular expression"):
        make_study(clusters="(")


def test_the_page_says_what_single_images_say(ledger: Ledger, asked: Callable, end_run: Callable) -> None:
    study = asked(noise="scores", clusters="^(.)")
    fill(ledger, study, end_run, 3)
    assert item_sections(ledger, study.name) == ()
    assessment = assess(ledger, study.name)
    ledger.studies.add_look(study.name, assessment.rows, assessment.as_look())
    table, drawn = item_sections(ledger, study.name)
    assert isinstance(table, TableSection)
    assert "400 images in 10 groups were scored: one of them is worth 0.25 points" in table.caption
    ((arm, other, flipped),) = table.rows
    assert (arm.text, drawn.title) == ("wide", "Images that flip")
    assert "to +" in other.note
    assert flipped.text.split(" / ")[0] > "0"


def test_runs_without_items_leave_the_page_as_it_was(ledger: Ledger, asked: Callable, end_run: Callable) -> None:
    study = asked(noise="scores")
    fill(ledger, study, end_run, 3, without=("control", 0))
    assessment = assess(ledger, study.name)
    ledger.studies.add_look(study.name, assessment.rows, assessment.as_look())
    assert item_sections(ledger, study.name) == ()


def look(ledger: Ledger, study: Study) -> None:
    found = assess(ledger, study.name)
    ledger.studies.add_look(study.name, found.rows, found.as_look())


def test_items_that_do_not_fit_together_are_told_on_the_page(
    ledger: Ledger, asked: Callable, end_run: Callable
) -> None:
    study = asked(noise="scores")
    fill(ledger, study, end_run, 3)
    look(ledger, study)
    run = ledger.studies.cells(study.name)[-1].run
    write_items(ledger.runs.folder(run), ItemScores("val", "plain", NAMES[1:], {"top1": np.zeros(len(NAMES) - 1)}))
    (told,) = item_sections(ledger, study.name)
    assert isinstance(told, TermsSection)
    assert told.sentences[0].endswith("it lacks '0'.")
    ledger.events.add("warning", "items", "its items are not used: named twice", run_id=run.id)
    assert f"Run {run.id}: its items are not used: named twice." in study_view(ledger, study.name).caveats


def test_a_rule_that_groups_no_images_is_told(ledger: Ledger, asked: Callable, end_run: Callable) -> None:
    study = asked(noise="scores", clusters="video")
    fill(ledger, study, end_run, 3)
    look(ledger, study)
    table, *_ = item_sections(ledger, study.name)
    assert isinstance(table, TableSection)
    assert "No two of them belong together by --clusters 'video'; a name among them is '0'." in table.caption


def test_where_no_image_has_a_part_in_the_score_that_of_each_alone_stands_in(
    ledger: Ledger, asked: Callable, end_run: Callable
) -> None:
    study = asked(noise="scores")
    environment = record_environment(ledger)
    for row in range(3):
        for arm in CHANCES:
            values = np.random.default_rng([row, len(arm)]).random(40)
            new = new_run(ledger, study.recipes[arm], study.seed_row(row), environment)
            run = ledger.studies.enqueue(study.name, arm, new)
            write_items(ledger.runs.folder(run), ItemScores("val", "plain", NAMES[:40], {"image_top1": values}))
            end_run(run, 50.0 + row + len(arm), **{"val/plain/image_top1": float(values.mean())})
    look(ledger, study)
    table, *flips = item_sections(ledger, study.name)
    assert isinstance(table, TableSection)
    assert table.columns == ("Arm", "image_top1 on other images", "Won / lost", "image_top1")
    assert "No image has a part of its own in top1" in table.caption
    assert flips
    # The noise of the scores is never read from what only stands in their place.
    found = study_items(ledger, study.spec()["metric"], [cell.run for cell in ledger.studies.cells(study.name)])
    assert isinstance(found, NoItems)


def test_images_that_flip_are_drawn_and_without_their_data_named(
    ledger: Ledger, asked: Callable, end_run: Callable, monkeypatch: pytest.MonkeyPatch
) -> None:
    study = asked()
    fill(ledger, study, end_run, 3)
    found = assess(ledger, study.name)
    ledger.studies.add_look(study.name, found.rows, found.as_look())
    (named,) = [one for one in item_sections(ledger, study.name, "Gone.") if one.ident == "flips"]
    assert isinstance(named, GridSection)
    assert named.caption.endswith("Gone.")

    def gone(*given: object) -> None:
        raise DataError("The data must be there", found="no folder")

    with monkeypatch.context() as patch:
        patch.setattr(type(study.recipes["control"]), "item_images", gone)
        assert keep_flipped(ledger, study.name).endswith("cannot be read here: no folder.")
    assert keep_flipped(ledger, study.name) == ""
    (drawn,) = [one for one in item_sections(ledger, study.name) if one.ident == "flips-0"]
    assert isinstance(drawn, ImageSection)
    assert 0 < len(drawn.images) <= 2 * MOST_FLIPS
    assert "won: right in 0 of 2 seeds with control, in 2 with wide" in drawn.images[0].caption
    assert sum(len(image.source) for image in drawn.images) < 100_000


def test_an_image_that_is_none_or_too_large_is_not_read(tmp_path: Path) -> None:
    jpeg = b"\xff\xd8\xff"
    write_item_images(tmp_path, "val", {"../a/b": jpeg, "text": b"<svg", "large": jpeg + bytes(LIMIT_BYTES)})
    assert [read_item_image(tmp_path, "val", item) for item in ("../a/b", "text", "large", "none")] == [
        jpeg, None, None, None,
    ]  # fmt: skip
    assert {path.parent for path in tmp_path.rglob("*.jpg")} == {tmp_path / "items" / "images"}
