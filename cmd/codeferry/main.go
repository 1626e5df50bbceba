// Command codeferry delivers verification codes: it takes them from NATS
// JetStream and has Aliyun DirectMail or SMS send them.
package main

import (
	"context"
	"errors"
	"io"
	stdlog "log" //nolint:depguard // main silences it
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"

	"github.com/alecthomas/kong"
	kongcompletion "github.com/jotaen/kong-completion"
	"github.com/rs/zerolog"

	"github.com/codeferry/codeferry/messages"
)

// cli is the whole command line; each command has a file of its own.
type cli struct {
	Init      initCmd      `cmd:"" help:"Write a configuration and a sealing key to begin with."`
	Dev       devCmd       `cmd:"" help:"Run everything in one process: NATS, a fake Aliyun, the worker. No account, no configuration."`
	Run       runCmd       `cmd:"" help:"Run the worker, with metrics and health. NATS is embedded if nats.url is not set."`
	Send      sendCmd      `cmd:"" help:"Publish a code, as an auth service would."`
	Status    statusCmd    `cmd:"" help:"Show what became of a message."`
	Outcomes  outcomesCmd  `cmd:"" help:"Print what becomes of messages, and follow it."`
	Waiting   waitingCmd   `cmd:"" help:"List the messages that wait, and why."`
	Dead      deadCmd      `cmd:"" help:"List, replay or erase dead letters: messages that were not sent."`
	Check     checkCmd     `cmd:"" help:"Check a configuration, its templates and its connections, without sending."`
	Preview   previewCmd   `cmd:"" help:"Render a template and show it."`
	Provision provisionCmd `cmd:"" help:"Create or update the streams and consumers."`
	Bench     benchCmd     `cmd:"" help:"Measure the worker against a fake provider with a given latency."`
	Keygen    keygenCmd    `cmd:"" help:"Make a key pair that seals codes."`
	Sandbox   sandboxCmd   `cmd:"" help:"Run the fake Aliyun alone."`
	Version   versionCmd   `cmd:"" help:"Print the version."`
	Help      helpCmd      `cmd:"" help:"Show the help of a command."`

	Man        manCmd        `cmd:"" help:"Print the manual page of all commands."`
	Completion completionCmd `cmd:"" help:"Print how to set up completion of codeferry's commands in a shell (bash, zsh, fish)." completion-shell-default:"true"`

	ShowVersion kong.VersionFlag `name:"version" help:"Print the version."`
}

// completionCmd has the library's flags and text, with examples before it.
type completionCmd struct {
	kongcompletion.Completion
}

// Help shows how the command is used.
func (c *completionCmd) Help() string {
	return `Examples:
  codeferry completion
  codeferry completion bash
  codeferry completion zsh --code
` + c.Completion.Help()
}

type helpCmd struct {
	Command []string `arg:"" optional:"" help:"The command, such as dead list." placeholder:"COMMAND"`
}

// Help shows how the command is used.
func (helpCmd) Help() string {
	return `Examples:
  codeferry help
  codeferry help dead list`
}

// Run shows what codeferry COMMAND --help does.
func (c helpCmd) Run(parser *kong.Kong) error {
	_, err := parser.Parse(append(slices.Clone(c.Command), "--help"))
	return err
}

// streams is where a command reads and writes. Kong passes it to every command's Run.
type streams struct {
	in       io.Reader
	out, err io.Writer
	// asks reports whether in and out are a terminal: a person can answer questions.
	asks bool
	// quit ends the program while it waits for an answer, which ctx can't end.
	quit func()
	// color reports whether out is a terminal that shows colours.
	color bool
}

// exitError ends the program with a status of its own. If it has a cause, the program
// prints it.
type exitError struct {
	code  int
	cause error
}

func (e *exitError) Error() string {
	if e.cause == nil {
		return ""
	}
	return e.cause.Error()
}

func (e *exitError) Unwrap() error { return e.cause }

// Exit statuses. 0 means success.
const (
	exitFailed = 1
	exitUsage  = 2
	// exitNoOutcome: send --wait got no final outcome in time, or send no acknowledgement.
	exitNoOutcome = 3
)

func main() {
	// net/http logs answers there that nobody asked for. They can hold secrets.
	stdlog.SetOutput(io.Discard)
	s := terminal()
	os.Exit(execute(untilSignal(context.Background(), os.Exit, s.err, lastWord(os.Args[1:])), os.Args[1:], s))
}

// lastWord returns what a command's end by a second signal means; empty for nothing.
func lastWord(args []string) string {
	if len(args) > 0 && args[0] == "run" {
		return "ended at once; each message in flight is in doubt, and comes again after 30 s"
	}
	return ""
}

// untilSignal returns a context that ends with the first Ctrl-C or SIGTERM. The second one
// ends the program at once, even if a shell started it in the background with these signals
// ignored. Before that it prints last to errs, if there is one.
func untilSignal(ctx context.Context, exit func(int), errs io.Writer, last string) context.Context {
	ctx, cancel := context.WithCancel(ctx)
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	go func() {
		<-signals
		cancel()
		status := exitFailed
		if second, ok := (<-signals).(syscall.Signal); ok {
			status = 128 + int(second) // a shell reports a program that a signal ended like this
		}
		if last != "" {
			say(errs, zerolog.WarnLevel, last)
		}
		exit(status)
	}()
	return ctx
}

// execute parses and runs one command line, and returns its exit status.
func execute(ctx context.Context, args []string, s streams) (status int) {
	exited := -1
	parser, err := kong.New(new(cli),
		kong.Name("codeferry"),
		kong.Description("Delivers verification codes by mail and SMS: never lost, never twice, never late, never leaked."),
		kong.UsageOnError(),
		kong.ConfigureHelp(kong.HelpOptions{Compact: true}),
		kong.Writers(s.out, s.err),
		kong.Exit(func(code int) { exited = code }),
		kong.Bind(s),
		kong.BindTo(ctx, (*context.Context)(nil)),
		kong.Vars{
			"program":    program(),
			"version":    built(),
			"emailTypes": strings.Join(typesOf(messages.Email), ", "),
			"smsTypes":   strings.Join(typesOf(messages.SMS), ", "),
		},
		durations(),
	)
	if err != nil {
		return fail(s, err)
	}
	switch asked, err := completes(parser); {
	case err != nil:
		return fail(s, err)
	case asked:
		return 0
	}
	if len(args) == 0 {
		args = []string{"--help"}
	}
	command, err := parser.Parse(args)
	if exited >= 0 { // --help
		return exited
	}
	if err == nil {
		err = command.Run(parser)
		if exited >= 0 { // codeferry help: what kong says after the help is of no use
			return exited
		}
	}
	if wrong, ok := errors.AsType[*kong.ParseError](err); ok {
		say(s.err, zerolog.ErrorLevel, misused(wrong))
		return exitUsage
	}
	if err != nil {
		return fail(s, err)
	}
	return 0
}

// misused says what is wrong in a command line, and which command's help shows what is right.
func misused(err *kong.ParseError) string {
	text, command := err.Error(), "codeferry"
	for _, p := range err.Context.Path {
		if p.Command != nil {
			command = p.Command.FullPath()
		}
	}
	if name, unknown := strings.CutPrefix(text, "unexpected argument "); unknown && command == "codeferry" {
		text = "there is no command " + name
	}
	return text + "; see " + command + " --help"
}

func fail(s streams, err error) int {
	if text := err.Error(); text != "" {
		say(s.err, zerolog.ErrorLevel, plainLines(text)) // the server and stored data have a part in it
	}
	if exit, ok := errors.AsType[*exitError](err); ok {
		return exit.code
	}
	return exitFailed
}
