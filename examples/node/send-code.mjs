// An auth service publishes a verification code, and waits until codeferry's stream has
// stored it:
//
//   node send-code.mjs --channel sms --to +8613012345678 --type SignIn --key user-1 --code 123456

import { randomUUID } from "node:crypto";
import { setTimeout } from "node:timers/promises";
import { parseArgs } from "node:util";

import { jetstream, JetStreamApiError } from "@nats-io/jetstream";
import { connect, RequestError } from "@nats-io/transport-node";

import { parsePublicKey, seal } from "./seal.mjs";

const TRIES = 3;

/**
 * Publishes a message and returns the stream's acknowledgement. It is repeated with the same
 * Nats-Msg-Id if no acknowledgement comes, so the stream stores it once.
 */
async function publish(nc, subject, message, { publicKey, timeout = 2000 } = {}) {
  const js = jetstream(nc);
  const body = JSON.stringify(publicKey ? seal(publicKey, subject, message) : message);
  let error;
  for (let i = 0; i < TRIES; i++) {
    try {
      return await js.publish(subject, body, { msgID: message.id, timeout });
    } catch (err) {
      const why = refused(err, subject);
      if (why && !error) throw new Error(`not stored: ${why}`, { cause: err });
      error = err; // it may be stored, or be on its way to the replicas
      await setTimeout(500);
    }
  }
  throw new Error(`in doubt: no acknowledgement after ${TRIES} tries (${error.message}); publish it again with --id ${message.id}`, { cause: error });
}

/** Says why this try was certainly not stored, if the error says so. */
function refused(err, subject) {
  if (err instanceof JetStreamApiError) return `the stream refuses it: ${err.message}`;
  if (err.cause instanceof RequestError && err.cause.isNoResponders()) {
    return `no stream takes ${subject}; check its tokens, or create the streams with codeferry provision`;
  }
}

async function main() {
  const { values: args } = parseArgs({
    options: {
      server: { type: "string", default: process.env.NATS_URL ?? "nats://127.0.0.1:4222" },
      app: { type: "string", default: "default" },
      channel: { type: "string", default: "sms" },
      type: { type: "string", default: "SignIn" },
      key: { type: "string", default: "user-1" },
      to: { type: "string" },
      code: { type: "string" },
      id: { type: "string", default: randomUUID() },
      seal: { type: "string" },
      timeout: { type: "string", default: "2" }, // seconds, of one try
    },
  });
  if (!args.to || !args.code) throw new Error("--to and --code are required");

  const publicKey = args.seal && parsePublicKey(args.seal);
  const subject = `codeferry.send.${args.app}.${args.channel}.${args.type}.${args.key}`;
  const now = Date.now();
  const message = {
    id: args.id, // made together with the code, and kept for the repeats
    to: args.to,
    type: args.type,
    payload: { code: args.code },
    createdAt: new Date(now),
    expiresAt: new Date(now + 10 * 60 * 1000),
  };

  // A service connects once, and keeps the connection.
  const nc = await connect({
    servers: args.server,
    user: process.env.NATS_USER,
    pass: process.env.NATS_PASSWORD,
    inboxPrefix: "_INBOX_publisher", // the one that docs/roles.md permits to a publisher
    name: "auth",
    maxReconnectAttempts: -1,
  }).catch((err) => {
    throw new Error(`not stored: no connection to NATS: ${err.message}`, { cause: err });
  });
  try {
    const ack = await publish(nc, subject, message, { publicKey, timeout: args.timeout * 1000 });
    console.log(`${ack.duplicate ? "already stored" : "stored"}: ${message.id}, ${ack.stream} ${ack.seq}`);
  } finally {
    await nc.close();
  }
}

main().catch((err) => {
  console.error(err.message);
  process.exitCode = 1;
});
