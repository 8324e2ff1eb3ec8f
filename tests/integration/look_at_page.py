"""Opens the coordinator's page in a headless Chromium as a reader would, and tells what it shows.

Usage: look_at_page.py URL JOB STATE OUT_DIR
Waits until the page shows the job in that state, with 50 steps in its curves. Prints one JSON object: the numbers of the
job's view and of its row in the list, what the keyboard reads from the loss curve, how wide the page is on screens of
each width, contrasts of text, and whatever the browser complained about. Screenshots go to OUT_DIR.
"""
import json
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))
from browser import Browser  # noqa: E402

WIDE, PHONE = 1280, 360

# All numbers of the page at one moment: field -> [exact value, text].
FIELDS = """Object.fromEntries([...document.querySelectorAll('%s data[data-field]')]
  .map((found) => [found.dataset.field, [found.value, found.textContent]]))"""
STATE = "document.querySelector('%s [data-field=state]')?.textContent"
READOUT = "document.querySelector('[data-curve=loss] .readout').textContent"
DRAWN = """Number(document.querySelector('data[data-field=step]')?.value) >= 50 &&
  document.querySelector('[data-curve=loss] path.line') !== null"""

# The lowest contrast of any text that can be seen with what is behind it, as WCAG counts it.
CONTRAST = """(() => {
  const channels = (color) => color.match(/[\\d.]+/g).map(Number);
  const light = ([r, g, b]) => [r, g, b].map((c) => c / 255)
    .map((c) => (c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4))
    .reduce((sum, c, i) => sum + c * [0.2126, 0.7152, 0.0722][i], 0);
  const ground = (element) => {
    for (let at = element; at; at = at.parentElement) {
      const color = channels(getComputedStyle(at).backgroundColor);
      if (color.length === 3 || color[3] === 1) return color;
    }
    return [255, 255, 255];
  };
  let worst = [99, ""];
  for (const element of document.querySelectorAll("body *")) {
    const own = [...element.childNodes].some((node) => node.nodeType === 3 && node.data.trim());
    if (!own || element.closest(":disabled, noscript") || !element.getClientRects().length) continue;
    const style = getComputedStyle(element);
    const color = element instanceof SVGElement ? style.fill : style.color;
    const [a, b] = [light(channels(color)), light(ground(element))].sort((x, y) => y - x);
    const ratio = (a + 0.05) / (b + 0.05);
    if (ratio < worst[0]) worst = [ratio, element.outerHTML.slice(0, 120)];
  }
  return worst;
})()"""


def photograph(browser, name, out):
    """Screenshots in both colour schemes on both screens; what was measured on each."""
    measured = []
    for width in (WIDE, PHONE):
        for scheme in ("light", "dark"):
            browser.emulate(width, dark=scheme == "dark")
            browser.evaluate("new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")
            browser.screenshot(out / f"{name}-{width}-{scheme}.png")
            contrast, where = browser.evaluate(CONTRAST)
            measured.append({"screen": f"{name} {width} {scheme}", "width": width, "contrast": contrast, "where": where,
                             "content_width": browser.evaluate("document.documentElement.scrollWidth")})
    browser.emulate(WIDE)
    return measured


def read_with_keys(browser):
    """The loss that the keyboard finds at the first step."""
    browser.evaluate("document.querySelector('[data-curve=loss] svg').focus()")
    browser.press("Home")
    first = browser.evaluate(READOUT)
    browser.press("ArrowRight")
    second = browser.evaluate(READOUT)
    browser.evaluate("document.activeElement.blur()")
    return [first, second]


def tab_stops(browser):
    """What the Tab key reaches on a page, in order, by its text."""
    browser.evaluate("document.activeElement.blur()")
    reached = []
    for _ in range(12):
        browser.press("Tab")
        reached.append(browser.evaluate("document.activeElement.textContent.trim().slice(0, 40)"))
    browser.evaluate("document.activeElement.blur()")
    return reached


def main():
    url, job, state, out = sys.argv[1:]
    out = pathlib.Path(out)
    out.mkdir(parents=True, exist_ok=True)
    with Browser() as browser:
        browser.emulate(WIDE)
        browser.open(f"{url}#/jobs/{job}")
        browser.wait_until(f"{STATE % '.heading'} === '{state}' && {DRAWN}")
        result = {"state": state, "fields": browser.evaluate(FIELDS % ".view"), "keys": read_with_keys(browser),
                  "validations": browser.evaluate("document.querySelectorAll('[data-curve=loss] .dot.second').length"),
                  "units": browser.evaluate("document.querySelectorAll('[data-bars=drop_rate] rect').length")}
        result["screens"] = photograph(browser, f"job-{state.lower()}", out)
        browser.evaluate("document.querySelector('.brand').click()")
        browser.wait_until(f"document.querySelector('[data-job={job}]') !== null")
        result["row"] = browser.evaluate(FIELDS % f"[data-job={job}]")
        result["row_state"] = browser.evaluate(STATE % f"[data-job={job}]")
        result["tabs"] = tab_stops(browser)
        result["screens"] += photograph(browser, f"jobs-{state.lower()}", out)
        result["cookies"] = browser.evaluate("document.cookie")
        result["complaints"] = browser.errors
    print(json.dumps(result))


if __name__ == "__main__":
    main()
