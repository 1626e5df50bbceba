// Package aliyuntest holds what the tests of the Aliyun connectors share. Package sendertest
// can't hold it: the tests of package httpclient, which package aliyun needs, use sendertest.
package aliyuntest

import (
	"strings"
	"testing"
	"time"

	fakealiyun "github.com/codeferry/codeferry/internal/fakes/aliyun"
	"github.com/codeferry/codeferry/sender"
	"github.com/codeferry/codeferry/sender/aliyun"
	"github.com/codeferry/codeferry/sender/internal/sendertest"
)

// Keys returns an account with the fake's keys.
func Keys() aliyun.Account {
	return aliyun.Account{
		AccessKeyID: sender.NewSecret(fakealiyun.DefaultKeyID), AccessKeySecret: sender.NewSecret(fakealiyun.DefaultKeySecret),
	}
}

// Connector makes connectors from configurations of one type.
type Connector[C sender.Config] struct {
	// Good returns a configuration without mistakes.
	Good func() C
	// Account returns the account of a configuration.
	Account func(C) *aliyun.Account
}

// With makes a connector from a good configuration with a changed account.
func (c Connector[C]) With(t testing.TB, change func(*aliyun.Account)) sender.Sender {
	t.Helper()
	config := c.Good()
	change(c.Account(config))
	return sendertest.Make(t, config)
}

// At makes a connector that sends to an endpoint.
func (c Connector[C]) At(t testing.TB, endpoint string) sender.Sender {
	t.Helper()
	return c.With(t, func(a *aliyun.Account) { a.Endpoint = endpoint })
}

// New makes a connector that sends to an endpoint and has a time-out.
func (c Connector[C]) New(t testing.TB, endpoint string, timeout time.Duration) sender.Sender {
	t.Helper()
	return c.With(t, func(a *aliyun.Account) { a.Endpoint, a.Timeout = endpoint, timeout })
}

// Check tests the connector's Check with sendertest.AliyunChecks.
func (c Connector[C]) Check(t *testing.T, action, denied string) {
	t.Helper()
	sendertest.AliyunChecks(t, action, denied, func(t testing.TB, endpoint, secret string) sender.Sender {
		t.Helper()
		return c.With(t, func(a *aliyun.Account) { a.Endpoint, a.AccessKeySecret = endpoint, sender.NewSecret(secret) })
	})
}

// NamesWrongEndpoint tests that the error of New names the endpoint if that is wrong.
func (c Connector[C]) NamesWrongEndpoint(t *testing.T) {
	t.Helper()
	config := c.Good()
	c.Account(config).Endpoint = "ftp://host"
	if _, err := config.New(); err == nil || !strings.HasPrefix(err.Error(), "endpoint ") {
		t.Errorf("got error %v, want it to begin with \"endpoint \"", err)
	}
}
