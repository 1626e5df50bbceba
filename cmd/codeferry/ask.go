package main

import (
	"bufio"
	"context"
	"fmt"
	"os"
)

// readLine reads the line that a person types. Nothing can wake a read from a terminal: if
// ctx ends first, with Ctrl-C, quit ends the program.
func (s streams) readLine(ctx context.Context, in *bufio.Reader) (string, error) {
	defer context.AfterFunc(ctx, s.quit)()
	return in.ReadString('\n')
}

// interrupted ends the program as a command does that is interrupted.
func interrupted() {
	_, _ = fmt.Fprintln(os.Stderr, "\ncodeferry: interrupted")
	os.Exit(exitFailed)
}
