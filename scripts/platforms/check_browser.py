"""Open a report in headless Chromium, as Debian ships it, and use it: keyboard, mouse, telephone, paper.

python scripts/platforms/check_browser.py [--record] [--pictures FOLDER]

--pictures keeps what was seen, to be looked at: the page in light and dark, on a telephone, and as PDF.
"""

from __future__ import annotations

import argparse
import base64
import csv
import json
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from claims import Claims
from selenium import webdriver
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.ui import WebDriverWait

ROOT = Path(__file__).resolve().parents[2]
FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--force-prefers-reduced-motion",  # a page that is still scrolling is not where one clicks
)
# a name that a page has to write with care
ODD = "a <!--<script>&amp; é'"
TELEPHONE = {"width": 390, "height": 844, "deviceScaleFactor": 2, "mobile": True}
NAMELESS = """
const named = (one) => one.textContent.trim() || one.getAttribute("aria-label") || one.getAttribute("aria-labelledby")
  || one.alt || one.closest("label") || one.classList.contains("outline");
const all = document.querySelectorAll("button, select, input, canvas, img, [role=img], [tabindex]");
return [...all].filter((one) => !named(one)).map((one) => one.outerHTML.slice(0, 60));
"""
# how many pixels of a canvas are lit, and a number that changes with the picture
LOOK = """
const canvas = arguments[0];
const data = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data;
let lit = 0, sum = 0;
for (let i = 0; i < data.length; i += 4) {
  if (data[i + 3] === 0 || data[i] + data[i + 1] + data[i + 2] <= 150) continue;
  lit++;
  sum = (sum * 31 + i + data[i]) % 1000000007;
}
return [lit, sum, canvas.dataset.by];
"""


def make_report(work: Path) -> tuple[Path, subprocess.CompletedProcess]:
    """A report of four small phantoms in two groups, from the raw stacks."""
    phantoms, page = work / "phantoms", work / "report" / "report.html"
    words = ["phantom", phantoms, "--count", "4", "--shape", "8", "112", "112", "--density", "dense"]
    bundle(*words).check_returncode()
    stacks = sorted((phantoms / "images").iterdir())
    stacks[0] = stacks[0].rename(stacks[0].with_name(f"{ODD}.ome.tif"))
    groups = work / "groups.csv"
    with open(groups, "w", newline="", encoding="utf-8-sig") as stream:
        writer = csv.writer(stream, delimiter=";")
        writer.writerow(("image", "animal", "group"))
        writer.writerows((path.name, f"mouse {k}", ("control", "treated")[k % 2]) for k, path in enumerate(stacks))
    return page, bundle("report", phantoms / "images", "--output", page.parent, "--groups", groups, "--device", "cpu")


def bundle(*words: object) -> subprocess.CompletedProcess:
    """Run one of the bundle's commands."""
    command = [sys.executable, "-m", "bundle", *map(str, words)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


@contextmanager
def browser(*flags: str) -> Iterator[webdriver.Chrome]:
    """Chromium, with a profile of its own."""
    with tempfile.TemporaryDirectory() as profile:
        options = webdriver.ChromeOptions()
        options.binary_location = shutil.which("chromium")
        for flag in (*FLAGS, *flags, f"--user-data-dir={profile}", "--window-size=1200,900"):
            options.add_argument(flag)
        options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
        driver = webdriver.Chrome(options=options, service=Service(shutil.which("chromedriver")))
        try:
            yield driver
        finally:
            driver.quit()


def open_page(driver: webdriver.Chrome, page: Path) -> None:
    """Open it, and wait until it is drawn."""
    driver.get(page.as_uri())
    wait = WebDriverWait(driver, 20)
    wait.until(lambda one: one.execute_script("return document.documentElement.dataset.ready === 'yes'"))


def requests(driver: webdriver.Chrome, page: Path) -> list[str]:
    """The addresses that a page has asked for."""
    messages = (json.loads(entry["message"])["message"] for entry in driver.get_log("performance"))
    asked = [one["params"] for one in messages if one["method"] == "Network.requestWillBeSent"]
    # the browser's own first page asks as well
    return [one["request"]["url"] for one in asked if one["documentURL"].startswith(page.as_uri())]


def look(driver: webdriver.Chrome, canvas: object) -> tuple[int, int, str]:
    """Lit pixels of a canvas, a number that tells pictures apart, and who drew it; after the next frame."""
    driver.execute_async_script("requestAnimationFrame(() => requestAnimationFrame(arguments[0]))")
    return tuple(driver.execute_script(LOOK, canvas))


def check_space(claims: Claims, driver: webdriver.Chrome, painter: str) -> None:
    """The network in space: drawn, turned, zoomed, recoloured."""
    canvas = driver.find_element(By.CSS_SELECTOR, ".network")
    driver.execute_script("arguments[0].scrollIntoView({block: 'center', behavior: 'instant'})", canvas)
    seen = [look(driver, canvas)]
    claims.claim(
        f"the vessels in space, by {painter}", seen[0][0] > 1000 and seen[0][2] == painter, f"{seen[0][0]} pixels"
    )
    canvas.send_keys(Keys.ARROW_RIGHT, Keys.ARROW_RIGHT, Keys.ARROW_UP)
    seen.append(look(driver, canvas))
    ActionChains(driver).drag_and_drop_by_offset(canvas, 80, 30).perform()
    seen.append(look(driver, canvas))
    canvas.send_keys("+")
    seen.append(look(driver, canvas))
    driver.find_element(By.CSS_SELECTOR, ".tubes select").send_keys("by diameter")
    seen.append(look(driver, canvas))
    names = ("arrow keys", "the mouse", "the + key", "another colouring")
    changed = [name for name, before, after in zip(names, seen, seen[1:], strict=False) if before[1] != after[1]]
    claims.claim(
        f"its pixels, by {painter}", len(changed) == len(names), f"changed by {', '.join(changed) or 'nothing'}"
    )
    canvas.send_keys("0")
    driver.find_element(By.CSS_SELECTOR, ".tubes select").send_keys("by depth")
    again = look(driver, canvas)
    claims.claim(f"reset, by {painter}", again[1] == seen[0][1], "the first picture, pixel for pixel")


def check_sorting(claims: Claims, driver: webdriver.Chrome) -> None:
    """The table of all images, by mouse and by keyboard, numbers and names."""

    def column(number: int) -> list[str]:
        cells = driver.find_elements(By.CSS_SELECTOR, f"#table tbody td:nth-child({number})")
        return [cell.get_attribute("textContent").split()[0] for cell in cells]

    headings = driver.find_elements(By.CSS_SELECTOR, "#table th")
    number = next(k for k, one in enumerate(headings, start=1) if "length density" in one.text)
    button = headings[number - 1].find_element(By.TAG_NAME, "button")
    button.click()
    up = [float(text) for text in column(number)]
    button.send_keys(Keys.ENTER)
    down = [float(text) for text in column(number)]
    ok = up == sorted(up) and down == up[::-1] and len(set(up)) > 1
    state = headings[number - 1].get_attribute("aria-sort")
    claims.claim("sorting by length density, click and Enter", ok and state == "descending", f"{up}, then {down}")
    headings[1].find_element(By.TAG_NAME, "button").click()
    groups = column(2)
    claims.claim("sorting by group", groups == sorted(groups) and len(set(groups)) == 2, ", ".join(groups))


def check_image(claims: Claims, driver: webdriver.Chrome) -> None:
    """The picture is zoomed and its layers are switched by keys."""
    viewer = driver.find_element(By.CSS_SELECTOR, ".viewer")
    stage = viewer.find_element(By.CSS_SELECTOR, ".stage")
    before = stage.get_attribute("style")
    viewer.send_keys("+", Keys.ARROW_RIGHT)
    zoomed = stage.get_attribute("style")
    viewer.send_keys("0")
    ok = before != zoomed and "scale(1.5)" in zoomed and "scale(1)" in stage.get_attribute("style")
    claims.claim("the image, zoomed by keys", ok, zoomed)
    box = driver.find_element(By.CSS_SELECTOR, "[data-layer=lines]")
    lines = viewer.find_element(By.CSS_SELECTOR, ".lines")
    hidden = not lines.is_displayed()
    box.send_keys(Keys.SPACE)
    paths = len(lines.find_elements(By.TAG_NAME, "path"))
    claims.claim(
        "centre lines by diameter, switched on by a key", hidden and lines.is_displayed() and paths, f"{paths} shades"
    )


def check_content(claims: Claims, driver: webdriver.Chrome) -> None:
    """Names are written as they are, and everything has a name for those who do not see it."""
    titles = [one.text for one in driver.find_elements(By.CSS_SELECTOR, ".image h2")]
    claims.claim("a file's name that looks like HTML", ODD in titles, titles)
    plots = driver.find_elements(By.CSS_SELECTOR, "#plots svg")
    bars = driver.find_elements(By.CSS_SELECTOR, ".histogram rect")
    claims.claim(
        "plots", len(plots) >= 4 and len(bars) > 20, f"{len(plots)} superplots, {len(bars)} bars of histograms"
    )
    links = driver.find_elements(By.CSS_SELECTOR, "a[download]")
    blobs = {link.get_attribute("download") for link in links if link.get_attribute("href").startswith("blob:")}
    wanted = {"images.csv", "comparison.csv", "animals.csv", "length_density.csv"}
    claims.claim(
        "data as CSV",
        wanted < blobs and len(blobs) == len({link.get_attribute("download") for link in links}),
        f"{len(blobs)} tables",
    )
    nameless = driver.execute_script(NAMELESS)
    claims.claim("names for those who do not see", not nameless, nameless or "every control and picture has one")


def check_forms(claims: Claims, driver: webdriver.Chrome, pictures: Path | None) -> None:
    """Light and dark, a telephone, paper."""
    grounds = []
    for scheme in ("light", "dark"):
        feature = {"name": "prefers-color-scheme", "value": scheme}
        driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [feature]})
        grounds.append(driver.execute_script("return getComputedStyle(document.body).backgroundColor"))
        picture(driver, pictures, scheme)
    driver.find_element(By.ID, "theme").click()
    switched = driver.execute_script("return getComputedStyle(document.body).backgroundColor")
    ok = grounds[0] != grounds[1] and switched == grounds[0]
    claims.claim("light, dark, and back by the button", ok, f"{grounds[0]}, {grounds[1]}, {switched}")
    paper = driver.execute_cdp_cmd("Page.printToPDF", {})["data"]
    if pictures is not None:
        (pictures / "report.pdf").write_bytes(base64.b64decode(paper))
    pages = base64.b64decode(paper).count(b"/Type /Page\n")
    claims.claim("printed", pages >= 5, f"{pages} pages")
    driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", TELEPHONE)
    width = driver.execute_script("return document.documentElement.scrollWidth")
    claims.claim("on a telephone", width <= TELEPHONE["width"], f"{width} of {TELEPHONE['width']} pixels wide")
    picture(driver, pictures, "telephone")


def picture(driver: webdriver.Chrome, folder: Path | None, name: str) -> None:
    """Keep the whole page as a picture."""
    if folder is None:
        return
    width, height = driver.execute_script("const e = document.documentElement; return [e.clientWidth, e.scrollHeight]")
    clip = {"x": 0, "y": 0, "width": width, "height": min(height, 8000), "scale": 1}
    seen = driver.execute_cdp_cmd("Page.captureScreenshot", {"captureBeyondViewport": True, "clip": clip})
    (folder / f"{name}.png").write_bytes(base64.b64decode(seen["data"]))


def main() -> None:
    """Check."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--record", action="store_true")
    parser.add_argument("--pictures", metavar="FOLDER", type=Path)
    arguments = parser.parse_args()
    if arguments.pictures is not None:
        arguments.pictures.mkdir(parents=True, exist_ok=True)
    seen = subprocess.run([shutil.which("chromium"), "--version"], capture_output=True, text=True, check=True).stdout
    release = seen.split()[1]
    with Claims("Chromium", release) as claims, tempfile.TemporaryDirectory() as name:
        page, done = make_report(Path(name))
        ok = done.returncode == 0 and page.is_file()
        came_back = f"{page.stat().st_size / 1e6:.1f} MB" if ok else done.stderr[-500:]
        claims.claim("bundle report of four stacks in two groups", ok, came_back)
        with browser() as driver:
            open_page(driver, page)
            check_space(claims, driver, "webgl")
            for check in (check_image, check_sorting, check_content):
                with claims.attempt(check.__doc__.splitlines()[0]):
                    check(claims, driver)
            check_forms(claims, driver, arguments.pictures)
            asked = requests(driver, page)
            outside = [url for url in asked if not url.startswith(("data:", "blob:", page.as_uri()))]
            came_back = ", ".join(outside) or f"none of {len(asked)}"
            claims.claim("requests that leave the page", bool(asked) and not outside, came_back)
            wrong = [entry["message"] for entry in driver.get_log("browser") if entry["level"] == "SEVERE"]
            claims.claim("errors on the console", not wrong, "; ".join(wrong) or "none")
        with browser("--disable-3d-apis") as driver:
            open_page(driver, page)
            check_space(claims, driver, "canvas")
            wrong = [entry["message"] for entry in driver.get_log("browser") if entry["level"] == "SEVERE"]
            claims.claim("errors on the console, without WebGL", not wrong, "; ".join(wrong) or "none")


if __name__ == "__main__":
    main()
