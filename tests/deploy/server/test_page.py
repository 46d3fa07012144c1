"""The page in a real browser: answers, keys, two models, and code that tries to run."""

from __future__ import annotations

import json

import pytest

from tests.deploy.index.runs import indexed, write_run, write_tree
from tests.deploy.server.browser import chromium
from tests.deploy.server.served import EVIL, evil_tree, serving

NAMES = "[...document.querySelectorAll('.head .name')].map(e => e.textContent)"
CHOSEN = "document.querySelector('.chosen .name')?.textContent"
SETTLED = "document.querySelectorAll('li').length > 0 && !document.querySelector('[aria-busy]')"


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    folders = [tmp_path_factory.mktemp(name) for name in ("one", "two")]
    evil_tree(write_tree(folders[0] / "tree"))
    indexed(folders[0])
    indexed(folders[1], [folders[0] / "tree"], run=write_run(folders[1] / "run", seed=1, size=17))
    return folders


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    with chromium(tmp_path_factory.mktemp("chromium")) as browser:
        yield browser


@pytest.fixture
def page(browser, folders):
    with serving(f"index={folders[0] / 'index'}") as server:
        browser.problems.clear()
        browser.open(server.url)
        browser.until("document.querySelector('.empty button')")
        yield browser, server


def test_a_query_is_answered_and_the_keys_move_through_the_answers(page) -> None:
    browser, _ = page
    browser.value("document.activeElement.blur()")
    browser.key("/")
    assert browser.value("document.activeElement.id") == "query"
    browser.type("send packet")
    browser.key("Enter")
    browser.until(SETTLED)
    names = browser.value(NAMES)
    assert names[0] == "send_packet"
    assert browser.value("location.search") == "?q=send+packet"
    assert browser.value("document.querySelector('#status').textContent").startswith(f"{len(names)} answers in ")
    assert "also at" in browser.value("document.querySelector('li').textContent")
    browser.key("ArrowDown")
    assert browser.value(CHOSEN) == names[0]
    browser.key("ArrowDown")
    assert browser.value(CHOSEN) == names[1]
    browser.key("ArrowUp")
    assert browser.value("document.activeElement.getAttribute('href')").endswith("#L1")
    browser.key("Escape")
    assert browser.value("document.activeElement.id") == "query"
    assert browser.problems == []


def test_the_address_and_the_history_restore_the_filters(page) -> None:
    browser, server = page
    browser.open(f"{server.url}?q=file&lang=go&top=5")
    browser.until(SETTLED)
    assert browser.value(NAMES) == ["SortRows"]
    browser.value("path.value = 'nowhere/*', path.dispatchEvent(new Event('change'))")
    browser.until("document.querySelector('.empty')?.textContent === 'No function answers with these filters.'")
    browser.value("history.back()")
    browser.until(SETTLED)
    assert browser.value("[path.value, lang.value, document.querySelector('#top').value]") == ["", "go", "5"]


def test_indexed_code_is_shown_as_text_and_never_runs(page) -> None:
    browser, server = page
    browser.value("window.hacked = () => { window.wasHacked = true }, 0")
    browser.value("query.value = 'strike', query.form.requestSubmit()")
    browser.until(SETTLED)
    browser.until("[...document.querySelectorAll('li')].length > 2")
    text = browser.value("document.querySelector('main').textContent")
    assert EVIL in text
    assert browser.value("document.querySelectorAll('main script, main img').length") == 0
    assert browser.value("window.wasHacked") is None
    file = json.loads(browser.value("JSON.stringify([...document.querySelectorAll('li')].map(e => e.dataset.open))"))[0]
    browser.open(f"{server.url}{file[1:]}")
    assert EVIL in browser.value("document.querySelector('pre').textContent")
    assert browser.value("document.querySelectorAll('script, img').length") == 0
    assert browser.problems == []


def test_errors_are_shown_in_the_status_line(page, folders) -> None:
    browser, server = page
    browser.open(f"{server.url}?q=%3F%3F")
    browser.until("document.querySelector('#status.wrong')?.textContent.startsWith('expected a query in words')")
    server.shutdown()
    server.server_close()
    browser.value("query.value = 'file', query.form.requestSubmit()")
    browser.until("document.querySelector('#status.wrong')?.textContent.startsWith('The server does not answer')")


def test_two_models_are_shown_side_by_side(browser, folders) -> None:
    with serving(f"index={folders[0] / 'index'}", f"index2={folders[1] / 'index'}") as server:
        browser.screen(1200, 800)
        browser.open(f"{server.url}?q=send+packet")
        browser.until(SETTLED)
        places = browser.value("[...document.querySelectorAll('section')].map(e => e.getBoundingClientRect().left)")
        assert len(places) == 2
        assert places[0] < places[1]
        assert "· #1 there" in browser.value("document.querySelector('.score').textContent")
        browser.key("ArrowDown")
        browser.key("ArrowRight")
        assert browser.value("document.querySelectorAll('section')[1].contains(document.querySelector('.chosen'))")


@pytest.mark.parametrize("width", [360, 1280])
def test_the_page_fits_the_width_of_the_screen(page, width) -> None:
    browser, server = page
    browser.screen(width, 740)
    browser.open(f"{server.url}?q=send+packet")
    browser.until(SETTLED)
    assert browser.value("document.documentElement.scrollWidth") <= width
