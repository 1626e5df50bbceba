package com.example;

import com.google.gson.JsonObject;
import java.io.ByteArrayOutputStream;
import java.nio.charset.StandardCharsets;
import java.security.GeneralSecurityException;
import java.security.KeyFactory;
import java.security.KeyPair;
import java.security.KeyPairGenerator;
import java.security.MessageDigest;
import java.security.PublicKey;
import java.security.SecureRandom;
import java.security.spec.X509EncodedKeySpec;
import java.util.Arrays;
import java.util.Base64;
import java.util.HexFormat;
import java.util.List;
import javax.crypto.Cipher;
import javax.crypto.KeyAgreement;
import javax.crypto.Mac;
import javax.crypto.spec.GCMParameterSpec;
import javax.crypto.spec.SecretKeySpec;

/** Encrypts who gets what for codeferry's workers alone: docs/wire.md, "Sealing". */
final class Seal {
  private static final String PREFIX = "codeferry-public-";
  private static final List<String> OPEN = List.of("id", "type", "createdAt", "expiresAt");
  private static final List<String> SECRET = List.of("to", "payload", "ip");

  private Seal() {}

  /** Reads a public key, as {@code codeferry keygen} prints it. */
  static PublicKey parsePublicKey(String text) throws GeneralSecurityException {
    text = text.strip();
    if (!text.matches(PREFIX + "[A-Za-z0-9_-]{43}")) {
      throw new IllegalArgumentException("this is no public key such as codeferry keygen prints");
    }
    return publicKey(Base64.getUrlDecoder().decode(text.substring(PREFIX.length())));
  }

  /** Returns the message with all that is private in a box that only the workers can open. */
  static JsonObject seal(PublicKey recipient, String subject, JsonObject message) throws GeneralSecurityException {
    if (!message.has("id")) {
      throw new IllegalArgumentException("a message that is sealed needs an id");
    }
    var sealed = new JsonObject();
    var secret = new JsonObject();
    var extra = new JsonObject();
    message.asMap().forEach((name, value) ->
        (OPEN.contains(name) ? sealed : SECRET.contains(name) ? secret : extra).add(name, value));
    secret.add("extra", extra);

    KeyPair ephemeral = KeyPairGenerator.getInstance("X25519").generateKeyPair();
    byte[] enc = raw(ephemeral.getPublic());
    KeyAgreement agreement = KeyAgreement.getInstance("X25519");
    agreement.init(ephemeral.getPrivate());
    agreement.doPhase(recipient, true);
    byte[] key = messageKey(agreement.generateSecret(), enc, raw(recipient));

    byte[] nonce = new byte[12];
    new SecureRandom().nextBytes(nonce);
    Cipher cipher = cipher(Cipher.ENCRYPT_MODE, key, nonce, subject, message.get("id").getAsString());
    byte[] text = cipher.doFinal(utf8(secret.toString()));

    var box = new JsonObject();
    box.addProperty("key", keyId(recipient));
    box.addProperty("box", Base64.getEncoder().encodeToString(concat(enc, nonce, text)));
    sealed.add("sealed", box);
    return sealed;
  }

  /** Names a public key. */
  static String keyId(PublicKey key) throws GeneralSecurityException {
    byte[] sum = MessageDigest.getInstance("SHA-256").digest(raw(key));
    return HexFormat.of().formatHex(sum, 0, 8);
  }

  /** The cipher of one message: a box that is moved to another subject or id does not open. */
  static Cipher cipher(int mode, byte[] key, byte[] nonce, String subject, String id) throws GeneralSecurityException {
    Cipher cipher = Cipher.getInstance("AES/GCM/NoPadding");
    cipher.init(mode, new SecretKeySpec(key, "AES"), new GCMParameterSpec(128, nonce));
    cipher.updateAAD(utf8(subject + "\0" + id));
    return cipher;
  }

  // The JDK takes and gives keys with a header: RFC 8410 has it.
  private static final byte[] HEADER = HexFormat.of().parseHex("302a300506032b656e032100");

  static PublicKey publicKey(byte[] raw) throws GeneralSecurityException {
    return KeyFactory.getInstance("X25519").generatePublic(new X509EncodedKeySpec(concat(HEADER, raw)));
  }

  static byte[] raw(PublicKey key) {
    return Arrays.copyOfRange(key.getEncoded(), HEADER.length, HEADER.length + 32);
  }

  // HPKE in base mode (RFC 9180) with X25519, HKDF-SHA256 and AES-256-GCM. Only its exported
  // key is used, and each value fits into one block of HKDF: so both steps are one HMAC.
  private static final byte[] KEM = concat(utf8("KEM"), new byte[] {0, 0x20});
  private static final byte[] HPKE = concat(utf8("HPKE"), new byte[] {0, 0x20, 0, 1, 0, 2});
  private static final byte[] VERSION = utf8("HPKE-v1");
  private static final byte[] NONE = {};

  private static byte[] extract(byte[] suite, byte[] salt, String label, byte[] value) throws GeneralSecurityException {
    return hmac(salt, VERSION, suite, utf8(label), value);
  }

  private static byte[] expand(byte[] suite, byte[] key, String label, byte[] info) throws GeneralSecurityException {
    return hmac(key, new byte[] {0, 32}, VERSION, suite, utf8(label), info, new byte[] {1});
  }

  /** The key of one message, from the X25519 secret that both sides share. */
  static byte[] messageKey(byte[] shared, byte[] enc, byte[] recipient) throws GeneralSecurityException {
    byte[] kem = expand(KEM, extract(KEM, NONE, "eae_prk", shared), "shared_secret", concat(enc, recipient));
    byte[] context = concat(new byte[] {0},
        extract(HPKE, NONE, "psk_id_hash", NONE),
        extract(HPKE, NONE, "info_hash", utf8("codeferry sealed message v1")));
    byte[] exporter = expand(HPKE, extract(HPKE, kem, "secret", NONE), "exp", context);
    return expand(HPKE, exporter, "sec", utf8("message key"));
  }

  private static byte[] hmac(byte[] key, byte[]... parts) throws GeneralSecurityException {
    Mac mac = Mac.getInstance("HmacSHA256");
    // HMAC fills its key up with zeros: no key is the same as 32 of them.
    mac.init(new SecretKeySpec(key.length > 0 ? key : new byte[32], "HmacSHA256"));
    for (byte[] part : parts) {
      mac.update(part);
    }
    return mac.doFinal();
  }

  static byte[] concat(byte[]... parts) {
    var all = new ByteArrayOutputStream();
    for (byte[] part : parts) {
      all.writeBytes(part);
    }
    return all.toByteArray();
  }

  private static byte[] utf8(String text) {
    return text.getBytes(StandardCharsets.UTF_8);
  }
}
