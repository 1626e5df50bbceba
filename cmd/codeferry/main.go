// Command codeferry delivers verification codes: it takes them from NATS
// JetStream and has Aliyun DirectMail or SMS send them.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/alecthomas/kong"
	kongcompletion "github.com/jotaen/kong-completion"
)

// cli is the whole command line; each command has a file of its own.
type cli struct {
	Dev       devCmd       `cmd:"" help:"Run everything in one process: NATS, a stand-in for Aliyun, the worker. No account, no configuration."`
	Run       runCmd       `cmd:"" help:"Run the worker, with metrics and health; NATS is embedded where no nats.url is set."`
	Send      sendCmd      `cmd:"" help:"Publish a code, as an auth service would."`
	Status    statusCmd    `cmd:"" help:"Show what became of a message."`
	Dead      deadCmd      `cmd:"" help:"Look at dead letters: messages that were not sent."`
	Check     checkCmd     `cmd:"" help:"Check a configuration, its templates and its connections, without sending."`
	Preview   previewCmd   `cmd:"" help:"Show a template, filled in."`
	Provision provisionCmd `cmd:"" help:"Create or update the streams and consumers."`
	Bench     benchCmd     `cmd:"" help:"Measure the worker against a provider of a given latency."`
	Keygen    keygenCmd    `cmd:"" help:"Make a pair of keys with which codes are sealed."`
	Sandbox   sandboxCmd   `cmd:"" help:"Run the Aliyun stand-in alone."`
	Version   versionCmd   `cmd:"" help:"Print the version."`

	Completion kongcompletion.Completion `cmd:"" help:"Tell how to have the shell complete codeferry's commands (bash, zsh, fish)." completion-shell-default:"true"`
}

// streams is where a command reads and writes; bound for every command's Run.
type streams struct {
	out, err io.Writer
	// color is set where out is a terminal that takes colours.
	color bool
}

// exitError ends the program with a status of its own; its cause, where it has
// one, is printed.
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

// Exit statuses. 0 means that what was asked is done.
const (
	exitFailed = 1
	exitUsage  = 2
	// exitNoOutcome: send --wait saw no outcome in time.
	exitNoOutcome = 3
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	// A second signal finds the default again: it ends the program at once.
	context.AfterFunc(ctx, stop)
	os.Exit(execute(ctx, os.Args[1:], streams{out: os.Stdout, err: os.Stderr, color: colorful(os.Stdout)}))
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
		kong.Vars{"program": program()},
	)
	if err != nil {
		return fail(s, err)
	}
	kongcompletion.Register(parser)
	if exited >= 0 { // a shell asked what could come next
		return exited
	}
	if len(args) == 0 {
		args = []string{"--help"}
	}
	command, err := parser.Parse(args)
	if exited >= 0 { // --help
		return exited
	}
	if err != nil {
		_, _ = fmt.Fprintf(s.err, "codeferry: %v; see codeferry --help\n", err)
		return exitUsage
	}
	if err := command.Run(); err != nil {
		return fail(s, err)
	}
	return 0
}

func fail(s streams, err error) int {
	if text := err.Error(); text != "" {
		_, _ = fmt.Fprintf(s.err, "codeferry: %s\n", text)
	}
	var exit *exitError
	if errors.As(err, &exit) {
		return exit.code
	}
	return exitFailed
}
