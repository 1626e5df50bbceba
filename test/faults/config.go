package faults

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/codeferry/codeferry/messages"
)

// writeConfig writes a worker's configuration: a real one, with time-outs that fit a plan of
// some seconds, and with the worker's own provider and path to NATS.
func (r *run) writeConfig(worker int) (file string, err error) {
	sizes := fmt.Sprintf("maxBytes: %d, outcomesBytes: %d, deadBytes: %d, ledgerBytes: %d", maxBytes, outcomesBytes, deadBytes, ledgerBytes)
	where := fmt.Sprintf("nats: {url: \"${file:%s}\", replicas: %d, %s}", r.urlFile(worker), r.replicas(), sizes)
	if r.plan.Broker == Embedded {
		where = fmt.Sprintf("nats: {listen: %q, %s}\ndataDir: %s", r.nats.addrs[0], sizes, filepath.Join(r.dir, "data"))
	} else if err := r.writeURL(worker, firstPassword); err != nil {
		return "", err
	}
	api, mail := r.provider.addrs(worker)
	var apps, connectors strings.Builder
	for _, app := range r.plan.Apps {
		fmt.Fprintf(&apps, "  %[1]s: {email: [%[2]s], sms: [%[3]s]}\n", app, connector("mail", app), connector("sms", app))
		timeout := "1s"
		if app == slowApp { // a slow answer must not time out
			timeout = (r.plan.Latency + slowMargin).String()
		}
		mailer := fmt.Sprintf(`
    type: aliyun-dm
    endpoint: http://%[1]s
    accessKeyId: %[2]s
    accessKeySecret: %[3]s
    accountName: %[2]s@example.com
    templates: [%[4]s]`, api, app, keySecret, mailTemplates("{{code}}"))
		if app == postApp {
			host, port, _ := strings.Cut(mail, ":")
			mailer = fmt.Sprintf(`
    type: smtp
    host: %s
    port: %s
    fromEmail: %s@example.com
    templates: [%s]`, host, port, app, mailTemplates(postTemplate))
		}
		fmt.Fprintf(&connectors, `
  %[1]s:
    timeout: %[4]s%[7]s
  %[2]s:
    type: aliyun-sms
    endpoint: http://%[3]s
    timeout: %[4]s
    askGrace: 500ms
    accessKeyId: %[5]s
    accessKeySecret: %[6]s
    signName: %[5]s
    templates:
      - {usageType: Register, templateCode: %[8]s}
      - {usageType: SignIn, templateCode: SMS_1}
      - {usageType: ForgotPassword, templateCode: SMS_1}
      - {usageType: Generic, templateCode: SMS_1}
`, connector("mail", app), connector("sms", app), api, timeout, app, keySecret, mailer, registerTemplate)
	}
	text := fmt.Sprintf(`
%[1]s
listen: 127.0.0.1:0
apps:
%[2]s
connectors:
%[3]s
worker:
  concurrency: %[4]d
  accountPause: %[5]s
  healthPause: %[5]s
  retry: {initialInterval: 100ms, maxInterval: 2s, maxAttempts: 30}
`, where, apps.String(), connectors.String(), r.plan.Slots, r.plan.Pause)
	if r.tune != nil {
		text = r.tune.Replace(text)
	}
	file = filepath.Join(r.dir, fmt.Sprintf("worker-%d.yaml", worker))
	return file, os.WriteFile(file, []byte(text), 0o600)
}

// slowMargin is how much longer the connectors of app slow wait than their provider takes.
const slowMargin = 2 * time.Second

// connector is the name of an app's connector.
func connector(kind, app string) string { return kind + "-" + app }

// registerTemplate is the code of the SMS template for Register.
const registerTemplate = "SMS_2"

// mailTemplates has the same content for all types.
func mailTemplates(content string) string {
	types := []messages.Type{messages.Register, messages.SignIn, messages.ForgotPassword, messages.Generic}
	all := make([]string, 0, len(types))
	for _, t := range types {
		all = append(all, fmt.Sprintf("{usageType: %s, subject: s, content: %q}", t, content))
	}
	return strings.Join(all, ", ")
}
