package aliyun

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"net/url"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/aliyun/alibaba-cloud-sdk-go/sdk/auth"
	"github.com/aliyun/alibaba-cloud-sdk-go/sdk/auth/credentials"
	"github.com/aliyun/alibaba-cloud-sdk-go/sdk/requests"
	"github.com/aliyun/alibaba-cloud-sdk-go/services/dm"
	"github.com/aliyun/alibaba-cloud-sdk-go/services/dypnsapi"
	"github.com/aliyun/alibaba-cloud-sdk-go/services/dysmsapi"

	"github.com/codeferry/codeferry/internal/check"
)

// provided returns keys to the SDK's signer.
type provided struct{ *credentials.Credentials }

func (p provided) GetCredentials() (*credentials.Credentials, error) { return p.Credentials, nil }
func (provided) GetProviderName() string                             { return "static" }

// TestSignIsTheSDKs signs random requests, and compares each with the result of the SDK's
// own signer, byte for byte: the parameters of the URL and of the body, and the
// signature.
func TestSignIsTheSDKs(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 0))
	actions := []func() requests.AcsRequest{
		func() requests.AcsRequest { return dysmsapi.CreateSendSmsRequest() },
		func() requests.AcsRequest { return dysmsapi.CreateQuerySendDetailsRequest() },
		func() requests.AcsRequest { return dm.CreateSingleSendMailRequest() },
		func() requests.AcsRequest { return dypnsapi.CreateSendSmsVerifyCodeRequest() },
	}
	for i := range 5000 {
		keys := &credentials.Credentials{AccessKeyId: anyText(r), AccessKeySecret: anyText(r), ProviderName: "static"}
		if r.IntN(2) == 0 {
			keys.SecurityToken = anyText(r)
		}
		region := anyText(r)
		var params Params
		theirs := actions[r.IntN(len(actions))]()
		for n := range r.IntN(12) {
			p := Param{fmt.Sprintf("%s.%d", anyText(r), n), anyText(r)}
			params = append(params, p)
			theirs.GetFormParams()[p.Name] = p.Value
		}
		theirs.SetScheme("https")
		theirs.SetDomain("example.com")
		if err := auth.Sign(theirs, nil, region, provided{keys}); err != nil {
			t.Fatal(err)
		}
		want := theirs.GetQueryParams()
		now, err := time.Parse(time.RFC3339, want["Timestamp"])
		if err != nil {
			t.Fatal(err)
		}
		got := signer{now: now, nonce: want["SignatureNonce"], keys: newKeys("static", keys.AccessKeyId, keys.AccessKeySecret, keys.SecurityToken)}.sign(NewAction(theirs), region, params)

		wantBody := make(map[string]string)
		maps.Copy(wantBody, theirs.GetFormParams())
		for _, part := range []struct {
			name string
			got  string
			want map[string]string
		}{{"query", got.query, want}, {"body", string(got.body), wantBody}} {
			values, err := url.ParseQuery(part.got)
			if err != nil {
				t.Fatalf("request %d: the %s can't be read: %v", i, part.name, err)
			}
			read := make(map[string]string)
			for name, v := range values {
				read[name] = strings.Join(v, "\x00twice\x00")
			}
			if !reflect.DeepEqual(read, part.want) {
				t.Fatalf("request %d: the %s is\n%q, and the SDK's\n%q", i, part.name, read, part.want)
			}
		}
	}
}

// pieces are characters that are encoded in different ways.
var pieces = strings.Split(`a Z 0 9 - _ . ~ + * % %20 %2B & = ? / # : ; @ ! $ ' ( ) , [ ] { } | \ ^ " < >`, " ")

func anyText(r *rand.Rand) string {
	var b strings.Builder
	for range r.IntN(20) {
		if r.IntN(4) == 0 {
			b.WriteString([]string{" ", "\n", "\x00", "\xff", "é", "码", "🚢"}[r.IntN(7)])
		}
		b.WriteString(pieces[r.IntN(len(pieces))])
	}
	return b.String()
}

// signs returns a function that signs an SMS.
func signs() func() {
	action := NewAction(dysmsapi.CreateSendSmsRequest())
	keys := newKeys("static", "LTAI5tExampleKeyOfAUser1", "anExampleSecretOfThirtyChars00", "")
	return func() {
		signer{now: time.Now(), nonce: newNonce(), keys: keys}.sign(action, "cn-hangzhou", anSMS)
	}
}

var anSMS = Params{
	{"PhoneNumbers", "13012345678"},
	{"SignName", "示例签名"},
	{"TemplateCode", "SMS_123456789"},
	{"TemplateParam", `{"code":"123456"}`},
	{"OutId", "01JDCT0000000000000000000A"},
}

func TestAllocations(t *testing.T) { check.Allocs(t, "signing", 8, signs()) }

// BenchmarkSign compares signing an SMS here and with the SDK's signer.
func BenchmarkSign(b *testing.B) {
	keys := &credentials.Credentials{AccessKeyId: "LTAI5tExampleKeyOfAUser1", AccessKeySecret: "anExampleSecretOfThirtyChars00", ProviderName: "static"}
	b.Run("codeferry", func(b *testing.B) {
		do := signs()
		b.ReportAllocs()
		for b.Loop() {
			do()
		}
	})
	b.Run("sdk", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			r := dysmsapi.CreateSendSmsRequest()
			for _, p := range anSMS {
				r.GetFormParams()[p.Name] = p.Value
			}
			if err := auth.Sign(r, nil, "cn-hangzhou", provided{keys}); err != nil {
				b.Fatal(err)
			}
			_ = r.BuildUrl()
		}
	})
}
