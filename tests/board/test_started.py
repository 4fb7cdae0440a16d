"""Commands that the board starts: what is typed, what they say, that they can be stopped."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from ablata.base.errors import RecordError
from ablata.board.server import board_app
from ablata.board.started import Started, StartedCommand
from ablata.records import Ledger

from .conftest import LOCAL, csrf


class Kept(Started):
    """Starts nothing, and keeps what would have been started."""

    def __init__(self, home: Path) -> None:
        super().__init__(home)
        self.commands: list[list[str]] = []

    def start(self, arguments, *, drawn=False):  # type: ignore[no-untyped-def]
        self.commands.append(list(arguments))
        return StartedCommand("20260101-000000-abcd", tuple(arguments), "here/0:1", 0.0)


def ended(started: Started, command: StartedCommand) -> str:
    for _ in range(600):
        if not command.runs:
            return started.output(command)
        time.sleep(0.05)
    raise AssertionError("the command goes on and on")


def test_a_started_command_says_what_it_says_and_is_found_by_the_next_server(tmp_path: Path) -> None:
    command = Started(tmp_path).start(["--version"])
    later = Started(tmp_path)
    assert ended(later, command).startswith("ablata ")
    assert [one.id for one in later.all()] == [command.id]
    assert later.get(command.id).text == "ablata --version"
    assert later.stop(command) is False


def test_a_name_that_is_no_started_command_is_refused(tmp_path: Path) -> None:
    (tmp_path / "secret.json").write_text("{}")
    for name in ("../secret", "none", ""):
        with pytest.raises(RecordError, match="listed under Machine"):
            Started(tmp_path).get(name)


def test_forms_become_the_commands_one_would_type(tmp_path: Path, lab_home: Path) -> None:
    with Ledger(home=lab_home) as ledger:
        app = board_app(ledger)
        kept = Kept(tmp_path)
        object.__setattr__(app.state.board, "started", kept)
        answers = {"settings": {"model": {"width": 16}, "train": {"epochs": 12.0}, "optim": {"kind": "sgd"}}}
        app.state.board.asked._answers["recipes", "show", "digits", "--json"] = answers
        with TestClient(app, base_url=LOCAL) as client:
            secret = {"csrf": csrf(client.get("/studies/going-on").text)}
            run = client.get("/api/v1/runs").json()[0]["id"]

            def send(path: str, **fields: str) -> int:
                return client.post(path, data={**secret, **fields}, follow_redirects=False).status_code

            study = {
                "recipe": "digits",
                "arms": "wide:model.width=32\n\n",
                "seeds": "5",
                "margin": " 0.5 ",
                "name": "mine",
            }
            assert send("/do/study", **study) == 303
            assert (
                send("/do/train", recipe="digits", seed="2", **{"set.model.width": "8", "set.train.epochs": "12.0"})
                == 303
            )
            assert send("/do/study/shipped", name="quickstart") == 303
            assert send("/do/study/going-on/run") == 303
            assert send("/do/study/going-on/rename", new="later") == 303
            assert send("/do/study/going-on/remove", sure="1") == 303
            assert send(f"/do/run/{run}/remove", sure="1") == 303
            assert send("/do/data/preview", target="digits", step="3") == 303
            assert send("/do/study/going-on/stop") == send("/do/study/going-on/cancel", sure="1") == 303
            assert send("/do/study/going-on/extend", seeds="10") == 303
            assert send(f"/do/run/{run}/stop") == send(f"/do/run/{run}/cancel") == 303
            sliders = {"set.data.augment.pad": "4", "was.data.augment.pad": "2", "set.a.b": "1", "was.a.b": "1"}
            assert send("/do/data/preview", target="digits", **sliders) == 303
            assert [" ".join(command) for command in kept.commands] == [
                "study run --recipe digits --arm wide:model.width=32 --name=mine --seeds=5 --margin=0.5",
                "train digits model.width=8 --seed=2",
                "study run quickstart",
                "study run going-on",
                "study rename going-on later --yes",
                "study rm going-on --yes",
                f"runs rm {run} --yes",
                "data preview digits --step=3",
                "study stop going-on",
                "study cancel going-on --yes",
                "study extend going-on --seeds=10",
                f"runs stop {run}",
                f"runs cancel {run}",
                "data preview digits data.augment.pad=4 --step=0",
            ]
            changed = {"recipe": "digits", "arm": "wide", "set.model.width": "32", "set.optim.kind": "sgd", "seeds": ""}
            kept.commands.clear()
            assert send("/do/study", **changed) == 303
            assert kept.commands == [["study", "run", "--recipe", "digits", "--arm", "wide:model.width=32"]]
            kept.commands.clear()
            for path, fields in (
                ("/do/study", {"recipe": "digits", "arms": ""}),
                ("/do/study", {"recipe": "evil.py:recipe", "arms": "a:b=c"}),
                ("/do/study", {"recipe": "digits", "arms": "--command=x"}),
                ("/do/study", {"recipe": "digits", "arms": "a:model=net.py:Net"}),
                ("/do/train", {"recipe": "digits", "set.--resume": "x y"}),
                ("/do/train", {"recipe": "digits", "set.model": "net.py:Net"}),
                ("/do/study", {"recipe": "digits", "arm": "--command x", "set.model.width": "32"}),
                ("/do/train", {"recipe": "../x"}),
                ("/do/study/shipped", {"name": "evil.py:study"}),
                ("/do/study/going-on/remove", {}),
                ("/do/study/going-on/cancel", {}),
                ("/do/study/going-on/extend", {"seeds": "--yes"}),
                ("/do/data/preview", {"target": "digits", "set.data.transform": "evil.py:run"}),
                ("/do/data/convert", {"target": "digits"}),
                ("/do/data/stats", {"target": "--help"}),
            ):  # fmt: skip
                assert send(path, **fields) in (400, 404, 422), (path, fields)
            assert not kept.commands


def test_a_command_that_failed_says_so_with_its_status_and_last_lines(tmp_path: Path, lab_home: Path) -> None:
    with Ledger(home=lab_home) as ledger, TestClient(board_app(ledger), base_url=LOCAL) as client:
        started = Started(lab_home)
        command = started.start(["train", "no_such_recipe"])
        ended(started, command)
        until_kept = time.monotonic() + 20
        while started.get(command.id).status is None and time.monotonic() < until_kept:
            time.sleep(0.05)
        assert started.get(command.id).words == "failed, exit status 2"
        listed, shown = client.get("/machine").text, client.get(f"/machine/started/{command.id}").text
    assert "failed, exit status 2" in listed
    assert 'role="alert"' in shown
    assert "no_such_recipe" in shown


def test_a_command_that_was_stopped_is_not_called_failed(tmp_path: Path, lab_home: Path) -> None:
    started = Started(lab_home)
    command = started.start(["worker"])
    time.sleep(0.2)
    assert started.stop(command)
    ended(started, command)
    assert not started.get(command.id).failed


def test_a_form_is_checked_before_anything_starts_and_its_errors_stand_beside_the_fields(
    tmp_path: Path, lab_home: Path
) -> None:
    def loss(kind: str, name: str) -> dict[str, object]:
        return {"description": f"A {kind} loss.", "properties": {"kind": {"const": kind}, name: {"type": "number"}}}

    own = {"properties": {"kind": {"type": "string", "pattern": ":"}}}
    schema = {
        "properties": {
            "loss": {"anyOf": [loss("plain", "smoothing"), loss("focal", "gamma"), own]},
            "model": {"properties": {"width": {"type": "integer", "exclusiveMinimum": 0}}},
            "optim": {
                "properties": {
                    "nesterov": {"type": "boolean"},
                    "clip": {"anyOf": [{"type": "number"}, {"type": "null"}]},
                }
            },
        }
    }
    plain = {"kind": "plain", "smoothing": 0.0}
    optim = {"nesterov": False, "clip": None, "lr": 0.1}
    answers = {"settings": {"loss": plain, "model": {"width": 16}, "optim": optim}}
    with Ledger(home=lab_home) as ledger:
        app = board_app(ledger)
        kept = Kept(tmp_path)
        object.__setattr__(app.state.board, "started", kept)
        known = {"recipes list": [{"name": "digits"}], "recipes show digits": answers, "study list": {}}
        for words, answer in known.items():
            app.state.board.asked._answers[*words.split(), "--json"] = answer
        app.state.board.asked._answers["recipes", "show", "digits", "--schema"] = schema
        with TestClient(app, base_url=LOCAL) as client:
            secret = {"csrf": csrf(client.get("/studies/going-on").text), "recipe": "digits"}
            wrong = {
                "name": "a b", "seeds": "two", "margin": "-1", "arm": "x", "arms": "wide:model.width=wide",
                "set.model.width": "0", "set.optim.nesterov": "maybe", "set.optim.lr": "fast", "set.optim.clip": "null",
            }  # fmt: skip
            refused = client.post("/do/study", data={**secret, **wrong})
            assert (refused.status_code, kept.commands) == (422, [])
            assert refused.text.count('class="wrong"') == 7
            assert "Nothing was started: 7 values below must be mended." in refused.text
            assert 'value="a b"' in refused.text, "what was typed stays"
            assert client.post("/do/train", data={**secret, "seed": "x"}).status_code == 422
            form = client.get("/start?recipe=digits").text
            assert "<option selected>plain</option><option>focal</option>" in form
            assert "A plain loss." in form
            focal = {"set.loss.kind": "focal", "more": "loss.gamma=2"}
            for sent, said in (
                ({"set.loss.kind": "focl"}, "must be plain | focal"),
                ({**focal, "set.loss.smoothing": "0.1"}, "is no setting of focal: it has kind, gamma"),
                ({"more": "loss.gamma=2"}, "loss.gamma is no setting of plain"),
                ({**focal, "more": "loss.gamma=x\nnonsense"}, "each line must look like loss.threshold=0.7"),
                ({"arms": "a:loss=own.py:Loss"}, "loss must be plain | focal"),
                ({"arms": "a:loss.gama=1"}, "it has kind, smoothing, gamma"),
            ):
                refused = client.post("/do/study", data={**secret, **sent})
                assert (refused.status_code, said in refused.text) == (422, True), refused.text[-3000:]
            assert client.post("/do/train", data={**secret, **focal}, follow_redirects=False).status_code == 303
            assert kept.commands.pop() == ["train", "digits", "loss=focal", "loss.gamma=2", "--seed=0"]
            fine = {"set.model.width": "8", "set.optim.clip": "1.5", "seed": "3", "name": "of the study, not of this"}
            assert client.post("/do/train", data={**secret, **fine}, follow_redirects=False).status_code == 303
    assert kept.commands == [["train", "digits", "model.width=8", "optim.clip=1.5", "--seed=3"]]


def test_what_the_board_starts_does_not_stand_back_as_the_board_does() -> None:
    told = subprocess.run(
        [sys.executable, "-c", _NICE], capture_output=True, text=True, check=True, timeout=60
    ).stdout.split()
    assert told == ["0", "10"] or not sys.platform.startswith("linux")


_NICE = """
import os, subprocess, sys
from ablata.board.spawning import Spawner
os.setpriority(os.PRIO_PROCESS, 0, 0) if os.geteuid() == 0 else None
before, spawner = os.nice(0), Spawner()
spawner.make_threads()
os.nice(10)
ask = [sys.executable, "-c", "import os; print(os.nice(0))"]
print(int(spawner.call(subprocess.check_output, ask)) - before, int(subprocess.check_output(ask)) - before)
"""
