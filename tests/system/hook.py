"""hook.py - an HTTP server that webhooks tell, and that can be told to misbehave.

It runs in a thread of its own. What it does is asked of one function:

    def act(request): return 500, or (429, {"Retry-After": "1"}), or a function of the handler

None is the well-behaved answer: 200. Every request is in `requests`, and what was answered by 2xx in
`taken`, in order."""

import base64
import hashlib
import http.server
import json
import ssl
import threading

import parts

SIGNATURE = "X-Twilio-Email-Event-Webhook-Signature"
TIMESTAMP = "X-Twilio-Email-Event-Webhook-Timestamp"


class Request:
    def __init__(self, handler, body):
        self.path = handler.path
        self.headers = handler.headers
        self.body = body

    def events(self):
        found = json.loads(self.body)
        return found if isinstance(found, list) else [found]


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        hook = self.server.hook
        request = Request(self, self.rfile.read(int(self.headers["Content-Length"])))
        hook.requests.append(request)
        answer = hook.act(request) if hook.act else None
        if callable(answer):
            answer = answer(self)
            if answer is None:
                return
        status, headers, body = (answer or 200), {}, b"ok"
        if isinstance(answer, tuple):
            status, headers, body = (*answer, {}, b"ok")[:3] if len(answer) < 3 else answer
        if status // 100 == 2:
            hook.taken.append(request)
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_GET = do_POST

    def log_message(self, *args):
        pass


class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 64

    def handle_error(self, request, client_address):
        pass  # who goes away in between is what tests are about


class Hook:
    """`tls`: (certificate, key), files."""

    def __init__(self, act=None, address="127.0.0.1", port=0, tls=None):
        self.act = act
        self.requests, self.taken = [], []
        self.server = Server((address, port), Handler)
        self.server.hook = self
        self.port = self.server.server_address[1]
        if tls:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(*tls)
            self.server.socket = context.wrap_socket(self.server.socket, server_side=True)
        self.url = f"http{'s' if tls else ''}://{'localhost' if tls else address}:{self.port}/hook"
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True)

    def start(self):
        self.thread.start()
        return self

    def running(self):
        return self.thread.is_alive()

    def stop(self):
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()

    def events(self):
        """What was taken, as it came."""
        return [event for request in list(self.taken) for event in request.events()]

    def wait_events(self, count, patience=parts.PATIENCE):
        try:
            return parts.wait_for(lambda: (len(self.events()) >= count and self.events()),
                                  f"{count} events", patience=patience)
        except AssertionError as error:
            raise AssertionError(f"{error}; there are {len(self.events())}") from None


def once_each(events, key="event_id"):
    """What a reader sees that keeps the last ids; each message's events in the order of their seq."""
    seen, kept = set(), []
    for event in events:
        if event[key] not in seen:
            seen.add(event[key])
            kept.append(event)
    by_message = {}
    for event in kept:
        if event.get("seq") is not None:
            by_message.setdefault(event["id"], []).append(event["seq"])
    for id_, seqs in by_message.items():
        assert seqs == sorted(seqs), (id_, seqs)
    return kept


def verify(public_key, request):
    """Does the signature hold? By openssl, with the key as it is printed."""
    import tempfile
    with tempfile.NamedTemporaryFile() as key, tempfile.NamedTemporaryFile() as signature:
        key.write(base64.b64decode(public_key))
        signature.write(base64.b64decode(request.headers[SIGNATURE]))
        key.flush()
        signature.flush()
        import subprocess
        done = subprocess.run(
            [parts.need("openssl"), "dgst", "-sha256", "-keyform", "DER", "-verify", key.name,
             "-signature", signature.name],
            input=request.headers[TIMESTAMP].encode() + request.body, capture_output=True,
            check=False)
    return done.returncode == 0


def digest(request):
    return hashlib.sha256(request.body).hexdigest()
