package aliyun_test

import (
	"crypto/hmac"
	"crypto/sha1"
	"encoding/base64"
	"encoding/json"
	"io"
	"maps"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	fakealiyun "github.com/codeferry/codeferry/internal/fakes/aliyun"
	"github.com/codeferry/codeferry/internal/fakes/faulty"
	"github.com/codeferry/codeferry/sender/aliyun"
	"github.com/codeferry/codeferry/sender/internal/sendertest"
)

// The keys that the fakes return, and what they require for them.
const (
	stsID, stsSecret, stsToken = "STS.ZQXid", "ZQXsts&secret+/=", "ZQXCAIS+to/ken==%20"
	roleArn                    = "acs:ram::1234567890123456:role/codeferry"
	providerArn                = "acs:ram::1234567890123456:oidc-provider/ack-rrsa"
	oidcToken                  = "ZQXeyJhbGciOiJSUzI1NiJ9.e30.c2ln"
)

// aSandbox serves a fake Aliyun that accepts the keys of the other fakes too.
func aSandbox(t testing.TB) (*fakealiyun.Server, string) {
	return sendertest.Aliyun(t, fakealiyun.Options{Keys: []fakealiyun.Key{
		{ID: fakealiyun.DefaultKeyID, Secret: fakealiyun.DefaultKeySecret},
		{ID: "next-id", Secret: "next-secret"},
		{ID: stsID, Secret: stsSecret, SecurityToken: stsToken},
	}})
}

func inAnHour() string { return time.Now().UTC().Add(time.Hour).Format("2006-01-02T15:04:05Z") }

func answerJSON(w http.ResponseWriter, status int, v any) {
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(v)
}

func stsKeys() map[string]string {
	return map[string]string{"AccessKeyId": stsID, "AccessKeySecret": stsSecret, "SecurityToken": stsToken, "Expiration": inAnHour()}
}

// anSTS is a fake STS. It returns keys for correct requests.
func anSTS(t testing.TB) *faulty.Server {
	return faulty.Serve(t, func(w http.ResponseWriter, r *http.Request) {
		q := r.URL.Query()
		refuse := func(code string) {
			answerJSON(w, http.StatusBadRequest, map[string]string{"Code": code, "Message": "refused: " + oidcToken, "RequestId": "R-STS"})
		}
		switch {
		case r.Method != http.MethodPost || q.Get("Version") != "2015-04-01" || q.Get("Format") != "JSON" || q.Get("Timestamp") == "":
			refuse("InvalidParameter")
			return
		case r.Form.Get("RoleArn") != roleArn:
			refuse("EntityNotExist.Role")
			return
		}
		switch q.Get("Action") {
		case "AssumeRole":
			switch {
			case q.Get("AccessKeyId") != fakealiyun.DefaultKeyID:
				refuse("InvalidAccessKeyId.NotFound")
				return
			case q.Get("Signature") != signature(q, r.Form, fakealiyun.DefaultKeySecret):
				refuse("SignatureDoesNotMatch")
				return
			}
		case "AssumeRoleWithOIDC":
			switch {
			case q.Has("AccessKeyId") || q.Has("Signature"):
				refuse("InvalidParameter")
				return
			case r.Form.Get("OIDCToken") != oidcToken || r.Form.Get("OIDCProviderArn") != providerArn:
				refuse("AuthenticationFail.OIDCToken.Invalid")
				return
			}
		default:
			refuse("InvalidAction.NotFound")
			return
		}
		answerJSON(w, http.StatusOK, map[string]any{"RequestId": "R-STS", "Credentials": stsKeys()})
	})
}

// signature returns Aliyun's signature 1.0 of a POST.
func signature(query, form url.Values, secret string) string {
	all := make(map[string]string)
	for _, values := range []url.Values{query, form} {
		for name := range values {
			all[name] = values.Get(name)
		}
	}
	delete(all, "Signature")
	encode := func(s string) string { return strings.ReplaceAll(url.QueryEscape(s), "+", "%20") }
	var pairs []string
	for _, name := range slices.Sorted(maps.Keys(all)) {
		pairs = append(pairs, encode(name)+"="+encode(all[name]))
	}
	mac := hmac.New(sha1.New, []byte(secret+"&"))
	_, _ = io.WriteString(mac, "POST&%2F&"+encode(strings.Join(pairs, "&")))
	return base64.StdEncoding.EncodeToString(mac.Sum(nil))
}

// anInstance serves a fake of an ECS instance's metadata, with IMDSv1, IMDSv2 or both.
func anInstance(t testing.TB, onlyV1, onlyV2 bool) *faulty.Server {
	const session = "ZQXsession"
	return faulty.Serve(t, func(w http.ResponseWriter, r *http.Request) {
		const roles = "/latest/meta-data/ram/security-credentials/"
		token := r.Header.Get("X-Aliyun-Ecs-Metadata-Token")
		switch {
		case r.Method == http.MethodPut && r.URL.Path == "/latest/api/token" && !onlyV1 && r.Header.Get("X-Aliyun-Ecs-Metadata-Token-Ttl-Seconds") != "":
			_, _ = io.WriteString(w, session)
		case r.Method != http.MethodGet || onlyV2 && token != session || onlyV1 && token != "":
			w.WriteHeader(http.StatusForbidden)
		case r.URL.Path == roles:
			_, _ = io.WriteString(w, "my-role\n")
		case r.URL.Path == roles+"my-role":
			answer := stsKeys()
			answer["Code"], answer["LastUpdated"] = "Success", inAnHour()
			answerJSON(w, http.StatusOK, answer)
		default:
			w.WriteHeader(http.StatusNotFound)
		}
	})
}

func writeFile(t testing.TB, name, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// with returns an account without its own keys.
func with(endpoint string, c aliyun.Credentials) aliyun.Account {
	return aliyun.Account{Credentials: c, RegionID: "cn-hangzhou", Endpoint: endpoint}
}

// bare sets an environment without keys.
func bare(t *testing.T) (home string) {
	for _, v := range os.Environ() {
		if name, _, _ := strings.Cut(v, "="); strings.HasPrefix(name, "ALIBABA_CLOUD_") {
			t.Setenv(name, "")
		}
	}
	home = t.TempDir()
	t.Setenv("HOME", home)
	t.Setenv("USERPROFILE", home)
	t.Setenv("ALIBABA_CLOUD_ECS_METADATA_DISABLED", "true")
	return home
}
