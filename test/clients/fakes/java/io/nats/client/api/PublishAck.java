package io.nats.client.api;

public final class PublishAck {
  private final String stream;
  private final long seqno;
  private final boolean duplicate;

  public PublishAck(String stream, long seqno, boolean duplicate) {
    this.stream = stream;
    this.seqno = seqno;
    this.duplicate = duplicate;
  }

  public String getStream() {
    return stream;
  }

  public long getSeqno() {
    return seqno;
  }

  public boolean isDuplicate() {
    return duplicate;
  }
}
