"""Make the pictures of the board that the documentation shows: a lab of real studies, its board, Chromium.

    python docs/pictures.py [--home LAB] [--output docs/board]

Needs the test extra, chromium and chromedriver. Without --home it trains `quickstart` and a smaller study first, a few
minutes on two cores.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from selenium import webdriver

ABLATA = [sys.executable, "-m", "ablata"]
STUDIES = (
    ["study", "run", "quickstart"],
    ["study", "run", "--recipe", "digits", "--name", "rates", "--arm", "high:optim.lr=0.3", "--set", "train.epochs=4",
     "--seeds", "3", "--margin", "1", "--question", "Is a higher learning rate better for digits?"],
)  # fmt: skip
WIDTH, SHORT, TALL, SCALE = 1400, 900, 1500, 0.75


@contextmanager
def served(home: Path) -> Iterator[str]:
    """A board of a lab; its address."""
    environment = os.environ | {"ABLATA_HOME": str(home)}
    command = [*ABLATA, "board", "--no-open", "--port", "8991"]
    with subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        found = re.search(r"http://\S+", process.stderr.readline())
        assert found
        yield found[0].rstrip("/")
        process.send_signal(signal.SIGINT)


@contextmanager
def chromium() -> Iterator[webdriver.Chrome]:
    """A headless Chromium."""
    options = webdriver.ChromeOptions()
    options.binary_location = shutil.which("chromium") or ""
    for argument in ("--headless=new", "--no-sandbox", "--disable-dev-shm-usage", "--hide-scrollbars"):
        options.add_argument(argument)
    browser = webdriver.Chrome(options=options, service=webdriver.ChromeService(shutil.which("chromedriver")))
    yield browser
    browser.quit()


def runs_of(address: str, study: str) -> list[str]:
    """Ids of one run of each arm of a study, at seed 0."""
    found = json.load(urllib.request.urlopen(f"{address}/api/v1/runs?filter=study:{study}+seed:0"))
    return sorted(run["id"] for run in found)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--home", type=Path, help="a lab that holds the study quickstart")
    parser.add_argument("--output", type=Path, default=Path(__file__).parent / "board")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        home = asked.home or Path(folder) / "digits" / ".ablata"
        for study in () if asked.home else STUDIES:
            subprocess.run([*ABLATA, *study], env=os.environ | {"ABLATA_HOME": str(home)}, check=True)
        with served(home) as address, chromium() as browser:
            runs = "&".join(f"run={run}" for run in runs_of(address, "quickstart")[:4])
            pages = {
                "studies": ("/studies", ""),
                "study": ("/studies/quickstart", ""),
                "compare": (f"/runs/compare?{runs}", ""),
                "start": ("/start?recipe=digits", "#form"),
            }
            for name, (path, part) in pages.items():
                size = {"width": WIDTH, "height": SHORT if name == "studies" else TALL}
                size |= {"deviceScaleFactor": SCALE, "mobile": False}
                browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
                browser.get(address + path)
                while part and not browser.find_elements("css selector", part):
                    time.sleep(1)  # The board asks for recipes in the background, and the page loads itself again.
                time.sleep(2)
                browser.save_screenshot(str(asked.output / f"{name}.png"))


if __name__ == "__main__":
    main()
