from __future__ import annotations

import re
from pathlib import Path

import pytest

from ablata.base.errors import RecordError, SettingsError
from ablata.records import Ledger, lab_home
from ablata.records.home import file_system, ledger_url, refuse_network_file_system

MOUNTS = r"""
27 1 254:0 / / rw,relatime - ext4 /dev/vda rw
31 27 0:40 / /home rw shared:7 - nfs4 server:/home rw,vers=4.2
32 31 0:41 / /home/local rw - xfs /dev/vdb rw
33 27 0:42 / /mnt/my\040share rw - cifs //server/share rw
34 27 0:43 / /mnt/far rw - fuse.sshfs host:/ rw
35 27 0:44 / /mnt/near rw - fuse.ntfs3 /dev/vdc rw
36 27 0:45 / /mnt/twice rw - nfs server:/a rw
37 27 0:46 / /mnt/twice rw - tmpfs none rw
broken line
"""


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/var/lab/ledger.sqlite3", "ext4"),
        ("/home/ada/.ablata/ledger.sqlite3", "nfs4"),
        ("/home/local/lab/ledger.sqlite3", "xfs"),
        ("/homework/ledger.sqlite3", "ext4"),
        ("/mnt/my share/ledger.sqlite3", "cifs"),
        ("/mnt/twice/ledger.sqlite3", "tmpfs"),
    ],
)
def test_a_path_belongs_to_the_innermost_and_latest_mount(path: str, kind: str) -> None:
    found = file_system(Path(path), MOUNTS)
    assert found is not None
    assert found[1] == kind


@pytest.mark.parametrize("folder", ["/home/ada", "/mnt/my share", "/mnt/far/x"])
def test_a_ledger_file_on_a_network_file_system_is_refused_with_the_way_to_postgres(folder: str) -> None:
    with pytest.raises(RecordError, match=r"network(.|\n)*ABLATA_DB=postgresql://"):
        refuse_network_file_system(Path(folder) / "ledger.sqlite3", MOUNTS)


@pytest.mark.parametrize("folder", ["/var/lab", "/home/local", "/mnt/near", "/mnt/twice"])
def test_a_ledger_file_on_a_disk_is_welcome(folder: str) -> None:
    refuse_network_file_system(Path(folder) / "ledger.sqlite3", MOUNTS)


def test_an_opening_ledger_asks_for_the_file_system(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ablata.records.home.file_system", lambda path, mountinfo: ("/net", "nfs"))
    with pytest.raises(RecordError, match="of type nfs"):
        Ledger(home=tmp_path / "lab")
    assert not (tmp_path / "lab").exists()


def test_the_home_is_the_variable_or_a_folder_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ABLATA_HOME", raising=False)
    monkeypatch.chdir(tmp_path)
    assert lab_home() == tmp_path / ".ablata"
    monkeypatch.setenv("ABLATA_HOME", "elsewhere")
    assert lab_home() == tmp_path / "elsewhere"


def test_the_address_is_the_argument_then_the_variable_then_the_home(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("ABLATA_DB", raising=False)
    assert ledger_url(None, tmp_path).database == str(tmp_path / "ledger.sqlite3")
    monkeypatch.setenv("ABLATA_DB", "postgres://ada:word@db/lab")
    url = ledger_url(None, tmp_path)
    assert url.render_as_string(hide_password=False) == "postgresql+psycopg://ada:word@db/lab"
    assert ledger_url(str(tmp_path / "other.db"), tmp_path).database == str(tmp_path / "other.db")
    assert ledger_url("sqlite:////var/lab.db", tmp_path).database == "/var/lab.db"


@pytest.mark.parametrize("address", ["mysql://ada:word@db/lab", "sqlite://", "nonsense://ada:word@x:y/z"])
def test_another_address_is_refused_without_showing_its_password(address: str, tmp_path: Path) -> None:
    with pytest.raises(RecordError, match="postgresql://user@host/name") as caught:
        ledger_url(address, tmp_path)
    assert "word" not in str(caught.value)


def test_no_form_of_a_mistyped_address_shows_a_password_or_makes_a_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for address in (
        "postgresql:/u:hunter2@127.0.0.1/lab",
        "postgresql//u:hunter2@127.0.0.1/lab",
        "//u:hunter2@127.0.0.1/lab",
        "u:hunter2@127.0.0.1/lab",
        "postgresql:u:hunter2@127.0.0.1/lab",
        "postgresql://u:hunter2/lab",
        "postgresql://u:hun@ter2@127.0.0.1/lab",
        "postgresql://u:hunter2@127.0.0.1:port/lab",
        "postgres;//u:hunter2@127.0.0.1/lab",
        "host=127.0.0.1 dbname=lab password=hunter2",
        "host=127.0.0.1 password = 'hun ter2'",
        "sqlite://u:hunter2@host/lab",
        "mysql://h/lab?user=u&password=hunter2",
        "mysql://h/lab?sslpassword=hunter2&ssl=1",
    ):
        with pytest.raises(RecordError) as told:
            Ledger(address, home=tmp_path)
        assert not {"hunter2", "ter2", "hun"} & set(re.split(r"\W", str(told.value))), address
        assert not list(tmp_path.iterdir()), address


def test_a_ledger_in_a_folder_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RecordError, match=r"no folder .*absent"):
        Ledger(str(tmp_path / "absent" / "ledger.sqlite3"), home=tmp_path)
    assert not (tmp_path / "absent").exists()


def test_an_address_as_home_is_refused_and_a_missing_folder_is_told_without_a_password(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for home in ("postgresql://u:secret@h/db", "postgres:/u:secret@h/db", "host=h password=secret"):
        monkeypatch.setenv("ABLATA_HOME", home)
        with pytest.raises(SettingsError, match="ABLATA_HOME must be a folder") as refused:
            lab_home()
        assert "secret" not in str(refused.value)
    with pytest.raises(RecordError, match="must exist") as missing:
        ledger_url("sqlite:///u:secret@x/y.db", tmp_path)
    assert "secret" not in str(missing.value)
    assert not list(tmp_path.iterdir())


def test_passwords_among_the_options_are_not_shown_and_neither_is_what_a_driver_says_of_them(tmp_path: Path) -> None:
    for address in (
        "postgresql://127.0.0.1:1/lab?user=u&password=hunter2",
        "postgresql://u:hunter2@127.0.0.1:1/lab?sslpassword=hunter3",
        "postgresql://u:hunter2@127.0.0.1:1/lab?hunter2=x&passwordx=hunter3",
    ):
        with pytest.raises(RecordError) as told:
            Ledger(address, home=tmp_path)
        assert "127.0.0.1" in str(told.value)
        assert "hunter2=x" in address or "hunter2" not in str(told.value)
        assert "hunter3" not in str(told.value)


def test_a_home_that_cannot_be_made_is_an_error_in_words(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(RecordError, match="must be a folder that can be written"):
        Ledger(home=tmp_path / "file" / "lab")


def test_git_leaves_a_home_in_the_working_folder_alone(tmp_path: Path) -> None:
    home = tmp_path / ".ablata"
    Ledger(home=home).close()
    assert (home / ".gitignore").read_text() == "*\n"
    (home / ".gitignore").unlink()
    Ledger(home=home).close()
    assert not (home / ".gitignore").exists()
