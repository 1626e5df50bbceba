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

	"github.com/codeferry/codeferry/internal/check"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/rs/zerolog"

	"github.com/codeferry/codeferry/internal/broker"
	"github.com/codeferry/codeferry/internal/testrig"
	"github.com/codeferry/codeferry/messages"
	"github.com/codeferry/codeferry/sender"
)

func TestDevSendsEveryTypeOnce(t *testing.T) {
	t.Parallel()
	d := spawnDev(t)
	for i, typ := range messages.Types() {
		for channel, to := range map[string]string{"sms": fmt.Sprintf("+86130%08d", i), "email": fmt.Sprintf("u%d@example.com", i)} {
			r := call(t, "send", "--nats", d.nats, "--channel", channel, "--to", to, "--type", string(typ), "--code", "90K613", "--wait", "20s").want(t, 0)
			if !strings.Contains(r.out, " sent "+channel+" "+string(typ)) {
				t.Errorf("%s %s: %s", channel, typ, r.out)
			}
			got := inbox(t, d.sandbox, to)
			if len(got) != 1 || !strings.Contains(fmt.Sprint(got[0]["templateParam"], got[0]["htmlBody"]), "90K613") {
				t.Errorf("%s %s: the inbox is %v, want one message with the code", channel, typ, got)
			}
			if channel == "email" && !strings.Contains(fmt.Sprint(got[0]["htmlBody"]), words(typ)) {
				t.Errorf("%s: the mail lacks %q: %v", typ, words(typ), got[0]["htmlBody"])
			}
		}
	}
	d.find(`sent sms SignIn to \+86130\*\*\*\*0001 by aliyun-sms, attempt 1`)
	if strings.Contains(d.output(), "90K613") {
		t.Errorf("the output shows the code: %s", d.output())
	}
}

func TestDevPrintsExamples(t *testing.T) {
	t.Parallel()
	d := spawnDev(t)
	lines := regexp.MustCompile(`(?m)^  \S+ send .*$`).FindAllString(d.output(), -1)
	if len(lines) != 2 {
		t.Fatalf("the output has %d lines with send, want 2: %s", len(lines), d.output())
	}
	for _, line := range lines {
		cmd := exec.CommandContext(t.Context(), "sh", "-c", line)
		cmd.Env = command(t.Context(), t).Env
		if out, err := cmd.CombinedOutput(); err != nil || !strings.Contains(string(out), " sent ") {
			t.Errorf("%s: %v: %s", line, err, out)
		}
	}
	pub := d.find(`nats pub -J --server (\S+) (\S+) '(\{.*\})'`)
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
		t.Errorf("the inbox has %d messages, want 3", n)
	}
}

func TestDevStopsCleanly(t *testing.T) {
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
		t.Errorf("an idle dev took %v to stop, want at most 10s", took)
	}
	if _, err := os.Stat(d.data); !os.IsNotExist(err) {
		t.Errorf("the directory %s still exists", d.data)
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
		t.Errorf("a second dev with the same data prints %s, want one line that says so", second.err)
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
			t.Fatalf("a line is not JSON: %v: %s", err, line)
		}
		all = append(all, o.ID)
	}
	return all
}

func TestDeadListShowAndStatus(t *testing.T) {
	t.Parallel()
	d := spawnDev(t)
	if status, text := fetch(t, http.MethodPut, d.sandbox+"/faults", `[{"action":"SendSms","code":"isv.MOBILE_NUMBER_ILLEGAL"}]`); status != http.StatusNoContent {
		t.Fatal(status, text)
	}
	r := call(t, "send", "--nats", d.nats, "--channel", "sms", "--to", "+8613712345678", "--type", "SignIn", "--code", "98K417", "--wait", "20s", "--json").want(t, exitFailed)
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
			t.Errorf("dead list %s: has the dead letter: %t, want %t: %q", filter, got, found, r.out)
		}
	}
	for _, filter := range []string{"--reason=bad", "--app=a.b", "--channel=fax"} {
		call(t, "dead", "list", "--nats", d.nats, filter).want(t, exitUsage)
	}
	call(t, "dead", "list", "--nats", d.nats, "--limit=-1").want(t, exitUsage)
	show := call(t, "dead", "show", "--nats", d.nats, id).want(t, 0)
	for _, want := range []string{"rejected", "+86137****5678", "aliyun-sms", "isv.MOBILE_NUMBER_ILLEGAL", "codeferry.send.default.sms.SignIn." + id, "advice"} {
		if !strings.Contains(show.out, want) {
			t.Errorf("dead show lacks %s: %s", want, show.out)
		}
	}
	var letter messages.DeadLetter
	if err := json.Unmarshal([]byte(call(t, "dead", "show", "--json", "--nats", d.nats, id).want(t, 0).out), &letter); err != nil {
		t.Errorf("dead show --json: %v", err)
	}
	check.Equal(t, "the id of dead show --json", letter.ID, id)
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
	for _, secret := range []string{"98K417", "13712345678"} {
		if strings.Contains(all+list.out+show.out+status.out+metrics+d.output(), secret) {
			t.Errorf("an output shows %s", secret)
		}
	}
}

// freeAddr returns an address with a free port.
func freeAddr(t *testing.T) string {
	t.Helper()
	return freeAddrs(t, 1)[0]
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

	testrig.Server(t, addr)
	run.find(`codeferry runs`)
	call(t, "send", "-c", cfg, "--channel", "sms", "--to", "13012345678", "--type", "SignIn", "--code", "123456", "--wait", "20s").want(t, 0)
	// The code is sent as soon as its own channel is pulled; the other one can be pulled later.
	awaitReady(t, "http://"+listen)
	if n := strings.Count(run.output(), "waiting for NATS"); n != 1 {
		t.Errorf("the log says %d times that the worker waits for NATS, want 1: %s", n, run.output())
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
	server := testrig.Server(t)
	send := []string{"send", "--nats", server.URL(), "--channel", "email", "--to", "a@example.com", "--type", "SignIn", "--code", "123456"}
	if r := call(t, send...).want(t, exitFailed); !strings.Contains(r.err, "codeferry provision --nats "+server.URL()) {
		t.Errorf("without streams: %s", r.err)
	}
	for range 2 {
		r := call(t, "provision", "--nats", server.URL()).want(t, 0)
		for _, want := range []string{"CODEFERRY ", "CODEFERRY_OUTCOMES", "CODEFERRY_DEAD", "codeferry-ledger", "email", "sms"} {
			if !strings.Contains(r.out, want) {
				t.Errorf("the output of provision lacks %s: %s", want, r.out)
			}
		}
	}
	r := call(t, append(send, "--wait", "200ms")...).want(t, exitNoOutcome)
	if !strings.Contains(r.err, "no final outcome after 200ms") || !regexp.MustCompile(`: codeferry status \w+ --nats `+server.URL()+`\n$`).MatchString(r.err) {
		t.Errorf("send --wait without a worker prints %s, want the time and the command status for this server", r.err)
	}
	if r := call(t, "dead", "list", "--nats", server.URL()).want(t, 0); r.out != "no dead letters\n" {
		t.Errorf("dead list: %q", r.out)
	}
}

func TestCheck(t *testing.T) {
	t.Parallel()
	box := spawn(t, "sandbox", "--listen", "127.0.0.1:0")
	sandboxURL := box.find(`sandbox on (http://\S+),`)[1]
	server := testrig.Server(t)
	addr := strings.TrimPrefix(server.URL(), "nats://")

	r := call(t, "check", "-c", configFor(t, addr, sandboxURL)).want(t, 0)
	if strings.Count(r.out, "ok ") != 4 || !strings.Contains(r.out, "ok       NATS permissions: 19 operations of a worker tried, without a change; not tried: codeferry.outcome.*.*.*") {
		t.Errorf("check of a good configuration prints %s, want 4 lines with ok", r.out)
	}
	if !strings.Contains(r.out, "warning  sealing: there is no sealing key: dead letters keep neither the recipient nor the code") {
		t.Errorf("it does not warn that no dead letter can be replayed: %s", r.out)
	}
	for line := range strings.Lines(call(t, "check", "--json", "-c", configFor(t, addr, sandboxURL)).want(t, 0).out) {
		var l struct{ Result, What, Text string }
		if err := json.Unmarshal([]byte(line), &l); err != nil || l.Result != "ok" && l.Result != "warning" || l.What == "" || l.Text == "" {
			t.Errorf("check --json prints %s, %v", line, err)
		}
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
	// provision only talks to NATS, and needs nothing of the connectors.
	call(t, "provision", "-c", broken).want(t, 0)
	for _, command := range []string{"check", "run"} {
		r = call(t, command, "-c", broken).want(t, exitFailed)
		for _, want := range []string{
			`broken.yaml:5:19: apps.default.sms[0] names the connector "nobody"`,
			"broken.yaml:12:5: connectors.aliyun-sms.signname is not a field here; did you mean signName?",
			"connectors.aliyun-sms.templates[2].templateCode",
		} {
			if !strings.Contains(r.err, want) {
				t.Errorf("the output of %s lacks %q: %s", command, want, r.err)
			}
		}
	}
	call(t, "check", "-c", "/nowhere/codeferry.yaml").want(t, exitFailed)
}

// TestCheckAndRunRefuse: check and run refuse an address without protection, and a store with
// another key.
func TestCheckAndRunRefuse(t *testing.T) {
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
		{"open to everyone", "0.0.0.0:0", "dataDir: " + t.TempDir(), "listen is 0.0.0.0:0, which other machines can reach"},
		{"no such certificate", "127.0.0.1:0", "dataDir: " + t.TempDir() + "\nhttp: {tls: {certFile: gone.pem, keyFile: gone.pem}}", "gone.pem: no such file"},
		{"no key for the store", "127.0.0.1:0", "dataDir: " + data, "is encrypted, and encryptionKey is not given"},
		{"another key for the store", "127.0.0.1:0", "dataDir: " + data + "\nencryptionKey: " + key[1:] + "x", "encrypted with another key"},
	} {
		cfg := write(t, "codeferry.yaml", strings.Replace(text, "listen: 127.0.0.1:0\n", "listen: "+tt.listen+"\n"+tt.more+"\n", 1))
		if r := call(t, "check", "-c", cfg).want(t, exitFailed); strings.Count(r.out, "error ") != 1 || !strings.Contains(r.out, tt.want) {
			t.Errorf("%s: check prints %s, want one error with %q", tt.name, r.out, tt.want)
		}
		if r := call(t, "run", "-c", cfg).want(t, exitFailed); !strings.Contains(r.err, tt.want) || strings.Contains(r.err, key[1:]) {
			t.Errorf("%s: run prints %s, want an error with %q and without the key", tt.name, r.err, tt.want)
		}
	}
	cfg := write(t, "codeferry.yaml", text+"dataDir: "+data+"\nencryptionKey: "+key+"\nhttp: {token: "+key+"}\n")
	if r := call(t, "check", "-c", cfg).want(t, 0); !strings.Contains(r.out, "HTTP on 127.0.0.1:0: token") || !strings.Contains(r.out, data+", encrypted") {
		t.Errorf("check prints %s, want the token and the encrypted data", r.out)
	}
	run := spawn(t, "run", "-c", cfg)
	run.find("codeferry runs")
	run.stop()
	if strings.Contains(run.output(), key) {
		t.Errorf("the log shows the key: %s", run.output())
	}
	if r := call(t, "dev", "--listen", "0.0.0.0:0").want(t, exitUsage); !strings.Contains(r.err, "dev serves this machine only") {
		t.Errorf("dev: %s", r.err)
	}
}

func TestUsage(t *testing.T) {
	t.Parallel()
	for _, args := range [][]string{{"nonsense"}, {"send"}, {"send", "--channel", "fax", "--to", "x", "--type", "SignIn"}, {"run"}, {"status"}} {
		r := call(t, args...).want(t, exitUsage)
		if r.out != "" || strings.Count(r.err, "\n") != 1 || !strings.HasPrefix(r.err, "codeferry: ") {
			t.Errorf("%v: stdout is %q and stderr %q, want one line on stderr", args, r.out, r.err)
		}
	}
	for says, args := range map[string][]string{
		"there is no command nonsense; see codeferry --help":             {"nonsense"},
		"there is no command stats, did you mean \"status\"?":            {"stats"},
		"see codeferry send --help":                                      {"send"},
		"give --code, --link or --payload with what the template needs":  {"send", "--channel", "sms", "--to", "+8613012345678", "--type", "SignIn", "--locale", "zh-CN"},
		"unknown flag --nonsense; see codeferry dead list --help":        {"dead", "list", "--nonsense"},
		"there is no codeferry.yaml in this folder":                      {"run"},
		"or write one with codeferry init":                               {"check"},
		"unexpected argument codeferry.yaml; see codeferry check --help": {"check", "codeferry.yaml"},
		"there is no command nonsense; see codeferry --help\n":           {"help", "nonsense"},
	} {
		if r := call(t, args...).want(t, exitUsage); !strings.Contains(r.err, says) {
			t.Errorf("%v says %q, want %q in it", args, r.err, says)
		}
	}
	if help, flag := call(t, "help", "dead", "list").want(t, 0), call(t, "dead", "list", "--help").want(t, 0); help.out != flag.out || help.out == "" {
		t.Errorf("help dead list shows\n%s\nand dead list --help\n%s", help.out, flag.out)
	}
	for _, group := range [][]string{nil, {"dead"}} {
		if help, flag := call(t, append([]string{"help"}, group...)...).want(t, 0), call(t, append(group, "--help")...).want(t, 0); help != flag {
			t.Errorf("help %v shows\n%s%s\nand --help\n%s", group, help.out, help.err, flag.out)
		}
	}
	if flag, command := call(t, "--version").want(t, 0), call(t, "version").want(t, 0); flag.out != command.out || flag.out == "" {
		t.Errorf("--version shows %q, and version %q", flag.out, command.out)
	}
	var built map[string]string
	if err := json.Unmarshal([]byte(call(t, "version", "--json").want(t, 0).out), &built); err != nil || built["version"] == "" || built["go"] == "" || built["platform"] == "" {
		t.Errorf("version --json: %v, %v", built, err)
	}
	for _, args := range [][]string{
		{"init"}, {"version"}, {"help"}, {"dev"}, {"run"}, {"send"}, {"status"}, {"outcomes"}, {"waiting"}, {"dead", "list"}, {"dead", "show"}, {"dead", "replay"}, {"dead", "delete"}, {"check"}, {"preview"}, {"provision"}, {"keygen"}, {"sandbox"},
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
		t.Errorf("the completions of codeferry dead are %q (error: %v), want delete, list, replay and show", out, err)
	}
	for line, want := range map[string]string{
		"codeferry outcomes --channel ": "email sms", "codeferry outcomes --status ": "dead delivered retrying sent superseded undelivered unknown", "codeferry waiting --channel ": "email sms",
		"codeferry send --channel ": "email sms", "codeferry dead list --channel ": "email sms", "codeferry dead replay --reason l": "limited", "codeferry dead delete --type S": "SignIn",
		"codeferry send --type Reg": "Register", "codeferry check --type S": "SignIn", "codeferry preview --type Forg": "ForgotPassword",
		"codeferry init --email ": "aliyun-dm aws-ses none sendgrid smtp", "codeferry init --sms ": "aliyun-sms aliyun-sms-mas none",
		"codeferry help pro": "provision", "codeferry help dead ": "delete list replay show", "codeferry help dead list ": "",
	} {
		shell := command(t.Context(), t)
		shell.Env = append(shell.Env, "COMP_LINE="+line)
		out, err := shell.Output()
		answers := strings.Fields(string(out))
		slices.Sort(answers)
		if err != nil || strings.Join(answers, " ") != want {
			t.Errorf("a shell that asks after %q: %q, %v; want %s", line, out, err, want)
		}
	}
	if r := call(t).want(t, 0); !strings.Contains(r.out, "Commands:") {
		t.Errorf("no arguments: %s", r.out)
	}
	if r := call(t, "version").want(t, 0); !regexp.MustCompile(`^codeferry \S+( \([0-9a-f]{12}\))? go1\.\S+ \S+\n$`).MatchString(r.out) {
		t.Errorf("version: %q", r.out)
	}
	bad := call(t, "send", "--channel", "sms", "--to", "nobody", "--type", "SignIn", "--code", "123456", "--nats", "nats://127.0.0.1:1")
	if bad.want(t, exitUsage); !strings.Contains(bad.err, "to is not a phone number") {
		t.Errorf("send with a bad number prints %s, want an error about the number and not about NATS", bad.err)
	}
	open := spawn(t, "sandbox", "--listen", "0.0.0.0:0")
	open.find(`sandbox on http://127\.0\.0\.1:\d+,`)
	open.find(`warning: --listen is 0\.0\.0\.0:0: whoever reaches it can read the inbox`)
	keys := call(t, "sandbox", "--access-key", "half").want(t, exitUsage)
	if r := call(t, "sandbox", "--listen", "junk").want(t, exitUsage); !strings.Contains(r.err, "it takes a host and a port") {
		t.Errorf("sandbox --listen junk: %s", r.err)
	}
	if !strings.Contains(keys.err, "ID:SECRET") {
		t.Errorf("sandbox: %s", keys.err)
	}
}
