"""browser.py - headless Chromium, driven over its DevTools protocol by a pipe.

Clicks and keys are the browser's own events, at places that a user could point at: an element that is
covered, hidden or still moving is waited for. The browser ends when the pipe does.
"""

import base64
import contextlib
import fcntl
import json
import os
import select
import time

import parts

#: Where an element is, in the page's coordinates; null while nobody could click there.
PLACE = """
(selector, text, frame) => {
    const outer = frame ? document.querySelector(frame) : null;
    if (frame && (!outer || !outer.contentDocument)) return null;
    const page = outer ? outer.contentDocument : document;
    // Its scripts may not listen yet.
    if (document.readyState !== "complete" || page.readyState !== "complete") return null;
    for (const element of page.querySelectorAll(selector)) {
        if (text && !element.textContent.includes(text)) continue;
        element.scrollIntoView({block: "nearest", inline: "nearest"});
        const box = element.getBoundingClientRect();
        if (!box.width || !box.height) continue;
        const x = box.left + box.width / 2, y = box.top + box.height / 2;
        const there = page.elementFromPoint(x, y);
        if (!there || !(element.contains(there) || there.contains(element))) continue;
        const shift = outer ? outer.getBoundingClientRect() : {left: 0, top: 0};
        return [x + shift.left, y + shift.top];
    }
    return null;
}
"""


def high_pipe():
    """Ends that are neither 3 nor 4."""
    ends = os.pipe()
    high = [fcntl.fcntl(end, fcntl.F_DUPFD_CLOEXEC, 10) for end in ends]
    for end in ends:
        os.close(end)
    return high


class Browser(parts.Process):
    """One window; `complaints` are exceptions of scripts and answers of 400 and more.

    `idle` is an expression: the page takes clicks now."""

    def __init__(self, directory, pictures, idle="true", size=(1280, 900)):
        super().__init__(directory, "chromium")
        self.pictures = pictures
        self.idle = idle
        self.size = size
        self.complaints = []
        self.count = self.pictures_taken = 0
        self.session = None
        self.buffer = b""
        self.answers = {}

    def start(self):
        to_read, self.to_browser = high_pipe()
        self.from_browser, to_write = high_pipe()
        # It reads commands from 3 and writes to 4. A sandbox of its own it cannot have as root.
        self.spawn(["bash", "-c", f'exec "$@" 3<&{to_read} 4>&{to_write}', "bash",
                    parts.need("chromium"),
                    "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage",
                    "--no-first-run", "--disable-background-networking", "--disable-sync",
                    "--disable-component-update", "--disable-default-apps", "--no-proxy-server",
                    "--ignore-certificate-errors", "--hide-scrollbars", "--lang=en-US",
                    "--force-prefers-reduced-motion", "--remote-debugging-pipe",
                    f"--user-data-dir={self.directory / 'profile'}",
                    f"--window-size={self.size[0]},{self.size[1]}", "about:blank"],
                   pass_fds=(to_read, to_write))
        os.close(to_read)
        os.close(to_write)
        target = self.ask("Target.createTarget", url="about:blank")["targetId"]
        self.session = self.ask("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in "Page", "Runtime", "Network":
            self.ask(f"{domain}.enable")
        self.ask("Emulation.setDeviceMetricsOverride", width=self.size[0], height=self.size[1],
                 deviceScaleFactor=1, mobile=False)
        return self

    def stop(self):
        os.close(self.to_browser)
        try:
            self.child.wait(parts.PATIENCE)
        finally:
            self.end()
            os.close(self.from_browser)

    # --- the protocol: JSON with a NUL at each end --------------------------------------------

    def ask(self, method, **params):
        self.count += 1
        number = self.count
        message = {"id": number, "method": method, "params": params}
        if self.session:
            message["sessionId"] = self.session
        os.write(self.to_browser, json.dumps(message).encode() + b"\0")
        deadline = time.monotonic() + parts.PATIENCE
        while number not in self.answers:
            self.hear(deadline)
        answer = self.answers.pop(number)
        assert "error" not in answer, (method, params, answer["error"])
        return answer["result"]

    def hear(self, deadline):
        ready = select.select([self.from_browser], [], [], max(0, deadline - time.monotonic()))[0]
        assert ready, f"the browser does not answer\n{self.tail()}"
        got = os.read(self.from_browser, 1 << 20)
        assert got, f"the browser is gone\n{self.tail()}"
        *messages, self.buffer = (self.buffer + got).split(b"\0")
        for text in messages:
            message = json.loads(text)
            if "id" in message:
                self.answers[message["id"]] = message
            else:
                self.note(message["method"], message["params"])

    def note(self, event, params):
        if event == "Runtime.exceptionThrown":
            details = params["exceptionDetails"]
            self.complaints.append(details.get("exception", {}).get("description", details["text"]))
        elif event == "Network.responseReceived" and params["response"]["status"] >= 400:
            self.complaints.append(f"{params['response']['status']} {params['response']['url']}")

    # --- what a user does -----------------------------------------------------------------------

    def evaluate(self, expression):
        done = self.ask("Runtime.evaluate", expression=expression, returnByValue=True,
                        awaitPromise=True)
        assert "exceptionDetails" not in done, (expression, done["exceptionDetails"])
        return done["result"].get("value")

    def call(self, function, *args):
        return self.evaluate(f"({function})({', '.join(json.dumps(arg) for arg in args)})")

    @contextlib.contextmanager
    def pictured(self, name):
        """What fails leaves a picture of what was seen then."""
        try:
            yield
        except AssertionError:
            self.picture(f"{name}-failed")
            raise

    def wait(self, expression, what=None):
        """Until the expression is true; its value."""
        return parts.wait_for(lambda: self.evaluate(expression), what or expression)

    def open(self, url):
        self.ask("Page.navigate", url=url)
        self.wait(f"location.href.startsWith({json.dumps(url)}) && document.readyState === 'complete'")

    def place(self, selector, text="", frame=None):
        """Where to click; once it stands still."""
        last = [None]

        def still():
            before = last[0]
            last[0] = self.call(PLACE, selector, text, frame) if self.evaluate(self.idle) else None
            return last[0] if last[0] == before else None
        return parts.wait_for(still, f"{selector} {text!r} that can be clicked")

    def shows(self, selector, text="", frame=None):
        """Waits for an element that can be seen."""
        self.place(selector, text, frame)

    def click(self, selector, text="", frame=None):
        place = self.place(selector, text, frame)
        self.mouse("mouseMoved", *place)
        for kind in "mousePressed", "mouseReleased":
            self.mouse(kind, *place, button="left", clickCount=1)

    def drag(self, selector, text, to_selector, to_text, taken):
        """With the button held, until the expression `taken` says that the page would take it."""
        begin, end = self.place(selector, text), self.place(to_selector, to_text)
        self.mouse("mouseMoved", *begin)
        self.mouse("mousePressed", *begin, button="left", clickCount=1)
        middle = [(b + e) / 2 for b, e in zip(begin, end)]

        def moved():
            for place in middle, end:
                self.mouse("mouseMoved", *place, button="left", buttons=1)
            return self.evaluate(f"({taken}) && ({self.idle})")
        parts.wait_for(moved, f"{taken} while it is held over {to_selector} {to_text!r}")
        self.mouse("mouseReleased", *end, button="left", clickCount=1)

    def mouse(self, kind, x, y, **more):
        self.ask("Input.dispatchMouseEvent", type=kind, x=x, y=y, **more)

    def type(self, selector, text, frame=None):
        """Instead of what stands there."""
        self.click(selector, frame=frame)
        self.call("(s, f) => (f ? document.querySelector(f).contentDocument : document)"
                  ".activeElement.select()", selector, frame)
        self.ask("Input.insertText", text=text)

    def choose_file(self, selector, path):
        """As its dialog would, which a browser without a window has not."""
        element = self.ask("Runtime.evaluate",
                           expression=f"document.querySelector({json.dumps(selector)})")["result"]
        self.ask("DOM.setFileInputFiles", files=[str(path)], objectId=element["objectId"])

    def press(self, key, code):
        for kind in "keyDown", "keyUp":
            self.ask("Input.dispatchKeyEvent", type=kind, key=key, code=key,
                     windowsVirtualKeyCode=code, text="\r" if key == "Enter" else "")

    def enter(self):
        self.press("Enter", 13)

    def picture(self, name):
        """A screenshot: what is seen now."""
        self.pictures_taken += 1
        shot = base64.b64decode(self.ask("Page.captureScreenshot", format="png")["data"])
        self.pictures.mkdir(parents=True, exist_ok=True)
        (self.pictures / f"{self.pictures_taken:02}-{name}.png").write_bytes(shot)
