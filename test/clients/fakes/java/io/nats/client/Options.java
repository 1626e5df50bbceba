package io.nats.client;

public final class Options {
  final String server;
  final String name;
  final String inboxPrefix;
  final String user;
  final String password;

  private Options(Builder b) {
    server = b.server;
    name = b.name;
    inboxPrefix = b.inboxPrefix;
    user = b.user;
    password = b.password;
  }

  public static Builder builder() {
    return new Builder();
  }

  public static final class Builder {
    private String server;
    private String name;
    private String inboxPrefix;
    private String user;
    private String password;

    public Builder server(String server) {
      this.server = server;
      return this;
    }

    public Builder connectionName(String name) {
      this.name = name;
      return this;
    }

    public Builder inboxPrefix(String prefix) {
      inboxPrefix = prefix;
      return this;
    }

    public Builder userInfo(String user, String password) {
      this.user = user;
      this.password = password;
      return this;
    }

    public Builder maxReconnects(int max) {
      return this;
    }

    public Options build() {
      return new Options(this);
    }
  }
}
