package com.example;

import com.google.gson.JsonElement;
import com.google.gson.JsonObject;
import com.google.gson.JsonParser;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.GeneralSecurityException;
import java.security.KeyFactory;
import java.security.PublicKey;
import java.security.spec.PKCS8EncodedKeySpec;
import java.util.Arrays;
import java.util.Base64;
import java.util.HexFormat;
import javax.crypto.Cipher;
import javax.crypto.KeyAgreement;

/**
 * The sealing against codeferry's test vectors. Opening is the workers' part: it is here to show
 * that what {@link Seal} makes can be opened.
 */
final class SealCheck {
  private SealCheck() {}

  public static void main(String[] args) throws Exception {
    Path file = Path.of(args.length > 0 ? args[0] : "../../messages/wire/testdata/sealed.json");
    var vectors = JsonParser.parseString(Files.readString(file)).getAsJsonArray();
    for (JsonElement element : vectors) {
      JsonObject vector = element.getAsJsonObject();
      JsonObject plain = vector.getAsJsonObject("plain");
      String subject = text(vector, "subject");
      PublicKey key = Seal.parsePublicKey(text(vector, "public"));
      want(text(vector, "keyId"), Seal.keyId(key));
      want(plain, open(vector, vector.getAsJsonObject("body")));

      JsonObject sealed = Seal.seal(key, subject, plain);
      want(false, sealed.has("to") || sealed.has("payload") || sealed.has("ip"));
      want(plain, open(vector, sealed));
    }
    for (String wrong : new String[] {"", text(vectors.get(0).getAsJsonObject(), "private"), "codeferry-public-!"}) {
      try {
        Seal.parsePublicKey(wrong);
        throw new AssertionError("it was taken as a public key");
      } catch (IllegalArgumentException expected) {
        // What is no public key is refused.
      }
    }
    System.out.println(vectors.size() + " vectors: ok");
  }

  private static JsonObject open(JsonObject vector, JsonObject body) throws GeneralSecurityException {
    byte[] box = Base64.getDecoder().decode(text(body.getAsJsonObject("sealed"), "box"));
    byte[] enc = Arrays.copyOfRange(box, 0, 32);
    byte[] nonce = Arrays.copyOfRange(box, 32, 44);
    byte[] text = Arrays.copyOfRange(box, 44, box.length);

    byte[] raw = Base64.getUrlDecoder().decode(text(vector, "private").substring("codeferry-private-".length()));
    byte[] pkcs8 = Seal.concat(HexFormat.of().parseHex("302e020100300506032b656e04220420"), raw);
    KeyAgreement agreement = KeyAgreement.getInstance("X25519");
    agreement.init(KeyFactory.getInstance("X25519").generatePrivate(new PKCS8EncodedKeySpec(pkcs8)));
    agreement.doPhase(Seal.publicKey(enc), true);
    byte[] recipient = Seal.raw(Seal.parsePublicKey(text(vector, "public")));
    byte[] key = Seal.messageKey(agreement.generateSecret(), enc, recipient);

    Cipher cipher = Seal.cipher(Cipher.DECRYPT_MODE, key, nonce, text(vector, "subject"), text(body, "id"));
    JsonObject secret = JsonParser.parseString(new String(cipher.doFinal(text), StandardCharsets.UTF_8)).getAsJsonObject();
    JsonObject plain = body.deepCopy();
    plain.remove("sealed");
    JsonElement extra = secret.remove("extra");
    secret.asMap().forEach(plain::add);
    if (extra != null) {
      extra.getAsJsonObject().asMap().forEach(plain::add);
    }
    return plain;
  }

  private static String text(JsonObject object, String name) {
    return object.get(name).getAsString();
  }

  private static void want(Object want, Object got) {
    if (!want.equals(got)) {
      throw new AssertionError("got " + got + ", want " + want);
    }
  }
}
