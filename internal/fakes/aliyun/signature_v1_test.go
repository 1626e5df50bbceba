package aliyun

import (
	"net/url"
	"testing"
)

// TestSignatureOfTheDocumentation checks the example of Aliyun's documentation.
func TestSignatureOfTheDocumentation(t *testing.T) {
	p, err := parseParams("Timestamp=2016-02-23T12%3A46%3A24Z&Format=XML&AccessKeyId=testid&Action=DescribeRegions"+
		"&SignatureMethod=HMAC-SHA1&SignatureNonce=3ee8c1b8-83d3-44af-a94f-4e0ad82fd6cf&Version=2014-05-26&SignatureVersion=1.0", "")
	if err != nil {
		t.Fatal(err)
	}
	toSign := stringToSign("GET", p)
	const want = "GET&%2F&AccessKeyId%3Dtestid%26Action%3DDescribeRegions%26Format%3DXML%26SignatureMethod%3DHMAC-SHA1%26SignatureNonce%3D3ee8c1b8-83d3-44af-a94f-4e0ad82fd6cf%26SignatureVersion%3D1.0%26Timestamp%3D2016-02-23T12%253A46%253A24Z%26Version%3D2014-05-26"
	if toSign != want {
		t.Errorf("string to sign:\n got %s\nwant %s", toSign, want)
	}
	if got := sign(toSign, "testsecret"); got != "OLeaidS1JvxuMvnyHOwuJ+uX5qY=" {
		t.Errorf("signature %s", got)
	}
}

func TestParams(t *testing.T) {
	tests := map[string]struct {
		query, body string
		toSign      string
	}{
		"none":                      {"", "", "POST&%2F&"},
		"empty values are kept":     {"b=&a=1", "", "POST&%2F&a%3D1%26b%3D"},
		"query and body":            {"a=1", "b=2", "POST&%2F&a%3D1%26b%3D2"},
		"the body wins":             {"a=1", "a=2", "POST&%2F&a%3D2"},
		"the last wins":             {"a=1&a=2", "", "POST&%2F&a%3D2"},
		"space as plus":             {"a=x+y", "", "POST&%2F&a%3Dx%2520y"},
		"space as %20":              {"a=x%20y", "", "POST&%2F&a%3Dx%2520y"},
		"reserved":                  {"a=*~%2B/", "", "POST&%2F&a%3D%252A~%252B%252F"},
		"encoded tilde":             {"a=%7E%2A", "", "POST&%2F&a%3D~%252A"},
		"UTF-8":                     {"a=示", "", "POST&%2F&a%3D%25E7%25A4%25BA"},
		"Signature is left out":     {"a=1&Signature=x", "", "POST&%2F&a%3D1"},
		"sorted by the raw name":    {"b=1&B=2&a=3", "", "POST&%2F&B%3D2%26a%3D3%26b%3D1"},
		"names are encoded as well": {"a%3Ab=1", "", "POST&%2F&a%253Ab%3D1"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			p, err := parseParams(tt.query, tt.body)
			if err != nil {
				t.Fatal(err)
			}
			if got := stringToSign("POST", p); got != tt.toSign {
				t.Errorf("got %s, want %s", got, tt.toSign)
			}
		})
	}
	for _, bad := range []string{"a=%", "a=%zz", "a=1;b=2"} {
		if _, err := parseParams(bad, ""); err == nil {
			t.Errorf("%q was decoded", bad)
		}
		if _, err := parseParams("", bad); err == nil {
			t.Errorf("%q was decoded from a body", bad)
		}
	}
}

func verified(signature, method string, p params, secret string) bool {
	return v1{method, p.with(params{"Signature": signature})}.verify(secret) == nil
}

func FuzzSignature(f *testing.F) {
	f.Add("AccessKeyId=testid&Action=SendSms&a=x+y", "TemplateParam=%7B%22code%22%3A%22123456%22%7D", "testsecret")
	f.Add("a=*~%7E&Signature=x", "a=%E7%A4%BA&b", "")
	f.Add("%", ";", "s&")
	f.Fuzz(func(t *testing.T, query, body, secret string) {
		p, err := parseParams(query, body)
		if err != nil {
			return
		}
		signature := sign(stringToSign("POST", p), secret)
		if !verified(signature, "POST", p, secret) {
			t.Fatal("what was signed is not verified")
		}
		if verified(signature, "GET", p, secret) {
			t.Fatal("the method is not signed")
		}

		// The same parameters with another encoding, all in the body and with
		// their signature, as a client would send them.
		wire := url.Values{"Signature": {signature}}
		for name, value := range p {
			if name != "Signature" {
				wire.Set(name, value)
			}
		}
		again, err := parseParams("", wire.Encode())
		if err != nil {
			t.Fatal(err)
		}
		if !verified(again["Signature"], "POST", again, secret) {
			t.Fatalf("not verified after another encoding: %q", wire.Encode())
		}

		// Any other parameter has another signature.
		again["\x00not there"] = "1"
		if verified(signature, "POST", again, secret) {
			t.Fatal("a parameter was added and it still verifies")
		}
	})
}
