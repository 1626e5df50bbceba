package aliyun

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"maps"
	"os"
	"strconv"
	"time"

	"github.com/aliyun/alibaba-cloud-sdk-go/services/sts"

	"github.com/codeferry/codeferry/sender"
)

// role is a RAM role to assume by STS.
type role struct {
	arn, session, policy, externalID string
	seconds                          int
	endpoint                         string
}

func (r role) form() map[string]string {
	form := map[string]string{
		"RoleArn":         r.arn,
		"RoleSessionName": cmp.Or(r.session, os.Getenv(envRoleSession), defaultSession),
		"DurationSeconds": strconv.Itoa(cmp.Or(r.seconds, defaultSeconds)),
	}
	for name, value := range map[string]string{"Policy": r.policy, "ExternalId": r.externalID} {
		if value != "" {
			form[name] = value
		}
	}
	return form
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
		resp := sts.CreateAssumeRoleResponse()
		if err := client.call(ctx, sts.CreateAssumeRoleRequest(), r.form(), resp, signer); err != nil {
			return nil, roleError(err)
		}
		return roleKeys("ram_role_arn", resp.Credentials)
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
		form := r.form()
		maps.Copy(form, map[string]string{"OIDCProviderArn": provider, "OIDCToken": string(bytes.TrimSpace(token))})
		resp := sts.CreateAssumeRoleWithOIDCResponse()
		if err := client.call(ctx, sts.CreateAssumeRoleWithOIDCRequest(), form, resp, nil); err != nil {
			return nil, roleError(err)
		}
		return roleKeys("oidc_role_arn", resp.Credentials)
	}, nil
}

// newSTS returns a client that keeps no connection: it is used once an hour.
func newSTS(endpoint string) (*Client, error) {
	transport := newTransport()
	transport.DisableKeepAlives = true
	c, err := newClient(endpoint, DefaultRegion, 0, transport)
	if err != nil {
		return nil, fmt.Errorf("credentials.stsEndpoint %w", err)
	}
	return c, nil
}

// roleError classes what STS refuses: no message has left yet, and what STS says
// of its own request is said of the keys or of the role.
func roleError(err error) *sender.Error {
	e := *sender.AsError(err)
	switch e.Class {
	case sender.AccountDown, sender.Permanent, sender.Misconfigured:
		e.Class = sender.AccountDown
	default:
		e.Class = sender.Unavailable
	}
	e.Detail = "the role can't be assumed: " + e.Detail
	return &e
}

// roleKeys takes the keys out of an answer of STS.
func roleKeys(provider string, c sts.Credentials) (*keys, *sender.Error) {
	return session(provider, c.AccessKeyId, c.AccessKeySecret, c.SecurityToken, c.Expiration)
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
