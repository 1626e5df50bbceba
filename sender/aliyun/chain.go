package aliyun

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/codeferry/codeferry/sender"
)

// The places and their order are those of the SDK's default chain. The code is not: a
// chain of the SDK keeps asking the place that failed last, reads a profile only once,
// leaks a transport for each request, takes no context, and shows the whole text of a
// broken profile in its error. This chain tries each place each time. It does not skip a
// place that is set up but fails, because the next place would send as another account.

// chain returns a source that takes the keys from the first place that is set up.
func chain(c Credentials) source {
	places := []source{
		environment,
		oidcEnvironment(c),
		cliProfile(c),
		credentialsFile(c),
		ownInstance(c),
		credentialsURI,
	}
	return func(ctx context.Context) (*keys, *sender.Error) {
		for _, place := range places {
			if k, err := place(ctx); k != nil || err != nil {
				return k, err
			}
		}
		return nil, noKeys(sender.Unavailable, "the default chain found no keys: not in the environment, not in ~/.aliyun/config.json, "+
			"not in ~/.alibabacloud/credentials, and no ECS instance answers")
	}
}

func environment(context.Context) (*keys, *sender.Error) {
	id, secret := os.Getenv(envKeyID), os.Getenv(envKeySecret)
	switch {
	case id == "" && secret == "":
		return nil, nil
	case id == "" || secret == "":
		return nil, noKeys(sender.AccountDown, "only one of "+envKeyID+" and "+envKeySecret+" is set")
	}
	return newKeys("env", id, secret, os.Getenv(envSecurityToken)), nil
}

// oidcEnvironment is a source that uses the OIDC variables that RRSA sets in a pod.
func oidcEnvironment(from Credentials) source {
	return func(ctx context.Context) (*keys, *sender.Error) {
		c := Credentials{Type: OIDCRoleARN, STSEndpoint: from.STSEndpoint, netHTTP: from.netHTTP}
		c.fromEnvironment()
		if c.RoleArn == "" || c.OIDCProviderArn == "" || c.OIDCTokenFile == "" {
			return nil, nil
		}
		return ask(ctx)(assumeRoleWithOIDC(c.role(), c.OIDCProviderArn, string(c.OIDCTokenFile)))
	}
}

// ask returns a function that asks a source, or that returns the error of making it.
func ask(ctx context.Context) func(source, error) (*keys, *sender.Error) {
	return func(s source, err error) (*keys, *sender.Error) {
		if err != nil {
			return nil, noKeys(sender.AccountDown, err.Error())
		}
		return s(ctx)
	}
}

// profile is a profile of the Aliyun CLI, with the CLI's own field names.
type profile struct {
	Name            string `json:"name"`
	Mode            string `json:"mode"`
	AccessKeyID     string `json:"access_key_id"`
	AccessKeySecret string `json:"access_key_secret"`
	STSToken        string `json:"sts_token"`
	RoleArn         string `json:"ram_role_arn"`
	RoleSession     string `json:"ram_session_name"`
	Seconds         int    `json:"expired_seconds"`
	Policy          string `json:"policy"`
	ExternalID      string `json:"external_id"`
	STSRegion       string `json:"sts_region"`
	VPC             bool   `json:"enable_vpc"`
	Source          string `json:"source_profile"`
	RoleName        string `json:"ram_role_name"`
	OIDCTokenFile   string `json:"oidc_token_file"`
	OIDCProviderArn string `json:"oidc_provider_arn"`
}

// maxProfiles bounds a chain of profiles that refer to each other.
const maxProfiles = 8

// cliProfile is a source that uses the current profile of ~/.aliyun/config.json.
func cliProfile(c Credentials) source {
	return func(ctx context.Context) (*keys, *sender.Error) {
		home, err := os.UserHomeDir()
		if err != nil || envTrue(envCLIDisabled) {
			return nil, nil //nolint:nilerr // without a home there is no such file
		}
		path := filepath.Join(home, ".aliyun", "config.json")
		text, err := readFile(path)
		if absent(err) {
			return nil, nil
		}
		if err != nil {
			return nil, noKeys(sender.Unavailable, "the profiles of the Aliyun CLI can't be read: "+err.Error())
		}
		var file struct {
			Current  string    `json:"current"`
			Profiles []profile `json:"profiles"`
		}
		if json.Unmarshal(text, &file) != nil {
			return nil, noKeys(sender.AccountDown, path+" is not the JSON of the Aliyun CLI")
		}
		profiles := make(map[string]profile, len(file.Profiles))
		for _, p := range file.Profiles {
			profiles[p.Name] = p
		}
		name := cmp.Or(os.Getenv(envProfile), file.Current)
		if _, ok := profiles[name]; !ok {
			return nil, nil
		}
		s, err := cliSource(c, profiles, name, maxProfiles)
		if err != nil {
			return nil, noKeys(sender.AccountDown, fmt.Sprintf("profile %q of %s: %v", name, path, err))
		}
		return s(ctx)
	}
}

// cliSource returns the source that a profile describes.
func cliSource(c Credentials, profiles map[string]profile, name string, depth int) (source, error) {
	p, ok := profiles[name]
	if !ok {
		return nil, fmt.Errorf("its source_profile %q does not exist", name)
	}
	r := role{
		arn: p.RoleArn, session: p.RoleSession, policy: p.Policy, externalID: p.ExternalID, seconds: p.Seconds,
		endpoint: cmp.Or(c.STSEndpoint, stsHost(p.STSRegion, p.VPC)), netHTTP: c.netHTTP,
	}
	own := func(token string) (source, error) {
		return profileKeys("cli_profile", p.AccessKeyID, p.AccessKeySecret, token)
	}
	switch p.Mode {
	case "AK":
		return own("")
	case "StsToken":
		return own(p.STSToken)
	case "RamRoleArn":
		from, err := own("")
		if err != nil {
			return nil, err
		}
		return assumeRole(r, from)
	case "ChainableRamRoleArn":
		if depth == 0 {
			return nil, errors.New("its source_profile leads to itself")
		}
		from, err := cliSource(c, profiles, p.Source, depth-1)
		if err != nil {
			return nil, err
		}
		return assumeRole(r, from)
	case "EcsRamRole":
		i := c.instance()
		i.role = cmp.Or(p.RoleName, i.role)
		return instanceRole(i), nil
	case "OIDC":
		return assumeRoleWithOIDC(r, p.OIDCProviderArn, p.OIDCTokenFile)
	}
	return nil, errors.New("its mode is not one of AK, StsToken, RamRoleArn, ChainableRamRoleArn, EcsRamRole and OIDC")
}

// profileKeys returns a source of the keys in a profile. The profile's file can change at
// any time.
func profileKeys(provider, id, secret, token string) (source, error) {
	if id == "" || secret == "" {
		return nil, errors.New("it lacks the key's ID or its secret")
	}
	k := newKeys(provider, id, secret, token)
	k.local = true
	return func(context.Context) (*keys, *sender.Error) { return k, nil }, nil
}

// credentialsFile is a source that uses a section of ALIBABA_CLOUD_CREDENTIALS_FILE or,
// if that is not set, of ~/.alibabacloud/credentials.
func credentialsFile(c Credentials) source {
	return func(ctx context.Context) (*keys, *sender.Error) {
		path := os.Getenv(envCredentialsFile)
		if path == "" {
			home, err := os.UserHomeDir()
			if err != nil {
				return nil, nil //nolint:nilerr // without a home there is no such file
			}
			path = filepath.Join(home, ".alibabacloud", "credentials")
		}
		text, err := readFile(path)
		if absent(err) {
			return nil, nil
		}
		if err != nil {
			return nil, noKeys(sender.Unavailable, "the credentials file can't be read: "+err.Error())
		}
		sections, err := parseINI(text)
		if err != nil {
			return nil, noKeys(sender.AccountDown, fmt.Sprintf("%s %v", path, err))
		}
		name := cmp.Or(os.Getenv(envProfile), "default")
		values, ok := sections[name]
		if !ok {
			return nil, nil
		}
		s, err := sectionSource(c, values)
		if err != nil {
			return nil, noKeys(sender.AccountDown, fmt.Sprintf("section %q of %s: %v", name, path, err))
		}
		return s(ctx)
	}
}

// sectionSource returns the source that a section of a credentials file describes. The
// names in values have no underscores.
func sectionSource(c Credentials, values map[string]string) (source, error) {
	own, err := profileKeys("profile", values["accesskeyid"], values["accesskeysecret"], values["securitytoken"])
	switch values["type"] {
	case "access_key", "sts":
		return own, err
	case "ecs_ram_role":
		i := c.instance()
		i.role = cmp.Or(values["rolename"], i.role)
		return instanceRole(i), nil
	case "ram_role_arn":
		if err != nil {
			return nil, err
		}
		return assumeRole(role{
			arn: values["rolearn"], session: values["rolesessionname"], policy: values["policy"],
			endpoint: cmp.Or(c.STSEndpoint, stsHost("", false)), netHTTP: c.netHTTP,
		}, own)
	}
	return nil, errors.New("its type is not one of access_key, sts, ram_role_arn and ecs_ram_role")
}

// ownInstance is a source that uses the role of the ECS instance, if this machine is one.
func ownInstance(c Credentials) source {
	ask := instanceRole(c.instance())
	return func(ctx context.Context) (*keys, *sender.Error) {
		if envTrue(envMetadataDisabled) {
			return nil, nil
		}
		k, err := ask(ctx)
		if err != nil && os.Getenv(envMetadataRole) == "" {
			return nil, nil // most likely this machine is not an ECS instance
		}
		return k, err
	}
}

func credentialsURI(ctx context.Context) (*keys, *sender.Error) {
	if uri := os.Getenv(envCredentialsURI); uri != "" {
		return keyURI(uri)(ctx)
	}
	return nil, nil
}
