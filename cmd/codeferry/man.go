package main

import (
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"

	"github.com/alecthomas/kong"
)

// This file writes the manual page itself: the libraries for it (mango-kong and mango) have had
// no release since 2022, and know neither exit statuses nor variables.

type manCmd struct{}

// Help shows how the command is used.
func (manCmd) Help() string {
	return `Examples:
  codeferry man
  codeferry man > codeferry.1

It has all commands, flags, environment variables and exit statuses. To read it at
once, where man is the one of man-db or of mandoc: codeferry man | man -l -`
}

// Run prints the page.
func (manCmd) Run(parser *kong.Kong, s streams) error {
	_, err := io.WriteString(s.out, manual(parser.Model))
	return err
}

// described is a name and what it means.
type described struct{ name, text string }

// manVariables are the environment variables that no flag stands for.
var manVariables = []described{
	{"NATS_URL, NATS_CONTEXT", "The NATS server of a command, or the context of the nats command line that names it."},
	{"NATS_CREDS, NATS_NKEY, NATS_USER and NATS_PASSWORD, NATS_TOKEN", "The login there."},
	{"NATS_CA, NATS_CERT and NATS_KEY", "TLS there."},
	{"XDG_CONFIG_HOME", "The folder in which nats/context has the contexts of the nats command line. Default: ~/.config."},
	{"NO_COLOR", "If it is set, nothing is coloured."},
}

// manStatuses are the exit statuses.
var manStatuses = []described{
	{"0", "The command did what it was asked."},
	{strconv.Itoa(exitFailed), "It failed, or check found an error, send --wait saw a dead letter, status found nothing, or an id has no dead letter."},
	{strconv.Itoa(exitUsage), "The command line is wrong, or no configuration was named and there is none: nothing was done."},
	{strconv.Itoa(exitNoOutcome), "send --wait saw no final outcome in time, or NATS did not confirm to send that it stored the code: the code may still be sent."},
	{"130, 143", "A second Ctrl-C or SIGTERM ended it at once."},
}

// manual returns the manual page of the program, for man(7).
func manual(app *kong.Application) string {
	var p page
	p.macro("TH", strings.ToUpper(app.Name), "1", "", app.Name+" "+version(), "User Commands")
	p.macro("SH", "NAME")
	p.text(app.Name + " - " + app.Help)
	p.macro("SH", "SYNOPSIS")
	p.text(app.Name + " <command> [flags]")
	p.macro("SH", "COMMANDS")
	variables := slices.Clone(manVariables)
	commands(app.Node, func(n *kong.Node) {
		p.command(n)
		for _, f := range n.Flags {
			for _, name := range f.Envs {
				if v := (described{name, f.Help}); !slices.Contains(variables, v) {
					variables = append(variables, v)
				}
			}
		}
	})
	p.macro("SH", "THE NATS SERVER")
	p.prose(serverHelp)
	p.macro("SH", "ENVIRONMENT")
	p.list(variables)
	p.text("A configuration can take any other variable, as ${NAME}.")
	p.macro("SH", "EXIT STATUS")
	p.list(manStatuses)
	p.macro("SH", "SEE ALSO")
	p.text("https://github.com/codeferry/codeferry/tree/main/docs")
	return p.b.String()
}

// commands calls f with each command and group of commands that help lists, in its order.
func commands(n *kong.Node, f func(*kong.Node)) {
	for _, c := range n.Children {
		if !c.Hidden {
			f(c)
			commands(c, f)
		}
	}
}

// page is a manual page in the language of man(7).
type page struct{ b strings.Builder }

// macro writes a request with its arguments.
func (p *page) macro(name string, args ...string) {
	fmt.Fprintf(&p.b, ".%s", name)
	for _, arg := range args {
		fmt.Fprintf(&p.b, ` "%s"`, strings.ReplaceAll(roff(arg), `"`, `\(dq`))
	}
	fmt.Fprintln(&p.b)
}

// text writes a line of text.
func (p *page) text(line string) { fmt.Fprintln(&p.b, roff(line)) }

// prose writes text with paragraphs. A line that begins with a space keeps its form.
func (p *page) prose(text string) {
	exact := false
	for line := range strings.SplitSeq(strings.Trim(text, "\n"), "\n") {
		if indented := strings.HasPrefix(line, " "); indented != exact {
			exact = indented
			p.macro(map[bool]string{true: "nf", false: "fi"}[exact])
		}
		if line == "" {
			p.macro("PP")
			continue
		}
		p.text(line)
	}
	if exact {
		p.macro("fi")
	}
}

// list writes names, each with its text.
func (p *page) list(all []described) {
	for _, d := range all {
		p.macro("TP")
		p.text(d.name)
		p.text(d.text)
	}
	p.macro("PP")
}

// command writes the section of a command.
func (p *page) command(n *kong.Node) {
	p.macro("SS", n.FullPath())
	p.text(n.Help)
	p.macro("PP")
	p.text("Usage: codeferry " + n.Summary())
	p.macro("PP")
	detail, connects := strings.CutSuffix(strings.TrimSpace(n.Detail), strings.TrimSpace(serverHelp))
	p.prose(strings.TrimSpace(detail))
	p.macro("PP")
	if connects {
		p.text("See THE NATS SERVER below.")
	}
	var all []described
	for _, a := range n.Positional {
		all = append(all, described{a.Summary(), a.Help})
	}
	for _, f := range n.Flags {
		if f.Hidden {
			continue
		}
		name := f.String()
		if f.Tag.Negatable != "" {
			name = strings.Replace(name, "--", "--[no-]", 1)
		}
		all = append(all, described{name, f.Help})
	}
	p.list(all)
}

// roff returns a line of text without what means something to roff. Characters beyond ASCII
// have their code, because not every roff reads UTF-8.
func roff(line string) string {
	var b strings.Builder
	for _, r := range line {
		switch {
		case r == '\\':
			b.WriteString(`\e`)
		case r == '-':
			b.WriteString(`\-`) // as it is typed
		case r == '\'':
			b.WriteString(`\(aq`)
		case r == '.' && b.Len() == 0:
			b.WriteString(`\&.`)
		case r > '~':
			fmt.Fprintf(&b, `\[u%04X]`, r)
		default:
			b.WriteRune(r)
		}
	}
	return b.String()
}
