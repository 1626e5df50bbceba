package main

import (
	"os"
	"path/filepath"
	"strings"

	"github.com/mattn/go-isatty"

	"github.com/codeferry/codeferry/messages"
)

// colorful tells whether a file is a terminal whose user wants colours
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
	case messages.StatusRetrying, messages.StatusUnknown:
	}
	return "\x1b[" + code + "m" + text + "\x1b[0m"
}

// program is how the user started codeferry, for lines to type.
func program() string {
	if strings.Contains(filepath.ToSlash(os.Args[0]), "/go-build") && filepath.Base(filepath.Dir(os.Args[0])) == "exe" {
		return "go run ./cmd/codeferry"
	}
	return os.Args[0]
}
