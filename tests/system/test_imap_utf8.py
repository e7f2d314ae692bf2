"""UTF8=ACCEPT (RFC 9755): names and headers in UTF-8 for those who enabled it, and nobody else."""

import pytest
from test_imap import Mail

UTF8 = "Subject: Grüße\r\nFrom: jürgen@b.example\r\n\r\nÜ\r\n".encode()
BODY = "Subject: x\r\n\r\nÜ\r\n".encode()


@pytest.fixture
def mail(stage):
    return Mail(stage)


def test_names_are_utf8_once_it_is_enabled(mail):
    raw = mail.raw()
    assert b" UTF8=ACCEPT" in raw.ask("CAPABILITY")[0]
    assert raw.ask("CREATE Gr&APYA3w-e")[-1].startswith(b"OK")
    assert raw.ask('CREATE "Größer"')[-1].startswith(b"NO [CANNOT]")
    assert b'"/" Gr&APYA3w-e' in raw.ask('LIST "" Gr*')[0]
    assert raw.ask("ENABLE UTF8=ACCEPT CONDSTORE UTF8=ONLY") == [
        b"* ENABLED UTF8=ACCEPT CONDSTORE", b"OK ENABLE done"]
    assert raw.ask("ENABLE UTF8=ACCEPT")[0] == b"* ENABLED"
    assert '"/" "Größe"'.encode() in raw.ask('LIST "" Gr*')[0]
    assert raw.ask('STATUS "Größe" (MESSAGES)')[0] == '* STATUS "Größe" (MESSAGES 0)'.encode()
    assert raw.ask('SETMETADATA "Größe" (/private/comment "ü")')[-1].startswith(b"OK")
    assert raw.ask('GETMETADATA "Größe" /private/comment')[0] == (
        '* METADATA "Größe" (/private/comment {2}\r\nü)'.encode())
    assert raw.ask('RENAME "Größe" "日本"')[-1].startswith(b"OK")
    assert raw.ask('SUBSCRIBE "日本"')[-1].startswith(b"OK")
    assert '"日本"'.encode() in raw.ask('LSUB "" "*"')[0]
    assert raw.ask("CREATE &-")[-1].startswith(b"OK")
    assert b'"/" "&-"' in raw.ask('LIST "" &*')[0]
    for bad in (b'CREATE "\xff"', b'CREATE "\xc3"', b'CREATE "\xed\xa0\x80"', b'CREATE "\xc2\x85"'):
        assert raw.ask(bad)[-1].startswith(b"BAD"), bad
    assert raw.ask('SELECT "日本"')[-1].startswith(b"OK [READ-WRITE]")
    assert raw.ask("ENABLE UTF8=ACCEPT")[-1].startswith(b"BAD")
    # RFC 9755 section 3: there is no other charset any more
    assert raw.ask("SEARCH CHARSET UTF-8 ALL")[-1].startswith(b"BAD")
    assert raw.ask('SEARCH SUBJECT "ü"')[-1].startswith(b"OK")
    other = mail.raw()
    assert b'"/" &ZeVnLA-' in other.ask('LIST "" *')[-2]
    assert b'"/" &--' in other.ask('LIST "" &-*')[0]


def test_headers_are_utf8_once_it_is_enabled(mail):
    raw = mail.raw()
    assert raw.append(UTF8)[-1].startswith(b"NO [CANNOT]")
    long = b"Subject: " + b"x" * 100000 + UTF8
    assert raw.append(long)[-1].startswith(b"NO [CANNOT]")
    assert raw.append(BODY)[-1].startswith(b"OK"), "the body may have 8 bits"
    assert raw.ask(b"APPEND INBOX {%d+}\r\n%s {%d+}\r\n%s" % (len(UTF8), UTF8, len(BODY), BODY))[
        -1].startswith(b"NO"), "all or none"
    assert raw.ask("STATUS INBOX (MESSAGES)")[0] == b"* STATUS INBOX (MESSAGES 1)"
    raw.ask("ENABLE UTF8=ACCEPT")
    assert raw.append(UTF8)[-1].startswith(b"OK")
    assert raw.ask(b"APPEND INBOX (\\Seen) UTF8 (~{%d+}\r\n%s)" % (len(UTF8), UTF8))[
        -1].startswith(b"OK [APPENDUID")
    assert raw.ask(b"APPEND INBOX UTF8 (~{%d+}\r\n%s) {%d+}\r\n%s UTF8 (~{%d+}\r\n%s)" % (
        len(UTF8), UTF8, len(BODY), BODY, len(UTF8), UTF8))[-1].startswith(b"OK [APPENDUID")
    assert raw.ask("STATUS INBOX (MESSAGES)")[0] == b"* STATUS INBOX (MESSAGES 6)"
    raw.ask("SELECT INBOX")
    assert UTF8 in raw.ask("FETCH 2 BODY.PEEK[]")[0]
    assert raw.ask('SEARCH SUBJECT "grüsse"')[-1].startswith(b"OK")
    assert raw.ask('SEARCH SUBJECT "grüße"')[0] == b"* SEARCH 2 3 4 6"
    assert raw.ask(b"APPEND INBOX UTF8 (~{%d+}\r\n%s" % (len(UTF8), UTF8))[-1].startswith(b"BAD")
    assert raw.ask("STATUS INBOX (MESSAGES)")[0] == b"* STATUS INBOX (MESSAGES 6)"
    assert raw.ask(b"APPEND INBOX {%d+}\r\n%s)" % (len(UTF8), UTF8))[-1].startswith(b"BAD")


def test_rev2_may_have_both(mail):
    raw = mail.raw()
    raw.ask("ENABLE IMAP4rev2")
    assert raw.append(UTF8)[-1].startswith(b"OK")
    raw.ask("SELECT INBOX")
    assert raw.ask("SEARCH CHARSET UTF-8 ALL")[-1].startswith(b"OK")
