package config

import "strings"

// nats checks the settings of nats.*.
func (d *decoder) nats(n NATS) {
	embedded := n.URL == "" && !d.bad["nats.url"]
	d.address("nats.listen", n.Listen)
	if embedded && !Loopback(n.Listen) && !d.bad["nats.listen"] {
		d.warnings = append(d.warnings, d.problemAt("nats.listen", "is an address that other machines can reach, and the embedded server has no users: everyone there can publish, read and delete"))
	}
	if p := n.InboxPrefix; p != "" && !ValidInboxPrefix(p) {
		d.failPath("nats.inboxPrefix", "%q is not the prefix of a subject, such as _INBOX_worker", p)
	}
	if !embedded && !d.bad["nats.url"] {
		if err := CheckServers(n.URL); err != nil {
			d.failPath("nats.url", "%v", err)
		}
	}
	d.login(n, embedded)
	d.natsTLS(n.TLS, embedded)
	switch {
	case n.Domain == "":
	case embedded:
		d.failPath("nats.domain", "needs a server of your own, because the embedded one has no domain; give nats.url, or leave it out")
	case !ValidDomain(n.Domain):
		d.failPath("nats.domain", "%q is not a JetStream domain; it takes one token of a subject, such as hub", n.Domain)
	}
	switch {
	case n.APIPrefix == "":
	case embedded:
		d.failPath("nats.apiPrefix", "needs a server of your own, because the embedded one has no prefix but $JS.API; give nats.url, or leave it out")
	case !ValidAPIPrefix(n.APIPrefix):
		d.failPath("nats.apiPrefix", "%q is not the prefix of a subject, such as $JS.hub.API", n.APIPrefix)
	case n.Domain != "":
		d.failPath("nats.apiPrefix", "can't be set together with nats.domain, because both set the prefix of the API's subjects; leave one of them out")
	}
	if n.Replicas < 1 || n.Replicas > 5 {
		d.failPath("nats.replicas", "is %d; it takes 1 to 5", n.Replicas)
	}
	if embedded && n.Replicas > 1 {
		d.failPath("nats.replicas", "is %d, but the embedded server is a single one; give nats.url, or leave it out", n.Replicas)
	}
}

// login checks the login: there is at most one, it is whole, and the server has users.
func (d *decoder) login(n NATS, embedded bool) {
	for _, s := range []struct {
		path         string
		given, value bool
	}{
		{"nats.user", n.User != "", true},
		{"nats.password", !n.Password.IsZero(), true},
		{"nats.token", !n.Token.IsZero(), true},
		{"nats.nkey", n.NKey != "", false},
	} {
		_, named := d.places[s.path]
		switch {
		case s.given && embedded:
			d.failPath(s.path, "needs a server of your own, because the embedded one has no users; give nats.url, or leave it out")
		case s.value && named && !s.given: // such as a variable that was set to nothing
			d.failPath(s.path, "is empty; give it a value, or leave it out")
		}
	}
	if embedded {
		if n.Creds != "" {
			d.warnings = append(d.warnings, d.problemAt("nats.creds", "has no effect, because the embedded server has no users; give nats.url, or leave it out"))
		}
		return
	}
	if _, named := d.places["nats.password"]; n.User != "" && !named {
		d.failPath("nats.password", "is required if nats.user is set")
	}
	if _, named := d.places["nats.user"]; !n.Password.IsZero() && !named {
		d.failPath("nats.user", "is required if nats.password is set")
	}
	d.oneLogin(n)
}

// oneLogin refuses a second login: the client would leave one of them aside.
func (d *decoder) oneLogin(n NATS) {
	inline := ""
	if kind := InlineLogin(n.URL); kind != "" {
		inline = "the " + kind + " in nats.url"
	}
	first := ""
	for _, l := range []struct {
		path, words string
		given       bool
	}{
		{"nats.url", inline, inline != ""},
		{"nats.user", "nats.user", n.User != ""},
		{"nats.token", "nats.token", !n.Token.IsZero()},
		{"nats.nkey", "nats.nkey", n.NKey != ""},
	} {
		switch {
		case !l.given:
		case first != "":
			d.failPath(l.path, "can't be set together with %s, because a connection has one login; leave one of them out", first)
		default:
			first = l.words
		}
	}
	if n.NKey != "" && n.Creds != "" {
		d.failPath("nats.creds", "can't be set together with nats.nkey, because a connection has one login; leave one of them out")
	}
}

// natsTLS looks at nats.tls.
func (d *decoder) natsTLS(t NATSTLS, embedded bool) {
	switch {
	case t == (NATSTLS{}):
	case embedded:
		d.failPath("nats.tls", "needs a server of your own, because the embedded one has no TLS; give nats.url, or leave it out")
	case t.CertFile != "" && t.KeyFile == "":
		d.failPath("nats.tls.keyFile", "is required if nats.tls.certFile is set")
	case t.KeyFile != "" && t.CertFile == "":
		d.failPath("nats.tls.certFile", "is required if nats.tls.keyFile is set")
	}
}

// ValidInboxPrefix reports whether p can be the prefix of a subject: tokens without
// spaces, * and >, with a dot between them.
func ValidInboxPrefix(p string) bool {
	for token := range strings.SplitSeq(p, ".") {
		if !validToken(token) {
			return false
		}
	}
	return true
}

// ValidDomain reports whether name can be a JetStream domain: one token of a subject.
func ValidDomain(name string) bool { return validToken(name) && !strings.Contains(name, ".") }

// ValidAPIPrefix reports whether p can be the prefix of JetStream's API subjects, with
// or without its last dot.
func ValidAPIPrefix(p string) bool { return ValidInboxPrefix(strings.TrimSuffix(p, ".")) }

func validToken(token string) bool { return token != "" && !strings.ContainsAny(token, "*> \t\r\n") }
