"""Who may see the board, and what a browser is told to refuse."""

from __future__ import annotations

from pathlib import Path

import pytest
from starlette.testclient import TestClient

from ablata.board.access import is_loopback
from ablata.board.server import board_app
from ablata.records import Ledger

from .conftest import LOCAL, csrf


def test_a_loopback_address_is_told_from_others() -> None:
    for host in ("127.0.0.1", "127.8.9.1", "::1", "localhost"):
        assert is_loopback(host)
    for host in ("0.0.0.0", "::", "10.0.0.1", "lab.example", ""):
        assert not is_loopback(host)


def test_a_name_that_was_made_to_point_here_is_refused(shown: TestClient) -> None:
    for host in ("evil.example", "127.0.0.1.evil.example", "", "[", "localhost.evil"):
        assert shown.get("/studies", headers={"host": host}).status_code == 400
    for host in ("127.0.0.1:99", "localhost", "[::1]:8765"):
        assert shown.get("/api/v1/version", headers={"host": host}).status_code == 200


def test_without_the_token_nothing_is_seen_and_the_first_link_makes_a_cookie(guarded: TestClient) -> None:
    for path in ("/studies", "/studies?token=wrong", "/api/v1/studies", "/events", "/nowhere?token=s%E4"):
        assert guarded.get(path).status_code == 403
    welcome = guarded.get("/runs?token=secret&filter=arm%3Awide", follow_redirects=False)
    assert (welcome.status_code, welcome.headers["location"]) == (303, "/runs?filter=arm%3Awide")
    assert "httponly" in welcome.headers["set-cookie"].lower()
    assert "samesite=strict" in welcome.headers["set-cookie"].lower()
    assert guarded.get("/studies").status_code == 200


def test_the_first_link_leads_to_no_other_site(guarded: TestClient) -> None:
    welcome = guarded.get("//evil.example/?token=secret", follow_redirects=False)
    assert welcome.headers.get("location", "/").startswith("/")
    assert not welcome.headers["location"].startswith("//")


def test_every_answer_carries_a_strict_policy_and_each_page_its_own_nonce(shown: TestClient) -> None:
    policies = set()
    for path in ("/studies", "/studies/done", "/runs", "/machine", "/nowhere", "/api/v1/studies"):
        policy = shown.get(path).headers["content-security-policy"]
        assert policy.startswith("default-src 'none'")
        assert "unsafe" not in policy
        policies.add(policy)
    assert len(policies) == 6


def test_pages_have_no_inline_handler_and_every_script_the_nonce(shown: TestClient) -> None:
    for path in ("/studies", "/studies/done", "/runs", "/machine", "/data", "/notes"):
        text = shown.get(path).text
        assert text.count("<script") == text.count("<script nonce=")
        assert text.count("<style") == text.count("<style nonce=")
        assert " onclick=" not in text
        assert " style=" not in text
        assert "javascript:" not in text
        assert "http://" not in text.replace("http://www.w3.org/2000/svg", "")
        assert "https://" not in text


def test_a_form_of_another_site_starts_nothing(shown: TestClient, lab_home: Path) -> None:
    good = csrf(shown.get("/studies/going-on").text)
    for sent, origin in (
        ({}, None),
        ({"csrf": "wrong"}, None),
        ({"csrf": good}, "http://evil.example"),
        ({"csrf": good}, "null"),
    ):
        headers = {} if origin is None else {"origin": origin}
        assert shown.post("/do/study/going-on/run", data=sent, headers=headers).status_code == 403
    assert shown.get("/do/study/going-on/run").status_code in (404, 405)
    assert not (lab_home / "board").exists()


def test_a_board_that_only_reads_shows_no_form_and_does_nothing(lab_home: Path) -> None:
    from ablata.board.access import Access

    access = Access(read_only=True)
    with Ledger(home=lab_home) as ledger, TestClient(board_app(ledger, access), base_url=LOCAL) as client:
        page = client.get("/studies/going-on").text
        assert "ablata study run going-on" in page
        assert 'method="post"' not in page
        refused = client.post("/do/study/going-on/run", data={"csrf": access.csrf})
        assert refused.status_code == 403
        assert "--read-only" in refused.text


def test_the_boards_connections_refuse_to_write(lab_home: Path) -> None:
    with Ledger(home=lab_home) as ledger:
        board_app(ledger)
        with pytest.raises(Exception, match="only reads"):
            ledger.studies.finish("going-on")
        with ledger.database.read() as connection, pytest.raises(Exception, match="readonly"):
            connection.exec_driver_sql("DELETE FROM studies")
