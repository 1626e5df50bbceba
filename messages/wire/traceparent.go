package wire

import "github.com/codeferry/codeferry/messages/internal/protocol"

// TraceParentHeader is the header of a message's W3C trace context.
const TraceParentHeader = protocol.TraceParentHeader

// TraceID returns the trace id in a traceparent. It is empty if the text is not a valid
// traceparent: any other text could hold a secret, and is neither stored nor shown.
func TraceID(traceparent string) string { return protocol.TraceID(traceparent) }
