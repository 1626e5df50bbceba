package aliyun

import (
	"cmp"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"

	"github.com/codeferry/codeferry/sender"
)

// CredentialsType is a source of keys, named as in Aliyun's own credentials tool.
type CredentialsType string

// The sources of keys.
const (
	// DefaultChain tries the places that Aliyun's SDKs try, in their order: environment,
	// OIDC, the CLI's profile, the credentials file, the ECS instance's role and a
	// credentials URI.
	DefaultChain CredentialsType = "default"
	// File reads the keys from a file, and reads them again after the file has changed.
	File CredentialsType = "file"
	// RAMRoleARN assumes a RAM role with accessKeyId and accessKeySecret.
	RAMRoleARN CredentialsType = "ram_role_arn"
	// ECSRAMRole uses the keys of the ECS instance's RAM role.
	ECSRAMRole CredentialsType = "ecs_ram_role"
	// OIDCRoleARN assumes a RAM role with an OIDC token: RRSA, in Kubernetes.
	OIDCRoleARN CredentialsType = "oidc_role_arn"
)

// credentialsTypes holds the fields that each type takes.
var credentialsTypes = map[CredentialsType][]string{
	DefaultChain: {"stsEndpoint"},
	File:         {"path"},
	RAMRoleARN:   {"roleArn", "roleSessionName", "durationSeconds", "policy", "externalId", "stsEndpoint"},
	ECSRAMRole:   {"roleName", "disableIMDSv1"},
	OIDCRoleARN:  {"roleArn", "roleSessionName", "durationSeconds", "policy", "oidcProviderArn", "oidcTokenFile", "stsEndpoint"},
}

func typeNames() string {
	names := make([]string, 0, len(credentialsTypes))
	for t := range credentialsTypes {
		names = append(names, string(t))
	}
	slices.Sort(names)
	return strings.Join(names, ", ")
}

// Credentials says where keys come from if the configuration does not hold them. While
// the connector runs, keys that expire are renewed before they do, and keys in a file are
// read again when the file changes.
type Credentials struct {
	Type CredentialsType `yaml:"type"`
	// Path is the file of type file: JSON, or lines of name = value, with accessKeyId,
	// accessKeySecret and, for temporary keys, securityToken and expiration.
	Path sender.FilePath `yaml:"path"`
	// RoleArn is the role to assume, acs:ram::<account>:role/<name>. Default, with
	// oidc_role_arn: ALIBABA_CLOUD_ROLE_ARN.
	RoleArn string `yaml:"roleArn"`
	// RoleSessionName names the session in Aliyun's audit logs. Default:
	// ALIBABA_CLOUD_ROLE_SESSION_NAME, or else codeferry.
	RoleSessionName string `yaml:"roleSessionName"`
	// DurationSeconds is how long a role's keys are valid, from 900 to the role's own
	// maximum, at most 43200. Default: 3600.
	DurationSeconds int `yaml:"durationSeconds"`
	// Policy limits what a role's keys may do. It is a policy in JSON. Default: everything
	// that the role may do.
	Policy string `yaml:"policy"`
	// ExternalID is the external ID, if the role's trust policy requires one.
	ExternalID string `yaml:"externalId"`
	// OIDCProviderArn is the OIDC provider, acs:ram::<account>:oidc-provider/<name>.
	// Default: ALIBABA_CLOUD_OIDC_PROVIDER_ARN.
	OIDCProviderArn string `yaml:"oidcProviderArn"`
	// OIDCTokenFile is the file with the OIDC token. It is read at each renewal. Default:
	// ALIBABA_CLOUD_OIDC_TOKEN_FILE.
	OIDCTokenFile sender.FilePath `yaml:"oidcTokenFile"`
	// STSEndpoint is the host of STS; http:// is for a fake provider only. Default:
	// sts.<region>.aliyuncs.com by ALIBABA_CLOUD_STS_REGION, or else
	// sts.aliyuncs.com.
	STSEndpoint string `yaml:"stsEndpoint"`
	// RoleName is the RAM role of the ECS instance. Default: the role that the instance
	// has.
	RoleName string `yaml:"roleName"`
	// DisableIMDSv1 forbids requests to the instance's metadata without a session token.
	DisableIMDSv1 bool `yaml:"disableIMDSv1"`

	// metadata replaces the URL of an ECS instance's metadata in tests.
	metadata string
	// netHTTP is Account.NetHTTP.
	netHTTP bool
}

// field is one of the fields other than Type.
type field struct {
	name  string
	given bool
}

func (c *Credentials) fields() []field {
	return []field{
		{"path", c.Path != ""},
		{"roleArn", c.RoleArn != ""},
		{"roleSessionName", c.RoleSessionName != ""},
		{"durationSeconds", c.DurationSeconds != 0},
		{"policy", c.Policy != ""},
		{"externalId", c.ExternalID != ""},
		{"oidcProviderArn", c.OIDCProviderArn != ""},
		{"oidcTokenFile", c.OIDCTokenFile != ""},
		{"stsEndpoint", c.STSEndpoint != ""},
		{"roleName", c.RoleName != ""},
		{"disableIMDSv1", c.DisableIMDSv1},
	}
}

// The values that STS takes.
var (
	roleArn     = regexp.MustCompile(`^acs:ram::[0-9]+:role/.+$`)
	providerArn = regexp.MustCompile(`^acs:ram::[0-9]+:oidc-provider/.+$`)
	sessionName = regexp.MustCompile(`^[A-Za-z0-9.@_-]{2,64}$`)
)

const (
	minSeconds     = 900
	maxSeconds     = 12 * 60 * 60
	defaultSeconds = 60 * 60
	defaultSession = "codeferry"
)

// validate reports everything that is wrong below credentials.
func (c Credentials) validate() []sender.Problem {
	var problems []sender.Problem
	add := func(name, format string, args ...any) {
		problems = append(problems, sender.Problem{Path: "credentials." + name, Text: fmt.Sprintf(format, args...)})
	}
	takes, ok := credentialsTypes[c.Type]
	switch {
	case c.Type == "":
		add("type", "is required: one of %s", typeNames())
		return problems
	case !ok:
		add("type", "%q is not a source of keys; use one of %s", c.Type, typeNames())
		return problems
	}
	for _, f := range c.fields() {
		if f.given && !slices.Contains(takes, f.name) {
			add(f.name, "has no effect with type %s, which takes %s", c.Type, strings.Join(takes, ", "))
		}
	}
	c.fromEnvironment()
	switch c.Type {
	case File:
		if c.Path == "" {
			add("path", "is required: a file with accessKeyId and accessKeySecret")
		}
	case RAMRoleARN, OIDCRoleARN:
		problems = append(problems, c.validateRole()...)
	case DefaultChain, ECSRAMRole:
	}
	if c.STSEndpoint != "" {
		if _, _, err := ParseEndpoint(c.STSEndpoint); err != nil {
			add("stsEndpoint", "%v", err)
		}
	}
	return problems
}

func (c *Credentials) validateRole() []sender.Problem {
	var problems []sender.Problem
	add := func(name, format string, args ...any) {
		problems = append(problems, sender.Problem{Path: "credentials." + name, Text: fmt.Sprintf(format, args...)})
	}
	elsewhere := ""
	if c.Type == OIDCRoleARN {
		elsewhere = ", or %s in the environment"
	}
	required := func(name, example, variable string) {
		text := "is required" + example
		if elsewhere != "" {
			text += fmt.Sprintf(elsewhere, variable)
		}
		add(name, "%s", text)
	}
	switch {
	case c.RoleArn == "":
		required("roleArn", ": acs:ram::<account>:role/<name>", envRoleArn)
	case !roleArn.MatchString(c.RoleArn):
		add("roleArn", "%q is not a role such as acs:ram::1234567890123456:role/codeferry", c.RoleArn)
	}
	if c.RoleSessionName != "" && !sessionName.MatchString(c.RoleSessionName) {
		add("roleSessionName", "%q is not a session name; it takes 2 to 64 letters, digits and . @ _ -", c.RoleSessionName)
	}
	if n := c.DurationSeconds; n != 0 && (n < minSeconds || n > maxSeconds) {
		add("durationSeconds", "%d is out of range; it takes %d to %d", n, minSeconds, maxSeconds)
	}
	if c.Type != OIDCRoleARN {
		return problems
	}
	switch {
	case c.OIDCProviderArn == "":
		required("oidcProviderArn", ": acs:ram::<account>:oidc-provider/<name>", envOIDCProvider)
	case !providerArn.MatchString(c.OIDCProviderArn):
		add("oidcProviderArn", "%q is not an OIDC provider such as acs:ram::1234567890123456:oidc-provider/ack-rrsa", c.OIDCProviderArn)
	}
	if c.OIDCTokenFile == "" {
		required("oidcTokenFile", ": the token's file", envOIDCTokenFile)
	}
	return problems
}

// The environment variables of Aliyun's SDKs.
//
//nolint:gosec // names of variables, not their values
const (
	envKeyID            = "ALIBABA_CLOUD_ACCESS_KEY_ID"
	envKeySecret        = "ALIBABA_CLOUD_ACCESS_KEY_SECRET"
	envSecurityToken    = "ALIBABA_CLOUD_SECURITY_TOKEN"
	envRoleArn          = "ALIBABA_CLOUD_ROLE_ARN"
	envRoleSession      = "ALIBABA_CLOUD_ROLE_SESSION_NAME"
	envOIDCProvider     = "ALIBABA_CLOUD_OIDC_PROVIDER_ARN"
	envOIDCTokenFile    = "ALIBABA_CLOUD_OIDC_TOKEN_FILE"
	envSTSRegion        = "ALIBABA_CLOUD_STS_REGION"
	envVPCEndpoint      = "ALIBABA_CLOUD_VPC_ENDPOINT_ENABLED"
	envProfile          = "ALIBABA_CLOUD_PROFILE"
	envCLIDisabled      = "ALIBABA_CLOUD_CLI_PROFILE_DISABLED"
	envCredentialsFile  = "ALIBABA_CLOUD_CREDENTIALS_FILE"
	envCredentialsURI   = "ALIBABA_CLOUD_CREDENTIALS_URI"
	envMetadataRole     = "ALIBABA_CLOUD_ECS_METADATA"
	envMetadataDisabled = "ALIBABA_CLOUD_ECS_METADATA_DISABLED"
	envIMDSv1Disabled   = "ALIBABA_CLOUD_IMDSV1_DISABLED"
)

// envTrue reports whether a variable is set to true.
func envTrue(name string) bool { return strings.EqualFold(os.Getenv(name), "true") }

// fromEnvironment fills in the settings that RRSA puts into a pod's environment.
func (c *Credentials) fromEnvironment() {
	if c.Type != OIDCRoleARN {
		return
	}
	c.RoleArn = cmp.Or(c.RoleArn, os.Getenv(envRoleArn))
	c.OIDCProviderArn = cmp.Or(c.OIDCProviderArn, os.Getenv(envOIDCProvider))
	c.OIDCTokenFile = cmp.Or(c.OIDCTokenFile, sender.FilePath(os.Getenv(envOIDCTokenFile)))
}

// stsHost returns the host of STS for a region, as the SDK has it.
func stsHost(region string, vpc bool) string {
	prefix := "sts"
	if vpc || envTrue(envVPCEndpoint) {
		prefix = "sts-vpc"
	}
	if region = cmp.Or(region, os.Getenv(envSTSRegion)); region != "" {
		return prefix + "." + region + ".aliyuncs.com"
	}
	return "sts.aliyuncs.com"
}

// sourceOf returns where an account's keys come from.
func sourceOf(a Account) (source, error) {
	c := a.Credentials
	c.netHTTP = a.NetHTTP
	c.fromEnvironment()
	switch c.Type {
	case "":
		return given("static", a.AccessKeyID, a.AccessKeySecret, a.SecurityToken), nil
	case File:
		return keyFile(string(c.Path)), nil
	case ECSRAMRole:
		return instanceRole(c.instance()), nil
	case DefaultChain:
		return chain(c), nil
	case RAMRoleARN:
		return assumeRole(c.role(), given("static", a.AccessKeyID, a.AccessKeySecret, a.SecurityToken))
	case OIDCRoleARN:
		return assumeRoleWithOIDC(c.role(), c.OIDCProviderArn, string(c.OIDCTokenFile))
	}
	return nil, fmt.Errorf("credentials.type %q is not a source of keys", c.Type)
}

func (c *Credentials) role() role {
	return role{
		arn:        c.RoleArn,
		session:    c.RoleSessionName,
		policy:     c.Policy,
		externalID: c.ExternalID,
		seconds:    c.DurationSeconds,
		endpoint:   cmp.Or(c.STSEndpoint, stsHost("", false)),
		netHTTP:    c.netHTTP,
	}
}

func (c *Credentials) instance() instance {
	return instance{
		role:     cmp.Or(c.RoleName, os.Getenv(envMetadataRole)),
		onlyV2:   c.DisableIMDSv1 || envTrue(envIMDSv1Disabled),
		metadata: cmp.Or(c.metadata, metadataURL),
	}
}
