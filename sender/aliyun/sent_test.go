package aliyun

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"
)

// sent answers from pages of OutIds, the same for every day, and keeps what it was
// asked.
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

// find looks for an OutId of now, and tells how often each day was asked about:
// near midnight in China there are two.
func find(t *testing.T, s *sent, outID string) (found bool, perDay int) {
	t.Helper()
	_, found, err := FindSent(t.Context(), outID, time.Now(), s.query)
	if err != nil {
		t.Fatal(err)
	}
	return found, len(s.asked) / len(days(time.Now().Add(-clockSkew), time.Now().Add(clockSkew)))
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
		{"two pages", [][]string{{"a", "b"}, {"c"}}, 3, 2},
		{"two pages and no total", [][]string{{"a", "b"}, {"c"}}, -1, 3},
		{"a total that is too large", [][]string{{"a", "b"}, {"c"}}, 9, 3},
		{"pages without end", slices.Repeat([][]string{{"a"}}, 100), -1, maxPages},
	} {
		t.Run(c.name, func(t *testing.T) {
			found, perDay := find(t, &sent{pages: c.pages, total: c.total}, "x")
			if found || perDay != c.perDay {
				t.Errorf("found %v, %d requests a day; want %d", found, perDay, c.perDay)
			}
			for i, page := range c.pages[:min(len(c.pages), maxPages)] {
				s := &sent{pages: c.pages, total: c.total}
				r, found, err := FindSent(t.Context(), page[0], time.Now(), s.query)
				if err != nil || !found || c.name != "pages without end" && r.RequestID != fmt.Sprint("R-", i+1) {
					t.Errorf("%s: %+v, found %v, %v", page[0], r, found, err)
				}
			}
		})
	}
}

// TestFindSentAroundMidnight: a message of a minute past midnight may stand under
// the day before, since the clocks differ; and older days than two are not read.
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
			t.Fatal(found, err)
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
