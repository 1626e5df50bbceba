package sender_test

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"github.com/codeferry/codeferry/sender"
)

func TestPrintingARenderedMessageShowsNothingOfIt(t *testing.T) {
	m := sender.Message{ID: "id-1", To: "13012345678", Subject: "918273", HTML: "<p>918273</p>", Text: "918273", TemplateParam: `{"code":"918273"}`}
	var log strings.Builder
	for _, v := range []any{m, &m, []sender.Message{m}, map[string]*sender.Message{"m": &m}} {
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d", "%y"} {
			fmt.Fprintf(&log, verb+"\n", v)
		}
		b, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		log.Write(b)
		slog.New(slog.NewJSONHandler(&log, nil)).Info("x", "m", v)
		slog.New(slog.NewTextHandler(&log, nil)).Info("x", "m", v)
	}
	if got := log.String(); strings.Contains(got, "918273") || strings.Contains(got, "13012345678") || !strings.Contains(got, "message id-1") {
		t.Error(got)
	}
}
