package com.example;

import com.google.gson.JsonObject;
import io.nats.client.Connection;
import io.nats.client.JetStream;
import io.nats.client.JetStreamApiException;
import io.nats.client.Nats;
import io.nats.client.Options;
import io.nats.client.PublishOptions;
import io.nats.client.api.PublishAck;
import io.nats.client.support.Status;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.security.PublicKey;
import java.time.Duration;
import java.time.Instant;
import java.util.HashMap;
import java.util.Map;
import java.util.UUID;

/**
 * An auth service publishes a verification code, and waits until codeferry's stream has stored it:
 *
 * <pre>--channel sms --to +8613012345678 --type SignIn --key user-1 --code 123456</pre>
 */
final class SendCode {
  private static final int TRIES = 3;

  /** A code that was not stored, or is in doubt. */
  static final class PublishException extends Exception {
    PublishException(String message, Throwable cause) {
      super(message, cause);
    }
  }

  private SendCode() {}

  /**
   * Publishes a message and returns the stream's acknowledgement. It is repeated with the same
   * Nats-Msg-Id if no acknowledgement comes, so the stream stores it once.
   */
  static PublishAck publish(Connection nc, String subject, String id, JsonObject body, Duration timeout)
      throws IOException, InterruptedException, PublishException {
    JetStream js = nc.jetStream();
    PublishOptions options = PublishOptions.builder().messageId(id).streamTimeout(timeout).build();
    byte[] data = body.toString().getBytes(StandardCharsets.UTF_8);
    Exception error = null;
    for (int i = 0; i < TRIES; i++) {
      try {
        return js.publish(subject, data, options);
      } catch (IOException | JetStreamApiException e) {
        String why = refused(e, subject);
        if (why != null && error == null) {
          throw new PublishException("not stored: " + why, e);
        }
        error = e; // it may be stored, or be on its way to the replicas
        Thread.sleep(500);
      }
    }
    throw new PublishException("in doubt: no acknowledgement after " + TRIES + " tries (" + error.getMessage()
        + "); publish it again with --id " + id, error);
  }

  /** Says why this try was certainly not stored, or returns null. */
  private static String refused(Exception e, String subject) {
    if (e instanceof JetStreamApiException) {
      return "the stream refuses it: " + e.getMessage();
    }
    if (e.getMessage().endsWith(Status.NO_RESPONDERS_TEXT)) {
      return "no stream takes " + subject + "; check its tokens, or create the streams with codeferry provision";
    }
    return null;
  }

  public static void main(String[] args) throws Exception {
    try {
      run(parse(args));
    } catch (PublishException | IllegalArgumentException e) {
      System.err.println(e.getMessage());
      System.exit(1);
    }
  }

  private static void run(Map<String, String> args) throws Exception {
    String subject = String.join(".", "codeferry.send", args.get("app"), args.get("channel"), args.get("type"), args.get("key"));
    Instant now = Instant.now();
    var payload = new JsonObject();
    payload.addProperty("code", args.get("code"));
    var message = new JsonObject();
    message.addProperty("id", args.get("id")); // made together with the code, and kept for the repeats
    message.addProperty("to", args.get("to"));
    message.addProperty("type", args.get("type"));
    message.add("payload", payload);
    message.addProperty("createdAt", now.toString());
    message.addProperty("expiresAt", now.plus(Duration.ofMinutes(10)).toString());
    if (args.containsKey("seal")) {
      PublicKey key = Seal.parsePublicKey(args.get("seal"));
      message = Seal.seal(key, subject, message);
    }

    // A service connects once, and keeps the connection.
    try (Connection nc = connect(args.get("server"))) {
      Duration timeout = Duration.ofSeconds(Long.parseLong(args.get("timeout"))); // of one try
      PublishAck ack = publish(nc, subject, args.get("id"), message, timeout);
      System.out.println((ack.isDuplicate() ? "already stored: " : "stored: ") + args.get("id")
          + ", " + ack.getStream() + " " + ack.getSeqno());
    }
  }

  private static Connection connect(String server) throws InterruptedException, PublishException {
    Options.Builder options = Options.builder()
        .server(server)
        .inboxPrefix("_INBOX_publisher") // the one that docs/roles.md permits to a publisher
        .connectionName("auth")
        .maxReconnects(-1);
    String user = System.getenv("NATS_USER");
    if (user != null) {
      options.userInfo(user, System.getenv().getOrDefault("NATS_PASSWORD", ""));
    }
    try {
      return Nats.connect(options.build());
    } catch (IOException e) {
      throw new PublishException("not stored: no connection to NATS; jnats has logged why", e);
    }
  }

  private static Map<String, String> parse(String[] args) {
    var values = new HashMap<>(Map.of(
        "server", System.getenv().getOrDefault("NATS_URL", "nats://127.0.0.1:4222"),
        "app", "default", "channel", "sms", "type", "SignIn", "key", "user-1", "timeout", "2",
        "id", UUID.randomUUID().toString()));
    for (int i = 0; i + 1 < args.length; i += 2) {
      values.put(args[i].replaceFirst("^--", ""), args[i + 1]);
    }
    if (!values.containsKey("to") || !values.containsKey("code")) {
      throw new IllegalArgumentException("--to and --code are required");
    }
    return values;
  }
}
