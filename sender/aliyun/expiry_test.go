package aliyun_test

import (
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/aliyun/alibaba-cloud-sdk-go/services/dysmsapi"

	"github.com/codeferry/codeferry/internal/fakes/faulty"
	"github.com/codeferry/codeferry/sender"
	"github.com/codeferry/codeferry/sender/aliyun"
	"github.com/codeferry/codeferry/sender/internal/sendertest"
)

// TestKeysThatComeTooLate: the wait for keys ends at the message's NotAfter, and the
// message is not handed over.
func TestKeysThatComeTooLate(t *testing.T) {
	token := writeFile(t, "token", oidcToken)
	for name, account := range map[string]func(endpoint, silent string) aliyun.Account{
		"of a role": func(endpoint, silent string) aliyun.Account {
			a := options(endpoint)
			a.Credentials = aliyun.Credentials{Type: aliyun.RAMRoleARN, RoleArn: roleArn, STSEndpoint: silent}
			return a
		},
		"of an OIDC token": func(endpoint, silent string) aliyun.Account {
			c := aliyun.Credentials{Type: aliyun.OIDCRoleARN, RoleArn: roleArn, STSEndpoint: silent, OIDCProviderArn: providerArn, OIDCTokenFile: sender.FilePath(token)}
			return with(endpoint, c)
		},
		"of an instance": func(endpoint, silent string) aliyun.Account {
			c := aliyun.Credentials{Type: aliyun.ECSRAMRole}
			c.SetMetadata(silent)
			return with(endpoint, c)
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			sendertest.Soon(t, func(notAfter time.Time) bool {
				reached := make(chan struct{})
				arrive := sync.OnceFunc(func() { close(reached) })
				silent := faulty.Raw(t, func(c *faulty.Conn) {
					c.AwaitByte()
					arrive()
					c.Wait()
				})
				srv := faulty.Serve(t, faulty.Answer(http.StatusOK, sendertest.OK))
				a := account(srv.Endpoint, silent.Endpoint)
				a.Timeout = 2 * sendertest.Patience // one half is for the keys
				err := newClient(t, a).DoBefore(t.Context(), notAfter, sendSms, form(phone), dysmsapi.CreateSendSmsResponse())
				sendertest.WantExpired(t, err)
				sendertest.Hides(t, err, private...)
				if n := len(srv.Requests()); n != 0 {
					t.Errorf("%d messages were handed over", n)
				}
				return sendertest.Closed(reached)
			})
		})
	}
}
