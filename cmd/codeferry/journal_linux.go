package main

import (
	"fmt"
	"os"
	"syscall"
)

// toJournal reports whether a file is systemd's journal, which reads the priority of a line
// from its first characters (sd-daemon(3)).
func toJournal(f *os.File, lookup func(string) (string, bool)) bool {
	stream, ok := lookup("JOURNAL_STREAM")
	if !ok {
		return false
	}
	info, err := f.Stat()
	if err != nil {
		return false
	}
	at, ok := info.Sys().(*syscall.Stat_t)
	return ok && stream == fmt.Sprintf("%d:%d", at.Dev, at.Ino)
}
