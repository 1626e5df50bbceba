package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// questions asks a person on a terminal. After its first error it asks no more.
type questions struct {
	s   streams
	in  *bufio.Reader
	err error
}

var errInterrupted = errors.New("interrupted; nothing was written")

// ask returns the answer to a question, without the spaces around it.
func (q *questions) ask(ctx context.Context, question string) string {
	if q.err != nil {
		return ""
	}
	_, _ = fmt.Fprintf(q.s.out, "%s ", question)
	line, err := q.s.readLine(ctx, q.in)
	switch {
	case ctx.Err() != nil:
		q.err = errInterrupted
		return ""
	case err != nil:
		q.err = errors.New("no answer came; nothing was written")
		return ""
	}
	return strings.TrimSpace(line)
}

// choose returns one of several names, by name or number. It asks again until it is one.
func (q *questions) choose(ctx context.Context, question string, names []string) string {
	if q.err == nil {
		_, _ = fmt.Fprintln(q.s.out, question)
		for i, name := range names {
			_, _ = fmt.Fprintf(q.s.out, "  %d  %s\n", i+1, name)
		}
	}
	for q.err == nil {
		answer := q.ask(ctx, "Number or name:")
		if slices.Contains(names, answer) {
			return answer
		}
		if n, err := strconv.Atoi(answer); err == nil && n >= 1 && n <= len(names) {
			return names[n-1]
		}
		if q.err == nil {
			_, _ = fmt.Fprintf(q.s.out, "%q is not in the list; give a number from 1 to %d, or a name.\n", typed(answer), len(names))
		}
	}
	return ""
}
