package aliyun

import (
	"slices"
	"sync"
	"time"
)

// Message is a message to one recipient. A request to several recipients makes one Message
// for each.
type Message struct {
	// Action is SingleSendMail, SendSms or SendSmsVerifyCode.
	Action string `json:"action"`
	// To is the address or number as it was in the request.
	To string `json:"to"`

	// Mail only.
	Subject  string `json:"subject"`
	HTMLBody string `json:"htmlBody"`
	TextBody string `json:"textBody"`

	// SMS only. TemplateParam is the JSON as it was in the request.
	SignName      string `json:"signName"`
	TemplateCode  string `json:"templateCode"`
	TemplateParam string `json:"templateParam"`
	OutID         string `json:"outId"`

	// Mail only: the sender.
	AccountName string `json:"accountName"`
	FromAlias   string `json:"fromAlias"`

	// At is when it was accepted, in UTC.
	At time.Time `json:"at"`

	// The id in the answer: BizID for SMS, EnvID for mail.
	BizID     string `json:"bizId"`
	EnvID     string `json:"envId"`
	RequestID string `json:"requestId"`
}

// accepted is a Message, with what QuerySendDetails needs beyond it.
type accepted struct {
	Message
	key     string // inboxKey(To)
	content string // the SMS's text
}

// inbox holds the newest messages, with an index by recipient. Entries never change, so
// readers can share them.
type inbox struct {
	max int

	mu   sync.RWMutex
	all  fifo[*accepted]
	byTo map[string]*fifo[*accepted]
}

func newInbox(size int) *inbox {
	return &inbox{max: size, byTo: map[string]*fifo[*accepted]{}}
}

func (in *inbox) add(entries ...*accepted) {
	in.mu.Lock()
	defer in.mu.Unlock()
	for _, a := range entries {
		in.all.push(a)
		of := in.byTo[a.key]
		if of == nil {
			of = &fifo[*accepted]{}
			in.byTo[a.key] = of
		}
		of.push(a)
		if in.all.len() > in.max {
			in.dropOldest()
		}
	}
}

// dropOldest drops the oldest message. It is also the oldest of its recipient.
func (in *inbox) dropOldest() {
	key := in.all.popFront().key
	of := in.byTo[key]
	of.popFront()
	if of.len() == 0 {
		delete(in.byTo, key)
	}
}

// newestFirst returns at most limit entries (0: all) for a recipient, or for all recipients
// if to is empty.
func (in *inbox) newestFirst(to string, limit int) []*accepted {
	in.mu.RLock()
	of := &in.all
	if to != "" {
		of = in.byTo[inboxKey(to)]
	}
	var found []*accepted
	if of != nil {
		from := 0
		if limit > 0 {
			from = max(0, of.len()-limit)
		}
		found = slices.Clone(of.items[from:])
	}
	in.mu.RUnlock()
	slices.Reverse(found)
	return found
}

func (in *inbox) reset() {
	in.mu.Lock()
	defer in.mu.Unlock()
	in.all = fifo[*accepted]{}
	clear(in.byTo)
}
