"""The page as people use it: in a browser, by pointer, by keyboard, on a phone, in the dark."""

from __future__ import annotations

import base64
import shutil

import pytest

from index.report_page.style import DARK, LIGHT

selenium = pytest.importorskip("selenium", reason="no selenium is installed: the page is not used")

from selenium import webdriver  # noqa: E402
from selenium.common.exceptions import StaleElementReferenceException  # noqa: E402
from selenium.webdriver.common.action_chains import ActionChains  # noqa: E402
from selenium.webdriver.common.by import By  # noqa: E402
from selenium.webdriver.common.keys import Keys  # noqa: E402
from selenium.webdriver.support.ui import WebDriverWait  # noqa: E402

FLAGS = (
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


class Browser:
    """Chromium with the few things that these tests do."""

    def __init__(self, driver: webdriver.Chrome, url: str) -> None:
        self.driver = driver
        self.url = url

    def open(self, path: str = "/", width: int = 1200, dark: bool = False) -> None:
        # A click would meet what still scrolls smoothly.
        wishes = {"color-scheme": "dark" if dark else "light", "reduced-motion": "reduce"}
        media = [{"name": f"prefers-{name}", "value": value} for name, value in wishes.items()]
        self.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": media})
        size = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 600}
        self.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
        self.driver.get(self.url + path)

    def all(self, css: str) -> list:
        return self.driver.find_elements(By.CSS_SELECTOR, css)

    def one(self, css: str):
        return self.driver.find_element(By.CSS_SELECTOR, css)

    def texts(self, css: str) -> list[str]:
        return [element.text for element in self.all(css)]

    def run(self, script: str):
        return self.driver.execute_script(script)

    def until(self, condition) -> None:
        # An element that the page replaces between finding and reading it is not there yet.
        wait = WebDriverWait(self.driver, 180, 0.1, [StaleElementReferenceException])
        wait.until(lambda _: condition())

    def look(self, columns: int) -> None:
        """Wait for an answer of so many columns."""
        self.until(
            lambda: (
                len(self.all(".column")) == columns
                and self.one("#results").get_attribute("aria-busy") == "false"
            )
        )

    def press(self, *keys: str) -> None:
        ActionChains(self.driver).send_keys(*keys).perform()

    def tab_to(self, css: str) -> None:
        """Press Tab until an element of that kind has the focus."""
        for _ in range(80):
            self.press(Keys.TAB)
            if self.run(f"return document.activeElement.matches({css!r})"):
                return
        pytest.fail(f"{css} cannot be reached by Tab")


@pytest.fixture(scope="module")
def browser(page, tmp_path_factory):
    chromium = next(filter(None, map(shutil.which, ("chromium", "google-chrome"))), None)
    driver = shutil.which("chromedriver")
    if chromium is None or driver is None:
        pytest.skip("no Chromium with its driver is installed, so the page is not used")
    options = webdriver.ChromeOptions()
    options.binary_location = chromium
    for flag in (*FLAGS, f"--user-data-dir={tmp_path_factory.mktemp('chromium')}"):
        options.add_argument(flag)
    opened = webdriver.Chrome(options=options, service=webdriver.ChromeService(driver))
    yield Browser(opened, page.url)
    opened.quit()


def test_a_photo_finds_neighbours_and_tags(browser, folders):
    browser.open()
    browser.one("#photo").send_keys(str(folders.photo("street")))
    browser.look(4)
    assert browser.texts(".column h2") == ["street", "fashion", "odd", "street + fashion + odd"]
    first, *_, stacked = browser.all(".column")
    scores = [float(e.text) for e in first.find_elements(By.CSS_SELECTOR, ".score")]
    assert len(scores) == 5 and scores[0] > 0.99 and scores == sorted(scores, reverse=True)
    assert stacked.find_element(By.CSS_SELECTOR, ".from-store").text == "street"
    browser.until(lambda: browser.run("return document.querySelector('.near img').naturalWidth"))
    rows = first.find_elements(By.CSS_SELECTOR, ".pooled li")
    weights = [float(row.find_element(By.CSS_SELECTOR, ".number").text) for row in rows if row.text]
    assert weights == sorted(weights, reverse=True) and 0 < weights[0] <= 1
    for row in rows:
        assert set(row.get_attribute("data-from").split()) <= {"1", "2", "3", "4", "5"}
    assert "images and" in browser.one("[role=status]").text
    assert browser.run("return document.getElementById('preview-image').naturalWidth") > 0


HAND_OVER = """
const [kind, text] = arguments;
const bytes = Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
const given = new DataTransfer();
given.items.add(new File([bytes], `by-${kind}.jpg`, { type: "image/jpeg" }));
const how = { bubbles: true, cancelable: true };
const event = kind === "drop"
  ? new DragEvent(kind, { ...how, dataTransfer: given })
  : new ClipboardEvent(kind, { ...how, clipboardData: given });
document.body.dispatchEvent(event);
return event.defaultPrevented;
"""


@pytest.mark.parametrize("kind", ["drop", "paste"])
def test_a_photo_is_dropped_or_pasted(browser, folders, kind):
    browser.open("/?store=1")
    browser.one("#drop")
    photo = base64.b64encode(folders.photo("fashion").read_bytes()).decode()
    prevented = browser.driver.execute_script(HAND_OVER, kind, photo)
    # Or Chromium would leave the page for the photo.
    assert prevented or kind == "paste"
    browser.until(lambda: browser.texts("#preview-name") == [f"by-{kind}.jpg"])
    browser.until(lambda: browser.all(".column .score"))
    browser.look(1)
    assert float(browser.one(".column .score").text) > 0.99


def test_a_tag_shows_which_images_it_comes_from(browser):
    browser.open("/?words=street&store=0")
    browser.look(1)
    link = browser.one(".pooled li a")
    browser.run("document.querySelector('.pooled li a').focus()")
    ranks = browser.one(".pooled li.lit").get_attribute("data-from").split()
    lit = [e.get_attribute("data-rank") for e in browser.all(".near li.lit")]
    assert lit == ranks
    assert [e.text for e in browser.all(".pooled li.lit .rank")] == ranks
    text = link.text
    link.click()
    browser.until(lambda: browser.all("#tag-title"))
    assert browser.one("#tag-title").text == text
    browser.until(lambda: browser.run("return document.querySelector('.grid img').naturalWidth"))


def test_stores_are_switched_and_stacked_and_k_changes(browser, folders):
    browser.open()
    browser.one("#photo").send_keys(str(folders.photo("fashion")))
    browser.look(4)
    browser.one("[name=store][value='2']").click()
    browser.look(3)
    browser.one("[name=arrange][value=stacked]").click()
    browser.look(1)
    assert browser.texts(".column h2") == ["street + fashion"]
    assert browser.one(".from-store").text == "fashion"
    assert browser.one(".near a").get_attribute("href").startswith(f"{browser.url}/image/1/")
    browser.run("document.getElementById('k').value = ''")
    browser.one("#k").send_keys("9", Keys.TAB)
    browser.until(lambda: len(browser.all(".near > li")) == 9)
    browser.one("[name=store][value='0']").click()
    browser.until(lambda: browser.texts(".column h2") == ["fashion"])
    browser.one("[name=store][value='1']").click()
    browser.until(lambda: browser.one("#trouble").text == "Choose a datastore.")


def test_words_by_keyboard_alone(browser):
    browser.open()
    browser.press(Keys.TAB)
    assert browser.run("return document.activeElement.className") == "skip"
    browser.press(Keys.ENTER)
    browser.tab_to("#photo")
    outline = "return getComputedStyle(document.querySelector('.drop')).outlineStyle"
    assert browser.run(outline) == "solid"
    browser.tab_to("#words")
    browser.press("a street with a lamp", Keys.ENTER)
    browser.look(4)
    assert "words=a+street+with+a+lamp" in browser.driver.current_url
    browser.tab_to("[name=arrange]")
    browser.press(Keys.ARROW_DOWN)
    browser.look(3)
    browser.tab_to(".pooled a")
    browser.press(Keys.ENTER)
    browser.until(lambda: browser.all("#tag-title"))
    browser.driver.back()
    # The address says it all, so that the answer is there again.
    browser.look(3)


def test_the_vocabulary_is_browsed(browser):
    browser.open()
    browser.one("nav a[href^='/vocabulary']").click()
    browser.until(lambda: browser.all("table.vocabulary"))
    counts = [int(e.text) for e in browser.all("td.number")]
    assert len(counts) == 50 and counts == sorted(counts, reverse=True)
    browser.one("[rel=next]").click()
    browser.until(lambda: "page=2" in browser.driver.current_url)
    assert browser.texts("td.number") and browser.all("[rel=prev]")
    browser.one(".tabs a[href='/vocabulary/1']").click()
    browser.until(lambda: "fashion" in browser.one("h1").text)
    browser.one("#kind").send_keys("entity")
    browser.one("form.filter button").click()
    browser.until(lambda: "kind=entity" in browser.driver.current_url)
    assert all(text.startswith("entity") for text in browser.texts("td.quiet"))
    browser.one("#contains").send_keys("no such thing", Keys.ENTER)
    browser.until(lambda: browser.all(".empty"))
    assert "No tag is like that" in browser.one(".empty").text


def test_an_image_is_looked_at_and_looked_up(browser):
    browser.open()
    browser.one(".start a").click()
    browser.look(4)
    assert browser.one(".score").text < "0.999"
    browser.one(".near a").click()
    browser.until(lambda: browser.all(".large img"))
    assert browser.all(".chips a") and browser.all(".facts")
    browser.one("a.button").click()
    browser.look(4)


def test_texts_of_strangers_are_only_texts(browser):
    browser.open("/?words=car&store=2")
    browser.look(1)
    captions = browser.texts(".near .caption")
    assert any("<script>" in text and "<b>red</b>" in text for text in captions)
    assert not browser.all(".near b") and "\u202e" not in "".join(captions)
    browser.until(lambda: len(browser.all(".near .gone")) == 2)
    browser.open("/card/0")
    assert "onerror" in browser.one(".prose").text and not browser.all(".prose img")
    browser.open("/card/1")
    assert "images 24" in browser.texts(".prose tr") and "| images" not in browser.one("main").text
    browser.open("/card/2")
    assert "secret" not in browser.one("main").text
    assert browser.driver.title.startswith("Card of odd")


def test_errors_can_be_read(browser, tmp_path):
    browser.open()
    broken = tmp_path / "broken.jpg"
    broken.write_text("no picture")
    browser.one("#photo").send_keys(str(broken))
    browser.until(lambda: "no JPEG, PNG or WebP" in browser.one("#trouble").text)
    assert browser.one("#trouble").get_attribute("role") == "alert"
    large = tmp_path / "large.jpg"
    with large.open("wb") as file:
        file.truncate((32 << 20) + 1)
    browser.one("#photo").send_keys(str(large))
    browser.until(lambda: "at most 32 MiB" in browser.one("#trouble").text)
    browser.open("/image/0/999")
    assert "has no image 999" in browser.one("[role=alert]").text


PATHS = (
    "/",
    "/?words=a+red+car&k=7",
    "/vocabulary/2",
    "/tag/0?kind=object&label=&lemma=street",
    "/image/2/0",
    "/card/0",
    "/nowhere",
)


@pytest.mark.parametrize("path", PATHS)
def test_it_fits_a_phone_and_needs_nothing_else(browser, path):
    browser.driver.get_log("browser")
    browser.open(path, width=390)
    if "words" in path:
        browser.look(4)
    wide = browser.run(
        "return [...document.querySelectorAll('body *')].filter(e => !e.closest('.scroll, .skip, "
        ".spoken, svg') && e.getBoundingClientRect().right > innerWidth + 1).map(e => e.outerHTML)"
    )
    assert wide == [] and browser.run("return document.documentElement.scrollWidth") == 390
    loaded = browser.run("return performance.getEntriesByType('resource').map(e => e.name)")
    assert loaded and all(name.startswith((browser.url, "blob:")) for name in loaded)
    # Pictures of the shard that is gone are no fault of the page; nor is a page that is not there.
    said = [entry["message"] for entry in browser.driver.get_log("browser")]
    assert [text for text in said if "status of 404" not in text] == []
    nameless = browser.run(
        "return [...document.querySelectorAll('input, select, button, a, img')].filter(e => "
        "!(e.labels?.length || e.textContent.trim() || e.alt || e.getAttribute('aria-label') || "
        "e.querySelector('img[alt]') || e.id === 'preview-image')).map(e => e.outerHTML)"
    )
    assert nameless == []


CONTRASTS = """
function parts(colour) { return colour.match(/[\\d.]+/g).map(Number); }
function light([r, g, b]) { const l = [r, g, b].map(v => v / 255).map(
  v => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
  return 0.2126 * l[0] + 0.7152 * l[1] + 0.0722 * l[2]; }
function ground(e) { for (; e; e = e.parentElement) {
  const c = parts(getComputedStyle(e).backgroundColor); if (c.length === 3 || c[3] > 0) return c; }
  return [255, 255, 255]; }
return [...document.querySelectorAll('body *')].filter(e => e.offsetParent &&
  [...e.childNodes].some(n => n.nodeType === 3 && n.textContent.trim())).map(e => {
  const pair = [light(parts(getComputedStyle(e).color)), light(ground(e))].sort((a, b) => b - a);
  return [(pair[0] + 0.05) / (pair[1] + 0.05), e.outerHTML.slice(0, 200)]; })
  .filter(([contrast]) => contrast < 4.5);
"""


@pytest.mark.parametrize("dark, palette", [(False, LIGHT), (True, DARK)])
def test_it_can_be_read_in_light_and_dark(browser, dark, palette):
    for path in PATHS:
        browser.open(path, dark=dark)
        if "words" in path:
            browser.look(4)
        ground = browser.run("return getComputedStyle(document.body).backgroundColor")
        page = palette["page"]
        assert ground == f"rgb({', '.join(str(int(page[i : i + 2], 16)) for i in (1, 3, 5))})"
        assert browser.run(CONTRASTS) == [], path
