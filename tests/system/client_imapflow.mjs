// What a program does with the library imapflow: PORT USER SECRET FILE; says "all of it".
import assert from "node:assert";
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";

const [port, user, pass, file, packages] = process.argv.slice(2);
const { ImapFlow } = createRequire(packages + "/")("imapflow");
const text = readFileSync(file);

async function logIn() {
    const made = new ImapFlow({
        host: "127.0.0.1", port: Number(port), secure: false, doSTARTTLS: false,
        auth: { user, pass }, logger: false, qresync: true,
    });
    await made.connect();
    return made;
}

const client = await logIn();
assert((await client.mailboxCreate(["Arbeit", "Größe"])).created);
const listed = await client.list({ statusQuery: { messages: true } });
assert.deepEqual(listed.map((box) => box.path), ["INBOX", "Arbeit", "Arbeit/Größe"]);
const lock = await client.getMailboxLock("INBOX");
const uids = [];
for (let number = 0; number < 5; number++) {
    const date = new Date(Date.UTC(2026, 2, number + 1));
    uids.push((await client.append("INBOX", text, number % 2 ? ["\\Seen"] : [], date)).uid);
}
await client.noop();
assert.equal(client.mailbox.exists, 5);
assert.deepEqual(await client.search({ seen: false }, { uid: true }), [uids[0], uids[2], uids[4]]);

let count = 0;
for await (const message of client.fetch("1:*", {
    uid: true, flags: true, envelope: true, bodyStructure: true, internalDate: true, size: true,
    source: true, headers: ["subject"], threadId: true,
})) {
    assert.equal(message.size, text.length);
    assert(message.source.equals(text));
    assert.equal(message.envelope.subject, "Grüße");
    assert.equal(message.bodyStructure.childNodes.length, 2);
    assert(message.emailId);
    count++;
}
assert.equal(count, 5);
let body = "";
for await (const chunk of (await client.download(String(uids[0]), "1", { uid: true })).content)
    body += chunk;
assert.equal(body.trim(), "hello wörld");

assert(await client.messageFlagsAdd(String(uids[0]), ["\\Flagged", "$Label"], { uid: true }));
const moved = await client.messageMove(String(uids[2]), "Arbeit/Größe", { uid: true });
assert.deepEqual([...moved.uidMap.keys()], [uids[2]]);
const copied = await client.messageCopy(`${uids[0]},${uids[1]}`, "Arbeit/Größe", { uid: true });
assert.equal(copied.uidMap.size, 2);
assert(await client.messageDelete(String(uids[3]), { uid: true }));
assert.equal((await client.status("Arbeit/Größe", { messages: true })).messages, 3);

const heard = new Promise((resolve) => { client.once("exists", resolve); });
client.idle();
const other = await logIn();
await other.append("INBOX", text);
assert.equal((await heard).count, 4);
await other.logout();
lock.release();
assert.equal((await client.mailboxRename("Arbeit/Größe", "Done")).newPath, "Done");
assert.equal((await client.mailboxDelete("Done")).path, "Done");
await client.logout();
console.log("all of it");
