package redact

import (
	"encoding/json"

	"github.com/codeferry/codeferry/sender"
)

// Message returns the values that no text about a message may show: its recipient, its
// content, and the connector's secrets. m can be nil.
func Message(m *sender.Message, secrets ...string) Values {
	if m == nil {
		return Values{Secrets: secrets}
	}
	v := Values{Recipient: m.To, Secrets: secrets, Content: []string{m.Subject, m.FromAlias, m.Text, m.HTML, m.TemplateParam}}
	var params map[string]string
	if json.Unmarshal([]byte(m.TemplateParam), &params) == nil {
		for _, p := range params {
			v.Secrets = append(v.Secrets, p)
		}
	}
	return v
}
