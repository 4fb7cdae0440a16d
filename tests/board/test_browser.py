"""The board in a real browser: a study and a training from the form to the verdict, filters, phone, dark, keyboard."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from selenium import webdriver
from selenium.common.exceptions import NoSuchElementException, StaleElementReferenceException
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.select import Select

from ablata.records import Ledger
from ablata.records.removal import rename_study

pytestmark = [pytest.mark.browser, pytest.mark.timeout(600)]
SHOTS = os.environ.get("ABLATA_SHOTS")
"""Folder for pictures of the pages; unset: none are taken."""


@pytest.fixture(scope="module")
def board(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Address of a board of an empty lab."""
    home = tmp_path_factory.mktemp("lab") / "home"
    environment = os.environ | {"ABLATA_HOME": str(home), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "ablata", "board", "--no-open"]
    with subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        told = process.stderr.readline()
        found = re.search(r"http://\S+", told)
        assert found, told
        yield found[0].rstrip("/")
        process.send_signal(signal.SIGINT)
        process.wait(60)


@pytest.fixture(scope="module")
def browser() -> Iterator[webdriver.Chrome]:
    """A headless Chromium that keeps its console and its requests."""
    program, driver = shutil.which("chromium"), shutil.which("chromedriver")
    if program is None or driver is None:
        pytest.skip("chromium and chromedriver are needed")
    options = webdriver.ChromeOptions()
    options.binary_location = program
    for argument in ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--hide-scrollbars"):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    opened = webdriver.Chrome(options=options, service=webdriver.ChromeService(driver))
    opened.set_window_size(1400, 1000)
    yield opened
    opened.quit()


def until(holds: Callable[[], object], seconds: float = 120) -> None:
    """Wait until something holds; a part of the page that is replaced meanwhile does not hold yet."""
    end = time.monotonic() + seconds
    while True:
        try:
            if holds():
                return
        except (StaleElementReferenceException, NoSuchElementException):
            pass
        assert time.monotonic() < end, "it did not come"
        time.sleep(0.3)


def body(browser: webdriver.Chrome) -> str:
    """The text of the page; empty in between two pages."""
    return str(browser.execute_script("return document.body ? document.body.innerText : ''"))


def press(browser: webdriver.Chrome, words: str) -> None:
    """Press the button of these words, in the middle of the window."""

    def pressed() -> bool:
        found = browser.find_element(By.XPATH, f"//button[normalize-space()='{words}']")
        browser.execute_script("arguments[0].scrollIntoView({block: 'center'})", found)
        found.click()
        return True

    until(pressed)


def ended(browser: webdriver.Chrome) -> bool:
    """Whether the page of a started command says that it has ended."""
    state = str(browser.execute_script("return document.getElementById('head').innerText"))
    return re.search(r"\b(stopped|done|failed|killed)\b", state) is not None


def kept(browser: webdriver.Chrome, name: str) -> None:
    """Take a picture of a whole page, if pictures are wanted."""
    if SHOTS:
        width = browser.execute_script("return innerWidth")
        height = min(3200, browser.execute_script("return document.documentElement.scrollHeight"))
        browser.set_window_size(width, height)
        browser.save_screenshot(str(Path(SHOTS) / f"{name}-{width}.png"))
        browser.set_window_size(width, 1000)


def test_a_study_is_started_from_the_form_and_watched_to_its_verdict(browser: webdriver.Chrome, board: str) -> None:
    browser.get(f"{board}/start")
    until(lambda: browser.find_elements(By.CSS_SELECTOR, "select[name=recipe] option[value=digits]"))
    Select(browser.find_element(By.CSS_SELECTOR, "select[name=recipe]")).select_by_value("digits")
    until(lambda: browser.find_elements(By.CSS_SELECTOR, "input[name='set.model.width']"))
    kept(browser, "start")
    sent = {"name": "watched", "question": "Is a wider network better?", "arm": "wide", "margin": "1", "seeds": "3"}
    for name, value in (*sent.items(), ("set.model.width", "32"), ("set.train.epochs", "4")):
        entry = browser.find_element(By.NAME, name)
        entry.clear()
        entry.send_keys(value)
    press(browser, "Start the study")
    until(lambda: "/machine/started/" in browser.current_url)
    browser.get(f"{board}/studies")
    until(lambda: "Is a wider network better?" in body(browser))
    browser.find_element(By.LINK_TEXT, "Is a wider network better?").click()
    marked = "window.notLoadedAgain = true; return location.href"
    browser.execute_script(marked)
    until(lambda: "finished, 6 of 6 runs done" in body(browser), 300)
    assert browser.execute_script("return window.notLoadedAgain"), "the page was to follow the study by itself"
    assert browser.find_elements(By.CSS_SELECTOR, "td.verdict.better, td.verdict.undecided, td.verdict.equivalent")
    kept(browser, "study")


def test_curves_are_zoomed_by_dragging_and_the_address_keeps_it(browser: webdriver.Chrome, board: str) -> None:
    browser.get(f"{board}/studies/watched")
    plot = browser.find_element(By.CSS_SELECTOR, "svg.plot")
    actions = webdriver.ActionChains(browser).move_to_element_with_offset(plot, -100, 0).click_and_hold()
    actions.move_by_offset(200, 0).release().perform()
    until(lambda: "from=" in browser.current_url)
    Select(browser.find_element(By.CSS_SELECTOR, "#curves select[name=axis]")).select_by_value("log")
    until(lambda: "axis=log" in browser.current_url)
    assert "logarithmic axis" in body(browser)


def test_runs_are_filtered_and_compared(browser: webdriver.Chrome, board: str) -> None:
    browser.get(f"{board}/runs")
    search = browser.find_element(By.CSS_SELECTOR, "input[name=filter]")
    search.send_keys("arm:wide model.width>16" + Keys.ENTER)
    until(lambda: "3 runs match" in body(browser))
    kept(browser, "runs")
    browser.execute_script(
        "[...document.querySelectorAll('input[name=run]')].slice(0, 2).forEach((box) => box.click())"
    )
    press(browser, "Compare the chosen runs")
    until(lambda: "2 runs beside each other" in body(browser))
    kept(browser, "compare")


def test_a_training_is_stopped_after_its_step_and_resumed(browser: webdriver.Chrome, board: str) -> None:
    browser.get(f"{board}/start?recipe=digits")
    until(lambda: browser.find_elements(By.CSS_SELECTOR, "form[action='/do/train']"))
    entry = browser.find_element(By.NAME, "set.train.epochs")
    entry.clear()
    entry.send_keys("3000")
    press(browser, "Start the training")
    until(lambda: "/machine/started/" in browser.current_url)
    started = browser.current_url
    browser.get(f"{board}/runs?filter=state:running")
    until(lambda: browser.find_elements(By.CSS_SELECTOR, "td.code a"), 180)
    run = browser.execute_script("return document.querySelector('td.code a').textContent")
    browser.get(f"{board}/runs/{run}")
    until(lambda: browser.find_elements(By.CSS_SELECTOR, "svg.plot"), 180)
    kept(browser, "run")
    browser.get(f"{board}/machine")
    assert run in body(browser)
    kept(browser, "machine")
    browser.get(started)
    press(browser, "Stop after this step")
    until(lambda: ended(browser), 180)
    browser.get(f"{board}/runs/{run}")
    press(browser, "Resume")
    until(lambda: "/machine/started/" in browser.current_url)
    resumed = browser.current_url
    browser.get(f"{board}/runs/{run}")
    until(lambda: "attempt 2" in body(browser) and "running" in body(browser), 180)
    browser.get(resumed)
    press(browser, "Stop after this step")
    until(lambda: ended(browser), 180)


def test_data_are_drawn(browser: webdriver.Chrome, board: str) -> None:
    browser.get(f"{board}/data")
    browser.find_element(By.LINK_TEXT, "digits").click()
    press(browser, "Draw a batch")
    until(lambda: browser.find_elements(By.CSS_SELECTOR, "#preview img"), 180)
    kept(browser, "data")


def test_a_phone_shows_everything_without_scrolling_sideways(browser: webdriver.Chrome, board: str) -> None:
    browser.execute_cdp_cmd(
        "Emulation.setDeviceMetricsOverride", {"width": 390, "height": 844, "deviceScaleFactor": 1, "mobile": True}
    )
    run = json.loads(_fetched(browser, f"{board}/api/v1/runs"))[0]["id"]
    for name, path in (
        ("studies", "/studies"), ("study", "/studies/watched"), ("runs", "/runs"), ("run", f"/runs/{run}"),
        ("machine", "/machine"), ("data", "/data"), ("notes", "/notes"), ("start", "/start?recipe=digits"),
    ):  # fmt: skip
        browser.get(f"{board}{path}")
        width = browser.execute_script("return document.documentElement.scrollWidth")
        if SHOTS:
            browser.save_screenshot(str(Path(SHOTS) / f"{name}-390.png"))
        assert width <= 390, f"{path} is {width} wide"
    browser.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})


def _fetched(browser: webdriver.Chrome, address: str) -> str:
    browser.get(address)
    return browser.find_element(By.TAG_NAME, "body").text


def test_dark_is_dark_and_its_text_can_be_read(browser: webdriver.Chrome, board: str) -> None:
    for scheme in ("light", "dark"):
        browser.execute_cdp_cmd(
            "Emulation.setEmulatedMedia", {"features": [{"name": "prefers-color-scheme", "value": scheme}]}
        )
        browser.get(f"{board}/studies/watched")
        kept(browser, f"study-{scheme}")
        poor = browser.execute_script(_CONTRAST)
        assert not poor, f"{scheme}: {poor[:5]}"
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": []})


_CONTRAST = """
const part = (c) => { c /= 255; return c <= 0.03928 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4; };
const light = ([r, g, b]) => 0.2126 * part(r) + 0.7152 * part(g) + 0.0722 * part(b);
const read = (text) => text.match(/[\\d.]+/g).map(Number);
const behind = (one) => {
  for (; one; one = one.parentElement) {
    const colour = read(getComputedStyle(one).backgroundColor);
    if (colour.length < 4 || colour[3] > 0) return colour;
  }
  return [255, 255, 255];
};
const poor = [];
for (const one of document.querySelectorAll("body *")) {
  const own = [...one.childNodes].some((node) => node.nodeType === 3 && node.textContent.trim());
  if (!own || one.closest("svg, script, style, .hidden, .skip") || !one.getClientRects().length) continue;
  const [a, b] = [light(read(getComputedStyle(one).color)), light(behind(one))].sort((x, y) => y - x);
  const ratio = (a + 0.05) / (b + 0.05);
  if (ratio < 4.5) poor.push(`${one.tagName}.${one.className} ${ratio.toFixed(2)}: ${one.textContent.trim()}`);
}
return poor;
"""


def test_the_keyboard_alone_reaches_a_study_in_the_order_of_the_page(browser: webdriver.Chrome, board: str) -> None:
    browser.get(f"{board}/studies")
    kept(browser, "studies")
    browser.find_element(By.TAG_NAME, "body").click()
    seen = []
    for _ in range(40):
        webdriver.ActionChains(browser).send_keys(Keys.TAB).perform()
        now = browser.switch_to.active_element
        seen.append(now.location["y"])
        outlined = browser.execute_script("return getComputedStyle(arguments[0]).outlineStyle", now)
        assert outlined != "none", now.get_attribute("outerHTML")[:120]
        if "Is a wider network better?" in now.text:
            now.send_keys(Keys.ENTER)
            break
    until(lambda: "/studies/watched" in browser.current_url)
    assert seen[1:] == sorted(seen[1:])


def test_nothing_was_wrong_in_the_console_and_nothing_left_the_machine(browser: webdriver.Chrome, board: str) -> None:
    said = [one for one in browser.get_log("browser") if one["level"] in ("SEVERE", "WARNING")]
    assert not said, said[:5]
    asked = [json.loads(one["message"])["message"] for one in browser.get_log("performance")]
    asked = [one["params"]["request"]["url"] for one in asked if one["method"] == "Network.requestWillBeSent"]
    hosts = {urlsplit(one).hostname for one in asked if urlsplit(one).scheme not in ("data", "chrome", "about")}
    assert hosts == {"127.0.0.1"}


def test_an_open_page_says_that_the_ledger_is_away_goes_on_when_it_is_back_and_says_that_its_study_is_gone(
    browser: webdriver.Chrome, board: str
) -> None:
    def state() -> str:
        return str(browser.execute_script("return document.getElementById('live-state').innerText"))

    browser.get(f"{board}/studies/watched")
    until(lambda: state() == "live")
    ledger = Path(browser.find_element(By.CSS_SELECTOR, "footer code").text) / "ledger.sqlite3"
    ledger.rename(ledger.with_name("away"))
    until(lambda: state() == "the ledger cannot be read now")
    ledger.with_name("away").rename(ledger)
    until(lambda: state() == "live")
    with Ledger(home=ledger.parent) as lab:
        rename_study(lab, "watched", "elsewhere")
    until(lambda: state() == "this is no longer in the lab")
