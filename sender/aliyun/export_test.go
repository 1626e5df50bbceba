package aliyun

import "time"

// SetMetadata gives another place than an ECS instance's own metadata.
func (c *Credentials) SetMetadata(url string) { c.metadata = url }

// SetClock gives the client's keys another clock.
func (c *Client) SetClock(now func() time.Time) { c.keys.now = now }
