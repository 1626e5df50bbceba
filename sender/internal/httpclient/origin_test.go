package httpclient

import "testing"

func TestIsThisMachine(t *testing.T) {
	for host, want := range map[string]bool{
		"localhost": true, "LOCALHOST": true, "127.0.0.1": true, "127.1.2.3": true, "::1": true,
		"": false, "localhost.example.com": false, "0.0.0.0": false, "192.0.2.1": false, "smtp.example.com": false,
	} {
		if got := IsThisMachine(host); got != want {
			t.Errorf("%q: got %t, want %t", host, got, want)
		}
	}
}
