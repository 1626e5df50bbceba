package protocol

import (
	"strings"
	"testing"
)

func TestTraceID(t *testing.T) {
	const trace = "0af7651916cd43dd8448eb211c80319c"
	const good = "00-" + trace + "-b7ad6b7169203331-01"
	for name, c := range map[string]struct{ traceParent, want string }{
		"sampled":         {good, trace},
		"not sampled":     {strings.TrimSuffix(good, "1") + "0", trace},
		"a later version": {"01" + good[2:], trace},
		"empty":           {"", ""},
		"a number":        {"13012345678", ""},
		"upper case":      {strings.ToUpper(good), ""},
		"too long":        {good + "-x", ""},
		"too short":       {good[1:], ""},
		"version ff":      {"ff" + good[2:], ""},
		"no such version": {"0x" + good[2:], ""},
		"trace of zeros":  {"00-" + strings.Repeat("0", 32) + "-b7ad6b7169203331-01", ""},
		"span of zeros":   {"00-" + trace + "-" + strings.Repeat("0", 16) + "-01", ""},
		"not hexadecimal": {strings.Replace(good, "b7", "g7", 1), ""},
		"flags":           {good[:53] + "0G", ""},
		"first dash":      {"00." + good[3:], ""},
		"second dash":     {good[:35] + "." + good[36:], ""},
		"third dash":      {good[:52] + "." + good[53:], ""},
	} {
		if got := TraceID(c.traceParent); got != c.want {
			t.Errorf("%s: the trace id of %q is %q, want %q", name, c.traceParent, got, c.want)
		}
	}
}
