"""roundcube.py - Debian's Roundcube under nginx and PHP-FPM, by the files of packaging/roundcube.

Program and pages are those that Debian installed; configuration, database, logs and sockets are in
the test's directory, and what runs belongs to who runs the test.
"""

import grp
import os
import pwd
import sqlite3

import certificates
import parts

PACKAGED = parts.ROOT / "packaging" / "roundcube"
INSTALLED = "/var/lib/roundcube/public_html"


def changed(name, changes):
    """A packaged file with other names and places; each must have been there."""
    text = (PACKAGED / name).read_text()
    for old, new in changes.items():
        assert old in text, f"{name} has no {old!r}"
        text = text.replace(old, str(new))
    return text


class PhpFpm(parts.Process):
    def __init__(self, directory, config_dir):
        super().__init__(directory, "php-fpm")
        self.socket = self.directory / "php.sock"
        user, group = pwd.getpwuid(os.getuid()).pw_name, grp.getgrgid(os.getgid()).gr_name
        pool = changed("php-fpm.conf", {
            "user = www-data": f"user = {user}", "owner = www-data": f"owner = {user}",
            "group = www-data": f"group = {group}", "/run/php/roundcube.sock": self.socket})
        (self.directory / "fpm.conf").write_text(
            f"[global]\nerror_log = {self.directory}/fpm.log\ndaemonize = no\n{pool}"
            f"env[ROUNDCUBE_CONFIG_DIR] = {config_dir}\nenv[PATH] = /usr/bin:/bin\n")

    def start(self):
        self.spawn([parts.need("php-fpm8.2"), "-F", "-y", self.directory / "fpm.conf",
                    *(["-R"] if os.getuid() == 0 else [])])

        def ready():
            assert self.running(), f"php-fpm did not start:\n{self.tail()}"
            return self.socket.exists()
        parts.wait_for(ready, "php-fpm")
        return self

    def stop(self):
        return self.end()


class Nginx(parts.Process):
    def __init__(self, directory, php):
        super().__init__(directory, "nginx")
        self.port, plain = parts.free_ports(2)
        self.url = f"https://127.0.0.1:{self.port}/"
        chain, key = certificates.Issued(self.directory, "web", hosts=["localhost"]).files()
        site = changed("nginx.conf", {
            "    listen [::]:80;\n": "", "    listen [::]:443 ssl http2;\n": "",
            "listen 80;": f"listen 127.0.0.1:{plain};",
            "listen 443 ssl": f"listen 127.0.0.1:{self.port} ssl",
            "/etc/letsencrypt/live/webmail.example.com/fullchain.pem": chain,
            "/etc/letsencrypt/live/webmail.example.com/privkey.pem": key,
            "include fastcgi.conf": "include /etc/nginx/fastcgi.conf",
            "/run/php/roundcube.sock": php.socket})
        temporary = "".join(f"{kind}_temp_path {self.directory}/{kind};\n"
                            for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
        user = f"user {pwd.getpwuid(0).pw_name};" if os.getuid() == 0 else ""
        (self.directory / "nginx.conf").write_text(f"""{user}
daemon off;
worker_processes 1;
pid {self.directory}/nginx.pid;
error_log {self.directory}/error.log;
events {{ worker_connections 256; }}
http {{
include /etc/nginx/mime.types;
access_log {self.directory}/access.log;
{temporary}{site}}}
""")

    def start(self):
        self.spawn([parts.need("nginx"), "-e", self.directory / "error.log", "-c",
                    self.directory / "nginx.conf"])
        self.wait_port(self.port)
        return self

    def stop(self):
        return self.end()


class Roundcube:
    """`url` is where its login is; `config` may change lines of the packaged configuration."""

    def __init__(self, stage, imap_port, smtp_port, ca_file, config=None):
        self.directory = stage.directory / "roundcube"
        while self.directory.exists():
            self.directory = self.directory.with_name(self.directory.name + "x")
        for name in "config", "logs", "temp":
            (self.directory / name).mkdir(parents=True)
        for name in "defaults.inc.php", "mimetypes.php":
            (self.directory / "config" / name).symlink_to(f"/etc/roundcube/{name}")
        database = self.directory / "roundcube.sqlite"
        with sqlite3.connect(database) as connection:
            with open("/usr/share/roundcube/SQL/sqlite.initial.sql", encoding="utf-8") as schema:
                connection.executescript(schema.read())
        packaged = changed("ringpost.inc.php", {
            "mail.example.com": "localhost", ":993": f":{imap_port}", ":465": f":{smtp_port}",
            "// 'cafile' => '/etc/roundcube/ringpost.crt'": f"'cafile' => '{ca_file}'",
            **(config or {})})
        (self.directory / "config" / "ringpost.inc.php").write_text(packaged)
        # What Debian's own file has, and the protocol's lines for who looks for what went wrong.
        (self.directory / "config" / "config.inc.php").write_text(f"""<?php
$config = [];
$config['db_dsnw'] = 'sqlite:///{database}?mode=0640';
$config['des_key'] = 'a key of 24 characters..';
$config['log_dir'] = '{self.directory}/logs';
$config['temp_dir'] = '{self.directory}/temp';
include __DIR__ . '/ringpost.inc.php';
$config['imap_debug'] = true;
$config['smtp_debug'] = true;
$config['login_rate_limit'] = 1000;
""")
        php = stage.add(PhpFpm(self.directory / "php", self.directory / "config"))
        self.nginx = stage.add(Nginx(self.directory / "web", php))
        self.url = self.nginx.url

    def log(self, name):
        file = self.directory / "logs" / f"{name}.log"
        return file.read_text(errors="replace") if file.exists() else ""
