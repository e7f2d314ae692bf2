"""What a program does with the library imapclient: PORT USER SECRET FILE; says "all of it"."""
import datetime
import sys

from imapclient import IMAPClient

port, user, secret = int(sys.argv[1]), sys.argv[2], sys.argv[3]
with open(sys.argv[4], "rb") as file:
    text = file.read()


def log_in():
    made = IMAPClient("127.0.0.1", port=port, ssl=False)
    made.login(user, secret)
    return made


client = log_in()
assert client.namespace().personal[0] == ("", "/")
client.create_folder("Arbeit/Größe")
assert "Arbeit/Größe" in [name for _, _, name in client.list_folders()]
client.select_folder("INBOX")
for number in range(5):
    client.append("INBOX", text, flags=[b"\\Seen"] if number % 2 else (),
                  msg_time=datetime.datetime(2026, 3, number + 1, 10, 0))
uids = client.search()
assert len(uids) == 5
assert client.search(["UNSEEN"]) == uids[::2]
assert client.search(["SUBJECT", "grüße"], charset="UTF-8") == uids
assert client.sort(["REVERSE ARRIVAL"]) == uids[::-1]
assert client.thread("REFERENCES")

got = client.fetch(uids, ["FLAGS", "ENVELOPE", "BODYSTRUCTURE", "INTERNALDATE", "RFC822.SIZE",
                          "BODY.PEEK[]"])[uids[0]]
assert got[b"BODY[]"] == text and got[b"RFC822.SIZE"] == len(text)
assert got[b"ENVELOPE"].message_id == b"<1@a.example>"
assert got[b"BODYSTRUCTURE"].is_multipart
assert got[b"INTERNALDATE"].day == 1

client.add_flags(uids[0], [b"\\Flagged", b"$Label"])
assert {b"\\Flagged", b"$Label"} <= set(client.get_flags(uids[0])[uids[0]])
client.copy(uids[:2], "Arbeit/Größe")
client.move(uids[2:3], "Arbeit/Größe")
assert client.folder_status("Arbeit/Größe", ["MESSAGES"])[b"MESSAGES"] == 3
client.delete_messages(uids[3:4])
client.expunge()
left = client.search()
assert left == [uids[0], uids[1], uids[4]]
modseq = client.select_folder("INBOX")[b"HIGHESTMODSEQ"]
client.add_flags(uids[1], [b"\\Answered"])
assert list(client.fetch(left, ["FLAGS"], [f"CHANGEDSINCE {modseq}"])) == [uids[1]]

client.idle()
log_in().append("INBOX", text)
assert (4, b"EXISTS") in client.idle_check(timeout=30)
client.idle_done()
client.rename_folder("Arbeit/Größe", "Done")
client.delete_folder("Done")
assert not client.folder_exists("Done")
client.unselect_folder()
client.logout()
print("all of it")
