package aliyun_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aliyun/alibaba-cloud-sdk-go/services/dm"

	fakealiyun "github.com/codeferry/codeferry/internal/fakes/aliyun"
	"github.com/codeferry/codeferry/sender"
	"github.com/codeferry/codeferry/sender/aliyun"
	"github.com/codeferry/codeferry/sender/internal/sendertest"
)

// TestSignature sends random parameters to the fake, which verifies every signature with
// its own code.
func TestSignature(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	sb, endpoint := sendertest.Aliyun(t, fakealiyun.Options{Keys: []fakealiyun.Key{
		{ID: "testid", Secret: "testsecret"},
		{ID: "STS.id", Secret: "a secret&+/=%", SecurityToken: "CAIS+to/ken==%20 ~*"},
	}})
	sts := options(endpoint)
	sts.AccessKeyID, sts.AccessKeySecret, sts.SecurityToken = sender.NewSecret("STS.id"), sender.NewSecret("a secret&+/=%"), sender.NewSecret("CAIS+to/ken==%20 ~*")
	const workers, each = 8, 300
	var all sync.WaitGroup
	for name, o := range map[string]aliyun.Account{"key": options(endpoint), "STS": sts} {
		c := newClient(t, o)
		for w := range workers {
			r := rand.New(rand.NewPCG(seed, uint64(w)))
			all.Go(func() {
				for range each {
					params := randomParams(r)
					kept := slices.Clone(params)
					resp := dm.CreateDescAccountSummaryResponse()
					if err := c.Do(t.Context(), descAccountSummary, params, resp); err != nil || resp.DailyQuota != 2000 {
						t.Errorf("%s, seed %d: %v for %q", name, seed, err, params)
						return
					}
					if !slices.Equal(params, kept) {
						t.Errorf("seed %d: the caller's map was changed: %q, was %q", seed, params, kept)
						return
					}
				}
			})
		}
	}
	all.Wait()
	if n := sb.Requests()["DescAccountSummary"]; n != 2*workers*each {
		t.Errorf("%d requests, want %d", n, 2*workers*each)
	}
}

// alphabet holds texts that are encoded in different ways.
var alphabet = []string{
	"a", "Z", "0", "9", "-", "_", ".", "~", " ", "+", "*", "%", "%20", "%2B", "&", "=", "&amp;", "?", "/", "#", ":", ";", "@", "!", "$",
	"'", "(", ")", ",", "[", "]", "{", "}", "|", "\\", "^", "`", "\"", "<", ">", "\t", "\r\n", "\n", "\x00", "\x7f", "\xff", "é", "码", "🚢", "\u2028",
}

func randomParams(r *rand.Rand) aliyun.Params {
	var params aliyun.Params
	for i := range r.IntN(8) {
		params = append(params, aliyun.Param{Name: fmt.Sprintf("P.%s.%d", randomText(r), i), Value: randomText(r)})
	}
	return params
}

func randomText(r *rand.Rand) string {
	var b strings.Builder
	for range r.IntN(20) {
		b.WriteString(alphabet[r.IntN(len(alphabet))])
	}
	return b.String()
}

func TestKeysThatAreWrong(t *testing.T) {
	_, endpoint := sendertest.Aliyun(t, fakealiyun.Options{Keys: []fakealiyun.Key{
		{ID: "testid", Secret: "testsecret"}, {ID: "STS.id", Secret: "testsecret", SecurityToken: "token"},
	}})
	for _, c := range []struct{ name, id, secret, token, want string }{
		{"secret", "testid", "wrong-secret", "", "SignatureDoesNotMatch"},
		{"id", "nobody", "testsecret", "", "InvalidAccessKeyId.NotFound"},
		{"token", "STS.id", "testsecret", "wrong-token", "InvalidSecurityToken.MismatchWithAccessKey"},
		{"no token", "STS.id", "testsecret", "", "MissingSecurityToken"},
	} {
		t.Run(c.name, func(t *testing.T) {
			o := options(endpoint)
			o.AccessKeyID, o.AccessKeySecret, o.SecurityToken = sender.NewSecret(c.id), sender.NewSecret(c.secret), sender.NewSecret(c.token)
			err := send(t.Context(), newClient(t, o), form(phone))
			if e := sendertest.Want(t, err, sender.AccountDown); e.Code != c.want || e.RequestID == "" {
				t.Errorf("got %+v, want %s", e, c.want)
			}
			sendertest.Hides(t, err, append(private, "testsecret", "wrong-secret", "wrong-token")...)
		})
	}
}
