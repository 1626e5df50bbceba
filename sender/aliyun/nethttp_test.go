package aliyun_test

import (
	"net/http/httptrace"
	"sync/atomic"
	"testing"

	"github.com/codeferry/codeferry/sender"
	"github.com/codeferry/codeferry/sender/aliyun"
)

// TestNetHTTPMakesTheRequestsToSTS for each way to assume a role.
func TestNetHTTPMakesTheRequestsToSTS(t *testing.T) {
	bare(t)
	_, endpoint := aSandbox(t)
	sts := anSTS(t).Endpoint
	assume := options(endpoint)
	assume.Credentials = aliyun.Credentials{Type: aliyun.RAMRoleARN, RoleArn: roleArn, STSEndpoint: sts}
	oidc := with(endpoint, aliyun.Credentials{
		Type: aliyun.OIDCRoleARN, RoleArn: roleArn, OIDCProviderArn: providerArn, STSEndpoint: sts,
		OIDCTokenFile: sender.FilePath(writeFile(t, "token", oidcToken)),
	})
	for name, a := range map[string]aliyun.Account{"ram_role_arn": assume, "oidc_role_arn": oidc} {
		for set, want := range map[bool]int32{false: 0, true: 2} {
			var conns atomic.Int32
			ctx := httptrace.WithClientTrace(t.Context(), &httptrace.ClientTrace{GotConn: func(httptrace.GotConnInfo) { conns.Add(1) }})
			a.NetHTTP = set
			if err := send(ctx, newClient(t, a), form(phone)); err != nil {
				t.Errorf("%s, netHTTP %v: %v", name, set, err)
			}
			if n := conns.Load(); n != want {
				t.Errorf("%s, netHTTP %v: net/http made %d requests, want %d", name, set, n, want)
			}
		}
	}
}
