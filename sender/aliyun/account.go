package aliyun

import (
	"time"

	"github.com/codeferry/codeferry/sender"
)

// Account is what the connectors of Aliyun have in common in a configuration: the
// keys and where the requests go.
type Account struct {
	// AccessKeyID, AccessKeySecret and, with STS, SecurityToken sign the requests.
	AccessKeyID     sender.Secret `yaml:"accessKeyId"`
	AccessKeySecret sender.Secret `yaml:"accessKeySecret"`
	SecurityToken   sender.Secret `yaml:"securityToken"`
	// Credentials says where the keys come from, where they are not given above.
	Credentials Credentials `yaml:"credentials"`
	// RegionID is sent with every request, and chooses the host. Default:
	// cn-hangzhou.
	RegionID string `yaml:"regionId"`
	// Endpoint replaces the region's host: a host, or a URL; http:// is for a
	// stand-in only.
	Endpoint string `yaml:"endpoint"`
	// Timeout bounds a request. Default: DefaultTimeout.
	Timeout time.Duration `yaml:"timeout"`
}

// KeyProblems reports what is wrong with the keys: there is exactly one way to
// them.
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
				problems = append(problems, sender.Problem{Path: k.path, Text: "stands beside credentials, which give the keys; leave one of them out"})
			}
		}
		return problems
	}
	text := "is required"
	if a.AccessKeyID.IsZero() && a.AccessKeySecret.IsZero() {
		text = "is required, or in place of the keys credentials: {type: …} with one of " + typeNames()
	}
	var problems []sender.Problem
	for _, k := range keys[:2] {
		if k.secret.IsZero() {
			problems = append(problems, sender.Problem{Path: k.path, Text: text})
		}
	}
	return problems
}

// Connect returns a client for a product. Its error names what is wrong.
func (a Account) Connect(product Endpoints) (*Client, error) {
	a.Endpoint = product.Host(a.RegionID, a.Endpoint)
	a.RegionID = Region(a.RegionID)
	return NewClient(a)
}
