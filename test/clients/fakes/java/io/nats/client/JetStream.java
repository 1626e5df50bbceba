package io.nats.client;

import io.nats.client.api.PublishAck;
import java.io.IOException;

public interface JetStream {
  PublishAck publish(String subject, byte[] body, PublishOptions options) throws IOException, JetStreamApiException;
}
