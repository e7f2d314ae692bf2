"""Tenants, credentials, domains, accounts and aliases by their commands, with a daemon and without."""

import json
import os
import re
import stat

import pytest

import certificates
import parts


def lines(relay, *command):
    return [json.loads(line) for line in relay.cli(*command, "--json").stdout.splitlines()]


def one(relay, *command):
    [line] = lines(relay, *command)
    return line


def refused(relay, code, *command):
    """What the complaint says; the exit code is that, and stdout is silent."""
    done = relay.cli(*command, "--json", check=False)
    assert done.returncode == code, (command, done.stdout, done.stderr)
    assert done.stdout == ""
    complaint = json.loads(done.stderr.splitlines()[-1])
    assert complaint["exit"] == code
    return complaint["error"]


@pytest.fixture(params=["without a daemon", "with a daemon"])
def relay(stage, request):
    return stage.ringpost() if request.param == "with a daemon" else stage.unstarted_ringpost()


def test_verbs_of_tenants_and_credentials(relay):
    assert one(relay, "tenant", "add", "shop")["changed"] is True
    assert one(relay, "tenant", "add", "shop")["changed"] is False
    assert "lower-case" in refused(relay, 64, "tenant", "add", "Shop")
    assert "did you mean shop?" in refused(relay, 1, "tenant", "show", "shpo")
    one(relay, "tenant", "set", "shop", "recipients=3", "message_size=1MiB", "null_sender=yes")
    one(relay, "tenant", "set", "shop", "recipients=none")
    assert "KEY=VALUE" in refused(relay, 64, "tenant", "set", "shop", "wieght=3")
    too_many = refused(relay, 64, "tenant", "set", "shop", "recipients=1000000001")
    assert "up to 1000000000" in too_many
    tenant = one(relay, "tenant", "show", "shop")
    assert (tenant["limits"], tenant["null_sender"]) == ({"message_size": 1 << 20}, True)
    one(relay, "tenant", "disable", "shop")
    assert one(relay, "tenant", "list")["disabled"] is True
    one(relay, "tenant", "enable", "shop")

    made = one(relay, "credential", "add", "shop", "--scope", "submit,api", "--networks",
               "192.0.2.0/24,2001:db8::/32", "--expires", "90d", "--class", "high", "--name", "web")
    assert made["user"] == "apikey"
    assert re.fullmatch("rp_%s_[a-z2-7]{32}" % made["id"], made["secret"])
    [row] = lines(relay, "credential", "list", "shop")
    assert row["id"] == made["id"] and row["scopes"] == ["submit", "api"]
    assert row["networks"] == ["192.0.2.0/24", "2001:db8::/32"]
    assert (row["class"], row["name"], row["used"]) == ("high", "web", None)
    database = (relay.state_dir / "directory.db").read_bytes()
    if os.path.exists(relay.state_dir / "directory.db-wal"):
        database += (relay.state_dir / "directory.db-wal").read_bytes()
    assert made["id"].encode() in database and made["secret"][-32:].encode() not in database
    for bad in (["--networks", "192.0.2.1/24"], ["--scope", "sbmit"], ["--expires", "soon"],
                ["--scope", "mail"], ["--class", "urgent"]):
        refused(relay, 64, "credential", "add", "shop", *bad)
    refused(relay, 1, "tenant", "remove", "shop")
    assert one(relay, "credential", "revoke", made["secret"])["changed"] is True
    assert one(relay, "credential", "revoke", made["id"])["changed"] is False
    assert "credential list" in refused(relay, 1, "credential", "revoke", "zzzzzzzzzzzz")
    one(relay, "tenant", "remove", "shop")
    what = [entry["what"] for entry in lines(relay, "directory", "audit")]
    assert what == ["tenant remove", "credential revoke", "credential add", "tenant enable",
                    "tenant disable", "tenant set", "tenant set", "tenant add"]
    assert lines(relay, "directory", "audit")[0]["who"].startswith(f"{os.getuid()}/")


def test_verbs_of_domains_accounts_and_aliases(relay):
    one(relay, "tenant", "add", "shop")
    added = one(relay, "domain", "add", "shop", "Shop.Example")
    assert (added["domain"], added["state"]) == ("shop.example", "pending")
    assert {"purpose", "name", "type", "value"} <= set(added["records"][0])
    assert [r["purpose"] for r in added["records"]] == ["dkim", "dkim", "spf", "dmarc",
                                                        "return-path"]
    for key in added["keys"]:
        file = relay.state_dir / "keys" / key["file"]
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
        assert file.read_text().startswith("-----BEGIN PRIVATE KEY-----")
    refused(relay, 1, "account", "add", "bob@shop.example")  # not hosted
    assert one(relay, "domain", "add", "shop", "shop.example", "--active", "--hosted")["hosted"]
    assert one(relay, "domain", "list")["state"] == "active"
    one(relay, "account", "add", "Bob@Shop.Example", "--quota", "1GiB")
    assert one(relay, "account", "add", "bob@shop.example")["changed"] is False
    one(relay, "account", "set", "bob@shop.example", "--quota", "none")
    one(relay, "account", "disable", "bob@shop.example")
    account = one(relay, "account", "show", "BOB@shop.example")
    assert (account["account"], account["quota"], account["disabled"]) == (
        "bob@shop.example", None, True)
    one(relay, "alias", "add", "@shop.example", "bob@shop.example", "x@other.example")
    refused(relay, 1, "alias", "add", "bob@shop.example", "x@other.example")
    refused(relay, 64, "alias", "add", "sales@shop.example", "no address")
    assert one(relay, "alias", "list")["targets"] == ["bob@shop.example", "x@other.example"]
    app = one(relay, "credential", "add", "shop", "--account", "bob@shop.example")
    assert app["user"] == "bob@shop.example"
    assert one(relay, "credential", "list")["scopes"] == ["submit", "mail"]
    refused(relay, 1, "domain", "remove", "shop.example")
    one(relay, "alias", "add", "info@shop.example", "other@shop.example")
    gone = relay.cli("account", "remove", "BOB@shop.example")
    assert gone.stderr == "ringpost: alias @shop.example still names BOB@shop.example\n"
    one(relay, "alias", "remove", "info@shop.example")
    assert lines(relay, "credential", "list") == []
    one(relay, "alias", "remove", "@shop.example")
    one(relay, "domain", "remove", "shop.example")
    assert not (relay.state_dir / "keys" / "shop.example").exists()


def wait_rows(relay, table, count):
    parts.wait_for(lambda: relay.status()["directory"][table] == count, f"{count} {table}")


def test_backup_and_restore_while_it_serves(stage):
    relay = stage.ringpost()
    backup = relay.directory / "backup"
    one(relay, "tenant", "add", "kept")
    relay.cli("directory", "backup", backup)
    refused(relay, 1, "directory", "backup", backup)
    one(relay, "tenant", "add", "later")
    wait_rows(relay, "tenants", 2)
    assert one(relay, "directory", "restore", backup)["damaged"] is None
    wait_rows(relay, "tenants", 1)
    (relay.directory / "other").write_text("no database")
    refused(relay, 1, "directory", "restore", relay.directory / "other")

    database = relay.state_dir / "directory.db"
    database.rename(relay.directory / "away")
    parts.wait_for(lambda: not relay.status()["directory"]["readable"], "it to be noticed")
    told = relay.status()["directory"]
    assert told["tenants"] == 1 and "No such file" in told["why"]
    assert relay.metrics()["ringpost_directory_readable"] == 0
    assert relay.metrics()["ringpost_directory_failures_total"] >= 1
    assert "NOT READABLE" in relay.cli("status").stdout
    (relay.directory / "away").rename(database)
    parts.wait_for(lambda: relay.status()["directory"]["readable"], "it to be read again")


def test_trusted_listener_names_whose_mail_it_is(stage):
    sink = stage.sink()
    port = parts.free_port()
    relay = stage.ringpost(
        listeners=f'[{{address: "127.0.0.1:{port}", trust: ["127.0.0.0/8"], tenant: internal}}]',
        routes=f'[{{match: "*", to: ["127.0.0.1:{sink.port}"]}}]')
    relay.port = port
    assert "tenant internal, which does not exist" in relay.cli("check").stderr

    def answer():
        with relay.smtp() as smtp:
            smtp.ehlo("client.example")
            return smtp.mail("app@client.example")[0]

    assert answer() == 451
    one(relay, "tenant", "add", "internal")
    parts.wait_for(lambda: answer() == 250, "the tenant to be known")
    assert "does not exist" not in relay.cli("check").stderr
    message_id = relay.submit("alice@example.com")
    assert {e["tenant"] for e in relay.wait_events(2, id=message_id)} == {"internal"}
    one(relay, "tenant", "disable", "internal")
    parts.wait_for(lambda: answer() == 550, "it to be disabled")
    [rejected] = relay.wait_events(1, kind="rejected")[:1]
    assert (rejected["tenant"], rejected["reply"]["enhanced"]) == ("internal", "5.7.1")


def test_listener_tenant_without_trust_is_refused(stage):
    relay = stage.unstarted_ringpost(
        listeners='[{address: "127.0.0.1:2525", tenant: internal}]')
    done = relay.cli("check", check=False)
    assert done.returncode == 78 and "listeners[0].tenant" in done.stderr
    relay.write_config(
        listeners='[{address: "127.0.0.1:2525", trust: ["127.0.0.0/8"], tenant: "In Ternal"}]')
    assert "a tenant's name" in relay.cli("check", check=False).stderr


def zone_lines(relay):
    return [line for line in relay.cli("domain", "show", "shop.example", "--zone")
            .stdout.splitlines()]


def results(relay, code):
    done = relay.cli("domain", "verify", "shop.example", "--json", check=False)
    assert done.returncode == code, (done.stdout, done.stderr)
    told = json.loads(done.stdout)
    return told, [(r["purpose"], r["result"]) for r in told["records"]]


def test_domain_verify_and_rotate_ask_dns(stage):
    port = parts.free_port()
    relay = stage.unstarted_ringpost(dns=f'{{servers: ["127.0.0.1:{port}"], timeout: 1s}}')

    def serve(text):
        nsd = stage.nsd({"shop.example": text, "ringpost.example": "mta1 A 127.0.0.1\n",
                         "127.in-addr.arpa": "1.0.0 PTR mta1.ringpost.example.\n"})
        relay.write_config(dns=f'{{servers: ["127.0.0.1:{nsd.port}"], timeout: 1s}}')
        return nsd

    one(relay, "tenant", "add", "shop")
    added = one(relay, "domain", "add", "shop", "shop.example", "--hosted")
    assert {key["state"] for key in added["keys"]} == {"published"}
    _, told = results(relay, 1)
    assert {result for _, result in told} == {"unknown"}  # nobody answers there

    right = zone_lines(relay)
    first = right[0].split()[0]
    # One key by a CNAME to a name of ours, another SPF, one MX that is not ours.
    wrong = [line for line in right if not line.startswith(first) and " MX " not in line
             and "spf1" not in line and "DMARC1" not in line]
    wrong += [f"{first} CNAME key.shop.example.", right[0].replace(first, "key.shop.example."),
              '@ TXT "v=spf1 a:elsewhere.example -all"', "@ MX 10 elsewhere.example."]
    nsd = serve("\n".join(wrong))
    told, found = results(relay, 1)
    assert found == [("dkim", "right"), ("dkim", "right"), ("spf", "wrong"), ("dmarc", "missing"),
                     ("return-path", "right"), ("mx", "wrong"), ("mta-sts", "right"),
                     ("mta-sts", "right"), ("tls-rpt", "right"), ("ptr", "right")]
    assert told["records"][2]["found"] == "v=spf1 a:elsewhere.example -all"
    assert told["state"] == "pending"
    nsd.stop()
    nsd = serve("\n".join(right))
    told, found = results(relay, 0)
    assert {result for _, result in found} == {"right"} and told["state"] == "active"
    assert {key["state"] for key in told["keys"]} == {"active"}
    assert one(relay, "domain", "show", "shop.example")["keys"] == told["keys"]
    assert one(relay, "domain", "list")["verified"] is not None

    told = one(relay, "domain", "rotate", "shop.example")
    assert sorted(key["state"] for key in told["keys"]) == ["active", "active", "published",
                                                            "published"]
    assert relay.cli("domain", "rotate", "shop.example", check=False).returncode == 1
    assert results(relay, 0)[0]["state"] == "active"  # what signs is in DNS
    nsd.stop()
    serve("\n".join(zone_lines(relay)))
    assert "sign from now on" in relay.cli("domain", "rotate", "shop.example").stdout
    assert sorted(key["state"] for key in one(relay, "domain", "show", "shop.example")["keys"]) == [
        "active", "active", "retired", "retired"]


def test_domain_verify_is_a_check_up(stage, tmp_path):
    """A zone with all that was asked for, then with one thing wrong after the other."""
    host = "mta1.ringpost.example"
    authority = certificates.Issued(tmp_path, "authority")

    def certificate(name, hosts=(host,), **options):
        chain, key = certificates.Issued(tmp_path, name, authority, hosts, **options).files(authority)
        return f'{{certificate: "{chain}", key: "{key}"}}'

    relay = stage.unstarted_ringpost(tls=certificate("good"))
    one(relay, "tenant", "add", "shop")
    one(relay, "domain", "add", "shop", "shop.example", "--hosted")
    right = zone_lines(relay)
    places = {"ringpost.example": "mta1 A 127.0.0.1", "127.in-addr.arpa": f"1.0.0 PTR {host}."}

    def look(lines=right, code=0, places=places):
        nsd = stage.nsd({"shop.example": "\n".join(lines), **places})
        relay.write_config(dns=f'{{servers: ["127.0.0.1:{nsd.port}"], timeout: 1s}}')
        told, _ = results(relay, code)
        nsd.stop()
        # Of two keys the one that is not right, if one is not.
        by_result = sorted(told["records"], key=lambda r: r["result"] != "right")
        return {f"{r['purpose']} {r['type']}": r for r in by_result}, told

    found, told = look()
    assert {r["result"] for r in found.values()} == {"right"} and told["tls"]["result"] == "right"
    assert told["tls"]["why"].startswith(f"for {host} until 20")
    assert found["ptr PTR"]["name"] == "1.0.0.127.in-addr.arpa"
    assert found["ptr PTR"]["value"] == f"{host}." and found["ptr PTR"]["found"] == host
    # One by one: what is wrong is told alone, and what is needed keeps it from being good.
    for purpose, match, instead, code, result in (
        ("mx MX", " MX ", "@ MX 10 elsewhere.example.", 1, "wrong"),
        ("mx MX", " MX ", "", 1, "missing"),
        ("mx MX", " MX ", "@ MX 0 .", 1, "wrong"),
        ("spf TXT", "spf1", '@ TXT "v=spf1 -all"', 1, "wrong"),
        ("spf TXT", "spf1", '@ TXT "v=spf1 a:mta1.ringpost.example -all"\n@ TXT "v=spf1 -all"', 1, "wrong"),
        ("spf TXT", "spf1", '@ TXT "v=spf10 a:mta1.ringpost.example -all"', 1, "missing"),
        ("dkim TXT", "k=ed25519", "", 1, "missing"),
        ("dmarc TXT", "DMARC1", "", 0, "missing"),
        ("dmarc TXT", "DMARC1", '_dmarc TXT "v=DMARC1; p=none"\n_dmarc TXT "v=DMARC1; p=reject"', 0, "wrong"),
        ("mta-sts TXT", "STSv1", "", 0, "missing"),
        ("mta-sts CNAME", "mta-sts.shop.example. 3600 IN CNAME", "mta-sts A 127.0.0.9", 0, "missing"),
        ("tls-rpt TXT", "TLSRPTv1", "", 0, "missing"),
        ("return-path CNAME", "bounces", "bounces CNAME ns.shop.example.", 0, "wrong"),
    ):
        lines = [line for line in right if match not in line] + [instead]
        assert len(lines) == len(right), match
        found, told = look(lines, code)
        bad = {key: r["result"] for key, r in found.items() if r["result"] != "right"}
        assert set(bad) == {purpose} and (purpose, result) in bad.items(), (instead, bad)
    # Names of addresses: another's, none, and one that does not answer.
    for reverse, result in (("1.0.0 PTR liar.ringpost.example.", "wrong"), ("2.0.0 PTR x.example.", "missing"),
                            (None, "unknown")):
        with_reverse = {**places, "127.in-addr.arpa": reverse} if reverse else {
            "ringpost.example": places["ringpost.example"]}
        found, _ = look(places=with_reverse)
        assert found["ptr PTR"]["result"] == result, reverse
        assert result == "wrong" and found["ptr PTR"]["found"] == "liar.ringpost.example" or result != "wrong"
    # Addresses that mail is sent from are looked for by themselves.
    relay.write_config(sources='[{name: one, address: "192.0.2.7"}]')
    found, _ = look([line.replace("a:mta1.ringpost.example", "ip4:192.0.2.7") for line in right],
                    places={**places, "2.0.192.in-addr.arpa": f"7 PTR {host}."})
    assert (found["ptr PTR"]["name"], found["ptr PTR"]["result"]) == ("7.2.0.192.in-addr.arpa", "wrong")
    relay.write_config(sources="")
    # Certificates, whose files are all that is looked at.
    self_signed = certificates.Issued(tmp_path, "alone", hosts=(host,)).files()
    for tls, result, why in (
        ("", "missing", "clear text"),
        (certificate("other", ("mx.elsewhere.example",)), "wrong", "not for the name"),
        (certificate("old", days=-2), "wrong", "expired"),
        (f'{{certificate: "{self_signed[0]}", key: "{self_signed[1]}"}}', "wrong", "self-signed"),
        (f'{{certificate: "{tmp_path}/none.pem", key: "{tmp_path}/none.key"}}', "wrong", "none.pem"),
    ):
        relay.write_config(tls=tls)
        _, told = look()
        assert told["tls"]["result"] == result and why in told["tls"]["why"], told["tls"]
    assert "  tls         wrong" in relay.cli("domain", "verify", "shop.example", check=False).stdout
