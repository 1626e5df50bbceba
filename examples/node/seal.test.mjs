// The sealing against codeferry's test vectors. Opening is the workers' part: it is here
// to show that what seal makes can be opened.

import assert from "node:assert/strict";
import { createDecipheriv, createPrivateKey, createPublicKey, diffieHellman } from "node:crypto";
import { readFileSync } from "node:fs";
import { test } from "node:test";

import { keyId, messageKey, parsePublicKey, rawKey, seal } from "./seal.mjs";

const file = process.env.CODEFERRY_VECTORS ?? new URL("../../messages/wire/testdata/sealed.json", import.meta.url);
const vectors = JSON.parse(readFileSync(file, "utf8"));

function open(vector, { sealed, ...body }) {
  const box = Buffer.from(sealed.box, "base64");
  const [enc, nonce, text, tag] = [box.subarray(0, 32), box.subarray(32, 44), box.subarray(44, -16), box.subarray(-16)];
  const jwk = { kty: "OKP", crv: "X25519", x: vector.public.slice("codeferry-public-".length) };
  const privateKey = createPrivateKey({ key: { ...jwk, d: vector.private.slice("codeferry-private-".length) }, format: "jwk" });
  const publicKey = createPublicKey({ key: { ...jwk, x: enc.toString("base64url") }, format: "jwk" });
  const key = messageKey(diffieHellman({ privateKey, publicKey }), enc, rawKey(parsePublicKey(vector.public)));
  const decipher = createDecipheriv("aes-256-gcm", key, nonce).setAAD(Buffer.from(`${vector.subject}\0${body.id}`)).setAuthTag(tag);
  const { extra, ...secret } = JSON.parse(Buffer.concat([decipher.update(text), decipher.final()]));
  return { ...body, ...secret, ...extra };
}

for (const vector of vectors) {
  test(`a sealed message for ${vector.subject}`, () => {
    const key = parsePublicKey(vector.public);
    assert.equal(keyId(key), vector.keyId);
    assert.deepEqual(open(vector, vector.body), vector.plain);
    const sealed = JSON.parse(JSON.stringify(seal(key, vector.subject, vector.plain)));
    assert.equal(sealed.sealed.key, vector.keyId);
    assert.equal("to" in sealed || "payload" in sealed || "ip" in sealed, false);
    assert.deepEqual(open(vector, sealed), vector.plain);
  });
}

test("what is no public key is refused", () => {
  for (const text of ["", vectors[0].private, `${vectors[0].public}A`, "codeferry-public-!"]) {
    assert.throws(() => parsePublicKey(text), /no public key/);
  }
});
