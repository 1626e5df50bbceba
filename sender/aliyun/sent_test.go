package aliyun

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/codeferry/codeferry/sender"
)

// sent answers queries with the same pages of OutIds for every day, and keeps the
// queries.
type sent struct {
	pages [][]string
	total int
	asked []string
}

func (s *sent) query(_ context.Context, day string, page, _ int) (Sent, error) {
	s.asked = append(s.asked, fmt.Sprintf("%s/%d", day, page))
	if page > len(s.pages) {
		return Sent{Total: s.total}, nil
	}
	return Sent{OutIDs: s.pages[page-1], Total: s.total, RequestID: fmt.Sprint("R-", page)}, nil
}

// find looks for an OutId sent now, and returns the number of queries for each day: near
// midnight in China there are two days.
func find(t *testing.T, s *sent, outID string) (found bool, perDay int) {
	t.Helper()
	_, found, err := FindSent(t.Context(), outID, time.Now(), s.query)
	if err != nil {
		t.Fatal(err)
	}
	return found, len(s.asked) / len(days(time.Now().Add(-clockSkew), time.Now().Add(clockSkew)))
}

// full returns a page of different OutIds.
func full(prefix string) []string {
	page := make([]string, pageSize)
	for i := range page {
		page[i] = fmt.Sprint(prefix, i)
	}
	return page
}

// many returns full pages.
func many(n int) [][]string {
	pages := make([][]string, n)
	for i := range pages {
		pages[i] = full(fmt.Sprint("page", i, "-"))
	}
	return pages
}

func TestFindSentReadsEveryPage(t *testing.T) {
	for _, c := range []struct {
		name   string
		pages  [][]string
		total  int
		perDay int
	}{
		{"nothing", nil, 0, 1},
		{"nothing, and no total", nil, -1, 1},
		{"a page", [][]string{{"a", "b"}}, 2, 1},
		{"two pages", [][]string{full("a"), {"c"}}, pageSize + 1, 2},
		{"two full pages", [][]string{full("a"), full("b")}, 2 * pageSize, 2},
		{"two pages and no total", [][]string{{"a", "b"}, {"c"}}, -1, 3},
		{"as many pages as are read", many(maxPages), maxPages * pageSize, maxPages},
	} {
		t.Run(c.name, func(t *testing.T) {
			found, perDay := find(t, &sent{pages: c.pages, total: c.total}, "x")
			if found || perDay != c.perDay {
				t.Errorf("found %v, %d requests a day; want %d", found, perDay, c.perDay)
			}
		})
	}
}

// TestFindSentCantTell: answers that contradict each other give an error. A message that
// they list is still found.
func TestFindSentCantTell(t *testing.T) {
	for _, c := range []struct {
		name   string
		pages  [][]string
		totals []int // of each page; the last one for all further ones
		asked  int
		says   string
	}{
		{"counted and not listed", nil, []int{2}, 1, "counts 2 messages and lists 0"},
		{"listed and not counted", [][]string{{"a"}}, []int{0}, 1, "counts 0 messages and lists 1"},
		{"an entry too few", [][]string{{"a", "b"}}, []int{3}, 2, "counts 3 messages and lists 2"},
		{"the same entry again and again", slices.Repeat([][]string{{"a"}}, 100), []int{2}, 2, "page 1 is not full"},
		{"a page that is not full", [][]string{{"a", "b"}, {"c"}}, []int{3}, 2, "page 1 is not full, but not the last page"},
		{"a page too few", [][]string{full("a")}, []int{pageSize + 1}, 2, "counts 51 messages and lists 50"},
		{"an entry too many", [][]string{full("a"), {"c", "d"}}, []int{pageSize + 1}, 2, "counts 51 messages and lists 52"},
		{"the same page again", [][]string{full("a"), full("a")}, []int{2 * pageSize}, 2, "page 2 repeats the page before it"},
		{"the same page again, and no total", [][]string{{"a"}, {"a"}}, []int{-1}, 2, "page 2 repeats the page before it"},
		{"one came while it was read", [][]string{full("a"), {"b", "c"}}, []int{pageSize + 1, pageSize + 2}, 2, "changed from 51 to 52"},
		{"one went while it was read", [][]string{full("a"), {"b"}}, []int{pageSize + 2, pageSize + 1}, 2, "changed from 52 to 51"},
		{"the total went", [][]string{full("a"), {"c"}}, []int{pageSize + 1, -1}, 3, "changed from 51 to none"},
		{"the total came", [][]string{full("a"), {"c"}}, []int{-1, pageSize + 1}, 2, "changed from none to 51"},
		{"pages without end", many(100), []int{-1}, maxPages, "more messages than 20 pages hold"},
		{"more than is read", many(100), []int{maxPages*pageSize + 1}, maxPages, "more messages than 20 pages hold"},
	} {
		t.Run(c.name, func(t *testing.T) {
			asked := 0
			query := func(_ context.Context, _ string, page, _ int) (Sent, error) {
				asked++
				s := Sent{Total: c.totals[min(page, len(c.totals))-1], RequestID: fmt.Sprint("R-", page)}
				if page <= len(c.pages) {
					s.OutIDs = c.pages[page-1]
				}
				return s, nil
			}
			_, found, err := FindSent(t.Context(), "x", time.Now(), query)
			var e *sender.Error
			if found || !errors.As(err, &e) || e.Class != sender.Unknown || e.Code != CodeUntold || !strings.Contains(e.Detail, c.says) {
				t.Errorf("found %v, %v; want an error that says %s", found, err, c.says)
			}
			if asked != c.asked {
				t.Errorf("%d requests, want %d", asked, c.asked)
			}
			for _, page := range c.pages[:min(len(c.pages), 2)] {
				if _, found, err := FindSent(t.Context(), page[0], time.Now(), query); !found || err != nil {
					t.Errorf("%s is listed: found %v, %v", page[0], found, err)
				}
			}
		})
	}
}

func TestReadTotal(t *testing.T) {
	for text, want := range map[string]int{"": -1, "0": 0, "12": 12} {
		if n, err := ReadTotal(text, "R"); n != want || err != nil {
			t.Errorf("%q is %d, %v; want %d", text, n, err, want)
		}
	}
	for _, text := range []string{"-1", "1.5", "many", "99999999999999999999", " 1"} {
		_, err := ReadTotal(text, "R")
		var e *sender.Error
		if !errors.As(err, &e) || e.RequestID != "R" || strings.Contains(e.Detail, text) {
			t.Errorf("%q: %v, want an error that does not repeat it", text, err)
		}
	}
}

// TestFindSentAroundMidnight: since clocks differ, a message sent a minute after midnight
// can be listed under the day before. No more than two days are read.
func TestFindSentAroundMidnight(t *testing.T) {
	now := time.Now().In(china)
	midnight := time.Date(now.Year(), now.Month(), now.Day(), 0, 0, 0, 0, china)
	for _, c := range []struct {
		since time.Time
		first time.Time // the day that is read first
	}{
		{midnight.Add(time.Minute), midnight.Add(-time.Hour)},
		{midnight.Add(6 * time.Minute), midnight},
		{time.Time{}, now.Add(-maxAge - clockSkew)},
	} {
		s := new(sent)
		if _, found, err := FindSent(t.Context(), "x", c.since, s.query); found || err != nil {
			t.Fatalf("found is %t and the error %v, want neither", found, err)
		}
		if want := c.first.Format(dayLayout) + "/1"; s.asked[0] != want || !slices.Contains(s.asked, now.Format(dayLayout)+"/1") {
			t.Errorf("since %s: asked %v, want %s first", c.since, s.asked, want)
		}
	}
}

func TestFindSentEndsWithAnError(t *testing.T) {
	broken := errors.New("broken")
	n := 0
	_, found, err := FindSent(t.Context(), "x", time.Now(), func(context.Context, string, int, int) (Sent, error) {
		n++
		return Sent{OutIDs: []string{"x"}}, broken
	})
	if found || !errors.Is(err, broken) || n != 1 {
		t.Errorf("found %v, %v after %d requests", found, err, n)
	}
}
