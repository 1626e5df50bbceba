// Command notices writes THIRD_PARTY_NOTICES: the modules whose code is in codeferry, with the
// texts of their licences. It reads both from the module cache, and asks the go command which
// packages are linked on each platform of a release.
//
//	go run ./internal/notices           write the file
//	go run ./internal/notices -check    fail if the file is out of date
package main

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
)

const (
	program = "./cmd/codeferry"
	file    = "THIRD_PARTY_NOTICES"
)

// platforms are those of a release (.ci/release).
var platforms = []platform{{"linux", "amd64"}, {"linux", "arm64"}, {"darwin", "amd64"}, {"darwin", "arm64"}}

var errStale = errors.New(file + " is out of date: run `make notices`, and check the changes")

func main() {
	check := flag.Bool("check", false, "fail if the file is not what would be written")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	err := run(ctx, *check)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "notices:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, check bool) error {
	linked, err := list(ctx, program, platforms)
	if err != nil {
		return err
	}
	text, err := notices(linked)
	if err != nil {
		return err
	}
	if !check {
		return os.WriteFile(file, text, 0o644) //nolint:gosec // everybody may read it
	}
	written, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	if !bytes.Equal(written, text) {
		return errStale
	}
	return nil
}
