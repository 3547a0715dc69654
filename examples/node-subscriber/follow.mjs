// Follows the tasks of a Taskmill over NATS, without a gap, and prints each event as a line of JSON.
// docs/subscribing.md says why each step is there.
//
//   TASKMILL_NATS_URL=nats://reader:reader@127.0.0.1:4222 node follow.mjs <file for the position> [<kind>]

import { readFileSync, renameSync, writeFileSync } from "node:fs";
import { inflateSync } from "node:zlib";
import { DeliverPolicy, jetstream } from "@nats-io/jetstream";
import { connect } from "@nats-io/transport-node";

const [positionFile, kind] = process.argv.slice(2);
const url = new URL(process.env.TASKMILL_NATS_URL ?? "nats://127.0.0.1:4222");

const connection = await connect({
  servers: url.host,
  ...(url.username && { user: url.username, pass: url.password }),
  name: "node-subscriber",
  inboxPrefix: "_INBOX.reader.node-subscriber", // the reader has no other inboxes
  maxReconnectAttempts: -1,
  waitOnFirstConnect: true,
});
const stream = jetstream(connection);

let position = storedPosition(); // up to here everything was dealt with
const last = new Map(); // the last event of each task; a program that runs for long bounds it
let replayedFor = ""; // the event before which others of its task are being looked for

/** The position of the last run; 0: from the first event that is kept. */
function storedPosition() {
  try {
    return Number(readFileSync(positionFile, "utf8"));
  } catch {
    return 0;
  }
}

/** Deals with one event, once; throws when others of its task are missing before it. */
function deal(eventPosition, document) {
  const event = JSON.parse(document);
  const known = last.get(event.subject) ?? { version: event.sequence - 1 };
  if (event.sequence > known.version + 1) {
    if (replayedFor === event.id) leaveWithGap(`between ${known.version} and ${event.id} nothing is left`);
    replayedFor = event.id;
    position = known.position; // the log once more, from there; what was dealt with is dropped below
    throw new Error(`${event.id} came after ${known.version}`);
  }
  if (event.sequence === known.version + 1) {
    process.stdout.write(`${JSON.stringify({ position: eventPosition, event })}\n`);
    last.set(event.subject, { version: event.sequence, position: eventPosition });
  }
  position = eventPosition;
  storePosition();
}

/** In one step: who is killed meanwhile has the old one or the new one. */
function storePosition() {
  writeFileSync(`${positionFile}.new`, String(position));
  renameSync(`${positionFile}.new`, positionFile);
}

/** Nobody has these events any more. Whoever can do without them goes on behind the gap. */
function leaveWithGap(told) {
  process.stderr.write(`gap: ${told}\n`);
  process.exit(3);
}

/** Asks a task store for a page of the log. */
async function readLog() {
  const request = { after: position, ...(kind && { kind }) };
  const reply = await connection.request("tasks.v1.cmd.read_log", JSON.stringify(request), { timeout: 5_000 });
  const isDeflated = reply.headers?.get("Content-Encoding") === "deflate";
  const body = JSON.parse(isDeflated ? inflateSync(reply.data).toString() : reply.string());
  const code = reply.headers?.get("Nats-Service-Error-Code");
  if (code) throw new Error(`${code}: ${body.detail}`);
  return body;
}

/** Reads from the log what was missed, up to its end. */
async function catchUp() {
  for (;;) {
    const page = await readLog();
    const removed = page.removed ?? page.oldest - 1;
    if (page.newest < position || (position > 0 && position < removed)) {
      leaveWithGap(`at ${position}, but the log has what is behind ${removed}, up to ${page.newest}`);
    }
    for (const item of page.items) deal(item.position, item.document);
    position = Math.max(position, page.next_after);
    if (position >= page.newest) return;
  }
}

const MAY_HAVE_MISSED = new Set([
  ...["consumer_deleted", "consumer_not_found", "stream_not_found", "heartbeats_missed"],
  ...["no_responders", "reset", "ordered_consumer_recreated"],
]);

/** Follows until something may have been missed. */
async function follow() {
  // First listen, then read the log: what is committed after it was read is heard.
  const consumer = await stream.consumers.get("TASK_EVENTS", {
    filter_subjects: kind ? `tasks.v1.event.*.${kind}.*` : "tasks.v1.event.>",
    deliver_policy: DeliverPolicy.New,
  });
  const messages = await consumer.consume({ idle_heartbeat: 1_000 });
  try {
    // Not the consumer that the client makes instead of one that is gone: that goes on at a sequence of the old stream.
    stopWhenMissed(messages, messages.status(), MAY_HAVE_MISSED);
    stopWhenMissed(messages, connection.status(), new Set(["disconnect", "reconnect"]));
    await catchUp();
    for await (const message of messages) {
      const here = Number(message.headers?.get("Taskmill-Position") ?? 0);
      if (here <= position) continue; // published again, or nothing of Taskmill's
      // Everything is wanted: each event says after which one it comes.
      if (!kind && Number(message.headers.get("Taskmill-Previous-Position")) !== position) return;
      deal(here, message.string());
    }
  } finally {
    messages.stop();
  }
}

async function stopWhenMissed(messages, told, types) {
  for await (const one of told) if (types.has(one.type)) return messages.stop();
}

for (;;) {
  try {
    await follow();
  } catch (error) {
    process.stderr.write(`${error.message}; once more in a moment\n`);
    await new Promise((resolve) => setTimeout(resolve, 500));
  }
}
