package io.nats.client.support;

public final class Status {
  public static final String NO_RESPONDERS_TEXT = "No Responders Available For Request";

  private Status() {}
}
