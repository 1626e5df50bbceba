// Encrypts who gets what for codeferry's workers alone: docs/wire.md, "Sealing".

import { createCipheriv, createHash, createHmac, createPublicKey, diffieHellman, generateKeyPairSync, randomBytes } from "node:crypto";

/** Reads a public key, as `codeferry keygen` prints it. */
export function parsePublicKey(text) {
  const [, x] = /^codeferry-public-([\w-]{43})$/.exec(text.trim()) ?? [];
  if (!x) throw new Error("this is no public key such as codeferry keygen prints");
  return createPublicKey({ key: { kty: "OKP", crv: "X25519", x }, format: "jwk" });
}

/** Returns the message with all that is private in a box that only the workers can open. */
export function seal(publicKey, subject, message) {
  const { id, type, createdAt, expiresAt, to, payload, ip, ...extra } = message;
  if (!id) throw new Error("a message that is sealed needs an id");

  const ephemeral = generateKeyPairSync("x25519");
  const enc = rawKey(ephemeral.publicKey);
  const shared = diffieHellman({ privateKey: ephemeral.privateKey, publicKey });
  const nonce = randomBytes(12);
  const cipher = createCipheriv("aes-256-gcm", messageKey(shared, enc, rawKey(publicKey)), nonce);
  cipher.setAAD(Buffer.from(`${subject}\0${id}`));
  const secret = JSON.stringify({ to, payload, ip, extra });
  const box = Buffer.concat([enc, nonce, cipher.update(secret, "utf8"), cipher.final(), cipher.getAuthTag()]);

  return { id, type, createdAt, expiresAt, sealed: { key: keyId(publicKey), box: box.toString("base64") } };
}

/** Names a public key. */
export function keyId(publicKey) {
  return createHash("sha256").update(rawKey(publicKey)).digest("hex").slice(0, 16);
}

/** The 32 bytes of an X25519 public key. */
export function rawKey(publicKey) {
  return Buffer.from(publicKey.export({ format: "jwk" }).x, "base64url");
}

// HPKE in base mode (RFC 9180) with X25519, HKDF-SHA256 and AES-256-GCM. Only its exported
// key is used, and each value fits into one block of HKDF: so both steps are one HMAC.
const KEM = Buffer.from("KEM\x00\x20", "latin1");
const HPKE = Buffer.from("HPKE\x00\x20\x00\x01\x00\x02", "latin1");

function hmac(key, ...parts) {
  return createHmac("sha256", key).update(Buffer.concat(parts.map((p) => Buffer.from(p)))).digest();
}
function extract(suite, salt, label, value) {
  return hmac(salt, "HPKE-v1", suite, label, value);
}
function expand(suite, key, label, info) {
  return hmac(key, [0, 32], "HPKE-v1", suite, label, info, [1]);
}

/** The key of one message, from the X25519 secret that both sides share. */
export function messageKey(shared, enc, recipient) {
  const kem = expand(KEM, extract(KEM, "", "eae_prk", shared), "shared_secret", Buffer.concat([enc, recipient]));
  const context = Buffer.concat([
    Buffer.from([0]),
    extract(HPKE, "", "psk_id_hash", ""),
    extract(HPKE, "", "info_hash", "codeferry sealed message v1"),
  ]);
  const exporter = expand(HPKE, extract(HPKE, kem, "secret", ""), "exp", context);
  return expand(HPKE, exporter, "sec", "message key");
}
