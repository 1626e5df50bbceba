package aliyun

import (
	"time"

	"github.com/codeferry/codeferry/sender"
)

// Account holds the settings that all Aliyun connectors have: the keys, and where
// requests go.
type Account struct {
	// AccessKeyID, AccessKeySecret and, with STS, SecurityToken sign the requests.
	AccessKeyID     sender.Secret `yaml:"accessKeyId"`
	AccessKeySecret sender.Secret `yaml:"accessKeySecret"`
	SecurityToken   sender.Secret `yaml:"securityToken"`
	// Credentials says where the keys come from, if they are not given above.
	Credentials Credentials `yaml:"credentials"`
	// RegionID is sent with every request, and selects the host. Default: cn-hangzhou.
	RegionID string `yaml:"regionId"`
	// Endpoint replaces the region's host: a host, or a URL; http:// is for a fake
	// provider only.
	Endpoint string `yaml:"endpoint"`
	// Timeout bounds a request. Default: DefaultTimeout.
	Timeout time.Duration `yaml:"timeout"`
	// NetHTTP makes all requests by Go's net/http, also those to STS. Requests through a
	// proxy always use it. Default: false, which uses codeferry's own connections.
	NetHTTP bool `yaml:"netHTTP"`
}

// KeyProblems reports what is wrong with the keys. Exactly one source of keys must be
// set.
func (a *Account) KeyProblems() []sender.Problem {
	keys := []struct {
		path   string
		secret sender.Secret
	}{{"accessKeyId", a.AccessKeyID}, {"accessKeySecret", a.AccessKeySecret}, {"securityToken", a.SecurityToken}}
	if a.Credentials != (Credentials{}) {
		problems := a.Credentials.validate()
		takes := a.Credentials.Type == RAMRoleARN
		for i, k := range keys {
			switch given, required := !k.secret.IsZero(), i < 2; {
			case takes && required && !given:
				problems = append(problems, sender.Problem{Path: k.path, Text: "is required: the keys that may assume credentials.roleArn"})
			case !takes && given:
				problems = append(problems, sender.Problem{Path: k.path, Text: "can't be set together with credentials, which give the keys; remove one of them"})
			}
		}
		return problems
	}
	text := "is required"
	if a.AccessKeyID.IsZero() && a.AccessKeySecret.IsZero() {
		text = "is required; or set credentials: {type: …} with one of " + typeNames()
	}
	var problems []sender.Problem
	for _, k := range keys[:2] {
		if k.secret.IsZero() {
			problems = append(problems, sender.Problem{Path: k.path, Text: text})
		}
	}
	return problems
}

// Connect returns a client for a product. Its error names the wrong setting.
func (a Account) Connect(product Endpoints) (*Client, error) {
	a.Endpoint = product.Host(a.RegionID, a.Endpoint)
	a.RegionID = Region(a.RegionID)
	return NewClient(a)
}
