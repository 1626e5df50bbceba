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
	"github.com/codeferry/codeferry/sender/internal/httpclient"
)

// role is a RAM role to assume by STS.
type role struct {
	arn, session, policy, externalID string
	seconds                          int
	endpoint                         string
	netHTTP                          bool
}

// The actions of STS.
var (
	assumeRoleAction         = NewAction(sts.CreateAssumeRoleRequest())
	assumeRoleWithOIDCAction = NewAction(sts.CreateAssumeRoleWithOIDCRequest())
)

// roleAnswer is the answer of both actions.
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

// assumeRole returns a source of a role's keys. It assumes the role with the keys of
// another source (Sts 2015-04-01, AssumeRole).
func assumeRole(r role, from source) (source, error) {
	client, err := newSTS(r)
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

// assumeRoleWithOIDC returns a source of a role's keys. It assumes the role with an OIDC
// token (Sts 2015-04-01, AssumeRoleWithOIDC). It reads the token's file each time,
// because Kubernetes renews the token.
func assumeRoleWithOIDC(r role, provider, tokenFile string) (source, error) {
	client, err := newSTS(r)
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

// role asks STS for a role's keys.
func (c *Client) role(ctx context.Context, provider string, a Action, params Params, k *keys) (*keys, *sender.Error) {
	answer := &roleAnswer{BaseResponse: new(responses.BaseResponse)}
	if failed := c.call(ctx, bounds{deadline: time.Now().Add(c.timeout)}, a, params, answer, k); failed != nil {
		return nil, roleError(failed)
	}
	return session(provider, answer.Credentials.AccessKeyId, answer.Credentials.AccessKeySecret, answer.Credentials.SecurityToken, answer.Credentials.Expiration)
}

// newSTS returns a client that keeps no connection, because it makes about one request an
// hour.
func newSTS(r role) (*Client, error) {
	c, err := newClient(r.endpoint, DefaultRegion, 0, httpclient.Options{IdleTimeout: -1, NetHTTP: r.netHTTP})
	if err != nil {
		return nil, fmt.Errorf("credentials.stsEndpoint %w", err)
	}
	return c, nil
}

// roleError classes a refusal by STS. No message has left yet, so what STS says about its
// own request speaks of the keys or the role.
func roleError(failed *sender.Error) *sender.Error {
	e := *failed
	switch e.Class {
	case sender.AccountDown, sender.Permanent, sender.Misconfigured:
		e.Class, e.Scope = sender.AccountDown, sender.ScopeAccount
	default:
		e.Class, e.Scope = sender.Unavailable, sender.ScopeConnector
	}
	e.Detail = "the role can't be assumed: " + e.Detail
	return &e
}

// session makes keys from an answer, which must have all of these values.
func session(provider, id, secret, token, expiration string) (*keys, *sender.Error) {
	expires, err := time.Parse(time.RFC3339, expiration)
	if err != nil || id == "" || secret == "" || token == "" {
		return nil, noKeys(sender.Unavailable, "the answer to the request for keys ("+provider+") lacks the keys, their token or their expiration")
	}
	k := newKeys(provider, id, secret, token)
	k.expires = expires
	return k, nil
}
