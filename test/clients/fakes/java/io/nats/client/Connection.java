package io.nats.client;

import com.google.gson.JsonObject;
import com.google.gson.JsonParser;
import io.nats.client.api.PublishAck;
import io.nats.client.support.Status;
import java.io.DataInputStream;
import java.io.IOException;
import java.net.Socket;
import java.net.SocketTimeoutException;
import java.net.URI;
import java.nio.charset.StandardCharsets;
import java.util.UUID;

/** It publishes one message at a time, and reads from the socket while it waits for the reply. */
public final class Connection implements AutoCloseable, JetStream {
  private final Socket socket;
  private final DataInputStream in;
  private final String inbox;

  Connection(Options options) throws IOException {
    URI server = URI.create(options.server);
    socket = new Socket(server.getHost(), server.getPort());
    inbox = options.inboxPrefix + "." + UUID.randomUUID();
    in = new DataInputStream(socket.getInputStream());
    line(); // INFO
    var connect = new JsonObject();
    connect.addProperty("verbose", false);
    connect.addProperty("pedantic", false);
    connect.addProperty("headers", true);
    connect.addProperty("no_responders", true);
    connect.addProperty("name", options.name);
    connect.addProperty("lang", "fake");
    connect.addProperty("version", "0");
    if (options.user != null) {
      connect.addProperty("user", options.user);
      connect.addProperty("pass", options.password);
    }
    write("CONNECT " + connect + "\r\nSUB " + inbox + ".* 1\r\nPING\r\n");
    String answer = line();
    if (!answer.equals("PONG")) {
      socket.close();
      throw new IOException(answer);
    }
  }

  public JetStream jetStream() {
    return this;
  }

  @Override
  public PublishAck publish(String subject, byte[] body, PublishOptions options) throws IOException, JetStreamApiException {
    String to = inbox + "." + UUID.randomUUID();
    String head = "NATS/1.0\r\nNats-Msg-Id: " + options.id + "\r\n\r\n";
    write("HPUB " + subject + " " + to + " " + head.length() + " " + (head.length() + body.length) + "\r\n"
        + head + new String(body, StandardCharsets.UTF_8) + "\r\n");
    socket.setSoTimeout((int) options.timeout.toMillis());
    try {
      return ack(reply(to));
    } catch (SocketTimeoutException e) {
      throw new IOException("Timeout or no response waiting for NATS JetStream server", e);
    }
  }

  /** Waits for the message to a subject. */
  private String reply(String subject) throws IOException {
    while (true) {
      String[] words = line().split(" ");
      if (words[0].equals("PING")) {
        write("PONG\r\n");
      } else if (words[0].endsWith("MSG")) {
        byte[] data = new byte[Integer.parseInt(words[words.length - 1]) + 2];
        in.readFully(data);
        if (words[1].equals(subject)) {
          return new String(data, StandardCharsets.UTF_8);
        }
      }
    }
  }

  private static PublishAck ack(String reply) throws IOException, JetStreamApiException {
    if (reply.startsWith("NATS/1.0 503")) {
      throw new IOException("Error Publishing: 503 " + Status.NO_RESPONDERS_TEXT);
    }
    JsonObject ack = JsonParser.parseString(reply).getAsJsonObject();
    if (ack.has("error")) {
      throw new JetStreamApiException(ack.getAsJsonObject("error").get("description").getAsString());
    }
    boolean duplicate = ack.has("duplicate") && ack.get("duplicate").getAsBoolean();
    return new PublishAck(ack.get("stream").getAsString(), ack.get("seq").getAsLong(), duplicate);
  }

  private String line() throws IOException {
    var text = new StringBuilder();
    while (text.length() < 2 || text.charAt(text.length() - 1) != '\n') {
      text.append((char) in.readUnsignedByte());
    }
    return text.toString().strip();
  }

  private void write(String text) throws IOException {
    socket.getOutputStream().write(text.getBytes(StandardCharsets.UTF_8));
  }

  @Override
  public void close() throws InterruptedException {
    try {
      socket.close();
    } catch (IOException e) {
      throw new IllegalStateException(e);
    }
  }
}
