package io.nats.client;

public final class JetStreamApiException extends Exception {
  JetStreamApiException(String description) {
    super(description);
  }
}
