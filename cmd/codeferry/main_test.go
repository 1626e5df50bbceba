package main

import (
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/rs/zerolog"

	"github.com/codeferry/codeferry/internal/broker"
	"github.com/codeferry/codeferry/messages"
	"github.com/codeferry/codeferry/sender"
)

func TestDevSendsEveryTypeOnce(t *testing.T) {
	t.Parallel()
	d := spawnDev(t)
	for i, typ := range messages.Types() {
		for channel, to := range map[string]string{"sms": fmt.Sprintf("+86130%08d", i), "email": fmt.Sprintf("u%d@example.com", i)} {
			r := call(t, "send", "--nats", d.nats, "--channel", channel, "--to", to, "--type", string(typ), "--code", "907613", "--wait", "20s").want(t, 0)
			if !strings.Contains(r.out, " sent "+channel+" "+string(typ)) {
				t.Errorf("%s %s: %s", channel, typ, r.out)
			}
			got := inbox(t, d.sandbox, to)
			if len(got) != 1 || !strings.Contains(fmt.Sprint(got[0]["templateParam"], got[0]["htmlBody"]), "907613") {
				t.Errorf("%s %s: inbox %v", channel, typ, got)
			}
			if channel == "email" && !strings.Contains(fmt.Sprint(got[0]["htmlBody"]), words(typ)) {
				t.Errorf("%s: %v", typ, got[0]["htmlBody"])
			}
		}
	}
	d.find(`sent sms SignIn to \+86130\*\*\*\*0001 by aliyun-sms, attempt 1`)
	if strings.Contains(d.output(), "907613") {
		t.Errorf("the output holds the code: %s", d.output())
	}
}

func TestDevSaysWhatToTypeNext(t *testing.T) {
	t.Parallel()
	d := spawnDev(t)
	lines := regexp.MustCompile(`(?m)^  \S+ send .*$`).FindAllString(d.output(), -1)
	if len(lines) != 2 {
		t.Fatalf("no two lines with send: %s", d.output())
	}
	for _, line := range lines {
		cmd := exec.CommandContext(t.Context(), "sh", "-c", line)
		cmd.Env = append(os.Environ(), asProgram+"=1")
		if out, err := cmd.CombinedOutput(); err != nil || !strings.Contains(string(out), " sent ") {
			t.Errorf("%s: %v: %s", line, err, out)
		}
	}
	pub := d.find(`nats pub --server (\S+) (\S+) '(\{.*\})'`)
	nc, err := nats.Connect(pub[1])
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := js.Publish(t.Context(), pub[2], []byte(pub[3])); err != nil {
		t.Fatal(err)
	}
	d.find(`CODEFERRY-3 sent sms SignIn`)
	if n := len(inbox(t, d.sandbox, "")); n != 3 {
		t.Errorf("%d messages", n)
	}
}

func TestDevEndsCleanly(t *testing.T) {
	t.Parallel()
	d := spawnDev(t)
	if _, err := os.Stat(d.data); err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	if status := d.stop(); status != 0 {
		t.Errorf("exit status %d: %s", status, d.output())
	}
	if took := time.Since(began); took > 10*time.Second {
		t.Errorf("an idle dev took %v to stop", took)
	}
	if _, err := os.Stat(d.data); !os.IsNotExist(err) {
		t.Errorf("%s is left behind", d.data)
	}
}

func TestDevOverKeptData(t *testing.T) {
	t.Parallel()
	data := t.TempDir()
	d := spawnDev(t, "--data", data)
	r := call(t, "send", "--nats", d.nats, "--channel", "sms", "--to", "13012345678", "--type", "SignIn", "--code", "123456", "--wait", "20s", "--json").want(t, 0)
	id := ids(t, r.out)[0]

	second := call(t, "dev", "--listen", "127.0.0.1:0", "--nats-listen", "127.0.0.1:0", "--sandbox-listen", "127.0.0.1:0", "--data", data).want(t, exitFailed)
	if !strings.Contains(second.err, "another codeferry uses the data") || strings.Count(second.err, "\n") != 1 {
		t.Errorf("a second dev over the same data: %s", second.err)
	}
	if status := d.stop(); status != 0 {
		t.Fatalf("exit status %d", status)
	}

	d = spawnDev(t, "--data", data)
	if r := call(t, "status", "--nats", d.nats, id).want(t, 0); !strings.Contains(r.out, id+" sent sms SignIn") {
		t.Errorf("after the restart: %s", r.out)
	}
	if n := len(inbox(t, d.sandbox, "")); n != 0 {
		t.Errorf("the restart sent %d messages", n)
	}
	call(t, "send", "--nats", d.nats, "--channel", "sms", "--to", "13012345678", "--type", "SignIn", "--code", "123456", "--wait", "20s").want(t, 0)
}

// ids returns the ids of a command's JSON lines.
func ids(t *testing.T, out string) []string {
	t.Helper()
	var all []string
	for line := range strings.Lines(out) {
		var o struct {
			ID string `json:"id"`
		}
		if err := json.Unmarshal([]byte(line), &o); err != nil {
			t.Fatalf("%v: %s", err, line)
		}
		all = append(all, o.ID)
	}
	return all
}

func TestADeadLetterSeenFromOutside(t *testing.T) {
	t.Parallel()
	d := spawnDev(t)
	if status, text := fetch(t, http.MethodPut, d.sandbox+"/faults", `[{"action":"SendSms","code":"isv.MOBILE_NUMBER_ILLEGAL"}]`); status != http.StatusNoContent {
		t.Fatal(status, text)
	}
	r := call(t, "send", "--nats", d.nats, "--channel", "sms", "--to", "+8613712345678", "--type", "SignIn", "--code", "983417", "--wait", "20s", "--json").want(t, exitFailed)
	id := ids(t, r.out)[0]
	all := r.out + r.err

	list := call(t, "dead", "list", "--nats", d.nats).want(t, 0)
	if !strings.Contains(list.out, id) || !strings.Contains(list.out, "isv.MOBILE_NUMBER_ILLEGAL") {
		t.Errorf("dead list: %s", list.out)
	}
	for filter, found := range map[string]bool{
		"--reason=rejected": true, "--reason=limited": false, "--app=default": true, "--app=other": false, "--channel=sms": true, "--channel=email": false,
	} {
		r := call(t, "dead", "list", "--nats", d.nats, "--json", filter).want(t, 0)
		if got := strings.Contains(r.out, id); got != found {
			t.Errorf("dead list %s: %q", filter, r.out)
		}
	}
	for _, filter := range []string{"--reason=bad", "--app=a.b", "--channel=fax"} {
		call(t, "dead", "list", "--nats", d.nats, filter).want(t, exitFailed)
	}
	call(t, "dead", "list", "--nats", d.nats, "--limit=-1").want(t, exitUsage)
	show := call(t, "dead", "show", "--nats", d.nats, id).want(t, 0)
	for _, want := range []string{"rejected", "+86137****5678", "aliyun-sms", "isv.MOBILE_NUMBER_ILLEGAL", "codeferry.send.default.sms.SignIn." + id, "advice"} {
		if !strings.Contains(show.out, want) {
			t.Errorf("dead show lacks %s: %s", want, show.out)
		}
	}
	var letter messages.DeadLetter
	if err := json.Unmarshal([]byte(call(t, "dead", "show", "--json", "--nats", d.nats, id).want(t, 0).out), &letter); err != nil || letter.ID != id {
		t.Errorf("%v %+v", err, letter)
	}
	status := call(t, "status", "--nats", d.nats, id).want(t, 0)
	if !strings.Contains(status.out, id+" dead sms SignIn to +86137****5678 by aliyun-sms, attempt 1 (rejected: isv.MOBILE_NUMBER_ILLEGAL") {
		t.Errorf("status: %s", status.out)
	}
	call(t, "dead", "show", "--nats", d.nats, "nobody").want(t, exitFailed)
	call(t, "status", "--nats", d.nats, "nobody").want(t, exitFailed)
	if _, text := fetch(t, http.MethodGet, d.sandbox+"/requests", ""); !strings.Contains(text, `"SendSms":1`) {
		t.Errorf("requests: %s", text)
	}
	_, metrics := fetch(t, http.MethodGet, d.http+"/metrics", "")
	for _, want := range []string{
		`codeferry_messages_total{channel="sms",connector="aliyun-sms",outcome="dead",reason="rejected"} 1`,
		`codeferry_attempts_total{class="permanent",connector="aliyun-sms"} 1`,
		`codeferry_in_flight{channel="sms"} 0`, `codeferry_waiting{channel="email"}`,
		`codeferry_provider_seconds_count{connector="aliyun-sms"} 1`,
	} {
		if !strings.Contains(metrics, want) {
			t.Errorf("the metrics lack %s", want)
		}
	}
	for _, secret := range []string{"983417", "13712345678"} {
		if strings.Contains(all+list.out+show.out+status.out+metrics+d.output(), secret) {
			t.Errorf("something holds %s", secret)
		}
	}
}

// freeAddr returns an address that was free a moment ago.
func freeAddr(t *testing.T) string {
	t.Helper()
	l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	return l.Addr().String()
}

const configText = `
nats: {url: "nats://NATS"}
listen: 127.0.0.1:0
apps:
  default: {sms: [aliyun-sms]}
connectors:
  aliyun-sms:
    type: aliyun-sms
    endpoint: SANDBOX
    accessKeyId: ${ALIBABA_CLOUD_ACCESS_KEY_ID}
    accessKeySecret: ${ALIBABA_CLOUD_ACCESS_KEY_SECRET}
    signName: Example
    templates: &templates
      - {usageType: Register, templateCode: SMS_1}
      - {usageType: SignIn, templateCode: SMS_2}
      - {usageType: ForgotPassword, templateCode: SMS_3}
      - {usageType: Generic, templateCode: SMS_4}
`

func configFor(t *testing.T, natsAddr, sandboxURL string) string {
	t.Helper()
	return write(t, "codeferry.yaml", strings.NewReplacer("NATS", natsAddr, "SANDBOX", sandboxURL).Replace(configText))
}

func TestRunWaitsForNATS(t *testing.T) {
	t.Parallel()
	box := spawn(t, "sandbox", "--listen", "127.0.0.1:0")
	sandboxURL := box.find(`sandbox on (http://\S+),`)[1]
	addr, listen := freeAddr(t), freeAddr(t)
	cfg := configFor(t, addr, sandboxURL)

	run := spawn(t, "run", "-c", cfg, "--listen", listen)
	run.find(`waiting for NATS`)
	if status, text := fetch(t, http.MethodGet, "http://"+listen+"/readyz", ""); status != http.StatusServiceUnavailable || !strings.Contains(text, "NATS") {
		t.Errorf("/readyz without NATS: %d %s", status, text)
	}
	if status, _ := fetch(t, http.MethodGet, "http://"+listen+"/livez", ""); status != http.StatusOK {
		t.Errorf("/livez without NATS: %d", status)
	}
	began := time.Now()
	r := call(t, "send", "-c", cfg, "--channel", "sms", "--to", "13012345678", "--type", "SignIn", "--code", "123456", "--timeout", "2s").want(t, exitFailed)
	if !strings.Contains(r.err, "NATS at nats://"+addr+" can't be reached") || strings.Count(r.err, "\n") != 1 || time.Since(began) > 5*time.Second {
		t.Errorf("send without NATS took %v: %s", time.Since(began), r.err)
	}

	server, err := broker.Start(broker.Options{Dir: t.TempDir(), Listen: addr, Log: zerolog.Nop()})
	if err != nil {
		t.Fatal(err)
	}
	defer server.Stop()
	run.find(`codeferry runs`)
	call(t, "send", "-c", cfg, "--channel", "sms", "--to", "13012345678", "--type", "SignIn", "--code", "123456", "--wait", "20s").want(t, 0)
	if status, _ := fetch(t, http.MethodGet, "http://"+listen+"/readyz", ""); status != http.StatusOK {
		t.Errorf("/readyz with NATS: %d", status)
	}
	if n := strings.Count(run.output(), "waiting for NATS"); n != 1 {
		t.Errorf("it said %d times that it waits: %s", n, run.output())
	}

	busy := call(t, "run", "-c", cfg, "--listen", listen).want(t, exitFailed)
	if !strings.Contains(busy.err, "can't listen on "+listen+": bind: address already in use; choose another with --listen") {
		t.Errorf("a port in use: %s", busy.err)
	}
	if status := run.stop(); status != 0 {
		t.Errorf("exit status %d: %s", status, run.output())
	}
	if strings.Contains(run.output(), "123456") || strings.Contains(run.output(), "testsecret") {
		t.Errorf("the log leaks: %s", run.output())
	}
}

func TestPortsInUse(t *testing.T) {
	t.Parallel()
	l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	for _, flag := range []string{"--listen", "--nats-listen", "--sandbox-listen"} {
		args := []string{"dev"}
		for _, f := range []string{"--listen", "--nats-listen", "--sandbox-listen"} {
			addr := "127.0.0.1:0"
			if f == flag {
				addr = l.Addr().String()
			}
			args = append(args, f, addr)
		}
		r := call(t, args...).want(t, exitFailed)
		if !strings.Contains(r.err, l.Addr().String()) || !strings.Contains(r.err, "choose another with "+flag) || strings.Count(r.err, "\n") != 1 {
			t.Errorf("%s in use: %s", flag, r.err)
		}
	}
}

func TestProvisionThenNoOutcomeInTime(t *testing.T) {
	t.Parallel()
	server, err := broker.Start(broker.Options{Dir: t.TempDir(), Listen: "127.0.0.1:0", Log: zerolog.Nop()})
	if err != nil {
		t.Fatal(err)
	}
	defer server.Stop()
	send := []string{"send", "--nats", server.URL(), "--channel", "email", "--to", "a@example.com", "--type", "SignIn", "--code", "123456"}
	if r := call(t, send...).want(t, exitFailed); !strings.Contains(r.err, "codeferry provision") {
		t.Errorf("without streams: %s", r.err)
	}
	for range 2 {
		r := call(t, "provision", "--nats", server.URL()).want(t, 0)
		for _, want := range []string{"CODEFERRY ", "CODEFERRY_OUTCOMES", "CODEFERRY_DEAD", "codeferry-ledger", "email", "sms"} {
			if !strings.Contains(r.out, want) {
				t.Errorf("provision does not tell of %s: %s", want, r.out)
			}
		}
	}
	r := call(t, append(send, "--wait", "200ms")...).want(t, exitNoOutcome)
	if !strings.Contains(r.err, "no outcome within 200ms") || !strings.Contains(r.err, "codeferry status ") {
		t.Errorf("no worker: %s", r.err)
	}
	if r := call(t, "dead", "list", "--nats", server.URL()).want(t, 0); r.out != "no dead letters\n" {
		t.Errorf("dead list: %q", r.out)
	}
}

func TestCheck(t *testing.T) {
	t.Parallel()
	box := spawn(t, "sandbox", "--listen", "127.0.0.1:0")
	sandboxURL := box.find(`sandbox on (http://\S+),`)[1]
	server, err := broker.Start(broker.Options{Dir: t.TempDir(), Listen: "127.0.0.1:0", Log: zerolog.Nop()})
	if err != nil {
		t.Fatal(err)
	}
	defer server.Stop()
	addr := strings.TrimPrefix(server.URL(), "nats://")

	r := call(t, "check", "-c", configFor(t, addr, sandboxURL)).want(t, 0)
	if strings.Count(r.out, "ok ") != 3 {
		t.Errorf("all is well: %s", r.out)
	}
	wrong := write(t, "wrong.yaml", strings.NewReplacer("NATS", freeAddr(t), "SANDBOX", sandboxURL,
		"${ALIBABA_CLOUD_ACCESS_KEY_SECRET}", "no-such-secret").Replace(configText))
	r = call(t, "check", "-c", wrong).want(t, exitFailed)
	if strings.Count(r.out, "error ") != 2 || !strings.Contains(r.out, "SignatureDoesNotMatch") || strings.Contains(r.out, "no-such-secret") {
		t.Errorf("no NATS and a wrong secret: %s", r.out)
	}
	if n := len(inbox(t, sandboxURL, "")); n != 0 {
		t.Errorf("the check sent %d messages", n)
	}

	broken := write(t, "broken.yaml", strings.NewReplacer("NATS", addr, "SANDBOX", sandboxURL,
		"[aliyun-sms]", "[nobody]", "signName", "signname", "SMS_3", "3").Replace(configText))
	for _, command := range []string{"check", "run", "provision"} {
		r = call(t, command, "-c", broken).want(t, exitFailed)
		for _, want := range []string{
			`broken.yaml:5:19: apps.default.sms[0] names the connector "nobody"`,
			"broken.yaml:12:5: connectors.aliyun-sms.signname is no field here; did you mean signName?",
			"connectors.aliyun-sms.templates[2].templateCode",
		} {
			if !strings.Contains(r.err, want) {
				t.Errorf("%s does not say %q: %s", command, want, r.err)
			}
		}
	}
	call(t, "check", "-c", "/nowhere/codeferry.yaml").want(t, exitFailed)
}

// What would stand open, and a store that would be hidden, are found before anything
// runs, by check and by run alike.
func TestWhatWouldNotStart(t *testing.T) {
	t.Parallel()
	box := spawn(t, "sandbox", "--listen", "127.0.0.1:0")
	sandboxURL := box.find(`sandbox on (http://\S+),`)[1]
	const key = "0123456789abcdef0123456789abcdef"
	data := t.TempDir()
	server, err := broker.Start(broker.Options{Dir: data, Listen: "127.0.0.1:0", Key: sender.NewSecret(key), Log: zerolog.Nop()})
	if err != nil {
		t.Fatal(err)
	}
	server.Stop()
	text := strings.NewReplacer(`nats: {url: "nats://NATS"}`, `nats: {listen: "127.0.0.1:0"}`, "SANDBOX", sandboxURL).Replace(configText)
	for _, tt := range []struct{ name, listen, more, want string }{
		{"open to everyone", "0.0.0.0:0", "dataDir: " + t.TempDir(), "listen is 0.0.0.0:0, which others than this machine reach"},
		{"no such certificate", "127.0.0.1:0", "dataDir: " + t.TempDir() + "\nhttp: {tls: {certFile: gone.pem, keyFile: gone.pem}}", "gone.pem: no such file"},
		{"no key for the store", "127.0.0.1:0", "dataDir: " + data, "is encrypted, and encryptionKey is not given"},
		{"another key for the store", "127.0.0.1:0", "dataDir: " + data + "\nencryptionKey: " + key[1:] + "x", "encrypted with another key"},
	} {
		cfg := write(t, "codeferry.yaml", strings.Replace(text, "listen: 127.0.0.1:0\n", "listen: "+tt.listen+"\n"+tt.more+"\n", 1))
		if r := call(t, "check", "-c", cfg).want(t, exitFailed); strings.Count(r.out, "error ") != 1 || !strings.Contains(r.out, tt.want) {
			t.Errorf("%s: check says %s", tt.name, r.out)
		}
		if r := call(t, "run", "-c", cfg).want(t, exitFailed); !strings.Contains(r.err, tt.want) || strings.Contains(r.err, key[1:]) {
			t.Errorf("%s: run says %s", tt.name, r.err)
		}
	}
	cfg := write(t, "codeferry.yaml", text+"dataDir: "+data+"\nencryptionKey: "+key+"\nhttp: {token: "+key+"}\n")
	if r := call(t, "check", "-c", cfg).want(t, 0); !strings.Contains(r.out, "HTTP on 127.0.0.1:0: token") || !strings.Contains(r.out, data+", encrypted") {
		t.Errorf("all is well: %s", r.out)
	}
	run := spawn(t, "run", "-c", cfg)
	run.find("codeferry runs")
	run.stop()
	if strings.Contains(run.output(), key) {
		t.Errorf("the log holds the key: %s", run.output())
	}
	if r := call(t, "dev", "--listen", "0.0.0.0:0").want(t, exitFailed); !strings.Contains(r.err, "dev keeps to this machine") {
		t.Errorf("dev: %s", r.err)
	}
}

func TestUsage(t *testing.T) {
	t.Parallel()
	for _, args := range [][]string{{"nonsense"}, {"send"}, {"send", "--channel", "fax", "--to", "x", "--type", "SignIn"}, {"run"}, {"status"}} {
		r := call(t, args...).want(t, exitUsage)
		if r.out != "" || strings.Count(r.err, "\n") != 1 || !strings.HasPrefix(r.err, "codeferry: ") {
			t.Errorf("%v: %q %q", args, r.out, r.err)
		}
	}
	for _, args := range [][]string{
		{"dev"}, {"run"}, {"send"}, {"status"}, {"dead", "list"}, {"dead", "show"}, {"dead", "replay"}, {"dead", "delete"}, {"check"}, {"preview"}, {"provision"}, {"keygen"}, {"sandbox"},
	} {
		r := call(t, append(args, "--help")...).want(t, 0)
		if !strings.Contains(r.out, "Examples:") || !strings.Contains(r.out, "codeferry "+strings.Join(args, " ")) {
			t.Errorf("%v --help has no examples: %s", args, r.out)
		}
	}
	if r := call(t, "completion", "bash", "--code").want(t, 0); !strings.Contains(r.out, "complete") {
		t.Errorf("completion: %s", r.out)
	}
	shell := command(t.Context(), t)
	shell.Env = append(shell.Env, "COMP_LINE=codeferry dead ")
	out, err := shell.Output()
	answers := strings.Fields(string(out)) // in any order: the shell sorts them
	slices.Sort(answers)
	if err != nil || !slices.Equal(answers, []string{"delete", "list", "replay", "show"}) {
		t.Errorf("a shell that asks: %q, %v", out, err)
	}
	if r := call(t).want(t, 0); !strings.Contains(r.out, "Commands:") {
		t.Errorf("no arguments: %s", r.out)
	}
	if r := call(t, "version").want(t, 0); !regexp.MustCompile(`^codeferry \S+ go1\.\S+ \S+\n$`).MatchString(r.out) {
		t.Errorf("version: %q", r.out)
	}
	bad := call(t, "send", "--channel", "sms", "--to", "nobody", "--type", "SignIn", "--code", "123456", "--nats", "nats://127.0.0.1:1")
	if bad.want(t, exitFailed); !strings.Contains(bad.err, "to is no phone number") {
		t.Errorf("bad input asks NATS first: %s", bad.err)
	}
	keys := call(t, "sandbox", "--access-key", "half").want(t, exitFailed)
	if !strings.Contains(keys.err, "ID:SECRET") {
		t.Errorf("sandbox: %s", keys.err)
	}
}
