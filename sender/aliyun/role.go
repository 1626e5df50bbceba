package aliyun

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"os"
	"strconv"
	"time"

	"github.com/aliyun/alibaba-cloud-sdk-go/sdk/responses"
	"github.com/aliyun/alibaba-cloud-sdk-go/services/sts"

	"github.com/codeferry/codeferry/sender"
	"github.com/codeferry/codeferry/sender/internal/exchange"
)

// role is a RAM role to assume by STS.
type role struct {
	arn, session, policy, externalID string
	seconds                          int
	endpoint                         string
}

// The actions of STS, and what their answers hold of use.
var (
	assumeRoleAction         = NewAction(sts.CreateAssumeRoleRequest())
	assumeRoleWithOIDCAction = NewAction(sts.CreateAssumeRoleWithOIDCRequest())
)

// roleAnswer is what both actions answer.
type roleAnswer struct {
	*responses.BaseResponse
	Credentials sts.Credentials
}

func (r role) params() Params {
	return Params{
		{"RoleArn", r.arn},
		{"RoleSessionName", cmp.Or(r.session, os.Getenv(envRoleSession), defaultSession)},
		{"DurationSeconds", strconv.Itoa(cmp.Or(r.seconds, defaultSeconds))},
	}.With("Policy", r.policy).With("ExternalId", r.externalID)
}

// assumeRole is a source of the keys that a role has for whoever has the keys of
// another source (Sts 2015-04-01, AssumeRole).
func assumeRole(r role, from source) (source, error) {
	client, err := newSTS(r.endpoint)
	if err != nil {
		return nil, err
	}
	return func(ctx context.Context) (*keys, *sender.Error) {
		signer, failed := from(ctx)
		if failed != nil {
			return nil, failed
		}
		return client.role(ctx, "ram_role_arn", assumeRoleAction, r.params(), signer)
	}, nil
}

// assumeRoleWithOIDC is a source of the keys that a role has for whoever has an
// OIDC token (Sts 2015-04-01, AssumeRoleWithOIDC). The token's file is read each
// time: Kubernetes renews it.
func assumeRoleWithOIDC(r role, provider, tokenFile string) (source, error) {
	client, err := newSTS(r.endpoint)
	if err != nil {
		return nil, err
	}
	return func(ctx context.Context) (*keys, *sender.Error) {
		token, err := readFile(tokenFile)
		if err != nil {
			return nil, noKeys(sender.Unavailable, "the OIDC token can't be read: "+err.Error())
		}
		params := r.params().With("OIDCProviderArn", provider).With("OIDCToken", string(bytes.TrimSpace(token)))
		return client.role(ctx, "oidc_role_arn", assumeRoleWithOIDCAction, params, nil)
	}, nil
}

// role asks for a role's keys.
func (c *Client) role(ctx context.Context, provider string, a Action, params Params, k *keys) (*keys, *sender.Error) {
	answer := &roleAnswer{BaseResponse: new(responses.BaseResponse)}
	if failed := c.call(ctx, time.Now().Add(c.timeout), a, params, answer, k); failed != nil {
		return nil, roleError(failed)
	}
	return session(provider, answer.Credentials.AccessKeyId, answer.Credentials.AccessKeySecret, answer.Credentials.SecurityToken, answer.Credentials.Expiration)
}

// newSTS returns a client that keeps no connection: it is used once an hour.
func newSTS(endpoint string) (*Client, error) {
	c, err := newClient(endpoint, DefaultRegion, 0, exchange.Options{IdleTimeout: -1})
	if err != nil {
		return nil, fmt.Errorf("credentials.stsEndpoint %w", err)
	}
	return c, nil
}

// roleError classes what STS refuses: no message has left yet, and what STS says
// of its own request is said of the keys or of the role.
func roleError(failed *sender.Error) *sender.Error {
	e := *failed
	switch e.Class {
	case sender.AccountDown, sender.Permanent, sender.Misconfigured:
		e.Class = sender.AccountDown
	default:
		e.Class = sender.Unavailable
	}
	e.Detail = "the role can't be assumed: " + e.Detail
	return &e
}

// session makes keys of an answer, which has all of these.
func session(provider, id, secret, token, expiration string) (*keys, *sender.Error) {
	expires, err := time.Parse(time.RFC3339, expiration)
	if err != nil || id == "" || secret == "" || token == "" {
		return nil, noKeys(sender.Unavailable, "the answer to the request for keys ("+provider+") lacks some of them, or their end")
	}
	k := newKeys(provider, id, secret, token)
	k.expires = expires
	return k, nil
}
