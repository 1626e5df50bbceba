package aliyun

import (
	"context"
	"strconv"
	"time"

	"github.com/codeferry/codeferry/sender"
)

const (
	// pageSize is the most that QuerySendDetails shows at once.
	pageSize = 50
	// clockSkew is how far Aliyun's clock and ours may be apart.
	clockSkew = 5 * time.Minute
	// maxAge is how far back is looked; no code is good for so long.
	maxAge = 48 * time.Hour
	// maxPages bounds the reading of a day; Aliyun's flow control lets 40 messages
	// through to a number.
	maxPages = 20
)

// china is China's time, in which QuerySendDetails counts days.
var china = time.FixedZone("Asia/Shanghai", 8*60*60)

// CheckNumber belongs to nobody who waits for a code; a query about it changes
// nothing.
const CheckNumber = "13000000000"

// Sent is a page of what was sent to a number on a day.
type Sent struct {
	OutIDs []string
	// Total counts the messages of all pages; -1 where the answer does not say.
	Total     int
	RequestID string
}

// SentQuery asks for one page by a product's QuerySendDetails. A day is written
// yyyyMMdd, pages begin with 1.
type SentQuery func(ctx context.Context, day string, page, size int) (Sent, error)

// QueryParams are QuerySendDetails' parameters for a SentQuery.
func QueryParams(number, day string, page, size int) Params {
	return Params{{"PhoneNumber", number}, {"SendDate", day}, {"PageSize", strconv.Itoa(size)}, {"CurrentPage", strconv.Itoa(page)}}
}

// FindSent looks for an OutId among what was sent since a time. There is no filter
// for it, so every page of the day is read; around midnight in China, of both
// days. Its error is that of the query.
func FindSent(ctx context.Context, outID string, since time.Time, query SentQuery) (r sender.Receipt, found bool, err error) {
	now := time.Now()
	if oldest := now.Add(-maxAge); since.Before(oldest) {
		since = oldest
	}
	for _, day := range days(since.Add(-clockSkew), now.Add(clockSkew)) {
		for page, read := 1, 0; page <= maxPages; page++ {
			sent, err := query(ctx, day, page, pageSize)
			if err != nil {
				return r, false, err
			}
			for _, id := range sent.OutIDs {
				if id == outID {
					return sender.Receipt{RequestID: sent.RequestID}, true, nil
				}
			}
			read += len(sent.OutIDs)
			if len(sent.OutIDs) == 0 || sent.Total >= 0 && read >= sent.Total {
				break
			}
		}
	}
	return r, false, nil
}

// CheckSent asks what was sent to CheckNumber today: a request that changes
// nothing, and shows whether the keys are good.
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
