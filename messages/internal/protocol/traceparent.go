package protocol

// TraceParentHeader is the header with the W3C trace context of whoever published the
// message.
const TraceParentHeader = "traceparent"

// TraceID returns the trace id in a traceparent. It is empty if the text is not a valid
// traceparent: any other text could hold a secret, and is neither stored nor shown.
func TraceID(traceparent string) string {
	const length = len("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")
	if len(traceparent) != length || traceparent[2] != '-' || traceparent[35] != '-' || traceparent[52] != '-' {
		return ""
	}
	version, trace, span, flags := traceparent[:2], traceparent[3:35], traceparent[36:52], traceparent[53:]
	if !lowerHex(version) || version == "ff" || !isTraceID(trace) || !isTraceID(span) || !lowerHex(flags) {
		return ""
	}
	return trace
}

// isTraceID reports whether s can be the id of a trace or a span: one of zeros is none.
func isTraceID(s string) bool {
	for i := range len(s) {
		if s[i] != '0' {
			return lowerHex(s)
		}
	}
	return false
}

func lowerHex(s string) bool {
	for i := range len(s) {
		if c := s[i]; (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return false
		}
	}
	return true
}
