package aliyun

import (
	"slices"
	"strings"
	"testing"
)

func TestParseAuthorization(t *testing.T) {
	const good = "ACS3-HMAC-SHA256 Credential=id,SignedHeaders=host;x-acs-date,Signature=0a"
	a, err := parseAuthorization(good)
	if err != nil || a.keyID != "id" || !slices.Equal(a.signed, []string{"host", "x-acs-date"}) || a.signature != "0a" {
		t.Errorf("%q: %+v, %v", good, a, err)
	}
	for bad, want := range map[string]string{
		"":                 "does not begin with ACS3-HMAC-SHA256",
		"ACS3-HMAC-SHA256": "no Credential",
		strings.Replace(good, "ACS3-HMAC-SHA256", "ACS3-RSA-SHA256", 1):            errAlgorithm.Error(),
		strings.Replace(good, "ACS3", "acs3", 1):                                   "does not begin with ACS3-HMAC-SHA256",
		strings.Replace(good, " ", "  ", 1):                                        "no Credential",
		strings.Replace(good, ",", ", ", 1):                                        "no SignedHeaders",
		strings.Replace(good, "Credential", "credential", 1):                       "no Credential",
		strings.Replace(good, "Credential=id", "Credential=", 1):                   "no Credential",
		strings.Replace(good, "SignedHeaders=host;x-acs-date,", "", 1):             "no SignedHeaders",
		strings.TrimSuffix(good, "0a"):                                             "no Signature",
		strings.TrimSuffix(good, ",Signature=0a"):                                  "no Signature",
		good + ",Signature=0b":                                                     "more than three fields",
		"ACS3-HMAC-SHA256 SignedHeaders=host,Credential=id,Signature=0a":           "no Credential",
		"ACS3-HMAC-SHA256 Credential=id,SignedHeaders=;host,Signature=0a":          "small letters",
		"ACS3-HMAC-SHA256 Credential=id,SignedHeaders=Host,Signature=0a":           "small letters",
		"ACS3-HMAC-SHA256 Credential=id,SignedHeaders=host; x,Signature=0a":        "small letters",
		"ACS3-HMAC-SHA256 Credential=id,SignedHeaders=x-acs-date;host,Signature=0": "not sorted",
		"ACS3-HMAC-SHA256 Credential=id,SignedHeaders=host;host,Signature=0a":      "twice",
	} {
		if a, err := parseAuthorization(bad); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %+v, %v; want %q", bad, a, err, want)
		}
	}
}

// FuzzAuthorization: what is read is in one form only, and writing it again gives the same
// header.
func FuzzAuthorization(f *testing.F) {
	f.Add("ACS3-HMAC-SHA256 Credential=id,SignedHeaders=host;x-acs-date,Signature=0a")
	f.Add("ACS3-HMAC-SM3 Credential=id,SignedHeaders=host,Signature=0a")
	f.Add("ACS3-HMAC-SHA256 Credential=,SignedHeaders=;,Signature==")
	f.Add("Basic dGVzdA==")
	f.Fuzz(func(t *testing.T, header string) {
		a, err := parseAuthorization(header)
		if err != nil {
			if a.keyID != "" || a.signature != "" || a.signed != nil {
				t.Fatalf("%q: %+v beside the error %v", header, a, err)
			}
			return
		}
		again := "ACS3-HMAC-SHA256 Credential=" + a.keyID + ",SignedHeaders=" + strings.Join(a.signed, ";") + ",Signature=" + a.signature
		if again != header {
			t.Fatalf("%q became %q", header, again)
		}
		if !slices.IsSorted(a.signed) || len(slices.Compact(slices.Clone(a.signed))) != len(a.signed) {
			t.Fatalf("%q: the names are not sorted, or one is there twice", header)
		}
	})
}
