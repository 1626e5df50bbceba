package main

import (
	"io"
	"os"
	"time"

	"github.com/mattn/go-isatty"
	"github.com/rs/zerolog"
)

// logFlags choose the level and the format of the log.
type logFlags struct {
	LogLevel  string `help:"The lowest level that is logged: debug, info, warn or error." enum:"debug,info,warn,error" default:"info"`
	LogFormat string `help:"json, text, or auto: text on a terminal." enum:"auto,json,text" default:"auto"`
}

// logger returns a logger to w. It writes JSON in batches: call flush at the end.
func (f logFlags) logger(w io.Writer) (log zerolog.Logger, flush func()) {
	text := f.LogFormat == "text"
	if file, ok := w.(*os.File); ok && f.LogFormat == "auto" {
		text = isatty.IsTerminal(file.Fd())
	}
	level, err := zerolog.ParseLevel(f.LogLevel)
	if err != nil {
		level = zerolog.InfoLevel // kong has checked it
	}
	if text {
		file, _ := w.(*os.File)
		out := zerolog.ConsoleWriter{Out: w, NoColor: file == nil || !colorful(file), FormatTimestamp: func(any) string {
			return time.Now().Format("2006-01-02 15:04:05.000")
		}}
		return zerolog.New(out).Level(level), func() {}
	}
	batch := newLogBatch(w, time.Now)
	if file, ok := w.(*os.File); ok {
		batch.journal = toJournal(file, os.LookupEnv)
	}
	return zerolog.New(batch).Level(level), func() { _ = batch.Flush() } // there is nowhere to report an error
}
