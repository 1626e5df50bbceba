package broker_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/rs/zerolog"

	"github.com/codeferry/codeferry/config"
	"github.com/codeferry/codeferry/internal/broker"
	"github.com/codeferry/codeferry/internal/freeport"
	"github.com/codeferry/codeferry/internal/natstest"
	"github.com/codeferry/codeferry/internal/syncbuf"
	"github.com/codeferry/codeferry/internal/testca"
	"github.com/codeferry/codeferry/sender"
)

// secret is in every password and token of these tests, and in no error.
const secret = "s3cret"

// connected tells how a connection to a target goes: "" is well.
func connected(t *testing.T, target broker.Target) string {
	t.Helper()
	target.Name = "test"
	nc, err := broker.Connect(t.Context(), target, zerolog.Nop())
	if err != nil {
		if text := err.Error(); strings.Contains(text, secret) || strings.Contains(text, "SU") && strings.Contains(text, "BEGIN") {
			t.Errorf("the error shows a secret: %s", text)
		}
		return err.Error()
	}
	defer nc.Close()
	if err := nc.Flush(); err != nil {
		return err.Error()
	}
	return ""
}

// attempt is a connection and its outcome: an error with all of want, or none.
type attempt struct {
	target broker.Target
	want   []string
}

func (a attempt) try(t *testing.T, name, url string) {
	t.Helper()
	if a.target.URL == "" {
		a.target.URL = url
	}
	got := connected(t, a.target)
	if (got == "") != (len(a.want) == 0) {
		t.Errorf("%s: connecting gives %q, want %q", name, got, a.want)
	}
	for _, want := range a.want {
		if !strings.Contains(got, want) {
			t.Errorf("%s: the error lacks %q: %s", name, want, got)
		}
	}
}

// with returns a server's URL with a user, or a token, in it.
func with(url, user string) string { return strings.Replace(url, "://", "://"+user+"@", 1) }

func TestLogins(t *testing.T) {
	t.Parallel()
	seed, nkey := natstest.NKey(t)
	other, otherKey := natstest.NKey(t)
	key := testca.Write(t, "worker.nk", seed)
	decorated := testca.Write(t, "worker.nk", slices.Concat([]byte("-----BEGIN USER NKEY SEED-----\r\n"), seed, []byte("\r\n------END USER NKEY SEED------\r\n")))
	otherFile := testca.Write(t, "other.nk", other)
	none := testca.Write(t, "none.nk", []byte("-----BEGIN USER NKEY SEED-----\n"+secret+"\n------END USER NKEY SEED------\n"))
	password := sender.NewSecret(secret + ",:/@%?# ")
	token := sender.NewSecret(secret + "/,t@ken:")

	users := natstest.Start(t, func(o *server.Options) {
		o.Users = []*server.User{{Username: "code,ferry", Password: password.Reveal()}, {Username: "plain", Password: secret}}
		o.Nkeys = []*server.NkeyUser{{Nkey: nkey}}
	}).ClientURL()
	for name, a := range map[string]attempt{
		"a user":                      {broker.Target{User: "code,ferry", Password: password}, nil},
		"a user in the URL":           {broker.Target{URL: with(users, "plain:"+secret)}, nil},
		"a user in place of another":  {broker.Target{URL: with(users, "x:y"), User: "plain", Password: sender.NewSecret(secret)}, nil},
		"an nkey":                     {broker.Target{NKey: key}, nil},
		"an nkey, decorated":          {broker.Target{NKey: decorated}, nil},
		"without a scheme":            {broker.Target{URL: strings.TrimPrefix(users, "nats://"), NKey: key}, nil},
		"nobody":                      {broker.Target{}, []string{"refuses the credentials; there are none: set them with nats.user and nats.password, nats.token, nats.nkey or nats.creds"}},
		"a wrong password":            {broker.Target{User: "plain", Password: sender.NewSecret(secret + "x")}, []string{"refuses the credentials; correct nats.user and nats.password (", "Authorization"}},
		"a wrong password in the URL": {broker.Target{URL: with(users, "plain:x"+secret)}, []string{"refuses the credentials; correct the user and password in nats.url ("}},
		"a wrong token":               {broker.Target{Token: token}, []string{"refuses the credentials; correct nats.token ("}},
		"a wrong token in the URL":    {broker.Target{URL: with(users, secret)}, []string{"refuses the credentials; correct the token in nats.url ("}},
		"an unknown nkey":             {broker.Target{NKey: otherFile}, []string{"refuses the credentials; check that the server knows the nkey " + otherKey + " of " + otherFile + ", or set another one with nats.nkey ("}},
		"no such nkey":                {broker.Target{NKey: "/nope.nk"}, []string{"nats.nkey names /nope.nk, which can't be read: no such file or directory"}},
		"a file that is no nkey":      {broker.Target{NKey: none}, []string{"nats.nkey names " + none + ", which has no seed of a user's nkey, which begins with SU"}},
		"names of other settings":     {broker.Target{URL: with(users, "plain:x"+secret), Settings: broker.Settings{URL: "--nats"}}, []string{"correct the user and password in --nats ("}},
		"a URL of another protocol":   {broker.Target{URL: "http://u:" + secret + "@127.0.0.1:4222"}, []string{"nats.url begins with http://, but NATS uses nats:// or tls://; write it like nats://127.0.0.1:4222"}},
		"a URL that is none":          {broker.Target{URL: "nats://u:" + secret + "%zz@a", Settings: broker.Settings{URL: "NATS_URL"}}, []string{"NATS_URL is not an address"}},
	} {
		a.try(t, name, users)
	}

	tokens := natstest.Start(t, func(o *server.Options) { o.Authorization = token.Reveal() }).ClientURL()
	attempt{target: broker.Target{Token: token}}.try(t, "a token", tokens)
	attempt{broker.Target{Token: sender.NewSecret(secret)}, []string{"correct nats.token ("}}.try(t, "another token", tokens)
}

func TestCredentialsFiles(t *testing.T) {
	t.Parallel()
	operator := natstest.NewOperator(t)
	url := natstest.Start(t, operator.Trust).ClientURL()
	good := operator.Creds(time.Time{})
	file := func(text []byte) string { return testca.Write(t, "worker.creds", text) }
	expired := file(operator.Creds(time.Now().Add(-time.Hour)))
	foreign := file(natstest.NewOperator(t).Creds(time.Time{}))
	seed, _ := natstest.NKey(t)
	alone := file(seed)
	mixed := file(slices.Concat(good[:bytes.Index(good, []byte("BEGIN USER NKEY SEED-----\n"))+len("BEGIN USER NKEY SEED-----\n")], seed, []byte("\n------END USER NKEY SEED------\n")))
	cut := file(good[:len(good)/2])
	empty := file(nil)
	const notOne = ", which is not a user's credentials file: "
	for name, a := range map[string]attempt{
		"good":                      {broker.Target{Creds: file(good)}, nil},
		"good for a while":          {broker.Target{Creds: file(operator.Creds(time.Now().Add(time.Hour)))}, nil},
		"with line ends of Windows": {broker.Target{Creds: file(bytes.ReplaceAll(good, []byte("\n"), []byte("\r\n")))}, nil},
		"missing":                   {broker.Target{Creds: "/nope.creds"}, []string{"nats.creds names /nope.creds, which can't be read: no such file or directory"}},
		"a folder":                  {broker.Target{Creds: "/"}, []string{"nats.creds names /, which can't be read: is a directory"}},
		"empty":                     {broker.Target{Creds: empty}, []string{"nats.creds names " + empty + notOne + "it has no JWT of a user"}},
		"a seed alone":              {broker.Target{Creds: alone}, []string{notOne + "it has no JWT of a user"}},
		"cut off":                   {broker.Target{Creds: cut}, []string{notOne}},
		"the seed of another user":  {broker.Target{Creds: mixed}, []string{notOne + "its seed does not belong to its JWT"}},
		"of another operator":       {broker.Target{Creds: foreign}, []string{"refuses the credentials; check that the server knows the user of " + foreign + " (nats.creds)"}},
		"expired":                   {broker.Target{Creds: expired}, []string{"refuses the credentials; " + expired + " (nats.creds) expired on 20"}},
		"by a flag":                 {broker.Target{Creds: "/nope.creds", Settings: broker.Settings{Creds: "--creds"}}, []string{"--creds names /nope.creds"}},
	} {
		a.try(t, name, url)
	}
}

func TestTLS(t *testing.T) {
	t.Parallel()
	ca, other := testca.New(t), testca.New(t)
	roots, otherRoots := testca.Write(t, "ca.pem", ca.Root()), testca.Write(t, "other.pem", other.Root())
	pair := func(cert, key []byte) config.NATSTLS {
		return config.NATSTLS{CAFile: config.Path(roots), CertFile: config.Path(testca.Write(t, "cert.pem", cert)), KeyFile: config.Path(testca.Write(t, "key.pem", key))}
	}
	client, foreign := pair(ca.Pair("worker")), pair(other.Pair("worker"))
	expired := pair(ca.PairUntil(time.Now().Add(-time.Hour), "worker"))
	unlike := client
	unlike.KeyFile = foreign.KeyFile
	keyless := client
	keyless.KeyFile = "/nope.pem"
	trusting := func(file string) config.NATSTLS { return config.NATSTLS{CAFile: config.Path(file)} }
	start := func(edit func(*server.Options)) string {
		t.Helper()
		return natstest.Start(t, edit).ClientURL()
	}
	private := start(func(o *server.Options) { o.TLSConfig = ca.Server(false, "127.0.0.1") })
	old := start(func(o *server.Options) { o.TLSConfig = ca.ExpiredServer("127.0.0.1") })
	named := start(func(o *server.Options) { o.TLSConfig = ca.Server(false, "nats.internal") })
	mutual := start(func(o *server.Options) { o.TLSConfig, o.TLSVerify = ca.Server(true, "127.0.0.1"), true })
	mutual12 := start(func(o *server.Options) {
		o.TLSConfig, o.TLSVerify = ca.Server(true, "127.0.0.1"), true
		o.TLSConfig.MaxVersion = 0x0303
	})
	first := start(func(o *server.Options) { o.TLSConfig, o.TLSHandshakeFirst = ca.Server(false, "127.0.0.1"), true })
	plain := start(func(*server.Options) {})
	nats := func(url string) string { return strings.Replace(url, "tls://", "nats://", 1) }
	internal, handshake := trusting(roots), trusting(roots)
	internal.ServerName, handshake.HandshakeFirst = "nats.internal", true

	for name, a := range map[string]attempt{
		"a private CA":                       {broker.Target{URL: private, TLS: trusting(roots)}, nil},
		"a private CA, by nats://":           {broker.Target{URL: nats(private), TLS: trusting(roots)}, nil},
		"a private CA that is not given":     {broker.Target{URL: private}, []string{"has a certificate that is not trusted here; set nats.tls.caFile to a file with its CA's root certificate ("}},
		"the same by nats://":                {broker.Target{URL: nats(private)}, []string{"is not trusted here; set nats.tls.caFile to a file with its CA's root certificate ("}},
		"another CA":                         {broker.Target{URL: private, TLS: trusting(otherRoots)}, []string{"is not trusted here; add its CA's root certificate to " + otherRoots + " (nats.tls.caFile)"}},
		"no such CA":                         {broker.Target{URL: private, TLS: trusting("/nope.pem")}, []string{"nats.tls.caFile names /nope.pem, which can't be read: no such file or directory"}},
		"a CA that is none":                  {broker.Target{URL: private, TLS: trusting(string(client.KeyFile))}, []string{"nats.tls.caFile names " + string(client.KeyFile) + ", which has no certificate in PEM"}},
		"a server that has expired":          {broker.Target{URL: old, TLS: trusting(roots)}, []string{"has a certificate that is not valid now; renew the server's certificate, or correct this machine's clock ("}},
		"a server of another name":           {broker.Target{URL: named, TLS: trusting(roots)}, []string{"has a certificate for another name; use one of its names in nats.url, or set it in nats.tls.serverName (", "127.0.0.1"}},
		"its name":                           {broker.Target{URL: named, TLS: internal}, nil},
		"a client certificate":               {broker.Target{URL: mutual, TLS: client}, nil},
		"a client certificate over TLS 1.2":  {broker.Target{URL: mutual12, TLS: client}, nil},
		"none":                               {broker.Target{URL: mutual, TLS: trusting(roots)}, []string{"requires a client certificate; set one with nats.tls.certFile and nats.tls.keyFile"}},
		"none over TLS 1.2":                  {broker.Target{URL: mutual12, TLS: trusting(roots)}, []string{"requires a client certificate; set one with nats.tls.certFile and nats.tls.keyFile"}},
		"one of another CA":                  {broker.Target{URL: mutual, TLS: foreign}, []string{"does not accept the client certificate; add the root of " + string(foreign.CertFile)}},
		"one of another CA over TLS 1.2":     {broker.Target{URL: mutual12, TLS: foreign}, []string{"does not accept the client certificate; add the root of "}},
		"one that has expired":               {broker.Target{URL: mutual, TLS: expired}, []string{"does not accept the client certificate; " + string(expired.CertFile) + " (nats.tls.certFile and nats.tls.keyFile) expired on 20"}},
		"one with another's key":             {broker.Target{URL: mutual, TLS: unlike}, []string{"nats.tls.certFile and nats.tls.keyFile name " + string(unlike.CertFile), "which are not a certificate and its private key in PEM"}},
		"one without its key":                {broker.Target{URL: mutual, TLS: keyless}, []string{"nats.tls.certFile and nats.tls.keyFile names /nope.pem, which can't be read"}},
		"TLS first":                          {broker.Target{URL: first, TLS: handshake}, nil},
		"TLS first that is not given":        {broker.Target{URL: first, TLS: trusting(roots)}, []string{", or does it start with TLS (nats.tls.handshakeFirst)? ("}},
		"TLS first with a server of INFO":    {broker.Target{URL: private, TLS: handshake}, []string{"does not start with TLS; leave out nats.tls.handshakeFirst ("}},
		"TLS with a server that has none":    {broker.Target{URL: plain, TLS: trusting(roots)}, []string{"has no TLS; turn TLS on in the server, or use nats:// in nats.url and no settings of TLS"}},
		"tls:// with a server that has none": {broker.Target{URL: strings.Replace(plain, "nats://", "tls://", 1)}, []string{"has no TLS; turn TLS on in the server"}},
		"by flags":                           {broker.Target{URL: private, Settings: broker.Settings{CA: "--tls-ca"}}, []string{"set --tls-ca to "}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a.try(t, name, "")
		})
	}
}

// TestSeveralServers: one that is not there is left for another one. Whatever the order
// in which the client tries them, an error is that of the one that was there.
func TestSeveralServers(t *testing.T) {
	t.Parallel()
	ports, release, err := freeport.Ports(2)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(release)
	dead := "nats://" + freeport.Addr(ports[0])
	s := natstest.Start(t, func(o *server.Options) { o.Username, o.Password = "u", secret })
	right, wrong := sender.NewSecret(secret), sender.NewSecret(secret+"x")
	refuses := "NATS at " + s.ClientURL() + " refuses the credentials; correct "
	for range 10 {
		attempt{target: broker.Target{URL: dead + "," + s.ClientURL(), User: "u", Password: right}}.try(t, "the first is dead", "")
		attempt{broker.Target{URL: dead + ", " + s.ClientURL(), User: "u", Password: wrong}, []string{refuses + "nats.user and nats.password"}}.try(t, "the first is dead, the password wrong", "")
		attempt{broker.Target{URL: with(s.ClientURL(), "u:"+secret+"x") + "," + dead}, []string{refuses + "the user and password in nats.url"}}.try(t, "the second is dead, the password in the URL wrong", "")
	}
	attempt{broker.Target{URL: dead + ",nats://" + freeport.Addr(ports[1]), User: "u", Password: right}, []string{"can't be reached", dead}}.try(t, "both are dead", "")
}

// TestTryServers: it finds those that the connection does without.
func TestTryServers(t *testing.T) {
	t.Parallel()
	ports, release, err := freeport.Ports(1)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(release)
	dead := "nats://" + freeport.Addr(ports[0])
	one := natstest.Start(t, func(o *server.Options) { o.Username, o.Password = "u", secret }).ClientURL()
	two := natstest.Start(t, func(o *server.Options) { o.Username, o.Password = "u", secret+"x" }).ClientURL()
	login := func(urls ...string) broker.Target {
		return broker.Target{URL: strings.Join(urls, ","), User: "u", Password: sender.NewSecret(secret), Name: "test"}
	}
	for _, tt := range []struct {
		target broker.Target
		want   []string
	}{
		{login(one), nil},
		{login(dead), nil}, // Connect says so
		{login(one, one), nil},
		{login(one, dead), []string{"NATS at " + dead + " can't be reached; "}},
		{login(dead, one, two), []string{"NATS at " + dead + " can't be reached; ", "NATS at " + two + " refuses the credentials; "}},
	} {
		got := broker.TryServers(t.Context(), tt.target)
		if len(got) != len(tt.want) {
			t.Errorf("%s: got %v, want %q", tt.target.URL, got, tt.want)
			continue
		}
		for i, f := range got {
			if f.Wrong || !strings.HasPrefix(f.Text, tt.want[i]) || !strings.HasSuffix(f.Text, "; a worker uses the other servers of nats.url") || strings.Contains(f.Text, secret) {
				t.Errorf("%s: got %+v, want %q", tt.target.URL, f, tt.want[i])
			}
		}
	}
}

// link is a connection that a test watches.
type link struct {
	t    *testing.T
	nc   *nats.Conn
	log  *syncbuf.Buffer
	back chan struct{}
}

func newLink(t *testing.T, target broker.Target) *link {
	t.Helper()
	l := &link{t: t, log: new(syncbuf.Buffer), back: make(chan struct{}, 1)}
	target.Name = "test"
	var err error
	if l.nc, err = broker.Connect(t.Context(), target, zerolog.New(l.log)); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(l.nc.Close)
	return l
}

// says waits until the log holds a text.
func (l *link) says(text string) {
	l.t.Helper()
	natstest.Eventually(l.t, "the log says "+text, func(context.Context) error {
		if !strings.Contains(l.log.String(), text) {
			return fmt.Errorf("it says %s", l.log.String())
		}
		return nil
	})
}

// TestCertificatesAreReadAgain replaces the CA, and then the client's certificate: the
// next connection takes the new ones, and the log says why those from before are not
// taken.
func TestCertificatesAreReadAgain(t *testing.T) {
	t.Parallel()
	before, after := testca.New(t), testca.New(t)
	cert, key := before.Pair("worker")
	files := config.NATSTLS{
		CAFile: config.Path(testca.Write(t, "ca.pem", before.Root())), CertFile: config.Path(testca.Write(t, "cert.pem", cert)), KeyFile: config.Path(testca.Write(t, "key.pem", key)),
	}
	s := natstest.Start(t, func(o *server.Options) { o.TLSConfig, o.TLSVerify = before.Server(true, "127.0.0.1"), true })
	l := newLink(t, broker.Target{URL: s.ClientURL(), TLS: files})

	s.Stop()
	s.Edit(func(o *server.Options) { o.TLSConfig = after.Server(true, "127.0.0.1") })
	s.Again(t)
	l.says("has a certificate that is not trusted here; add its CA's root certificate to " + string(files.CAFile) + " (nats.tls.caFile)")
	testca.Replace(t, string(files.CAFile), after.Root())
	l.says("does not accept the client certificate; add the root of " + string(files.CertFile))
	cert, key = after.Pair("worker")
	testca.Replace(t, string(files.KeyFile), key) // for a moment the two do not belong together
	l.says("are not a certificate and its private key")
	testca.Replace(t, string(files.CertFile), cert)
	l.says("NATS is back")
	if err := l.nc.Flush(); err != nil {
		t.Errorf("after all were replaced: %v", err)
	}
	for _, line := range []string{"not trusted here", "does not accept the client certificate"} {
		if n := strings.Count(l.log.String(), line); n != 1 {
			t.Errorf("the log says %d times that the server %s: %s", n, line, l.log.String())
		}
	}
}

// TestLoginsAreReadAgain replaces what logs in while the connection stands.
func TestLoginsAreReadAgain(t *testing.T) {
	t.Parallel()
	t.Run("a credentials file", func(t *testing.T) {
		t.Parallel()
		before, after := natstest.NewOperator(t), natstest.NewOperator(t)
		file := testca.Write(t, "worker.creds", before.Creds(time.Time{}))
		s := natstest.Start(t, before.Trust)
		l := newLink(t, broker.Target{URL: s.ClientURL(), Creds: file})
		s.Stop()
		s.Edit(after.Trust)
		s.Again(t)
		l.says("NATS refuses the credentials; check that the server knows the user of " + file)
		if err := os.Remove(file); err != nil {
			t.Fatal(err)
		}
		l.says("nats.creds names " + file + ", which can't be read")
		testca.Replace(t, file, after.Creds(time.Time{}))
		l.says("NATS is back")
	})
	t.Run("a password", func(t *testing.T) {
		t.Parallel()
		s := natstest.Start(t, func(o *server.Options) { o.Username, o.Password = "u", secret+"1" })
		l := newLink(t, broker.Target{URL: s.ClientURL(), User: "u", Password: sender.NewSecret(secret + "1")})
		s.Stop()
		s.Edit(func(o *server.Options) { o.Password = secret + "2" })
		s.Again(t)
		l.says("NATS refuses the credentials; correct nats.user and nats.password")
		if err := broker.Renew(l.nc, broker.Target{URL: s.ClientURL(), User: "u", Password: sender.NewSecret(secret + "2")}); err != nil {
			t.Fatal(err)
		}
		l.says("NATS is back")
		if strings.Contains(l.log.String(), secret) {
			t.Errorf("the log shows the password: %s", l.log.String())
		}
	})
	t.Run("an nkey takes a restart", func(t *testing.T) {
		t.Parallel()
		seed, name := natstest.NKey(t)
		next, nextName := natstest.NKey(t)
		file := filepath.Join(t.TempDir(), "worker.nk")
		testca.Replace(t, file, seed)
		s := natstest.Start(t, func(o *server.Options) { o.Nkeys = []*server.NkeyUser{{Nkey: name}, {Nkey: nextName}} })
		l := newLink(t, broker.Target{URL: s.ClientURL(), NKey: file})
		s.Stop()
		testca.Replace(t, file, next)
		s.Again(t)
		l.says("now has another key (" + nextName + ") than at the start (" + name + "); restart codeferry")
		testca.Replace(t, file, seed)
		l.says("NATS is back")
	})
}

// TestARefusalIsKept while another server of the list is down, until the connection is back or
// the server that refused is down, too.
func TestARefusalIsKept(t *testing.T) {
	t.Parallel()
	s := natstest.Start(t, func(o *server.Options) { o.Authorization = secret + "1" })
	told := make(chan error, 1000)
	// The first server is down.
	target := broker.Target{URL: "nats://127.0.0.1:1," + s.ClientURL(), Token: sender.NewSecret(secret + "1"), Refused: func(err error) { told <- err }}
	nc, err := broker.Connect(t.Context(), target, zerolog.Nop())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	until := func(what string, want error) {
		t.Helper()
		limit := time.After(time.Minute)
		for {
			select {
			case err := <-told:
				if errors.Is(err, want) {
					return
				}
			case <-limit:
				t.Fatalf("%s: nobody is told %v", what, want)
			}
		}
	}
	s.Stop()
	s.Edit(func(o *server.Options) { o.Authorization = secret + "2" })
	s.Again(t)
	until("the token has changed", nats.ErrAuthorization)
	target.Token = sender.NewSecret(secret + "2")
	if err := broker.Renew(nc, target); err != nil {
		t.Fatal(err)
	}
	until("the token is corrected", nil)
}
