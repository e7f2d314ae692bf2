"""demands.py - receivers that publish what TLS they want: certificates, TLSA records, MTA-STS."""

import hashlib
import http.server
import ssl
import subprocess
import threading

import parts


def openssl(*args, data=None, **kwargs):
    return subprocess.run([parts.need("openssl"), *map(str, args)], input=data, capture_output=True,
                          check=True, **kwargs).stdout


class Authority:
    """A certification authority; certificates it signs have their chain behind them."""

    def __init__(self, directory, name="authority"):
        self.directory = directory
        self.key, self.certificate = directory / f"{name}.key", directory / f"{name}.crt"
        self.count = 0
        openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
                "-keyout", self.key, "-out", self.certificate, "-days", "30", "-subj",
                f"/CN={name} of the tests", "-addext", "basicConstraints=critical,CA:TRUE",
                "-addext", "keyUsage=critical,keyCertSign,cRLSign")

    def issue(self, *names, days=10):
        """Files of a certificate, with this one behind it, and its key."""
        self.count += 1
        base = self.directory / f"{self.certificate.stem}-{self.count}"
        key, request, extensions = (base.with_suffix(s) for s in (".key", ".csr", ".ext"))
        extensions.write_text("subjectAltName=" + ",".join(f"DNS:{name}" for name in names) + "\n")
        openssl("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout",
                key, "-out", request, "-subj", f"/CN={names[0]}")
        text = openssl("x509", "-req", "-in", request, "-CA", self.certificate, "-CAkey", self.key,
                       "-set_serial", str(self.count), "-days", str(days), "-extfile", extensions)
        certificate = base.with_suffix(".crt")
        certificate.write_bytes(text + self.certificate.read_bytes())
        return certificate, key


def tlsa(certificate, usage=3, selector=1, matching=1):
    """The record's text for the first certificate of a file."""
    if selector == 1:
        public = openssl("x509", "-in", certificate, "-pubkey", "-noout")
        data = openssl("pkey", "-pubin", "-outform", "DER", data=public)
    else:
        data = openssl("x509", "-in", certificate, "-outform", "DER")
    digest = {0: lambda d: d, 1: lambda d: hashlib.sha256(d).digest(),
              2: lambda d: hashlib.sha512(d).digest()}[matching](data)
    return f"TLSA {usage} {selector} {matching} {digest.hex()}"


class PolicyHost:
    """HTTPS on port 443 of an address, whose certificate is chosen by the name asked for. `pages`:
    {host: (status, headers, body)}, or a function that makes that; what was asked for is in `asked`."""

    PATH = "/.well-known/mta-sts.txt"

    def __init__(self, address, certificates):
        self.address = address
        self.certificates = certificates  # {host: (certificate, key)}
        self.pages = {}
        self.asked = []
        self.server = None

    def running(self):
        return self.server is not None

    def put(self, domain, *lines, status=200, kind="text/plain", body=None, headers=()):
        text = body if body is not None else "".join(f"{line}\r\n" for line in lines).encode()
        self.pages[f"mta-sts.{domain}"] = (status, {"Content-Type": kind, **dict(headers)}, text)

    def policy(self, domain, mode, *mx, max_age=86400):
        self.put(domain, "version: STSv1", f"mode: {mode}", *[f"mx: {m}" for m in mx],
                 f"max_age: {max_age}")

    def start(self):
        contexts = {}
        for host, (certificate, key) in self.certificates.items():
            contexts[host] = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            contexts[host].load_cert_chain(certificate, key)
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                host = self.headers["Host"]
                outer.asked.append((host, self.path))
                page = outer.pages.get(host)
                page = page(self) if callable(page) else page
                if page is None or self.path != outer.PATH:
                    self.send_error(404)
                    return
                status, headers, body = page
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name, value)
                if "Connection" not in headers:  # else the end of the body is that of the connection
                    self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *args):
                pass

        first = next(iter(contexts.values()))
        first.sni_callback = lambda sock, name, context: setattr(
            sock, "context", contexts.get(name, first))
        outer_context = first

        class Server(http.server.ThreadingHTTPServer):
            daemon_threads = True

            def get_request(self):
                sock, peer = self.socket.accept()
                sock.settimeout(20)
                return outer_context.wrap_socket(sock, server_side=True,
                                                 do_handshake_on_connect=False), peer

            def handle_error(self, request, client_address):
                pass

        self.server = Server((self.address, 443), Handler)
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True)
        self.thread.start()
        return self

    def stop(self):
        self.server.shutdown()
        self.server.server_close()
        self.server = None
