package broker

import (
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/codeferry/codeferry/messages"
	"github.com/codeferry/codeferry/messages/wire"
)

func streamNamed(t *testing.T, name string) jetstream.StreamConfig {
	t.Helper()
	for _, cfg := range wire.StreamConfigs(wire.StreamOptions{}) {
		if cfg.Name == name {
			return cfg
		}
	}
	t.Fatalf("there is no stream %s", name)
	return jetstream.StreamConfig{}
}

const (
	queue    = wire.StreamName
	outcomes = wire.OutcomesName
	letters  = wire.DeadName
	bucket   = wire.LedgerStream
)

// TestEveryFieldIsJudged: every field, also a new one of a newer NATS, has to be in the table,
// or in the list of the fields that may have any value.
func TestEveryFieldIsJudged(t *testing.T) {
	t.Parallel()
	known := func(free []string, names ...string) map[string]bool {
		m := make(map[string]bool)
		for _, name := range append(names, free...) {
			if m[name] {
				t.Errorf("%s is listed twice", name)
			}
			m[name] = true
		}
		return m
	}
	for _, tt := range []struct {
		config any
		known  map[string]bool
	}{
		{jetstream.StreamConfig{}, known(streamFree, fieldNames(streamFields)...)},
		{jetstream.ConsumerConfig{}, known(consumerFree, fieldNames(consumerFields)...)},
	} {
		fields := reflect.TypeOf(tt.config)
		for field := range fields.Fields() {
			name, _, _ := strings.Cut(field.Tag.Get("json"), ",")
			if name != "" && name != "-" && !tt.known[name] {
				t.Errorf("%s: nothing says what follows if %s differs", fields.Name(), name)
			}
			delete(tt.known, name)
		}
		for name := range tt.known {
			t.Errorf("%s has no field %s", fields.Name(), name)
		}
	}
}

func fieldNames[C any](fields []field[C]) (all []string) {
	for _, f := range fields {
		all = append(all, f.name)
	}
	return all
}

func TestStreamsThatDiffer(t *testing.T) {
	t.Parallel()
	type differing = func(*jetstream.StreamConfig)
	for _, tt := range []struct {
		stream, field string
		want          action
		change        differing
	}{
		{queue, "subjects", repair, func(c *sc) { c.Subjects = c.Subjects[:1] }},
		{queue, "subjects", repair, func(c *sc) { c.Subjects = append(slices.Clone(c.Subjects), "other.>") }},
		{queue, "", fine, func(c *sc) { c.Subjects = []string{c.Subjects[1], c.Subjects[0]} }},
		{queue, "retention", refuse, func(c *sc) { c.Retention = jetstream.LimitsPolicy }},
		{letters, "retention", refuse, func(c *sc) { c.Retention = jetstream.InterestPolicy }},
		{queue, "storage", refuse, func(c *sc) { c.Storage = jetstream.MemoryStorage }},
		{bucket, "storage", refuse, func(c *sc) { c.Storage = jetstream.MemoryStorage }},
		{queue, "discard", repair, func(c *sc) { c.Discard = jetstream.DiscardOld }},
		{letters, "discard", repair, func(c *sc) { c.Discard = jetstream.DiscardNew }},
		{bucket, "discard", repair, func(c *sc) { c.Discard = jetstream.DiscardNew }},
		{bucket, "", fine, func(c *sc) { c.Discard, c.MaxBytes = jetstream.DiscardNew, -1 }}, // as older versions made it
		{queue, "discard_new_per_subject", repair, func(c *sc) { c.DiscardNewPerSubject = true }},
		{queue, "max_age", repair, func(c *sc) { c.MaxAge = time.Hour }},
		{outcomes, "max_age", repair, func(c *sc) { c.MaxAge = time.Minute }},
		{outcomes, "max_age", honour, func(c *sc) { c.MaxAge = time.Hour }},
		{letters, "max_age", honour, func(c *sc) { c.MaxAge = 48 * time.Hour }},
		{letters, "max_age", repair, func(c *sc) { c.MaxAge = time.Hour }},
		{letters, "", fine, func(c *sc) { c.MaxAge = 0 }},
		{bucket, "max_age", repair, func(c *sc) { c.MaxAge = 23 * time.Hour }},
		{bucket, "max_age", honour, func(c *sc) { c.MaxAge = 25 * time.Hour }},
		{queue, "max_msgs", honour, func(c *sc) { c.MaxMsgs = 10 }},
		{letters, "max_msgs", repair, func(c *sc) { c.MaxMsgs = 10 }},
		{bucket, "max_msgs", repair, func(c *sc) { c.MaxMsgs = 10 }},
		{queue, "max_msgs_per_subject", repair, func(c *sc) { c.MaxMsgsPerSubject = -1 }},
		{queue, "max_msgs_per_subject", repair, func(c *sc) { c.MaxMsgsPerSubject = 2 }},
		{letters, "max_msgs_per_subject", repair, func(c *sc) { c.MaxMsgsPerSubject = 1 }},
		{letters, "", fine, func(c *sc) { c.MaxMsgsPerSubject = -1 }},
		{queue, "max_msg_size", repair, func(c *sc) { c.MaxMsgSize = 1000 }},
		{queue, "", fine, func(c *sc) { c.MaxMsgSize = -1 }},
		{letters, "max_msg_size", repair, func(c *sc) { c.MaxMsgSize = 1000 }},
		{queue, "max_consumers", refuse, func(c *sc) { c.MaxConsumers = 1 }},
		{queue, "", fine, func(c *sc) { c.MaxConsumers = 2 }},
		{queue, "no_ack", repair, func(c *sc) { c.NoAck = true }},
		{bucket, "no_ack", repair, func(c *sc) { c.NoAck = true }},
		{queue, "duplicate_window", repair, func(c *sc) { c.Duplicates = time.Second }},
		{letters, "duplicate_window", repair, func(c *sc) { c.Duplicates = time.Second }},
		{queue, "", fine, func(c *sc) { c.Duplicates = time.Hour }},
		{outcomes, "", fine, func(c *sc) { c.Duplicates = time.Second }},
		{queue, "mirror", refuse, func(c *sc) { c.Mirror = &jetstream.StreamSource{Name: "x"} }},
		{queue, "sources", refuse, func(c *sc) { c.Sources = []*jetstream.StreamSource{{Name: "x"}} }},
		{letters, "", fine, func(c *sc) { c.Sources = []*jetstream.StreamSource{{Name: "x"}} }},
		{bucket, "sealed", refuse, func(c *sc) { c.Sealed = true }},
		{queue, "deny_delete", refuse, func(c *sc) { c.DenyDelete = true }},
		{letters, "", fine, func(c *sc) { c.DenyDelete = true }},
		{bucket, "deny_purge", honour, func(c *sc) { c.DenyPurge = true }},
		{queue, "allow_rollup_hdrs", repair, func(c *sc) { c.AllowRollup = true }},
		{queue, "allow_direct", repair, func(c *sc) { c.AllowDirect = true }},
		{bucket, "allow_direct", repair, func(c *sc) { c.AllowDirect = false }},
		{queue, "republish", repair, func(c *sc) { c.RePublish = &jetstream.RePublish{Destination: "x"} }},
		{queue, "subject_transform", repair, func(c *sc) { c.SubjectTransform = &jetstream.SubjectTransformConfig{} }},
		{bucket, "subject_transform", repair, func(c *sc) { c.SubjectTransform = &jetstream.SubjectTransformConfig{} }},
		{queue, "consumer_limits", repair, func(c *sc) { c.ConsumerLimits.MaxAckPending = 5 }},
		{queue, "subject_delete_marker_ttl", repair, func(c *sc) { c.SubjectDeleteMarkerTTL = time.Second }},
		{queue, "allow_msg_counter", refuse, func(c *sc) { c.AllowMsgCounter = true }},
		{queue, "persist_mode", refuse, func(c *sc) { c.PersistMode = jetstream.AsyncPersistMode }},
		{outcomes, "", fine, func(c *sc) { c.PersistMode = jetstream.AsyncPersistMode }},
		{queue, "", fine, func(c *sc) { c.MaxBytes, c.Replicas, c.Compression = 1, 5, jetstream.S2Compression }},
	} {
		want := streamNamed(t, tt.stream)
		have := want
		tt.change(&have)
		judged(t, "stream "+tt.stream, tt.field, tt.want, streamFields, have, want)
	}
}

// judged checks that exactly one field differs, with this name, and that a repair leaves no
// difference.
func judged[C any](t *testing.T, of, name string, want action, fields []field[C], have, needed C) {
	t.Helper()
	all, fixed := compare(of, fields, have, needed, false)
	if name == "" {
		if len(all) > 0 {
			t.Errorf("%s: %v, where nothing should differ", of, all)
		}
		return
	}
	if len(all) != 1 || all[0].field != name || all[0].action != want {
		t.Errorf("%s: %v (%v), want %s alone, with action %d", of, all, actions(all), name, want)
		return
	}
	if text := all[0].String(); !strings.Contains(text, name) || !strings.Contains(text, of) {
		t.Errorf("%q names not both %s and %s", text, of, name)
	}
	if rest, _ := compare(of, fields, fixed, needed, false); want == repair && len(rest) > 0 {
		t.Errorf("%s: %s is not repaired: %v", of, name, rest)
	}
}

func actions(all []difference) (list []action) {
	for _, d := range all {
		list = append(list, d.action)
	}
	return list
}

func TestConsumersThatDiffer(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		field  string
		want   action
		change func(*cc)
	}{
		{"deliver_policy", refuse, func(c *cc) { c.DeliverPolicy = jetstream.DeliverNewPolicy }},
		{"deliver_subject", refuse, func(c *cc) { c.DeliverSubject = "x" }},
		{"ack_policy", refuse, func(c *cc) { c.AckPolicy = jetstream.AckNonePolicy }},
		{"ack_wait", repair, func(c *cc) { c.AckWait = time.Second }},
		{"ack_wait", repair, func(c *cc) { c.AckWait = time.Hour }},
		{"ack_wait", honour, func(c *cc) { c.AckWait = time.Minute }},
		{"max_deliver", repair, func(c *cc) { c.MaxDeliver = 3 }},
		{"", fine, func(c *cc) { c.MaxDeliver = 0 }}, // no limit, too
		{"backoff", repair, func(c *cc) { c.BackOff = []time.Duration{time.Second} }},
		{"filter_subjects", repair, func(c *cc) { c.FilterSubject = "codeferry.send.a.sms.*.*" }},
		{"filter_subjects", repair, func(c *cc) { c.FilterSubject, c.FilterSubjects = "", []string{"codeferry.send.a.sms.*.*"} }},
		{"", fine, func(c *cc) { c.FilterSubject, c.FilterSubjects = "", []string{c.FilterSubject} }},
		{"replay_policy", refuse, func(c *cc) { c.ReplayPolicy = jetstream.ReplayOriginalPolicy }},
		{"max_waiting", honour, func(c *cc) { c.MaxWaiting = 1 }},
		{"", fine, func(c *cc) { c.MaxWaiting = 512 }},
		{"max_ack_pending", repair, func(c *cc) { c.MaxAckPending = 1 }},
		{"max_ack_pending", honour, func(c *cc) { c.MaxAckPending = 1000 }},
		{"", fine, func(c *cc) { c.MaxAckPending = -1 }},
		{"headers_only", repair, func(c *cc) { c.HeadersOnly = true }},
		{"max_batch", honour, func(c *cc) { c.MaxRequestBatch = 10 }},
		{"max_expires", honour, func(c *cc) { c.MaxRequestExpires = 50 * time.Millisecond }},
		{"max_expires", repair, func(c *cc) { c.MaxRequestExpires = time.Millisecond }},
		{"max_bytes", honour, func(c *cc) { c.MaxRequestMaxBytes = 10 }},
		{"inactive_threshold", repair, func(c *cc) { c.InactiveThreshold = time.Hour }},
		{"num_replicas", repair, func(c *cc) { c.Replicas = 1 }},
		{"", fine, func(c *cc) { c.Replicas = 0 }},
		{"mem_storage", refuse, func(c *cc) { c.MemoryStorage = true }},
		{"priority_groups", repair, func(c *cc) {
			c.PriorityPolicy, c.PriorityGroups = jetstream.PriorityPolicyOverflow, []string{"a"}
		}},
	} {
		want := wire.ConsumerConfig(messages.SMS, wire.StreamOptions{Replicas: 3})
		have := want
		tt.change(&have)
		judged(t, "consumer sms", tt.field, tt.want, consumerFields, have, want)
	}
}

func TestSizesThatAStreamGets(t *testing.T) {
	t.Parallel()
	const mib = 1 << 20
	for name, tt := range map[string]struct {
		given, have int64
		holds       uint64
		want        int64
	}{
		"nothing is said":              {0, 1024 * mib, 0, 0},
		"the same":                     {mib, mib, 0, 0},
		"larger":                       {4 * mib, mib, mib, 4 * mib},
		"smaller, and there is room":   {mib, 4 * mib, mib, mib},
		"smaller than what it holds":   {mib, 4 * mib, mib + 1, 0},
		"a bound where there was none": {mib, -1, 10, mib},
		"a bound below what it holds":  {mib, -1, mib + 1, 0},
	} {
		info := &jetstream.StreamInfo{Config: jetstream.StreamConfig{Name: letters, MaxBytes: tt.have}, State: jetstream.StreamState{Bytes: tt.holds}}
		if got := newSize(wire.StreamOptions{DeadBytes: tt.given}, info); got != tt.want {
			t.Errorf("%s: %d, want %d", name, got, tt.want)
		}
	}
}

func TestAStoreWithoutRoomNamesTheSizeAndTheSetting(t *testing.T) {
	t.Parallel()
	full := &jetstream.APIError{ErrorCode: 10047, Description: "insufficient storage resources available"}
	for name, setting := range map[string]string{queue: "nats.maxBytes", outcomes: "nats.outcomesBytes", letters: "nats.deadBytes", bucket: "nats.ledgerBytes"} {
		cfg := streamNamed(t, name)
		cfg.MaxBytes, cfg.Replicas = 3<<20, 3
		if text := sized(cfg, full).Error(); !strings.Contains(text, "3MiB on each of 3 servers") || !strings.Contains(text, setting) || !strings.Contains(text, full.Description) {
			t.Errorf("%s: %q", name, text)
		}
	}
	if other := (&jetstream.APIError{ErrorCode: 10059}); sized(streamNamed(t, queue), other).Error() != other.Error() {
		t.Error("another error is said to be one of size")
	}
}
