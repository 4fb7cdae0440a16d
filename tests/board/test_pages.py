"""What the pages show, and that what comes from users stays text."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from ablata.board.lab import Lab
from ablata.board.pages.data import named_images
from ablata.board.pages.runs import _setting
from ablata.board.rendering import Board

from .conftest import HOSTILE, KEY, LOCAL, fill

PATHS = ("/studies", "/studies/done", "/studies/going-on", "/loops", "/runs", "/data", "/notes", "/machine", "/start")


def run_ids(client: TestClient) -> list[str]:
    return [one["id"] for one in client.get("/api/v1/runs").json()]


def test_the_list_shows_questions_verdicts_and_progress(shown: TestClient) -> None:
    page = shown.get("/studies").text
    assert "2 studies, 1 under way" in page
    assert "6 of 9 runs" in page
    assert "wide: better" in page
    assert "Does it help again?" not in shown.get("/studies?state=finished").text
    assert "open, finished" in shown.get("/studies?state=opened").text
    assert "No study matches." in shown.get("/studies?q=nothing+like+it").text
    assert "1 study" in shown.get("/studies?q=going-on").text


def test_a_page_has_the_version_of_before_its_data(shown: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[str] = []
    read = Lab.runs
    monkeypatch.setattr(Board, "version", lambda board: calls.append("version") or "as it was")
    monkeypatch.setattr(Lab, "runs", lambda lab: calls.append("data") or read(lab))
    answer = shown.get("/runs")
    assert 'data-version="as it was"' in answer.text
    assert int(answer.headers["x-took"]) >= 0
    assert calls[0] == "version"
    assert "data" in calls


def test_a_study_shows_verdicts_curves_looks_runs_and_what_to_type(shown: TestClient) -> None:
    page = shown.get("/studies/done").text
    for words in ("better by", '<h2 id="curves-heading"', "Every look at this study", "ablata study rm done"):
        assert words in page
    assert "Go on" not in page
    assert "ablata study run going-on" in shown.get("/studies/going-on").text


def test_curves_are_drawn_as_the_address_says(shown: TestClient) -> None:
    page = shown.get("/studies/done?axis=log&by=time&smooth=0.9&seeds=no&quantity=train/loss&from=0.1&to=0.9").text
    assert "Smoothed: each point is 0.1 of its value" in page
    assert "logarithmic axis" in page
    assert page.count('class="plot"') == 1
    assert 'data-high="0.89' in page
    assert shown.get("/studies/done?smooth=nonsense&from=nan&axis=%00").status_code == 200
    assert "No train/lose was logged" in shown.get("/studies/done?quantity=train/lose").text


def test_runs_are_filtered_sorted_and_given_columns(shown: TestClient) -> None:
    def found(query: str) -> list[str]:
        return re.findall(r'<td class="code"><a href="/runs/([a-z0-9]+)"', shown.get(f"/runs?{query}").text)

    assert len(found("")) == 10
    assert len(found("filter=arm:wide+state:completed")) == 3
    assert len(found("filter=model.width%3E16")) == 4
    assert len(found("filter=width%3C%3D16")) == 6
    assert len(found("filter=state:waiting")) == 1
    assert len(found("filter=top1%3E%3D93")) == 3
    assert found("sort=seed") == list(reversed(found("sort=-seed"))) or found("sort=seed")[0] != found("sort=-seed")[0]
    for query, said in (
        ("filter=%22open", "quotation marks"),
        ("filter=model.widht%3E16", "such as model.width"),
        ("columns=model.widht", "such as model.width"),
        ("sort=-model.widht", "such as model.width"),
    ):
        answer = shown.get(f"/runs?{query}")
        assert answer.status_code == 422
        assert said in answer.text
    assert found("sort=-width") == found("sort=-model.width") != found("sort=width")
    assert '<td class="number">32</td>' in shown.get("/runs?columns=width").text
    assert "model.width" in shown.get("/runs").text


def test_a_run_shows_scores_curves_events_settings_and_actions(shown: TestClient) -> None:
    run = next(one["id"] for one in shown.get("/api/v1/runs?filter=arm:wide+state:completed").json())
    page = shown.get(f"/runs/{run}").text
    for words in (KEY, "watchdog", "model.width", f"ablata runs rm {run}", "done: wide"):
        assert words in page


def test_up_to_eight_runs_are_compared(shown: TestClient) -> None:
    ids = run_ids(shown)
    page = shown.get("/runs/compare", params={"run": ids[:3]}).text
    assert "3 runs beside each other" in page
    assert shown.get("/runs/compare", params={"run": ids[:1]}).status_code == 400
    assert shown.get("/runs/compare", params={"run": [*ids, *"abc"]}).status_code == 400


def test_two_studies_are_compared_by_the_names_of_their_arms(shown: TestClient) -> None:
    page = shown.get("/studies/compare?first=done&second=going-on").text
    assert "done and going-on" in page
    assert "odd" in page


def test_what_comes_from_users_stays_text_on_every_page(shown: TestClient) -> None:
    run = run_ids(shown)[1]
    for path in (
        *PATHS,
        f"/runs/{run}",
        f"/runs?filter={HOSTILE}",
        f"/studies?q={HOSTILE}",
        f"/studies/{HOSTILE}",
        f"/runs?columns=model.note&sort={HOSTILE}",
    ):
        assert HOSTILE not in shown.get(path).text
    assert "&lt;script&gt;alert(1)" in shown.get("/studies").text


def test_what_is_not_there_is_told_in_words(shown: TestClient) -> None:
    for path in (
        "/studies/nothing",
        "/runs/zzzz",
        "/nowhere",
        "/machine/started/no",
        "/notes/file?source=/etc/passwd",
        "/data/look/..%2f..%2fx",
        "/data/set?fingerprint=none",
    ):
        answer = shown.get(path)
        assert answer.status_code == 404
        assert "Traceback" not in answer.text
        assert "root:" not in answer.text
    assert shown.get("/studies/compare?first=done").status_code == 422
    assert shown.get("/api/v1/runs/zzzz").json()["must"]


def test_a_page_can_be_kept_as_one_file(shown: TestClient) -> None:
    for path in ("/studies", "/studies/done", "/runs", "/machine"):
        kept = shown.get(f"{path}?copy=1")
        assert "attachment" in kept.headers["content-disposition"]
        assert "<script" not in kept.text
        assert "<nav" not in kept.text
        assert '<form method="post"' not in kept.text
        assert 'href="/' not in kept.text, "a link to another page of the board leads nowhere from a file"


@pytest.mark.parametrize("path", PATHS)
def test_pages_can_be_read_without_sight(shown: TestClient, path: str) -> None:
    page = shown.get(path).text
    assert '<html lang="en">' in page
    assert page.count("<h1>") == 1
    assert 'href="#main"' in page
    ids = re.findall(r' id="([^"]+)"', page)
    assert len(ids) == len(set(ids))
    bare = re.sub(r"<label.*?</label>", "", page, flags=re.DOTALL)
    for field in re.findall(r"<(?:input|select|textarea)[^>]*>", bare):
        assert 'type="hidden"' in field or "aria-label" in field
    for labelled in re.findall(r'aria-labelledby="([^"]+)"', page):
        assert set(labelled.split()) <= set(ids)


def test_links_of_pages_lead_to_pages(shown: TestClient) -> None:
    seen: set[str] = set()
    for path in PATHS:
        seen |= {link.replace("&amp;", "&") for link in re.findall(r'href="(/[^"]*)"', shown.get(path).text)}
    for link in sorted(link for link in seen if "copy=1" not in link):
        assert shown.get(link).status_code == 200, link


def test_an_empty_lab_says_how_to_begin(tmp_path: Path) -> None:
    from ablata.board.server import board_app
    from ablata.records import Ledger

    with Ledger(home=tmp_path / "new") as ledger, TestClient(board_app(ledger), base_url="http://localhost") as client:
        assert "ablata study run quickstart" in client.get("/studies").text
        for path in PATHS[3:]:
            assert client.get(path).status_code == 200


def test_what_curves_show_stands_in_a_table_too(shown: TestClient) -> None:
    page = shown.get("/studies/done").text
    assert "The values as a table" in page
    assert "<td>train/loss</td><td>control</td><td>3</td><td>39 " in page


def test_images_that_a_check_of_data_names_are_shown_and_none_from_outside(tmp_path: Path) -> None:
    (tmp_path / "set" / "a").mkdir(parents=True)
    for name in ("set/a/odd.jpg", "secret.png", "set/a/my photo, (1).png"):
        (tmp_path / name).write_bytes(b"x")
    said = f"unreadable: a/odd.jpg (cut off)\nodd: ../secret.png, {tmp_path}/secret.png\n"
    (image,) = named_images(said, [str(tmp_path / "set")])
    assert (image.alt, image.caption) == ("odd.jpg", "unreadable: a/odd.jpg (cut off)")
    assert image.source.startswith("data:image/jpeg;base64,")
    assert len(named_images(said, ["digits", f"data.root={tmp_path / 'set'}"])) == 1
    said = f"in two splits: a/my photo, (1).png (a/odd.jpg)\nnote: small: 2 in all: a/odd.jpg {'x' * 200}\n"
    captions = [(image.alt, image.caption[:20]) for image in named_images(said, [str(tmp_path / "set")])]
    assert captions == [("my photo, (1).png", "in two splits: a/my "), ("odd.jpg", "in two splits: a/my ")]


def test_values_in_the_table_of_runs_are_broken_only_where_they_are_long() -> None:
    for value, shown, class_ in (
        (None, "–", "number"),
        ('"cosine"', "cosine", "number"),
        ('["python", "a b.py", "{seed}"]', "python 'a b.py' '{seed}'", "long code"),
        ("[1, 2]", "[1, 2]", "number"),
        (f'"{"x" * 40}"', "x" * 40, "long"),
    ):
        cell = _setting(value)
        assert (cell.text, cell.class_) == (shown, class_), value


def test_a_waiting_run_of_an_open_study_is_cancelled_with_the_study(shown: TestClient) -> None:
    (run,) = [one["id"] for one in shown.get("/api/v1/runs?filter=state:waiting").json()]
    page = shown.get(f"/runs/{run}").text
    assert "ablata study cancel going-on" in page
    assert f"/do/run/{run}/cancel" not in page


def test_a_run_whose_worker_is_gone_is_not_counted_as_running(tmp_path: Path) -> None:
    from ablata.board.server import board_app
    from ablata.records import Ledger
    from ablata.records.processes import worker_name

    with Ledger(home=tmp_path / "lab") as ledger:
        fill(ledger)
        (run,) = ledger.runs.find(state="waiting")
        ledger.leases.claim_run(run.id, worker_name(2**22 + 1), 60)
        with TestClient(board_app(ledger), base_url=LOCAL) as client:
            page = client.get("/machine").text
    assert "0 running, 0 waiting, 1 interrupted" in page
    assert "this process is gone" in page
