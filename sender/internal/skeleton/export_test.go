package skeleton

import "github.com/codeferry/codeferry/sender"

// Rows walks the table of codes.
func Rows(row func(name string, class sender.Class, scope sender.Scope)) {
	for code, m := range codes {
		row(code, m.class, m.scope)
	}
}
