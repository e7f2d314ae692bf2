"""rspamd.py - rspamd, with no more of it than a test asks for."""

import http.client
import json
import os

import parts


class Rspamd(parts.Process):
    """`sections`: of its configuration beside the usual ones; `options`: lines of "options"."""

    def __init__(self, directory, sections, options, dns_port=9):
        super().__init__(directory, "rspamd")
        self.port = parts.free_port()
        self.sections, self.options, self.dns_port = sections, options, dns_port

    def start(self):
        # All suffixes there are take a busy machine a minute to compile, where no earlier run of
        # root's left them in /var/lib.
        suffixes = self.directory / "suffixes"
        suffixes.write_text("com\nexample\nnet\norg\n")
        config = self.directory / "rspamd.conf"
        config.write_text(f"""
            options {{
                {self.options}
                url_tld = "{suffixes}";
                hs_cache_dir = "{self.directory}";
                tempdir = "{self.directory}";
                control_socket = "{self.directory}/control.sock mode=0600";
                dns {{ nameserver = ["127.0.0.1:{self.dns_port}"]; timeout = 10s; }}
                task_timeout = 60s;
            }}
            logging {{ type = "console"; level = "error"; }}
            worker "normal" {{ bind_socket = "127.0.0.1:{self.port}"; count = 1; task_timeout = 60s; }}
            {self.sections}
            """)
        root = ["-i"] if os.geteuid() == 0 else []
        self.spawn([parts.need("rspamd"), "-f", *root, "-c", config])
        self.wait_port(self.port)
        return self

    def stop(self):
        self.end()


class DkimVerifier(Rspamd):
    """With its check of DKIM alone."""

    def __init__(self, directory, dns_port):
        super().__init__(directory, "dkim { check_local = true; check_authed = true; }",
                         'filters = "dkim";', dns_port)

    def passed(self, message):
        """The selectors of the signatures that passed."""
        link = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        link.request("POST", "/checkv2", message)
        symbols = json.load(link.getresponse())["symbols"]
        link.close()
        return sorted(option.split(":s=")[1]
                      for option in symbols.get("R_DKIM_ALLOW", {}).get("options", []))


class TestPatterns(Rspamd):
    """With its test patterns alone."""

    def __init__(self, directory):
        super().__init__(directory, "actions { reject = 15; add_header = 6; greylist = 4; }",
                         'filters = ""; enable_test_patterns = true;')
