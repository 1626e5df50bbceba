package main

import (
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/rs/zerolog"
)

// say writes what the program itself says. If w is the journal, each line has the priority of
// the level.
func say(w io.Writer, level zerolog.Level, text string) {
	priority := ""
	if f, ok := w.(*os.File); ok && toJournal(f, os.LookupEnv) {
		priority = journalPriority(level)
	}
	_, _ = fmt.Fprintf(w, "%scodeferry: %s\n", priority, strings.ReplaceAll(text, "\n", "\n"+priority))
}

// journalPriority is what the journal expects before a line of a level.
func journalPriority(level zerolog.Level) string {
	switch level {
	case zerolog.DebugLevel, zerolog.TraceLevel:
		return "<7>"
	case zerolog.WarnLevel:
		return "<4>"
	case zerolog.ErrorLevel:
		return "<3>"
	case zerolog.FatalLevel, zerolog.PanicLevel:
		return "<2>"
	case zerolog.InfoLevel, zerolog.NoLevel, zerolog.Disabled:
	}
	return "<6>"
}
