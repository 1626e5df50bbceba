package smtp_test

import "crypto/tls"

// only12 returns a configuration without TLS above 1.2.
func only12(c *tls.Config) *tls.Config {
	c = c.Clone()
	c.MaxVersion = tls.VersionTLS12
	return c
}
