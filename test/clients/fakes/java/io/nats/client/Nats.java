package io.nats.client;

import java.io.IOException;

/**
 * A fake of jnats: what the example uses of it, over a connection to a real server. It is for a
 * machine that does not reach Maven Central; make clients OFFICIAL=1 runs jnats itself.
 */
public final class Nats {
  private Nats() {}

  public static Connection connect(Options options) throws IOException, InterruptedException {
    return new Connection(options);
  }
}
