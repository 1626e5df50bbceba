package aliyun

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/codeferry/codeferry/sender"
	"github.com/codeferry/codeferry/sender/internal/httpclient"
)

// metadataURL is the URL of an ECS instance's own metadata.
const metadataURL = "http://100.100.100.200"

// metadataConnect bounds connecting to the metadata. On an ECS instance it is near;
// elsewhere nothing answers.
const metadataConnect = time.Second

// instance is an ECS instance with a RAM role.
type instance struct {
	// role is the role's name; empty for the instance's own role.
	role string
	// onlyV2 forbids requests without a session token.
	onlyV2   bool
	metadata string
}

// instanceRole returns a source of the keys of an ECS instance's role.
func instanceRole(i instance) source {
	return func(ctx context.Context) (*keys, *sender.Error) {
		client := plainClient()
		token, err := i.sessionToken(ctx, client)
		if err != nil {
			return nil, metadataError(err)
		}
		role := i.role
		if role == "" {
			names, err := i.get(ctx, client, rolesPath, token)
			if err != nil {
				return nil, metadataError(err)
			}
			role, _, _ = strings.Cut(strings.TrimSpace(string(names)), "\n")
		}
		answer, err := i.get(ctx, client, rolesPath+url.PathEscape(strings.TrimSpace(role)), token)
		if err != nil {
			return nil, metadataError(err)
		}
		return answeredKeys("ecs_ram_role", answer)
	}
}

const (
	tokenPath = "/latest/api/token" //nolint:gosec // a path
	rolesPath = "/latest/meta-data/ram/security-credentials/"
	// tokenSeconds is how long a session token is valid; it is used at once.
	tokenSeconds = "60"
	// maxAnswer bounds how much of an answer is read, in bytes. Real answers have a few
	// hundred.
	maxAnswer = 64 << 10
)

// sessionToken asks for a token of IMDSv2, which an instance may require. It is empty if
// the metadata has none.
func (i instance) sessionToken(ctx context.Context, client *http.Client) (string, error) {
	token, err := fetch(ctx, client, http.MethodPut, i.metadata+tokenPath, "X-aliyun-ecs-metadata-token-ttl-seconds", tokenSeconds)
	var status statusError
	if errors.As(err, &status) && !i.onlyV2 {
		return "", nil
	}
	return strings.TrimSpace(string(token)), err
}

func (i instance) get(ctx context.Context, client *http.Client, path, token string) ([]byte, error) {
	return fetch(ctx, client, http.MethodGet, i.metadata+path, "X-aliyun-ecs-metadata-token", token)
}

// keyURI returns a source of the keys that a URI returns.
func keyURI(uri string) source {
	return func(ctx context.Context) (*keys, *sender.Error) {
		answer, err := fetch(ctx, plainClient(), http.MethodGet, uri, "", "")
		if err != nil {
			return nil, noKeys(sender.Unavailable, envCredentialsURI+" gives no keys: "+err.Error())
		}
		return answeredKeys("credentials_uri", answer)
	}
}

// plainClient returns a client for servers on this machine: it uses no proxy, follows no
// redirect, and keeps no connection.
func plainClient() *http.Client {
	return &http.Client{
		Transport: &http.Transport{
			DialContext:       (&net.Dialer{Timeout: metadataConnect}).DialContext,
			DisableKeepAlives: true,

			MaxResponseHeaderBytes: maxAnswer,
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// statusError is an answer with a status other than 200.
type statusError int

func (e statusError) Error() string { return fmt.Sprintf("the answer has HTTP status %d", int(e)) }

// fetch makes a request with a header, if it has a name, and reads the answer.
func fetch(ctx context.Context, client *http.Client, method, uri, header, value string) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, method, uri, http.NoBody) //nolint:gosec // the environment names it, as for the SDK
	if err != nil {
		return nil, errors.New("the address is not a URL")
	}
	if value != "" {
		req.Header.Set(header, value)
	}
	resp, err := client.Do(req) //nolint:gosec // likewise
	if err != nil {
		return nil, errors.New(httpclient.Plain(err)) // an answer may hold keys
	}
	defer func() { _ = resp.Body.Close() }()
	if resp.StatusCode != http.StatusOK {
		return nil, statusError(resp.StatusCode)
	}
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	if err != nil {
		return nil, errors.New(httpclient.Plain(err))
	}
	return body, nil
}

// metadataError classes an error of the metadata. Status 404 means that there is no such
// role.
func metadataError(err error) *sender.Error {
	var status statusError
	if errors.As(err, &status) && status == http.StatusNotFound {
		return noKeys(sender.AccountDown, "the ECS instance has no such RAM role")
	}
	return noKeys(sender.Unavailable, "the metadata of the ECS instance gives no keys: "+err.Error())
}

// answeredKeys reads the keys from an answer of the metadata or of a URI. Only the
// metadata must have a Code.
func answeredKeys(provider string, answer []byte) (*keys, *sender.Error) {
	var a struct {
		AccessKeyID     string `json:"AccessKeyId"`
		AccessKeySecret string
		SecurityToken   string
		Expiration      string
		Code            string
	}
	if json.Unmarshal(answer, &a) != nil {
		return nil, noKeys(sender.Unavailable, "the answer to the request for keys ("+provider+") is not the JSON that was expected")
	}
	if a.Code != "" && a.Code != "Success" {
		return nil, noKeys(sender.Unavailable, "the answer to the request for keys ("+provider+") is not a success")
	}
	return session(provider, a.AccessKeyID, a.AccessKeySecret, a.SecurityToken, a.Expiration)
}
