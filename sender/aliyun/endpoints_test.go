package aliyun_test

import (
	"maps"
	"testing"

	"github.com/codeferry/codeferry/sender/aliyun"
)

func TestParseEndpoint(t *testing.T) {
	for endpoint, want := range map[string][2]string{
		"dm.aliyuncs.com":         {"https", "dm.aliyuncs.com"},
		"dm.aliyuncs.com:8443":    {"https", "dm.aliyuncs.com:8443"},
		"127.0.0.1:9090":          {"https", "127.0.0.1:9090"},
		"https://dm.aliyuncs.com": {"https", "dm.aliyuncs.com"},
		"https://[::1]:9090/":     {"https", "[::1]:9090"},
		"HTTP://localhost:9090":   {"http", "localhost:9090"},
		"http://127.0.0.1:9090/":  {"http", "127.0.0.1:9090"},

		"":                       {},
		"https://":               {},
		"http://:9090":           {},
		"http:/host":             {},
		"ftp://host":             {},
		"host/path":              {},
		"https://host/path":      {},
		"https://host?x=1":       {},
		"https://host#x":         {},
		"https://user:pass@host": {},
		"a host":                 {},
		"https://host:port":      {},
	} {
		scheme, host, err := aliyun.ParseEndpoint(endpoint)
		if got := [2]string{scheme, host}; got != want || (err == nil) != (want != [2]string{}) {
			t.Errorf("%q: got %q, %v; want %q", endpoint, got, err, want)
		}
		if _, err := aliyun.NewClient(options(endpoint)); (err == nil) != (want != [2]string{}) {
			t.Errorf("NewClient(%q): %v", endpoint, err)
		}
	}
}

func TestRegionsHosts(t *testing.T) {
	for _, c := range []struct {
		product aliyun.Endpoints
		want    map[string]string
	}{
		{aliyun.DirectMail, map[string]string{
			"":               "dm.aliyuncs.com",
			"cn-hangzhou":    "dm.aliyuncs.com",
			"ap-southeast-1": "dm.ap-southeast-1.aliyuncs.com",
			"ap-southeast-2": "dm.ap-southeast-2.aliyuncs.com",
			"eu-central-1":   "dm.eu-central-1.aliyuncs.com",
			"us-east-1":      "dm.us-east-1.aliyuncs.com",
		}},
		{aliyun.SMS, map[string]string{
			"":               "dysmsapi.aliyuncs.com",
			"cn-hangzhou":    "dysmsapi.aliyuncs.com",
			"cn-beijing":     "dysmsapi.aliyuncs.com",
			"cn-shanghai":    "dysmsapi.aliyuncs.com",
			"cn-shenzhen":    "dysmsapi.aliyuncs.com",
			"cn-hongkong":    "dysmsapi.aliyuncs.com",
			"ap-southeast-1": "dysmsapi.ap-southeast-1.aliyuncs.com",
			"ap-southeast-5": "dysmsapi.ap-southeast-5.aliyuncs.com",
			"eu-central-1":   "dysmsapi.eu-central-1.aliyuncs.com",
		}},
		{aliyun.PhoneVerification, map[string]string{
			"":            "dypnsapi.aliyuncs.com",
			"cn-hangzhou": "dypnsapi.aliyuncs.com",
		}},
	} {
		got := map[string]string{"": c.product.Host("", "")}
		for region := range c.product {
			got[region] = c.product.Host(region, "")
		}
		if !maps.Equal(got, c.want) {
			t.Errorf("got %v\nwant %v", got, c.want)
		}
		for region, host := range got {
			if scheme, h, err := aliyun.ParseEndpoint(host); scheme != "https" || h != host || err != nil {
				t.Errorf("%q: %s://%s, %v; want HTTPS", region, scheme, h, err)
			}
			if problems := aliyun.ValidateEndpoint(c.product, region, ""); len(problems) > 0 {
				t.Errorf("region %q has problems: %v", region, problems)
			}
		}
	}
}

func TestEndpointStandsAboveTheRegion(t *testing.T) {
	if got := aliyun.SMS.Host("nowhere", "http://127.0.0.1:1"); got != "http://127.0.0.1:1" {
		t.Errorf("the host is %q, want the endpoint", got)
	}
	if problems := aliyun.ValidateEndpoint(aliyun.SMS, "nowhere", "http://127.0.0.1:1"); len(problems) > 0 {
		t.Errorf("with an endpoint, an unknown region has problems: %v", problems)
	}
	for want, c := range map[string][2]string{
		"regionId": {"nowhere", ""},
		"endpoint": {"cn-hangzhou", "ftp://x"},
	} {
		if problems := aliyun.ValidateEndpoint(aliyun.SMS, c[0], c[1]); len(problems) != 1 || problems[0].Path != want {
			t.Errorf("%q: the problems are %v, want one at %s", c, problems, want)
		}
	}
}
