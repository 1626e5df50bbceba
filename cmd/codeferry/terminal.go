package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/mattn/go-isatty"

	"github.com/codeferry/codeferry/messages"
)

// terminal returns the program's own streams.
func terminal() streams {
	return streams{
		in: os.Stdin, out: os.Stdout, err: os.Stderr, color: colorful(os.Stdout), quit: interrupted,
		asks: isatty.IsTerminal(os.Stdin.Fd()) && isatty.IsTerminal(os.Stdout.Fd()),
	}
}

// colorful reports whether a file is a terminal whose user wants colours
// (no-color.org).
func colorful(f *os.File) bool {
	return isatty.IsTerminal(f.Fd()) && os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb"
}

// paint colours a status on a terminal.
func (s streams) paint(status messages.Status, text string) string {
	if !s.color {
		return text
	}
	code := "33" // yellow
	switch status {
	case messages.StatusSent, messages.StatusDelivered:
		code = "32" // green
	case messages.StatusDead, messages.StatusUndelivered:
		code = "31" // red
	case messages.StatusRetrying, messages.StatusUnknown, messages.StatusSuperseded:
	}
	return "\x1b[" + code + "m" + text + "\x1b[0m"
}

// program returns the command that started codeferry, for the examples that dev prints.
func program() string {
	if strings.Contains(filepath.ToSlash(os.Args[0]), "/go-build") && filepath.Base(filepath.Dir(os.Args[0])) == "exe" {
		return "go run ./cmd/codeferry"
	}
	return os.Args[0]
}

// count returns a number and a noun: 1 app, 2 apps.
func count(n int, noun string) string {
	if n != 1 {
		noun += "s"
	}
	return fmt.Sprintf("%d %s", n, noun)
}
