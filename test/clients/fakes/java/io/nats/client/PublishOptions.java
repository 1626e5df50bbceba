package io.nats.client;

import java.time.Duration;

public final class PublishOptions {
  final String id;
  final Duration timeout;

  private PublishOptions(Builder b) {
    id = b.id;
    timeout = b.timeout;
  }

  public static Builder builder() {
    return new Builder();
  }

  public static final class Builder {
    private String id;
    private Duration timeout;

    public Builder messageId(String id) {
      this.id = id;
      return this;
    }

    public Builder streamTimeout(Duration timeout) {
      this.timeout = timeout;
      return this;
    }

    public PublishOptions build() {
      return new PublishOptions(this);
    }
  }
}
