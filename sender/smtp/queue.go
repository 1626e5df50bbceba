package smtp

import (
	"regexp"
	"strings"
)

// queued match the ways in which servers name an accepted message.
var queued = []*regexp.Regexp{
	regexp.MustCompile(`(?i)\bqueued as ([A-Za-z0-9._-]+)`),                // Postfix
	regexp.MustCompile(`(?i)\bid=([A-Za-z0-9._-]+)`),                       // Exim
	regexp.MustCompile(`(?i)\bInternalId=([0-9]+)`),                        // Exchange
	regexp.MustCompile(`(?i)^([A-Za-z0-9._-]+) Message accepted`),          // Sendmail, OpenSMTPD
	regexp.MustCompile(`(?i)^OK +[0-9]+ ([A-Za-z0-9._-]+) - gsmtp`),        // Gmail
	regexp.MustCompile(`(?i)^OK:? ([A-Za-z0-9._-]*[0-9][A-Za-z0-9._-]*)$`), // Amazon SES
}

// maxQueueID is far longer than any server's ID of a message.
const maxQueueID = 100

// queueID returns the server's ID of a message from its last reply; empty if there is
// none.
func queueID(answer string) string {
	_, text := splitReply(answer)
	text = strings.TrimSpace(text)
	for _, q := range queued {
		if m := q.FindStringSubmatch(text); m != nil {
			if id := strings.Trim(m[1], "."); len(id) <= maxQueueID {
				return id
			}
		}
	}
	return ""
}
