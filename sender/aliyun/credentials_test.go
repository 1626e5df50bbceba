package aliyun_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/rs/zerolog"

	fakealiyun "github.com/codeferry/codeferry/internal/fakes/aliyun"
	"github.com/codeferry/codeferry/internal/fakes/faulty"
	"github.com/codeferry/codeferry/sender"
	"github.com/codeferry/codeferry/sender/aliyun"
	"github.com/codeferry/codeferry/sender/internal/sendertest"
)

// TestWaysToKeys sends with the keys of each source. The fake verifies the signatures.
func TestWaysToKeys(t *testing.T) {
	bare(t)
	sts := anSTS(t)
	_, endpoint := aSandbox(t)
	roleOf := func(c aliyun.Credentials) aliyun.Credentials {
		c.RoleArn, c.STSEndpoint = roleArn, sts.Endpoint
		return c
	}
	instance := func(onlyV1, onlyV2 bool, c aliyun.Credentials) aliyun.Account {
		c.Type = aliyun.ECSRAMRole
		c.SetMetadata(anInstance(t, onlyV1, onlyV2).Endpoint)
		return with(endpoint, c)
	}
	assume := options(endpoint)
	assume.Credentials = roleOf(aliyun.Credentials{Type: aliyun.RAMRoleARN, Policy: `{"Version":"1"}`, ExternalID: "x y"})
	for name, a := range map[string]aliyun.Account{
		"file":                   with(endpoint, aliyun.Credentials{Type: aliyun.File, Path: sender.FilePath(writeFile(t, "keys.json", `{"accessKeyId":"next-id","accessKeySecret":"next-secret"}`))}),
		"file, by name":          with(endpoint, aliyun.Credentials{Type: aliyun.File, Path: sender.FilePath(writeFile(t, "keys", "accessKeyId = next-id\naccessKeySecret = next-secret\n"))}),
		"ram_role_arn":           assume,
		"oidc_role_arn":          with(endpoint, roleOf(aliyun.Credentials{Type: aliyun.OIDCRoleARN, OIDCProviderArn: providerArn, OIDCTokenFile: sender.FilePath(writeFile(t, "token", oidcToken+"\n"))})),
		"ecs_ram_role, IMDSv1":   instance(true, false, aliyun.Credentials{}),
		"ecs_ram_role, IMDSv2":   instance(false, true, aliyun.Credentials{DisableIMDSv1: true}),
		"ecs_ram_role, its name": instance(false, false, aliyun.Credentials{RoleName: "my-role"}),
	} {
		t.Run(name, func(t *testing.T) {
			if problems := a.KeyProblems(); len(problems) > 0 {
				t.Errorf("problems: %v", problems)
			}
			c := newClient(t, a)
			for range 3 {
				if err := send(t.Context(), c, form(phone)); err != nil {
					t.Error(err)
				}
			}
		})
	}
	if n := len(sts.Requests()); n != 2 {
		t.Errorf("STS was asked %d times, want once for each role", n)
	}
	for _, r := range sts.Requests() {
		sendertest.Equal(t, "RoleSessionName", r.Body.Get("RoleSessionName"), "codeferry")
		sendertest.Equal(t, "DurationSeconds", r.Body.Get("DurationSeconds"), "3600")
		if strings.Contains(r.URL.String(), "ZQX") {
			t.Errorf("the URL shows a secret: %s", r.URL)
		}
	}
}

// TestDefaultChain: the chain finds keys in the places in which the SDK finds them.
func TestDefaultChain(t *testing.T) {
	sts := anSTS(t)
	_, endpoint := aSandbox(t)
	uri := faulty.Serve(t, func(w http.ResponseWriter, _ *http.Request) { answerJSON(w, http.StatusOK, stsKeys()) })
	own := fmt.Sprintf(`"access_key_id":%q,"access_key_secret":%q`, fakealiyun.DefaultKeyID, fakealiyun.DefaultKeySecret)
	put := func(t *testing.T, path, text string) {
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	cli := func(profiles string) func(*testing.T, string) {
		return func(t *testing.T, home string) {
			put(t, filepath.Join(home, ".aliyun", "config.json"), `{"current":"p","profiles":[`+profiles+`]}`)
		}
	}
	section := func(text string) func(*testing.T, string) {
		return func(t *testing.T, home string) { put(t, filepath.Join(home, ".alibabacloud", "credentials"), text) }
	}
	pair := "access_key_id = " + fakealiyun.DefaultKeyID + "\naccess_key_secret = " + fakealiyun.DefaultKeySecret + "\n"
	env := func(pairs ...string) func(*testing.T, string) {
		return func(t *testing.T, _ string) {
			for i := 0; i < len(pairs); i += 2 {
				t.Setenv("ALIBABA_CLOUD_"+pairs[i], pairs[i+1])
			}
		}
	}
	ok, down, out := "", "account-down", "unavailable"
	for _, c := range []struct {
		name  string
		setUp func(t *testing.T, home string)
		want  string
	}{
		{"nothing", func(*testing.T, string) {}, out},
		{"environment", env("ACCESS_KEY_ID", fakealiyun.DefaultKeyID, "ACCESS_KEY_SECRET", fakealiyun.DefaultKeySecret), ok},
		{"environment, STS", env("ACCESS_KEY_ID", stsID, "ACCESS_KEY_SECRET", stsSecret, "SECURITY_TOKEN", stsToken), ok},
		{"environment, half", env("ACCESS_KEY_ID", stsID, "ROLE_ARN", roleArn), down},
		{"OIDC", env("ROLE_ARN", roleArn, "OIDC_PROVIDER_ARN", providerArn, "OIDC_TOKEN_FILE", writeFile(t, "token", oidcToken)), ok},
		{"OIDC, no token", env("ROLE_ARN", roleArn, "OIDC_PROVIDER_ARN", providerArn, "OIDC_TOKEN_FILE", "/nowhere/token"), out},
		{"OIDC, another role", env("ROLE_ARN", roleArn+"x", "OIDC_PROVIDER_ARN", providerArn, "OIDC_TOKEN_FILE", writeFile(t, "token", oidcToken)), down},
		{"CLI, AK", cli(`{"name":"p","mode":"AK",` + own + `}`), ok},
		{"CLI, half an AK", cli(`{"name":"p","mode":"AK"}`), down},
		{"CLI, StsToken", cli(fmt.Sprintf(`{"name":"p","mode":"StsToken","access_key_id":%q,"access_key_secret":%q,"sts_token":%q}`, stsID, stsSecret, stsToken)), ok},
		{"CLI, RamRoleArn", cli(`{"name":"p","mode":"RamRoleArn","ram_role_arn":"` + roleArn + `",` + own + `}`), ok},
		{"CLI, ChainableRamRoleArn", cli(`{"name":"q","mode":"AK",` + own + `},{"name":"p","mode":"ChainableRamRoleArn","source_profile":"q","ram_role_arn":"` + roleArn + `"}`), ok},
		{"CLI, on itself", cli(`{"name":"p","mode":"ChainableRamRoleArn","source_profile":"p","ram_role_arn":"` + roleArn + `"}`), down},
		{"CLI, on nothing", cli(`{"name":"p","mode":"ChainableRamRoleArn","source_profile":"q"}`), down},
		{"CLI, OIDC", cli(`{"name":"p","mode":"OIDC","ram_role_arn":"` + roleArn + `","oidc_provider_arn":"` + providerArn + `","oidc_token_file":"` + writeFile(t, "token", oidcToken) + `"}`), ok},
		{"CLI, another mode", cli(`{"name":"p","mode":"CloudSSO"}`), down},
		{"CLI, no such profile", cli(`{"name":"q","mode":"AK",` + own + `}`), out},
		{"CLI, broken", cli(`{"ZQX`), down},
		{"file", section("[default]\ntype = access_key\n" + pair), ok},
		{"file, role", section("[default]\ntype = ram_role_arn\nrole_arn = " + roleArn + "\nrole_session_name = me\n" + pair), ok},
		{"file, role without keys", section("[default]\ntype = ram_role_arn\nrole_arn = " + roleArn + "\n"), down},
		{"file, another type", section("[default]\ntype = bearer\n"), down},
		{"file, broken", section("ZQX"), down},
		{"URI", env("CREDENTIALS_URI", uri.Endpoint), ok},
		{"URI that is no good", env("CREDENTIALS_URI", "http://127.0.0.1:1/ZQX"), out},
	} {
		t.Run(c.name, func(t *testing.T) {
			c.setUp(t, bare(t))
			a := with(endpoint, aliyun.Credentials{Type: aliyun.DefaultChain, STSEndpoint: sts.Endpoint})
			err := send(t.Context(), newClient(t, a), form(phone))
			got := ok
			if err != nil {
				got = sender.AsError(err).Class.String()
				sendertest.Hides(t, err, append(private, "ZQX", fakealiyun.DefaultKeySecret)...)
			}
			if got != c.want {
				t.Errorf("got %v, want %q", err, c.want)
			}
		})
	}
	t.Run("ECS", func(t *testing.T) {
		bare(t)
		t.Setenv("ALIBABA_CLOUD_ECS_METADATA_DISABLED", "")
		c := aliyun.Credentials{Type: aliyun.DefaultChain}
		c.SetMetadata(anInstance(t, false, true).Endpoint)
		if err := send(t.Context(), newClient(t, with(endpoint, c)), form(phone)); err != nil {
			t.Error(err)
		}
	})
}

// TestSourcesThatFail: without keys no message leaves, and no error shows anything of the
// answer.
func TestSourcesThatFail(t *testing.T) {
	bare(t)
	sb, endpoint := aSandbox(t)
	expired := stsKeys()
	expired["Expiration"] = "2020-01-01T00:00:00Z"
	asJSON := func(v any) string {
		b, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		return string(b)
	}
	refusal := func(code string) string {
		return `{"Code":"` + code + `","Message":"no ` + oidcToken + `","RequestId":"R"}`
	}
	for _, c := range []struct {
		name   string
		status int
		body   string
		// sts and ecs are the classes of each source's error.
		sts, ecs sender.Class
	}{
		{"no such role", 404, refusal("EntityNotExist.Role"), sender.AccountDown, sender.AccountDown},
		{"not allowed", 403, refusal("NoPermission"), sender.AccountDown, sender.Unavailable},
		{"wrong keys", 404, refusal("InvalidAccessKeyId.NotFound"), sender.AccountDown, sender.AccountDown},
		{"too fast", 400, refusal("Throttling.User"), sender.Unavailable, sender.Unavailable},
		{"out", 503, refusal("ServiceUnavailable"), sender.Unavailable, sender.Unavailable},
		{"no JSON", 200, "<ZQX>", sender.Unavailable, sender.Unavailable},
		{"nothing", 200, "{}", sender.Unavailable, sender.Unavailable},
		{"null", 200, `{"Credentials":null,"Code":null,"AccessKeyId":null}`, sender.Unavailable, sender.Unavailable},
		{"no end", 200, asJSON(map[string]any{"Credentials": map[string]string{"AccessKeyId": "ZQX", "AccessKeySecret": "ZQX", "SecurityToken": "ZQX"}, "AccessKeyId": "ZQX", "AccessKeySecret": "ZQX", "SecurityToken": "ZQX"}), sender.Unavailable, sender.Unavailable},
		{"over", 200, asJSON(map[string]any{"Credentials": expired, "AccessKeyId": "ZQX", "AccessKeySecret": "ZQX", "SecurityToken": "ZQX", "Expiration": expired["Expiration"]}), sender.Unavailable, sender.Unavailable},
		{"no success", 200, `{"Code":"Failed"}`, sender.Unavailable, sender.Unavailable},
	} {
		srv := faulty.Serve(t, func(w http.ResponseWriter, r *http.Request) {
			token := r.Form.Get("OIDCToken") // an answer can repeat the request
			faulty.Answer(c.status, strings.ReplaceAll(c.body, oidcToken, token))(w, r)
		})
		assume := options(endpoint)
		assume.Credentials = aliyun.Credentials{Type: aliyun.RAMRoleARN, RoleArn: roleArn, STSEndpoint: srv.Endpoint}
		oidc := with(endpoint, aliyun.Credentials{
			Type: aliyun.OIDCRoleARN, RoleArn: roleArn, OIDCProviderArn: providerArn, STSEndpoint: srv.Endpoint,
			OIDCTokenFile: sender.FilePath(writeFile(t, "token", oidcToken)),
		})
		ecs := with(endpoint, aliyun.Credentials{Type: aliyun.ECSRAMRole, RoleName: "my-role"})
		ecs.Credentials.SetMetadata(srv.Endpoint)
		for kind, a := range map[string]aliyun.Account{"sts": assume, "oidc": oidc, "ecs": ecs} {
			t.Run(c.name+", "+kind, func(t *testing.T) {
				want := c.sts
				if kind == "ecs" {
					want = c.ecs
				}
				err := send(t.Context(), newClient(t, a), form(phone))
				e := sendertest.Want(t, err, want)
				of := sender.ScopeConnector
				if want == sender.AccountDown {
					of = sender.ScopeAccount
				}
				if got := e.SpeaksOf(); got != of {
					t.Errorf("the error speaks of the %v, want the %v", got, of)
				}
				sendertest.Hides(t, err, append(private, "ZQX", stsSecret)...)
			})
		}
	}
	for name, serve := range map[string]func(testing.TB) *faulty.Server{
		"no connection": func(testing.TB) *faulty.Server { return &faulty.Server{Endpoint: "http://127.0.0.1:1"} },
		"cut":           raw(func(c *faulty.Conn) { c.ReadRequest() }),
		"no answer":     raw(func(c *faulty.Conn) { c.Wait() }),
		"a header that stalls": raw(func(c *faulty.Conn) {
			c.ReadRequest()
			c.Say("HTTP/1.1 200 OK\r\nZQX")
			c.Wait()
		}),
		"keys where a status should be": raw(func(c *faulty.Conn) {
			c.ReadRequest()
			c.Say("ZQX AccessKeySecret\r\n\r\n")
		}),
		"keys where a header should be": raw(func(c *faulty.Conn) {
			c.ReadRequest()
			c.Say("HTTP/1.1 200 OK\r\nZQX AccessKeySecret\r\n\r\n")
		}),
		"keys where a trailer should be": raw(func(c *faulty.Conn) {
			c.ReadRequest()
			c.Say("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nZQX AccessKeySecret\r\n\r\n")
		}),
		"a header without end": raw(func(c *faulty.Conn) {
			c.ReadRequest()
			c.Say("HTTP/1.1 200 OK\r\nA: " + strings.Repeat("x", 1<<20))
		}),
	} {
		t.Run(name, func(t *testing.T) {
			srv := serve(t)
			assume := options(endpoint)
			assume.Credentials = aliyun.Credentials{Type: aliyun.RAMRoleARN, RoleArn: roleArn, STSEndpoint: srv.Endpoint}
			ecs := with(endpoint, aliyun.Credentials{Type: aliyun.ECSRAMRole})
			ecs.Credentials.SetMetadata(srv.Endpoint)
			for _, a := range []aliyun.Account{assume, ecs} {
				a.Timeout = time.Second
				err := send(t.Context(), newClient(t, a), form(phone))
				sendertest.Want(t, err, sender.Unavailable)
				sendertest.Hides(t, err, append(private, "ZQX", "AccessKeySecret")...)
			}
		})
	}
	if n := sb.Requests()["SendSms"]; n != 0 {
		t.Errorf("%d messages have left", n)
	}
}

// TestKeysOfEverySourceDontShow prints clients that hold keys, with every verb.
func TestKeysOfEverySourceDontShow(t *testing.T) {
	bare(t)
	t.Setenv("ALIBABA_CLOUD_ACCESS_KEY_ID", stsID)
	t.Setenv("ALIBABA_CLOUD_ACCESS_KEY_SECRET", stsSecret)
	t.Setenv("ALIBABA_CLOUD_SECURITY_TOKEN", stsToken)
	_, endpoint := aSandbox(t)
	static := with(endpoint, aliyun.Credentials{})
	static.AccessKeyID, static.AccessKeySecret, static.SecurityToken = sender.NewSecret(stsID), sender.NewSecret(stsSecret), sender.NewSecret(stsToken)
	text := fmt.Sprintf(`{"accessKeyId":%q,"accessKeySecret":%q,"securityToken":%q}`, stsID, stsSecret, stsToken)
	for name, a := range map[string]aliyun.Account{
		"static": static,
		"file":   with(endpoint, aliyun.Credentials{Type: aliyun.File, Path: sender.FilePath(writeFile(t, "keys", text))}),
		"chain":  with(endpoint, aliyun.Credentials{Type: aliyun.DefaultChain}),
	} {
		c := newClient(t, a)
		if err := send(t.Context(), c, form(phone)); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		type holder struct { // as in a connector
			client *aliyun.Client
		}
		var shown strings.Builder
		logger := zerolog.New(&shown)
		for _, v := range []any{c, *c, a, &a, a.Credentials, holder{client: c}, []any{c, a}} {
			for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d"} {
				fmt.Fprintf(&shown, verb+"\n", v)
			}
			b, err := json.Marshal(v)
			if err != nil {
				t.Error(err)
			}
			shown.Write(b)
			logger.Info().Interface("v", v).Any("w", v).Msg("")
		}
		sendertest.Hides(t, fmt.Errorf("%s", shown.String()), "ZQX", fmt.Sprintf("%x", "ZQX"), fmt.Sprintf("%X", "ZQX"))
	}
}

func TestKeyProblems(t *testing.T) {
	bare(t)
	role := func(change func(*aliyun.Credentials)) aliyun.Account {
		c := aliyun.Credentials{Type: aliyun.OIDCRoleARN, RoleArn: roleArn, OIDCProviderArn: providerArn, OIDCTokenFile: "/token"}
		change(&c)
		return aliyun.Account{Credentials: c}
	}
	keyed := func(c aliyun.Credentials) aliyun.Account {
		return aliyun.Account{AccessKeyID: sender.NewSecret("ZQX"), AccessKeySecret: sender.NewSecret("ZQX"), Credentials: c}
	}
	only := func(c aliyun.Credentials) aliyun.Account { return aliyun.Account{Credentials: c} }
	for _, c := range []struct {
		name    string
		account aliyun.Account
		want    string
	}{
		{"keys", keyed(aliyun.Credentials{}), ""},
		{"nothing", aliyun.Account{}, "accessKeyId accessKeySecret"},
		{"half", aliyun.Account{AccessKeyID: sender.NewSecret("ZQX")}, "accessKeySecret"},
		{"default", only(aliyun.Credentials{Type: "default"}), ""},
		{"default beside keys", keyed(aliyun.Credentials{Type: "default"}), "accessKeyId accessKeySecret"},
		{"default beside a token", aliyun.Account{SecurityToken: sender.NewSecret("ZQX"), Credentials: aliyun.Credentials{Type: "default"}}, "securityToken"},
		{"no type", only(aliyun.Credentials{RoleArn: roleArn}), "credentials.type"},
		{"another type", only(aliyun.Credentials{Type: "ram-role-arn"}), "credentials.type"},
		{"file", only(aliyun.Credentials{Type: "file", Path: "/keys"}), ""},
		{"file without a path", only(aliyun.Credentials{Type: "file"}), "credentials.path"},
		{"a field of another type", only(aliyun.Credentials{Type: "ecs_ram_role", Path: "/keys", DurationSeconds: 900}), "credentials.path credentials.durationSeconds"},
		{"ecs_ram_role", only(aliyun.Credentials{Type: "ecs_ram_role", RoleName: "x", DisableIMDSv1: true}), ""},
		{"ram_role_arn", keyed(aliyun.Credentials{Type: "ram_role_arn", RoleArn: roleArn, DurationSeconds: 900, RoleSessionName: "a.b@c-d_e"}), ""},
		{"ram_role_arn without keys", only(aliyun.Credentials{Type: "ram_role_arn", RoleArn: roleArn}), "accessKeyId accessKeySecret"},
		{"ram_role_arn without a role", keyed(aliyun.Credentials{Type: "ram_role_arn"}), "credentials.roleArn"},
		{"oidc_role_arn", role(func(*aliyun.Credentials) {}), ""},
		{"oidc_role_arn without anything", only(aliyun.Credentials{Type: "oidc_role_arn"}), "credentials.roleArn credentials.oidcProviderArn credentials.oidcTokenFile"},
		{"roleArn", role(func(c *aliyun.Credentials) { c.RoleArn = "codeferry" }), "credentials.roleArn"},
		{"oidcProviderArn", role(func(c *aliyun.Credentials) { c.OIDCProviderArn = roleArn }), "credentials.oidcProviderArn"},
		{"roleSessionName", role(func(c *aliyun.Credentials) { c.RoleSessionName = "a b" }), "credentials.roleSessionName"},
		{"durationSeconds, few", role(func(c *aliyun.Credentials) { c.DurationSeconds = 899 }), "credentials.durationSeconds"},
		{"durationSeconds, many", role(func(c *aliyun.Credentials) { c.DurationSeconds = 43201 }), "credentials.durationSeconds"},
		{"stsEndpoint", role(func(c *aliyun.Credentials) { c.STSEndpoint = "ftp://x" }), "credentials.stsEndpoint"},
	} {
		t.Run(c.name, func(t *testing.T) {
			var paths []string
			for _, p := range c.account.KeyProblems() {
				paths = append(paths, p.Path)
				if p.Text == "" || strings.Contains(p.Text, "ZQX") {
					t.Errorf("%s: %q", p.Path, p.Text)
				}
			}
			if got := strings.Join(paths, " "); got != c.want {
				t.Errorf("got %v, want problems of %q", c.account.KeyProblems(), c.want)
			}
		})
	}
	t.Run("RRSA's environment", func(t *testing.T) {
		t.Setenv("ALIBABA_CLOUD_ROLE_ARN", roleArn)
		t.Setenv("ALIBABA_CLOUD_OIDC_PROVIDER_ARN", providerArn)
		t.Setenv("ALIBABA_CLOUD_OIDC_TOKEN_FILE", "/token")
		a := only(aliyun.Credentials{Type: "oidc_role_arn"})
		if problems := a.KeyProblems(); len(problems) > 0 {
			t.Errorf("the account has problems: %v", problems)
		}
	})
}
