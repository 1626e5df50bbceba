package aliyun

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/codeferry/codeferry/sender"
)

const (
	// pageSize is the maximum number of messages on a page of QuerySendDetails.
	pageSize = 50
	// clockSkew is how far Aliyun's clock and ours can differ.
	clockSkew = 5 * time.Minute
	// maxAge is how far back the search goes. No code is valid for so long.
	maxAge = 48 * time.Hour
	// maxPages bounds the pages read for a day. Aliyun's flow control allows 40 messages
	// to a number.
	maxPages = 20
)

// china is China's time zone, in which QuerySendDetails counts days.
var china = time.FixedZone("Asia/Shanghai", 8*60*60)

// CheckNumber is the number that a Check queries. No recipient of a code has it, and a
// query changes nothing.
const CheckNumber = "13000000000"

// Sent is a page of the messages sent to a number on a day.
type Sent struct {
	OutIDs []string
	// Total counts the messages of all pages; -1 if the answer does not say.
	Total     int
	RequestID string
}

// SentQuery requests one page from a product's QuerySendDetails. A day is written
// yyyyMMdd, and the first page is 1.
type SentQuery func(ctx context.Context, day string, page, size int) (Sent, error)

// QueryParams returns the parameters of QuerySendDetails for a SentQuery.
func QueryParams(number, day string, page, size int) Params {
	return Params{{"PhoneNumber", number}, {"SendDate", day}, {"PageSize", strconv.Itoa(size)}, {"CurrentPage", strconv.Itoa(page)}}
}

// FindSent looks for an OutId among the messages sent since a time. QuerySendDetails
// can't filter by it, so FindSent reads every page of the day, or of both days around
// midnight in China. Not found means that all messages were read. The error is that of
// the query, or a *sender.Error that says why the answers are not conclusive.
func FindSent(ctx context.Context, outID string, since time.Time, query SentQuery) (r sender.Receipt, found bool, err error) {
	now := time.Now()
	if oldest := now.Add(-maxAge); since.Before(oldest) {
		since = oldest
	}
	for _, day := range days(since.Add(-clockSkew), now.Add(clockSkew)) {
		r, found, err = findOn(ctx, day, outID, query)
		if found || err != nil {
			return r, found, err
		}
	}
	return r, false, nil
}

// findOn reads all pages of a day. A listed message is found, whatever else the answers
// say.
func findOn(ctx context.Context, day, outID string, query SentQuery) (r sender.Receipt, found bool, err error) {
	var l listing
	for page := 1; page <= maxPages; page++ {
		sent, err := query(ctx, day, page, pageSize)
		if err != nil {
			return r, false, err
		}
		if slices.Contains(sent.OutIDs, outID) {
			return sender.Receipt{RequestID: sent.RequestID}, true, nil
		}
		if l.add(sent) {
			return r, false, l.verdict()
		}
	}
	return r, false, untold(l.last.RequestID, fmt.Sprintf("there are more messages than %d pages hold", maxPages))
}

// listing holds what a day's pages have listed so far.
type listing struct {
	pages, read int
	last        Sent
	// doubt is why the pages may be incomplete; empty if there is no such sign.
	doubt string
}

// add adds a page, and reports whether it was the last one to read.
func (l *listing) add(page Sent) (end bool) {
	first := l.pages == 0
	before := l.last
	n := len(page.OutIDs)
	l.pages, l.read, l.last = l.pages+1, l.read+n, page
	switch {
	case first:
	case page.Total != before.Total:
		l.doubt = cmp.Or(l.doubt, fmt.Sprintf("the number of messages changed from %s to %s while they were read", count(before.Total), count(page.Total)))
	case n > 0 && slices.Equal(page.OutIDs, before.OutIDs):
		l.doubt = cmp.Or(l.doubt, fmt.Sprintf("page %d repeats the page before it", l.pages))
		return true
	}
	if n == 0 || page.Total >= 0 && l.read >= page.Total {
		return true
	}
	if page.Total >= 0 && n < pageSize {
		l.doubt = cmp.Or(l.doubt, fmt.Sprintf("page %d is not full, but not the last page", l.pages))
	}
	return false
}

// verdict returns nil if the pages listed all messages, and otherwise an error that says
// why that is not known.
func (l *listing) verdict() error {
	if l.last.Total >= 0 && l.read != l.last.Total {
		l.doubt = fmt.Sprintf("it counts %d messages and lists %d", l.last.Total, l.read)
	}
	if l.doubt == "" {
		return nil
	}
	return untold(l.last.RequestID, l.doubt)
}

// count returns a total as text; "none" if there is no total.
func count(total int) string {
	if total < 0 {
		return "none"
	}
	return strconv.Itoa(total)
}

// CodeUntold is the code of the error if the answers do not show whether a message was
// sent.
const CodeUntold = "QuerySendDetails.Incomplete"

// untold returns the error that says why the answers are not conclusive.
func untold(requestID, why string) *sender.Error {
	return &sender.Error{
		Class: sender.Unknown, Code: CodeUntold, RequestID: requestID,
		Detail: "QuerySendDetails does not show whether the message was sent: " + why,
	}
}

// ReadTotal reads the text of a TotalCount. It returns -1 if the text is empty, and an
// error if it is not a count.
func ReadTotal(text, requestID string) (int, error) {
	if text == "" {
		return -1, nil
	}
	total, err := strconv.Atoi(text)
	if err != nil || total < 0 {
		return 0, untold(requestID, "its TotalCount is not a number of messages")
	}
	return total, nil
}

// CheckSent queries the messages sent to CheckNumber today. The request changes nothing,
// and shows whether the keys are valid.
func CheckSent(ctx context.Context, query SentQuery) error {
	_, err := query(ctx, time.Now().In(china).Format(dayLayout), 1, 1)
	return err
}

const dayLayout = "20060102"

// days returns the days from one time to another in China, as yyyyMMdd.
func days(from, to time.Time) []string {
	var out []string
	last := to.In(china).Format(dayLayout)
	for t := from.In(china); ; t = t.AddDate(0, 0, 1) {
		day := t.Format(dayLayout)
		out = append(out, day)
		if day >= last {
			return out
		}
	}
}
