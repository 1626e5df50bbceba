package aliyun

import (
	"time"

	"github.com/codeferry/codeferry/sender"
)

// Rows walks the catalogue.
func Rows(row func(name string, class sender.Class, scope sender.Scope)) {
	for code, m := range codes {
		row(code, m.class, m.scope)
	}
	for code, m := range byPayload {
		row(code+", filled by the payload", m.class, m.scope)
	}
	for _, f := range families {
		row(f.prefix+"…", f.class, f.scope)
	}
}

// SetMetadata replaces the URL of the ECS instance's metadata.
func (c *Credentials) SetMetadata(url string) { c.metadata = url }

// SetClock replaces the clock of the client's keys.
func (c *Client) SetClock(now func() time.Time) { c.keys.now = now }
