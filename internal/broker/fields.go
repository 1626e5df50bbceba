package broker

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/codeferry/codeferry/messages"
	"github.com/codeferry/codeferry/messages/wire"
)

// action says what to do if a field of a stream or a consumer is not as needed.
type action int

const (
	// fine: the value is allowed.
	fine action = iota
	// honour: the value is allowed, and the worker keeps to it.
	honour
	// repair: the value breaks a promise. It is repaired, or refused if that is not possible.
	repair
	// refuse: the value breaks a promise, and the server can't change it, or a person has to.
	refuse
)

// field describes one field of a stream's or a consumer's configuration C.
type field[C any] struct {
	// name is its name in JetStream's API and the nats command line.
	name string
	// judge says what to do if have is not as needed.
	judge func(have, want *C) action
	// value is the field's value in have, for people.
	value func(*C) any
	// set copies want's value into have; nil if the field can't be changed.
	set func(have, want *C)
}

// Limits within which an operator's choice is honoured.
const (
	// If it is shorter, the next worker gets a message while the first one may still wait
	// for a provider. If it is longer, the codes of a lost worker expire meanwhile.
	minAckWait, maxAckWait = 10 * time.Second, 5 * time.Minute
	// minAckPending is the least number of messages that a channel needs in flight or
	// waiting for a retry; with fewer, the waiting ones delay the fresh ones.
	minAckPending = 1000
	// minRequestExpires is the shortest life of a pull request; less would be a busy loop.
	minRequestExpires = 10 * time.Millisecond
	// minWaiting is the number of pull requests that a few workers have open at once.
	minWaiting = 16
	// minDeadAge is how long a dead letter has to be kept, so that somebody can see it.
	minDeadAge = 24 * time.Hour
	// minOutcomesAge is how long an outcome has to be kept: if a publish is repeated over a
	// restart of NATS, the workers know from the outcomes what they have sent.
	minOutcomesAge = time.Hour
)

// when is the action if the condition holds.
func when(differs bool, then action) action {
	if differs {
		return then
	}
	return fine
}

// always requires the wanted value on every stream.
func always[C any](then action, value func(*C) any) func(have, want *C) action {
	return func(have, want *C) action { return when(!reflect.DeepEqual(value(have), value(want)), then) }
}

// These name the streams that a rule is for.
func isQueue(c *jetstream.StreamConfig) bool    { return c.Name == wire.StreamName }
func isOutcomes(c *jetstream.StreamConfig) bool { return c.Name == wire.OutcomesName }
func isDead(c *jetstream.StreamConfig) bool     { return c.Name == wire.DeadName }
func isLedger(c *jetstream.StreamConfig) bool   { return c.Name == wire.LedgerStream }

type sc = jetstream.StreamConfig

// streamFields is every field of a stream that matters to codeferry. Those of
// jetstream.StreamConfig that are not here may be anything (streamFree).
var streamFields = []field[sc]{
	{
		name:  "subjects",
		value: func(c *sc) any { return slices.Sorted(slices.Values(c.Subjects)) },
		judge: always(repair, func(c *sc) any { return slices.Sorted(slices.Values(c.Subjects)) }),
		set:   func(have, want *sc) { have.Subjects = want.Subjects },
	},
	{
		name:  "retention",
		value: func(c *sc) any { return c.Retention },
		judge: always(refuse, func(c *sc) any { return c.Retention }),
	},
	{
		name:  "storage", // memory forgets at a restart
		value: func(c *sc) any { return c.Storage },
		judge: always(refuse, func(c *sc) any { return c.Storage }),
	},
	{
		// A waiting message is never dropped for a newer one, and a newer outcome or
		// dead letter is never refused because of old ones. A ledger without a limit
		// never discards.
		name:  "discard",
		value: func(c *sc) any { return c.Discard },
		judge: func(have, want *sc) action {
			return when(have.Discard != want.Discard && !(isLedger(want) && have.MaxBytes <= 0 && have.MaxMsgs <= 0), repair)
		},
		set: func(have, want *sc) { have.Discard = want.Discard },
	},
	{
		name:  "discard_new_per_subject", // a newer code would be refused instead of superseding the older one
		value: func(c *sc) any { return c.DiscardNewPerSubject },
		judge: always(repair, func(c *sc) any { return c.DiscardNewPerSubject }),
		set:   func(have, want *sc) { have.DiscardNewPerSubject = want.DiscardNewPerSubject },
	},
	{
		name:  "max_age",
		value: func(c *sc) any { return c.MaxAge },
		judge: func(have, want *sc) action {
			switch age := have.MaxAge; {
			case age == want.MaxAge, age == 0:
				return fine
			case isQueue(want), isLedger(want) && age < want.MaxAge, isDead(want) && age < minDeadAge, isOutcomes(want) && age < minOutcomesAge:
				return repair
			}
			return honour
		},
		set: func(have, want *sc) { have.MaxAge = want.MaxAge },
	},
	{
		name:  "max_msgs", // for the queue it limits what can wait, as max_bytes does
		value: func(c *sc) any { return c.MaxMsgs },
		judge: func(have, want *sc) action {
			switch {
			case have.MaxMsgs <= 0:
				return fine
			case isDead(want), isLedger(want):
				return repair
			}
			return honour
		},
		set: func(have, _ *sc) { have.MaxMsgs = -1 },
	},
	{
		name:  "max_msgs_per_subject",
		value: func(c *sc) any { return c.MaxMsgsPerSubject },
		judge: func(have, want *sc) action {
			if want.MaxMsgsPerSubject == 0 {
				return when(have.MaxMsgsPerSubject > 0, repair)
			}
			return when(have.MaxMsgsPerSubject != want.MaxMsgsPerSubject, repair)
		},
		set: func(have, want *sc) { have.MaxMsgsPerSubject = want.MaxMsgsPerSubject },
	},
	{
		name:  "max_msg_size", // every message that the wire allows has to fit
		value: func(c *sc) any { return c.MaxMsgSize },
		judge: func(have, want *sc) action {
			return when(have.MaxMsgSize > 0 && (want.MaxMsgSize <= 0 || have.MaxMsgSize < want.MaxMsgSize), repair)
		},
		set: func(have, want *sc) { have.MaxMsgSize = want.MaxMsgSize },
	},
	{
		name:  "max_consumers",
		value: func(c *sc) any { return c.MaxConsumers },
		judge: func(have, want *sc) action {
			return when(isQueue(want) && have.MaxConsumers > 0 && have.MaxConsumers < len(messages.Channels()), refuse)
		},
	},
	{
		name:  "no_ack", // publishers would not know what is stored
		value: func(c *sc) any { return c.NoAck },
		judge: always(repair, func(c *sc) any { return c.NoAck }),
		set:   func(have, want *sc) { have.NoAck = want.NoAck },
	},
	{
		name:  "duplicate_window",
		value: func(c *sc) any { return c.Duplicates },
		judge: func(have, want *sc) action {
			return when((isQueue(want) || isDead(want)) && have.Duplicates < want.Duplicates, repair)
		},
		set: func(have, want *sc) { have.Duplicates = want.Duplicates },
	},
	{
		name:  "mirror",
		value: func(c *sc) any { return c.Mirror != nil },
		judge: always(refuse, func(c *sc) any { return c.Mirror != nil }),
	},
	{
		name:  "sources", // they bring in messages that no publisher sent; to remove them may lose these
		value: func(c *sc) any { return len(c.Sources) },
		judge: func(have, want *sc) action {
			return when(len(have.Sources) > 0 && (isQueue(want) || isLedger(want)), refuse)
		},
	},
	{
		name:  "sealed",
		value: func(c *sc) any { return c.Sealed },
		judge: always(refuse, func(c *sc) any { return c.Sealed }),
	},
	{
		name:  "deny_delete", // the reaper deletes orphaned messages
		value: func(c *sc) any { return c.DenyDelete },
		judge: func(have, want *sc) action { return when(have.DenyDelete && isQueue(want), refuse) },
	},
	{
		name:  "deny_purge", // with it, entries stay until max_age or max_bytes removes them
		value: func(c *sc) any { return c.DenyPurge },
		judge: func(have, want *sc) action { return when(have.DenyPurge && isLedger(want), honour) },
	},
	{
		name:  "allow_rollup_hdrs", // one publish could remove other waiting messages
		value: func(c *sc) any { return c.AllowRollup },
		judge: func(have, want *sc) action { return when(have.AllowRollup && isQueue(want), repair) },
		set:   func(have, want *sc) { have.AllowRollup = want.AllowRollup },
	},
	{
		name:  "allow_direct", // it decides which subject the worker asks on, and the permissions that it needs
		value: func(c *sc) any { return c.AllowDirect },
		judge: func(have, want *sc) action {
			return when(have.AllowDirect != want.AllowDirect && !isOutcomes(want), repair)
		},
		set: func(have, want *sc) { have.AllowDirect = want.AllowDirect },
	},
	{
		name:  "republish", // codes would go where nobody expects them
		value: func(c *sc) any { return c.RePublish != nil },
		judge: func(have, want *sc) action { return when(have.RePublish != nil && isQueue(want), repair) },
		set:   func(have, _ *sc) { have.RePublish = nil },
	},
	{
		name:  "subject_transform", // a message's subject says which app it is for
		value: func(c *sc) any { return c.SubjectTransform != nil },
		judge: func(have, _ *sc) action { return when(have.SubjectTransform != nil, repair) },
		set:   func(have, _ *sc) { have.SubjectTransform = nil },
	},
	{
		name:  "consumer_limits", // they limit the consumers' settings
		value: func(c *sc) any { return c.ConsumerLimits },
		judge: func(have, want *sc) action {
			return when(isQueue(want) && have.ConsumerLimits != (jetstream.StreamConsumerLimits{}), repair)
		},
		set: func(have, _ *sc) { have.ConsumerLimits = jetstream.StreamConsumerLimits{} },
	},
	{
		name:  "subject_delete_marker_ttl", // a marker would look like a message
		value: func(c *sc) any { return c.SubjectDeleteMarkerTTL },
		judge: func(have, want *sc) action { return when(have.SubjectDeleteMarkerTTL > 0 && isQueue(want), repair) },
		set:   func(have, _ *sc) { have.SubjectDeleteMarkerTTL = 0 },
	},
	{
		name:  "allow_msg_counter",
		value: func(c *sc) any { return c.AllowMsgCounter },
		judge: always(refuse, func(c *sc) any { return c.AllowMsgCounter }),
	},
	{
		name:  "persist_mode", // async acknowledges before it stores
		value: func(c *sc) any { return c.PersistMode },
		judge: func(have, want *sc) action {
			return when(have.PersistMode != want.PersistMode && !isOutcomes(want), refuse)
		},
	},
}

// streamFree are the fields of a stream that may have any value, or are checked elsewhere:
// sizes by sizeGiven, replicas by provision.
var streamFree = []string{
	"name", "description", "max_bytes", "num_replicas", "placement", "compression", "first_seq", "mirror_direct", "metadata",
	"template_owner", "allow_msg_ttl", "allow_atomic", "allow_msg_schedules", "allow_batched",
}

type cc = jetstream.ConsumerConfig

// consumerFields is every field of a consumer that matters to codeferry. Those of
// jetstream.ConsumerConfig that are not here may be anything (consumerFree).
var consumerFields = []field[cc]{
	{
		name:  "deliver_policy", // every message has to be handed out
		value: func(c *cc) any { return c.DeliverPolicy },
		judge: always(refuse, func(c *cc) any { return c.DeliverPolicy }),
	},
	{
		name:  "deliver_subject", // the workers pull
		value: func(c *cc) any { return c.DeliverSubject },
		judge: always(refuse, func(c *cc) any { return c.DeliverSubject }),
	},
	{
		name:  "ack_policy",
		value: func(c *cc) any { return c.AckPolicy },
		judge: always(refuse, func(c *cc) any { return c.AckPolicy }),
	},
	{
		name:  "ack_wait",
		value: func(c *cc) any { return c.AckWait },
		judge: func(have, want *cc) action {
			switch wait := have.AckWait; {
			case wait == want.AckWait:
				return fine
			case wait < minAckWait, wait > maxAckWait:
				return repair
			}
			return honour
		},
		set: func(have, want *cc) { have.AckWait = want.AckWait },
	},
	{
		name:  "max_deliver", // a message would end without an outcome
		value: func(c *cc) any { return c.MaxDeliver },
		judge: func(have, _ *cc) action { return when(have.MaxDeliver > 0, repair) },
		set:   func(have, want *cc) { have.MaxDeliver = want.MaxDeliver },
	},
	{
		name:  "backoff", // it takes the place of ack_wait, and adds to the delay of a nak
		value: func(c *cc) any { return c.BackOff },
		judge: func(have, _ *cc) action { return when(len(have.BackOff) > 0, repair) },
		set:   func(have, want *cc) { have.BackOff = want.BackOff; have.AckWait = want.AckWait },
	},
	{
		name:  "filter_subjects",
		value: func(c *cc) any { return filters(c) },
		judge: always(repair, func(c *cc) any { return filters(c) }),
		set: func(have, want *cc) {
			have.FilterSubject, have.FilterSubjects = want.FilterSubject, want.FilterSubjects
		},
	},
	{
		name:  "replay_policy", // original repeats the gaps between the publishes
		value: func(c *cc) any { return c.ReplayPolicy },
		judge: always(refuse, func(c *cc) any { return c.ReplayPolicy }),
	},
	{
		name:  "max_waiting",
		value: func(c *cc) any { return c.MaxWaiting },
		judge: func(have, _ *cc) action { return when(have.MaxWaiting > 0 && have.MaxWaiting < minWaiting, honour) },
	},
	{
		name:  "max_ack_pending",
		value: func(c *cc) any { return c.MaxAckPending },
		judge: func(have, want *cc) action {
			switch n := have.MaxAckPending; {
			case n <= 0, n == want.MaxAckPending:
				return fine
			case n < minAckPending:
				return repair
			}
			return honour
		},
		set: func(have, want *cc) { have.MaxAckPending = want.MaxAckPending },
	},
	{
		name:  "headers_only",
		value: func(c *cc) any { return c.HeadersOnly },
		judge: always(repair, func(c *cc) any { return c.HeadersOnly }),
		set:   func(have, want *cc) { have.HeadersOnly = want.HeadersOnly },
	},
	{
		name:  "max_batch",
		value: func(c *cc) any { return c.MaxRequestBatch },
		judge: func(have, _ *cc) action { return when(have.MaxRequestBatch > 0, honour) },
		set:   func(have, want *cc) { have.MaxRequestBatch = want.MaxRequestBatch },
	},
	{
		name:  "max_expires",
		value: func(c *cc) any { return c.MaxRequestExpires },
		judge: func(have, _ *cc) action {
			switch d := have.MaxRequestExpires; {
			case d <= 0:
				return fine
			case d < minRequestExpires:
				return repair
			}
			return honour
		},
		set: func(have, want *cc) { have.MaxRequestExpires = want.MaxRequestExpires },
	},
	{
		name:  "max_bytes", // it limits the bytes of a request, and the workers' requests give none
		value: func(c *cc) any { return c.MaxRequestMaxBytes },
		judge: func(have, _ *cc) action { return when(have.MaxRequestMaxBytes > 0, honour) },
	},
	{
		name:  "inactive_threshold", // the server would delete the consumer, and its delivery counts
		value: func(c *cc) any { return c.InactiveThreshold },
		judge: always(repair, func(c *cc) any { return c.InactiveThreshold }),
		set:   func(have, want *cc) { have.InactiveThreshold = want.InactiveThreshold },
	},
	{
		name:  "num_replicas", // with fewer than the stream's, the delivery counts are lost with one server
		value: func(c *cc) any { return c.Replicas },
		judge: func(have, want *cc) action { return when(have.Replicas > 0 && have.Replicas < want.Replicas, repair) },
		set:   func(have, _ *cc) { have.Replicas = 0 }, // the stream's
	},
	{
		name:  "mem_storage",
		value: func(c *cc) any { return c.MemoryStorage },
		judge: always(refuse, func(c *cc) any { return c.MemoryStorage }),
	},
	{
		name:  "priority_groups", // the server would hand out only to requests with a group, and the workers give none
		value: func(c *cc) any { return c.PriorityGroups },
		judge: func(have, _ *cc) action {
			return when(have.PriorityPolicy != jetstream.PriorityPolicyNone || len(have.PriorityGroups) > 0, repair)
		},
		set: func(have, _ *cc) {
			have.PriorityPolicy, have.PriorityGroups, have.PinnedTTL = jetstream.PriorityPolicyNone, nil, 0
		},
	},
}

// consumerFree are the fields of a consumer that may have any value, that depend on another
// field, or that are checked elsewhere (pause_until by paused).
var consumerFree = []string{
	"name", "durable_name", "description", "metadata", "sample_freq", "rate_limit_bps", "pause_until",
	"opt_start_seq", "opt_start_time", // with deliver_policy
	"deliver_group", "flow_control", "idle_heartbeat", // with deliver_subject
	"filter_subject",                      // with filter_subjects
	"priority_policy", "priority_timeout", // with priority_groups
}

func filters(c *cc) string {
	all := slices.Clone(c.FilterSubjects)
	if c.FilterSubject != "" {
		all = append(all, c.FilterSubject)
	}
	return strings.Join(slices.Sorted(slices.Values(all)), " ")
}

// difference is a field that is not as needed.
type difference struct {
	// of is the owner of the field: "stream CODEFERRY", "consumer sms".
	of, field  string
	have, want any
	action     action
}

func (d difference) String() string {
	if d.action == honour {
		return fmt.Sprintf("%s of %s is %v", d.field, d.of, d.have)
	}
	return fmt.Sprintf("%s of %s is %v, and has to be %v", d.field, d.of, d.have, d.want)
}

// compare compares a configuration with what is needed. fixed is have with the fields
// repaired that need it or, if whole is set, with all differing fields that can be changed.
func compare[C any](of string, fields []field[C], have, want C, whole bool) (all []difference, fixed C) {
	fixed = have
	for _, f := range fields {
		a := f.judge(&have, &want)
		if a == fine {
			continue
		}
		all = append(all, difference{of: of, field: f.name, have: f.value(&have), want: f.value(&want), action: a})
		if a == repair || whole && a == honour && f.set != nil {
			f.set(&fixed, &want)
		}
	}
	return all, fixed
}
