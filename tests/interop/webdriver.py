"""A small W3C WebDriver client for headless Chromium: chromedriver and `urllib`, no package."""

from __future__ import annotations

import base64
import contextlib
import json
import os
import shutil
import signal
import subprocess
import tempfile
import time
from typing import Any, Callable
from urllib.error import HTTPError
from urllib.request import ProxyHandler, Request, build_opener

_FLAGS = ["headless", "no-sandbox", "disable-gpu", "disable-quic", "no-first-run",
          "disable-background-networking", "disable-component-update", "disable-sync",
          "disable-dev-shm-usage"]
KEYS = {"Tab": "\ue004", "Enter": "\ue007", "Shift": "\ue008", "Space": " ", "ArrowDown": "\ue015"}
_open = build_opener(ProxyHandler({})).open  # never through a proxy


class WebDriverError(Exception):
    """The driver could not do something, such as find an element."""


def wait_for(condition: Callable[[], Any], seconds: float = 10) -> Any:
    """Wait for a condition and return its value; on a timeout raise with what it last saw."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            seen = condition()
            if seen:
                return seen
        except WebDriverError as error:  # an element that is not there yet, or no longer
            seen = error
        assert time.monotonic() < deadline, f"not within {seconds} seconds, but: {seen!r}"
        time.sleep(0.02)


class Browser:
    """One window of a Chromium with an empty profile; elements are named by CSS selectors."""

    def __init__(self) -> None:
        self._pid = 0
        self._profile = tempfile.mkdtemp(prefix="longop-chromium-")
        self._driver = subprocess.Popen(["chromedriver", "--port=0"], stdout=subprocess.PIPE,
                                        stderr=subprocess.DEVNULL, universal_newlines=True)
        try:
            line = next(text for text in self._driver.stdout if "successfully on port" in text)
            self._url = f"http://127.0.0.1:{line.split()[-1].rstrip('.')}/session"
            options = {"goog:chromeOptions": {"args": [*_FLAGS, f"user-data-dir={self._profile}"]}}
            session = self._ask("POST", "", capabilities={"alwaysMatch": options})
            self._url += "/" + session["sessionId"]
            self._pid = session["capabilities"]["goog:processID"]
        except BaseException:
            self.quit()
            raise

    def _ask(self, method: str, path: str, **parameters: Any) -> Any:
        body = json.dumps(parameters).encode() if method == "POST" else None
        try:
            with _open(Request(self._url + path, body, method=method), timeout=60) as answer:
                return json.load(answer)["value"]
        except HTTPError as error:
            with error:
                raise WebDriverError(json.load(error)["value"]["message"]) from None

    def _tell_element(self, method: str, css: str, what: str, **parameters: Any) -> Any:
        """Find an element and tell it something; again if a drawing replaced it in between."""
        for _ in range(9):
            found = self._ask("POST", "/element", using="css selector", value=css)
            element = "/element/" + next(iter(found.values()))
            try:
                return self._ask(method, f"{element}/{what}", **parameters)
            except WebDriverError as error:
                if "stale element" not in str(error):
                    raise
        raise WebDriverError(f"{css} is replaced again and again")

    def get(self, url: str) -> None:
        """Open an address and wait until it is loaded."""
        self._ask("POST", "/url", url=url)

    def refresh(self) -> None:
        """Reload the page."""
        self._ask("POST", "/refresh")

    def url(self) -> str:
        """Return the address of the page."""
        return self._ask("GET", "/url")

    def click(self, css: str) -> None:
        """Click on an element."""
        self._tell_element("POST", css, "click")

    def type(self, css: str, text: str) -> None:
        """Replace the text of a field; for a file, type its path."""
        self._tell_element("POST", css, "clear")
        self._tell_element("POST", css, "value", text=text)

    def read(self, css: str, what: str = "text") -> Any:
        """Return the visible text of an element, or its `property/...` or `attribute/...`."""
        return self._tell_element("GET", css, what)

    def run(self, script: str, *arguments: Any) -> Any:
        """Run the body of a JavaScript function and return its value."""
        return self._ask("POST", "/execute/sync", script=script, args=arguments)

    def press(self, *keys: str) -> None:
        """Press keys together, by their names in `KEYS`, on the focused element."""
        codes = [KEYS[key] for key in keys]
        events = [{"type": "keyDown", "value": code} for code in codes]
        events += [{"type": "keyUp", "value": code} for code in reversed(codes)]
        self._ask("POST", "/actions", actions=[{"type": "key", "id": "keys", "actions": events}])

    def tell(self, command: str, **parameters: Any) -> Any:
        """Send a command of the Chrome DevTools protocol and return the answer."""
        return self._ask("POST", "/goog/cdp/execute", cmd=command, params=parameters)

    def show(self, width: int = 1280, height: int = 900, scale: float = 1, media: str = "",
             **features: str) -> None:
        """Set the size of the window, in CSS pixels, its media type and its media features."""
        self.tell("Emulation.setDeviceMetricsOverride", width=width, height=height,
                  deviceScaleFactor=scale, mobile=width < 600)
        given = [{"name": name.replace("_", "-"), "value": value}
                 for name, value in features.items()]
        self.tell("Emulation.setEmulatedMedia", media=media, features=given)

    def open_tab(self) -> str:
        """Open a tab and go there; return the previous one, for `go_to_tab`."""
        left = self._ask("GET", "/window")
        self.go_to_tab(self._ask("POST", "/window/new", type="tab")["handle"])
        return left

    def go_to_tab(self, tab: str) -> None:
        """Go to a tab."""
        self._ask("POST", "/window", handle=tab)

    def close_tab(self, tab: str) -> None:
        """Close the tab and go to another."""
        self._ask("DELETE", "/window")
        self.go_to_tab(tab)

    def screenshot(self) -> bytes:
        """Return the window as a PNG."""
        return base64.b64decode(self._ask("GET", "/screenshot"))

    def errors(self) -> list[str]:
        """Return the warnings and errors in the console since the last call."""
        return [entry["message"] for entry in self._ask("POST", "/se/log", type="browser")]

    def forget(self) -> None:
        """Leave the page before its server ends, and empty the console."""
        self.get("about:blank")
        self.errors()

    def quit(self) -> None:
        """Kill both processes and remove the profile."""
        if self._pid:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self._pid, signal.SIGKILL)
        self._driver.kill()
        self._driver.communicate()
        shutil.rmtree(self._profile, ignore_errors=True)
