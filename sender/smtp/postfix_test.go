package smtp_test

import (
	"bytes"
	"fmt"
	"io"
	"mime"
	"mime/multipart"
	"mime/quotedprintable"
	"net"
	netmail "net/mail"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/codeferry/codeferry/internal/check"
	"github.com/codeferry/codeferry/internal/freeport"
	"github.com/codeferry/codeferry/internal/testca"
	"github.com/codeferry/codeferry/sender"
	"github.com/codeferry/codeferry/sender/internal/sendertest"
	"github.com/codeferry/codeferry/sender/smtp"
)

// postfix is a real Postfix with its own folder and ports. It passes every mail on to a
// server of the test.
type postfix struct {
	host string
	port int
	// strict is the port that requires a name with a domain, and ends a connection after
	// two errors. wrapped is the port with TLS from the start.
	strict, wrapped int
	ca              string
	next            *server
	log             string
}

// postfixQueue are the folders that Postfix needs in its queue directory.
var postfixQueue = []string{
	"active", "bounce", "corrupt", "defer", "deferred", "flush", "hold", "incoming", "private", "saved", "trace",
}

func startPostfix(t *testing.T) *postfix {
	t.Helper()
	const install = "apt-get install -y postfix sasl2-bin libsasl2-modules"
	postconf := sendertest.Program(t, "postconf", install)
	saslpasswd := sendertest.Program(t, "saslpasswd2", install)
	if os.Geteuid() != 0 {
		check.Lacks(t, "Postfix starts only as root")
	}
	dir := t.TempDir()
	for up := dir; up != os.TempDir() && up != "/"; up = filepath.Dir(up) {
		chmod(t, up, 0o711) // its daemons have a user of their own
	}
	owner, group := account(t)
	mkdir := func(name string, mode os.FileMode, uid, gid int) {
		path := filepath.Join(dir, name)
		if err := os.Mkdir(path, 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.Chown(path, uid, gid); err != nil {
			t.Fatal(err)
		}
		chmod(t, path, mode)
	}
	mkdir("conf", 0o755, 0, 0)
	mkdir("data", 0o700, owner, -1)
	mkdir("conf/sasl", 0o755, 0, 0) // Debian's Postfix always looks here, whatever cyrus_sasl_config_path is
	mkdir("queue", 0o755, 0, 0)
	mkdir("queue/pid", 0o755, 0, 0)
	for _, name := range postfixQueue {
		mkdir("queue/"+name, 0o700, owner, -1)
	}
	mkdir("queue/maildrop", 0o730|os.ModeSticky, owner, group)
	mkdir("queue/public", 0o710|os.ModeSetgid, owner, group)

	ca := testca.New(t)
	cert, key := ca.Pair("127.0.0.1", "mx.example.test")
	p := &postfix{host: "127.0.0.1", port: freePort(t), strict: freePort(t), wrapped: freePort(t), ca: string(ca.Root()), next: serve(t, script{}), log: filepath.Join(dir, "log")}
	write := func(name, text string) {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	write("cert.pem", string(cert))
	write("key.pem", string(key))
	chmod(t, filepath.Join(dir, "key.pem"), 0o600)
	write("conf/main.cf", fmt.Sprintf(`compatibility_level = 3.6
queue_directory = %[1]s/queue
data_directory = %[1]s/data
daemon_directory = %[2]s
command_directory = %[3]s
maillog_file = %[1]s/log
maillog_file_prefixes = %[1]s
mail_owner = postfix
setgid_group = postdrop
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
myhostname = mx.example.test
mydestination =
mynetworks =
alias_maps =
alias_database =
local_recipient_maps =
virtual_mailbox_domains = example.com
virtual_mailbox_maps = inline:{Alice+x@Example.com=x, alice+x@example.com=x}
virtual_transport = smtp:[%[4]s]:%[5]d
smtp_tls_security_level = none
smtputf8_enable = yes
smtpd_tls_security_level = may
smtpd_tls_auth_only = yes
smtpd_tls_chain_files = %[1]s/key.pem %[1]s/cert.pem
smtpd_sasl_auth_enable = yes
smtpd_sasl_path = smtpd
cyrus_sasl_config_path = %[1]s/conf/sasl
smtpd_sasl_local_domain = example.com
smtpd_sender_login_maps = inline:{no-reply@example.com=u@example.com}
smtpd_sender_restrictions = reject_authenticated_sender_login_mismatch
smtpd_relay_restrictions = permit_sasl_authenticated, reject_unauth_destination
smtpd_client_auth_rate_limit = 0
`, dir, postfixDaemons(t, postconf), filepath.Dir(postconf), p.next.Host, p.next.Port))
	write("conf/master.cf", fmt.Sprintf(`%[1]s:%[2]d inet n - n - - smtpd
%[1]s:%[3]d inet n - n - - smtpd -o smtpd_helo_required=yes -o smtpd_delay_reject=no -o smtpd_helo_restrictions=reject_non_fqdn_helo_hostname -o smtpd_soft_error_limit=1 -o smtpd_hard_error_limit=2 -o smtpd_error_sleep_time=0
%[1]s:%[4]d inet n - n - - smtpd -o smtpd_tls_wrappermode=yes
pickup unix n - n 60 1 pickup
cleanup unix n - n - 0 cleanup
qmgr unix n - n 300 1 qmgr
tlsmgr unix - - n 1000? 1 tlsmgr
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
trace unix - - n - 0 bounce
smtp unix - - n - - smtp
error unix - - n - - error
retry unix - - n - - error
discard unix - - n - - discard
anvil unix - - n - 1 anvil
scache unix - - n - 1 scache
proxymap unix - - n - - proxymap
postlog unix-dgram n - n - 1 postlogd
`, p.host, p.port, p.strict, p.wrapped))
	write("conf/sasl/smtpd.conf", fmt.Sprintf("pwcheck_method: auxprop\nauxprop_plugin: sasldb\nsasldb_path: %s/conf/sasl/db\nmech_list: SCRAM-SHA-256 SCRAM-SHA-1 CRAM-MD5 PLAIN LOGIN\n", dir))
	add := exec.CommandContext(t.Context(), saslpasswd, "-p", "-c", "-f", filepath.Join(dir, "conf/sasl/db"), "-u", "example.com", "u")
	add.Stdin = strings.NewReader(pass)
	if out, err := add.CombinedOutput(); err != nil {
		t.Fatalf("saslpasswd2: %v %s", err, out)
	}
	if err := os.Chown(filepath.Join(dir, "conf/sasl/db"), owner, -1); err != nil {
		t.Fatal(err)
	}
	p.run(t, dir, postfixDaemons(t, postconf))
	return p
}

func chmod(t testing.TB, path string, mode os.FileMode) {
	t.Helper()
	if err := os.Chmod(path, mode); err != nil {
		t.Fatal(err)
	}
}

// patience bounds each wait of a test.
const patience = check.Patience

// account returns Postfix's user, and the group for local submission.
func account(t testing.TB) (uid, gid int) {
	t.Helper()
	u, err := user.Lookup("postfix")
	if err != nil {
		t.Fatal(err)
	}
	g, err := user.LookupGroup("postdrop")
	if err != nil {
		t.Fatal(err)
	}
	uid, _ = strconv.Atoi(u.Uid)
	gid, _ = strconv.Atoi(g.Gid)
	return uid, gid
}

func postfixDaemons(t testing.TB, postconf string) string {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), postconf, "-d", "-h", "daemon_directory").Output()
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(out))
}

func freePort(t testing.TB) int {
	t.Helper()
	ports, release, err := freeport.Ports(1)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(release)
	return ports[0]
}

// run starts the master, and waits until the port takes a connection.
func (p *postfix) run(t *testing.T, dir, daemons string) {
	t.Helper()
	var out bytes.Buffer
	master := exec.Command(filepath.Join(daemons, "master"), "-c", filepath.Join(dir, "conf"), "-d")
	master.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	master.Stdout, master.Stderr = &out, &out
	master.WaitDelay = time.Second
	if err := master.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		_ = master.Wait()
		close(ended)
	}()
	t.Cleanup(func() {
		_ = master.Process.Signal(syscall.SIGTERM) // it ends its children
		<-ended
		if t.Failed() {
			log, _ := os.ReadFile(p.log)
			t.Logf("Postfix: %s\n%s", out.String(), log)
		}
	})
	late := time.After(patience)
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		if c, err := net.Dial("tcp", net.JoinHostPort(p.host, strconv.Itoa(p.port))); err == nil {
			_ = c.Close()
			return
		}
		select {
		case <-tick.C:
		case <-ended:
			t.Fatal("Postfix has ended")
		case <-late:
			t.Fatal("Postfix does not listen")
		}
	}
}

// configure returns a configuration that uses the Postfix.
func (p *postfix) configure(change func(*smtp.Config)) *smtp.Config {
	c := good()
	c.Host, c.Port, c.CAFile, c.RequireTLS = p.host, p.port, sender.TextFile(p.ca), true
	c.CustomHeaders = map[string]smtp.HeaderValues{"X-Many": {"one", "two 二"}, "X-One": {"1"}}
	c.ReplyTo = "Help 帮助 <help@example.com>"
	change(c)
	return c
}

// arrival waits for the mail that Postfix passes on.
func (p *postfix) arrival(t testing.TB) mail {
	t.Helper()
	select {
	case m := <-p.next.Mails:
		return m
	case <-time.After(patience):
		t.Fatal("Postfix passed on no mail")
	}
	return mail{}
}

func TestPostfix(t *testing.T) {
	p := startPostfix(t)

	for _, method := range []smtp.Method{"", "PLAIN", "LOGIN", "CRAM-MD5", "SCRAM-SHA-1", "SCRAM-SHA-256"} {
		t.Run("signs in by "+string(method), func(t *testing.T) {
			s := connector(t, p.configure(func(c *smtp.Config) { c.AuthMethod = method }))
			if err := checkSender(t.Context(), s); err != nil {
				t.Fatal(err)
			}
			receipt, err := send(t, s)
			if err != nil {
				t.Fatal(err)
			}
			got := p.arrival(t)
			if receipt.ProviderID == "" {
				t.Error("the receipt has no ProviderID")
			}
			sendertest.Holds(t, "the mail", got.Data, receipt.RequestID, "ESMTPSA id "+receipt.ProviderID+"\n")
		})
	}
	t.Run("what arrives", func(t *testing.T) {
		now := time.Date(2026, 11, 21, 12, 0, 0, 0, time.FixedZone("", 8*3600))
		s := connector(t, p.configure(func(c *smtp.Config) { smtp.SetClock(c, func() time.Time { return now }) }))
		receipt, err := send(t, s)
		if err != nil {
			t.Fatal(err)
		}
		got := p.arrival(t)
		if got.From != "MAIL FROM:<no-reply@example.com>" && !strings.HasPrefix(got.From, "MAIL FROM:<no-reply@example.com> ") {
			t.Errorf("the sender is %q, want no-reply@example.com", got.From)
		}
		if strings.Contains(got.From, "SMTPUTF8") {
			t.Errorf("the mail uses SMTPUTF8: %q", got.From)
		}
		if !strings.HasPrefix(got.To, "RCPT TO:<"+to+">") {
			t.Errorf("the recipient is %q, want %s", got.To, to)
		}
		wantMail(t, got.Data, map[string][]string{
			"From": {"Example 示例 <no-reply@example.com>"}, "To": {"<" + to + ">"}, "Subject": {"SignIn: " + code},
			"Reply-To": {"Help 帮助 <help@example.com>"}, "Date": {"Sat, 21 Nov 2026 12:00:00 +0800"},
			"Message-Id": {"<01JDCT0000000000000000000A@example.com>"}, "Auto-Submitted": {"auto-generated"},
			"X-Many": {"one", "two 二"}, "X-One": {"1"},
		}, code+" 您的验证码 🚢", `<p title="Ann &#34;&lt;&amp;&gt;&#34; 安">`+code+` 您的验证码 🚢</p>`)
		sendertest.Equal(t, "the RequestID", receipt.RequestID, "<01JDCT0000000000000000000A@example.com>")
	})
	t.Run("many messages over one connection", func(t *testing.T) {
		before := strings.Count(p.logged(t), ": connect from")
		s := connector(t, p.configure(func(*smtp.Config) {}))
		seen := make(map[string]bool)
		for range 20 {
			receipt, err := send(t, s)
			if err != nil {
				t.Fatal(err)
			}
			seen[receipt.ProviderID] = true
			p.arrival(t)
		}
		sendertest.Equal(t, "the number of connections", strings.Count(p.logged(t), ": connect from")-before, 1)
		sendertest.Equal(t, "the number of ids", len(seen), 20)
	})
	t.Run("a wrong password", func(t *testing.T) {
		for _, method := range []smtp.Method{"PLAIN", "LOGIN", "CRAM-MD5", "SCRAM-SHA-256"} {
			s := connector(t, p.configure(func(c *smtp.Config) { c.Auth.Pass, c.AuthMethod = sender.NewSecret("wrong-pass"), method }))
			_, err := send(t, s)
			sendertest.WantCode(t, err, sender.AccountDown, "535 5.7.8")
			sendertest.Hides(t, err, "wrong-pass", to, code)
			sendertest.Want(t, checkSender(t.Context(), s), sender.AccountDown)
		}
	})
	t.Run("an unknown recipient", func(t *testing.T) {
		s := connector(t, p.configure(func(*smtp.Config) {}))
		m := render(t, s)
		m.To = "nobody.here@example.com"
		_, err := s.Send(t.Context(), m)
		sendertest.WantCode(t, err, sender.Permanent, "550 5.1.1")
		sendertest.Hides(t, err, "nobody.here", code)
		if _, err := send(t, s); err != nil { // over the same connection
			t.Error(err)
		}
		p.arrival(t)
	})
	t.Run("no relay without AUTH", func(t *testing.T) {
		s := connector(t, p.configure(noAuth))
		m := render(t, s)
		m.To = "nobody.here@elsewhere.test"
		_, err := s.Send(t.Context(), m)
		sendertest.WantCode(t, err, sender.Misconfigured, "554 5.7.1")
		sendertest.Hides(t, err, "nobody.here")
	})
	t.Run("another's sender address", func(t *testing.T) {
		s := connector(t, p.configure(func(c *smtp.Config) { c.FromEmail = "boss@example.com" }))
		_, err := send(t, s)
		if e := sendertest.Want(t, err, sender.Misconfigured); e.Code == "" {
			t.Errorf("the error has no code: %v", e)
		}
	})
	t.Run("a certificate of nobody", func(t *testing.T) {
		s := connector(t, p.configure(func(c *smtp.Config) { c.CAFile = sender.TextFile(testca.New(t).Root()) }))
		_, err := send(t, s)
		e := sendertest.WantCode(t, err, sender.Unavailable, "SMTP.TLS")
		sendertest.Holds(t, "the detail", e.Detail, "no trusted CA")
		sendertest.Holds(t, "the advice", e.Advice, "caFile")
	})
	t.Run("an international domain", func(t *testing.T) {
		s := connector(t, p.configure(func(c *smtp.Config) { c.ReplyTo = "Hilfe für Sie <help@bücher.example>" }))
		if _, err := send(t, s); err != nil {
			t.Fatal(err)
		}
		if got := p.arrival(t); !strings.Contains(got.Data, "\nReply-To: =?utf-8?q?Hilfe_f=C3=BCr_Sie?= <help@xn--bcher-kva.example>\n") || strings.Contains(got.From, "SMTPUTF8") {
			t.Errorf("%s\n%s", got.From, got.Data)
		}
	})
	t.Run("the wrong kind of port", func(t *testing.T) {
		for port, c := range map[int]struct {
			secure bool
			advice string
		}{p.wrapped: {false, "secure: true"}, p.port: {true, "secure: false"}} {
			s := connector(t, p.configure(func(x *smtp.Config) {
				x.Port, x.Secure, x.RequireTLS, x.Timeout = port, &c.secure, false, time.Second
			}))
			e := sendertest.Want(t, checkSender(t.Context(), s), sender.Unavailable)
			sendertest.Holds(t, "the advice", e.Advice, c.advice)
		}
		s := connector(t, p.configure(func(x *smtp.Config) { x.Port, x.Secure = p.wrapped, new(true) }))
		if _, err := send(t, s); err != nil {
			t.Error(err)
		}
		p.arrival(t)
	})
	t.Run("a name without a domain", func(t *testing.T) {
		s := connector(t, p.configure(func(c *smtp.Config) { c.Port, c.Name = p.strict, "here" }))
		_, err := send(t, s)
		e := sendertest.WantCode(t, err, sender.Misconfigured, "504 5.5.2")
		sendertest.Holds(t, "the advice", e.Advice, "Set name")
	})
	t.Run("a connection with too many errors", func(t *testing.T) {
		s := connector(t, p.configure(func(c *smtp.Config) { c.Port, c.Name = p.strict, "here.example.com" }))
		for i := range 6 {
			m := render(t, s)
			if i%3 != 0 {
				m.To = "nobody.here@example.com"
			}
			_, err := s.Send(t.Context(), m)
			if i%3 != 0 {
				sendertest.Want(t, err, sender.Permanent)
				continue
			}
			if err != nil {
				t.Errorf("message %d: %v", i, err)
			}
			p.arrival(t)
		}
		if n := strings.Count(p.logged(t), "too many errors"); n == 0 {
			t.Error("no connection had too many errors")
		}
	})
	t.Run("another's certificate", func(t *testing.T) {
		s := connector(t, p.configure(func(c *smtp.Config) { c.ServerName = "other.example.test" }))
		_, err := send(t, s)
		sendertest.Want(t, err, sender.Unavailable)
		s = connector(t, p.configure(func(c *smtp.Config) { c.ServerName = "mx.example.test" }))
		if _, err := send(t, s); err != nil {
			t.Error(err)
		}
		p.arrival(t)
	})
}

func (p *postfix) logged(t testing.TB) string {
	t.Helper()
	b, err := os.ReadFile(p.log)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// wantMail checks a mail of two parts as a mail program reads it. Each header must occur
// once for each value.
func wantMail(t testing.TB, data string, headers map[string][]string, text, html string) {
	t.Helper()
	m, err := netmail.ReadMessage(strings.NewReader(data))
	if err != nil {
		t.Fatal(err)
	}
	decode := new(mime.WordDecoder)
	for name, want := range headers {
		got := m.Header[name]
		if len(got) != len(want) {
			t.Errorf("%s: %q, want %q", name, got, want)
			continue
		}
		for i := range got {
			if plain, err := decode.DecodeHeader(got[i]); err != nil || strings.ReplaceAll(plain, `"`, "") != want[i] {
				t.Errorf("%s: %q (%v), want %q", name, plain, err, want[i])
			}
		}
	}
	kind, params, err := mime.ParseMediaType(m.Header.Get("Content-Type"))
	if err != nil {
		t.Fatal(err)
	}
	sendertest.Equal(t, "the type of the mail", kind, "multipart/alternative")
	parts := multipart.NewReader(m.Body, params["boundary"])
	for _, want := range []struct{ kind, text string }{{"text/plain; charset=UTF-8", text}, {"text/html; charset=UTF-8", html}} {
		part, err := parts.NextRawPart()
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(quotedprintable.NewReader(part))
		if err != nil {
			t.Fatal(err)
		}
		sendertest.Equal(t, "the type of the part", part.Header.Get("Content-Type"), want.kind)
		sendertest.Equal(t, "the encoding of the part", part.Header.Get("Content-Transfer-Encoding"), "quoted-printable")
		sendertest.Equal(t, "the part", string(body), want.text)
	}
	if _, err := parts.NextPart(); err != io.EOF {
		t.Errorf("another part: %v", err)
	}
}
