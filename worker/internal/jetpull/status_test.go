package jetpull

import (
	"errors"
	"testing"

	"github.com/nats-io/nats.go"
)

// TestReadStatus has the status messages of nats-server (consumer.go, jetstream.go,
// client.go).
func TestReadStatus(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		code, description, count string
		want                     status
		err                      error
	}{
		{"100", "Idle Heartbeat", "", status{}, nil},
		{"100", "FlowControl Request", "", status{}, nil},
		{"404", "No Messages", "", status{whole: true}, nil},
		{"404", "No Messages", "3", status{ended: 3}, nil},
		{"408", "Request Timeout", "16", status{ended: 16}, nil},
		{"408", "Request Timeout", "0", status{}, nil},
		{"408", "Interest Expired", "2", status{ended: 2}, nil},
		{"408", "Requests Pending", "", status{whole: true}, nil},
		{"408", "Request Timeout", "-1", status{whole: true}, nil},
		{"408", "Request Timeout", "99999999999999999999", status{whole: true}, nil},
		{"409", "Batch Completed", "0", status{refused: true}, nil},
		{"409", "Message Size Exceeds MaxBytes", "4", status{ended: 4, refused: true}, nil},
		{"409", "Server Shutdown", "5", status{ended: 5, refused: true}, nil},
		{"409", "Exceeded MaxWaiting", "", status{whole: true, refused: true}, nil},
		{"409", "Leadership Change", "", status{lost: true, refused: true}, nil},
		{"409", "Something New", "7", status{ended: 7, refused: true}, nil},
		{"409", "Consumer Deleted", "", status{}, ErrConsumerGone},
		{"409", "Consumer is push based", "", status{}, ErrRefused},
		{"409", "Exceeded MaxRequestBatch of 1", "", status{}, ErrRefused},
		{"409", "Exceeded MaxRequestExpires of 100ms", "", status{}, ErrRefused},
		{"409", "Exceeded MaxRequestMaxBytes of 1", "", status{}, ErrRefused},
		{"409", "Something New", "", status{}, ErrRefused},
		{"400", "Bad Request - invalid json", "", status{}, ErrRefused},
		{"400", "Bad Request - Priority Group missing", "", status{}, ErrRefused},
		{"412", "Required Api Level", "", status{}, ErrRefused},
		{"423", "Nats-Wrong-Pin-Id", "3", status{}, ErrRefused},
		{"423", "Nats-Pin-Id mismatch", "", status{}, ErrRefused},
		{"503", "", "", status{}, errNoLeader},
		{"500", "", "", status{}, ErrRefused},
		{"418", "I'm a teapot", "", status{}, ErrRefused},
	} {
		header := []string{tt.code, tt.description, tt.count}
		if tt.count == "" {
			header = header[:2]
		}
		msg := word("inbox", header...)
		if !isStatus(msg) {
			t.Errorf("%v is not read as a status message", header)
		}
		got, err := readStatus(msg)
		if got != tt.want {
			t.Errorf("%v: got the status %+v, want %+v", header, got, tt.want)
		}
		if !errors.Is(err, tt.err) {
			t.Errorf("%v: got the error %v, want %v", header, err, tt.err)
		}
	}
}

func TestIsStatus(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(*nats.Msg){
		"a body":       func(m *nats.Msg) { m.Data = []byte("x") },
		"an ack reply": func(m *nats.Msg) { m.Reply = "$JS.ACK.x" },
		"no status":    func(m *nats.Msg) { m.Header.Del("Status") },
		"no header":    func(m *nats.Msg) { m.Header = nil },
	} {
		msg := word("inbox", "409", "Consumer Deleted")
		change(msg)
		if isStatus(msg) {
			t.Errorf("with %s it is read as a status message", name)
		}
	}
}
