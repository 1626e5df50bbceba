package aliyun

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/codeferry/codeferry/sender"
)

// DefaultRegion is the region of a connector that names none.
const DefaultRegion = "cn-hangzhou"

// Endpoints maps a product's regions to their hosts. The SDK resolves some of them
// wrongly, so the host always comes from here.
type Endpoints map[string]string

// The products' regions and hosts.
var (
	DirectMail = Endpoints{
		"cn-hangzhou":    "dm.aliyuncs.com",
		"ap-southeast-1": "dm.ap-southeast-1.aliyuncs.com",
		"ap-southeast-2": "dm.ap-southeast-2.aliyuncs.com",
		"eu-central-1":   "dm.eu-central-1.aliyuncs.com",
		"us-east-1":      "dm.us-east-1.aliyuncs.com",
	}
	SMS = Endpoints{
		"cn-hangzhou":    "dysmsapi.aliyuncs.com",
		"cn-beijing":     "dysmsapi.aliyuncs.com",
		"cn-shanghai":    "dysmsapi.aliyuncs.com",
		"cn-shenzhen":    "dysmsapi.aliyuncs.com",
		"cn-hongkong":    "dysmsapi.aliyuncs.com",
		"ap-southeast-1": "dysmsapi.ap-southeast-1.aliyuncs.com",
		"ap-southeast-5": "dysmsapi.ap-southeast-5.aliyuncs.com",
		"eu-central-1":   "dysmsapi.eu-central-1.aliyuncs.com",
	}
	// PhoneVerification (号码认证服务) serves the whole mainland from one host.
	PhoneVerification = Endpoints{
		"cn-hangzhou": "dypnsapi.aliyuncs.com",
	}
)

// Region returns the region, or the default one.
func Region(region string) string {
	if region == "" {
		return DefaultRegion
	}
	return region
}

// Host returns the endpoint if one is given, and otherwise the region's host.
func (e Endpoints) Host(region, endpoint string) string {
	if endpoint != "" {
		return endpoint
	}
	return e[Region(region)]
}

// ValidateEndpoint reports a region that the product does not have, and an invalid
// endpoint.
func ValidateEndpoint(e Endpoints, region, endpoint string) []sender.Problem {
	var out []sender.Problem
	if _, ok := e[Region(region)]; !ok && endpoint == "" {
		out = append(out, sender.Problem{Path: "regionId", Text: fmt.Sprintf("%q is not one of its regions: %s", region, strings.Join(slices.Sorted(maps.Keys(e)), ", "))})
	}
	if endpoint != "" {
		if _, _, err := ParseEndpoint(endpoint); err != nil {
			out = append(out, sender.Problem{Path: "endpoint", Text: err.Error()})
		}
	}
	return out
}
