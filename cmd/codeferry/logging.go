package main

import (
	"io"
	"os"
	"time"

	"github.com/mattn/go-isatty"
	"github.com/rs/zerolog"
)

// logFlags choose what is logged, and how.
type logFlags struct {
	LogLevel  string `help:"The least that is logged: debug, info, warn or error." enum:"debug,info,warn,error" default:"info"`
	LogFormat string `help:"json, text, or auto: text on a terminal." enum:"auto,json,text" default:"auto"`
}

// logger returns a logger to w. JSON is written in batches: flush has to be called at
// the end.
func (f logFlags) logger(w io.Writer) (log zerolog.Logger, flush func()) {
	text := f.LogFormat == "text"
	if file, ok := w.(*os.File); ok && f.LogFormat == "auto" {
		text = isatty.IsTerminal(file.Fd())
	}
	batch := newLogBatch(w)
	var out io.Writer = batch
	if text {
		file, _ := w.(*os.File)
		out = zerolog.ConsoleWriter{Out: w, TimeFormat: time.TimeOnly, NoColor: file == nil || !colorful(file)}
	}
	level, err := zerolog.ParseLevel(f.LogLevel)
	if err != nil {
		level = zerolog.InfoLevel // kong has checked it
	}
	return zerolog.New(out).Level(level).With().Timestamp().Logger(), func() { _ = batch.Flush() } // nobody could be told
}
