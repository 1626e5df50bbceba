package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/codeferry/codeferry/config"
	"github.com/codeferry/codeferry/internal/service"
	"github.com/codeferry/codeferry/messages"
	"github.com/codeferry/codeferry/messages/wire"
)

type initCmd struct {
	Email string `help:"The connector for email: ${emailTypes}, or none." predictor:"email" placeholder:"TYPE"`
	SMS   string `name:"sms" help:"The connector for SMS: ${smsTypes}, or none." predictor:"sms" placeholder:"TYPE"`
	NATS  string `name:"nats" help:"The URL of the NATS server, several with commas between, or embedded. Default: embedded." placeholder:"URL"`
	Dir   string `help:"The folder to write to. It is made if it is not there." default:"." placeholder:"DIR"`
}

// Help shows how the command is used.
func (initCmd) Help() string {
	return `Examples:
  codeferry init
  codeferry init --email smtp --dir first
  codeferry init --email aliyun-dm --sms aliyun-sms --nats nats://127.0.0.1:4222 --dir second

It writes two files: codeferry.yaml, with a comment for each setting that most people
change, and sealing.key, which only you can read. On a terminal it asks for what no flag
says. It overwrites nothing: if there is a codeferry.yaml, it stops, and a sealing.key that
is there is used. Then it prints what to do next.`
}

// What init writes.
const (
	initConfig = "codeferry.yaml"
	initKey    = "sealing.key"

	embedded = "embedded"
	none     = "none"
)

// Run asks, writes the two files, and says what to do next.
func (c *initCmd) Run(ctx context.Context, s streams) error {
	file := filepath.Join(c.Dir, initConfig)
	if _, err := os.Lstat(file); err == nil {
		return fmt.Errorf("%s is there already, and init overwrites nothing: choose another folder with --dir, or move it away", file)
	}
	if err := c.complete(ctx, s); err != nil {
		return err
	}
	examples, err := c.examples()
	if err != nil {
		return err
	}
	if ctx.Err() != nil {
		return errInterrupted
	}
	if err := os.MkdirAll(c.Dir, 0o750); err != nil {
		return fmt.Errorf("make the folder of --dir: %w", err)
	}
	kept, err := c.writeKey(filepath.Join(c.Dir, initKey))
	if err != nil {
		return err
	}
	text := c.configuration(examples)
	if err := writeNew(file, text); err != nil {
		return err
	}
	if kind := config.InlineLogin(c.NATS); kind != "" && !strings.Contains(c.NATS, "${") {
		_, _ = fmt.Fprintf(s.err, "codeferry: warning: --nats has a %s, and %s has it now, too: keep it out of the file with ${NAME}, an environment variable, or ${file:PATH}, the text of a file; see the comments below nats:\n", kind, file)
	}
	return c.next(s, file, kept, examples, exampleValues(text))
}

// complete fills in what no flag says: it asks on a terminal.
func (c *initCmd) complete(ctx context.Context, s streams) error {
	if c.Email == "" && c.SMS == "" {
		if !s.asks {
			return &exitError{code: exitUsage, cause: errors.New("give --email, --sms or both: which connectors shall send; see codeferry init --help")}
		}
		q := questions{s: s, in: bufio.NewReader(s.in)}
		c.Email = q.choose(ctx, "Which connector sends email?", append(typesOf(messages.Email), none))
		c.SMS = q.choose(ctx, "Which connector sends SMS?", append(typesOf(messages.SMS), none))
		if c.NATS == "" {
			c.NATS = q.ask(ctx, "The URL of your NATS server, or Enter for an embedded one:")
		}
		if q.err != nil {
			return q.err
		}
	}
	for _, given := range []struct {
		flag string
		kind *string
		ch   messages.Channel
	}{{"--email", &c.Email, messages.Email}, {"--sms", &c.SMS, messages.SMS}} {
		if *given.kind == none {
			*given.kind = ""
		}
		if types := typesOf(given.ch); *given.kind != "" && !slices.Contains(types, *given.kind) {
			return &exitError{code: exitUsage, cause: fmt.Errorf("%s: no connector for %s is called %q; there are %s", given.flag, given.ch, *given.kind, strings.Join(types, ", "))}
		}
	}
	if c.Email == "" && c.SMS == "" {
		return &exitError{code: exitUsage, cause: errors.New("email and sms are both none: at least one connector has to send")}
	}
	if c.NATS == "" {
		c.NATS = embedded
	}
	if c.NATS == embedded || strings.Contains(c.NATS, "${") { // a variable has its value later
		return nil
	}
	if err := config.CheckServers(c.NATS); err != nil {
		return &exitError{code: exitUsage, cause: fmt.Errorf("--nats %w", err)}
	}
	return nil
}

// typesOf lists the types of connectors that send on a channel.
func typesOf(ch messages.Channel) []string {
	return slices.DeleteFunc(config.ConnectorTypes(), func(kind string) bool { return config.ConnectorChannel(kind) != ch })
}

// maxKeyFile is far more than the file of a key has, in bytes.
const maxKeyFile = 4 << 10

// writeKey makes the key, or keeps the one that is there. It reads no other kind of file: a
// named pipe or a device may never end.
func (c *initCmd) writeKey(file string) (kept bool, err error) {
	if info, err := os.Stat(file); err == nil && (!info.Mode().IsRegular() || info.Size() > maxKeyFile) {
		return false, fmt.Errorf("%s is there already and is not the file of a private key; move it away", file)
	}
	text, err := os.ReadFile(file)
	if err == nil {
		if _, err := wire.ParsePrivateKey(string(text)); err != nil {
			return false, fmt.Errorf("%s is there already and %w; move it away", file, err)
		}
		return true, nil
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return false, fmt.Errorf("read the sealing key: %w", err)
	}
	key, err := wire.GenerateKey()
	if err != nil {
		return false, err
	}
	return false, service.WriteKey(file, key)
}

// writeNew writes a file that is not there yet. Its owner alone can read it: a person
// may put a secret into it.
func writeNew(file, text string) error {
	f, err := os.OpenFile(file, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return fmt.Errorf("write the configuration: %w", err)
	}
	_, err = f.WriteString(text)
	if err := errors.Join(err, f.Close()); err != nil {
		return fmt.Errorf("write the configuration: %w", err)
	}
	return nil
}

// guideURL is where the guide of a type of connector is: someone who has only the program
// can read it there.
func guideURL(kind string) string {
	return "https://github.com/codeferry/codeferry/blob/main/docs/connectors/" + kind + ".md"
}

// next says what was written and what to do with it.
func (c *initCmd) next(s streams, file string, kept bool, examples []example, values []exampleValue) error {
	key := filepath.Join(c.Dir, initKey)
	what := "new; keep a copy: without it no dead letter can be replayed"
	if kept {
		what = "it was there, and is used"
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%s   the configuration\n%s   the sealing key (%s)\n\nNext:\n", file, key, what)
	guides := make([]string, 0, len(examples))
	variables := config.Variables(c.NATS)
	for _, e := range examples {
		guides = append(guides, guideURL(e.kind))
		for _, name := range config.Variables(e.fields) {
			if !slices.Contains(variables, name) {
				variables = append(variables, name)
			}
		}
	}
	step := 1
	say := func(format string, args ...any) {
		fmt.Fprintf(&b, "  %d. "+format+"\n", append([]any{step}, args...)...)
		step++
	}
	explain := "explains"
	if len(guides) > 1 {
		explain = "explain"
	}
	say("Put your own senders, signatures and templates into %s; %s %s each field.", file, strings.Join(guides, " and "), explain)
	if len(values) > 0 {
		fmt.Fprintf(&b, "     Still examples: %s.\n", listed(values))
	}
	for _, name := range variables {
		say("export %s=…", name)
	}
	name := program()
	const roles = "https://github.com/codeferry/codeferry/blob/main/docs/roles.md"
	if c.NATS != embedded {
		say("If your NATS has a login or a private CA, set them in nats: of %s.", file)
	}
	say("%s check -c %s", name, file)
	if c.NATS != embedded {
		say("Only if your NATS has roles: create the streams as the provisioner, and send as a publisher; see %s", roles)
	}
	say("%s run -c %s", name, file)
	where := "in another terminal: "
	for _, test := range []struct{ kind, to string }{{c.Email, "--channel email --to you@example.com"}, {c.SMS, "--channel sms --to +8613012345678"}} {
		if test.kind != "" {
			say("%s%s send -c %s %s --type SignIn --code 123456 --wait 30s", where, name, file, test.to)
			where = "there, too: "
		}
	}
	_, err := io.WriteString(s.out, b.String())
	return err
}
