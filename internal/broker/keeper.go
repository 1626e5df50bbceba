package broker

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/rs/zerolog"

	"github.com/codeferry/codeferry/messages"
	"github.com/codeferry/codeferry/messages/wire"
)

// Keeper maintains the streams and consumers that codeferry needs: it makes missing ones,
// repairs what would break a promise, and reports what it can't repair. Many goroutines can
// use it at once.
type Keeper struct {
	js  jetstream.JetStream
	o   wire.StreamOptions
	log zerolog.Logger
	now func() time.Time
	// denials end a request that the server refuses. nil if nobody hears of these.
	denials *Denials

	mu sync.Mutex
	// complete says that everything existed once: what is missing after that was deleted.
	complete bool
	// failed are the repairs that failed, by their text.
	failed map[string]failure
	// silence is the reason why this call of Ensure tries nothing more: a try got no answer.
	silence error
	// logged is what was logged about each honoured field.
	logged map[string]string
}

type failure struct {
	at  time.Time
	err error
	// wait is how long to wait before the next try.
	wait time.Duration
}

// How long after a failed try the next one comes, at first and at most. A try without an
// answer may have met a busy server. One that is not permitted costs the wait for an answer
// each time, and a line in the server's log.
const retryFirst, retryAfter = 2 * time.Second, time.Minute

// NewKeeper returns a Keeper. It logs what it makes, repairs and honours. d hears of the
// requests that the server denies; with nil the Keeper waits until such a request times out.
func NewKeeper(js jetstream.JetStream, o wire.StreamOptions, d *Denials, log zerolog.Logger) *Keeper {
	return &Keeper{js: js, denials: d, o: o, log: log, now: time.Now, failed: make(map[string]failure), logged: make(map[string]string)}
}

// UnfitError lists what codeferry needs in JetStream and could not repair. It stays until a
// person fixes it, or the server permits the repair.
type UnfitError struct {
	problems []problem
}

type problem struct {
	text   string
	blocks bool
	// err says why it can't be repaired. nil if text says all.
	err error
}

// Error names each thing, and each reason once.
func (u *UnfitError) Error() string {
	var b strings.Builder
	for i, p := range u.problems {
		if i > 0 {
			b.WriteString("; ")
		}
		b.WriteString(p.text)
		if p.err != nil && (i+1 == len(u.problems) || !sameReason(p.err, u.problems[i+1].err)) {
			b.WriteString(", and can't be repaired: " + p.err.Error())
		}
	}
	return b.String()
}

// sameReason reports whether two repairs failed for one reason: the server permits neither, or
// both errors have the same text.
func sameReason(a, b error) bool {
	_, aRefused := errors.AsType[*notPermittedError](a)
	_, bRefused := errors.AsType[*notPermittedError](b)
	return aRefused && bRefused || b != nil && a.Error() == b.Error()
}

// Unwrap returns the known causes.
func (u *UnfitError) Unwrap() (causes []error) {
	for _, p := range u.problems {
		if p.err != nil {
			causes = append(causes, p.err)
		}
	}
	return causes
}

// Blocks reports whether messages must not be pulled meanwhile, because one could be lost or
// sent twice.
func (u *UnfitError) Blocks() bool {
	for _, p := range u.problems {
		if p.blocks {
			return true
		}
	}
	return false
}

// found is what exists. What is missing is nil.
type found struct {
	streams   map[string]*jetstream.StreamInfo
	consumers map[messages.Channel]*jetstream.ConsumerInfo
}

// look reads everything. It fails if the server does not answer.
func look(ctx context.Context, js jetstream.JetStream, o wire.StreamOptions) (f found, err error) {
	f = found{make(map[string]*jetstream.StreamInfo), make(map[messages.Channel]*jetstream.ConsumerInfo)}
	for _, cfg := range wire.StreamConfigs(o) {
		s, err := js.Stream(ctx, cfg.Name)
		switch {
		case err == nil:
			f.streams[cfg.Name] = s.CachedInfo()
		case !errors.Is(err, jetstream.ErrStreamNotFound):
			return f, fmt.Errorf("look at stream %s: %w", cfg.Name, Explain(err))
		}
	}
	if f.streams[wire.StreamName] == nil {
		return f, nil
	}
	for _, c := range messages.Channels() {
		consumer, err := js.Consumer(ctx, wire.StreamName, string(c))
		switch {
		case err == nil:
			f.consumers[c] = consumer.CachedInfo()
		case !errors.Is(err, jetstream.ErrConsumerNotFound) && !errors.Is(err, jetstream.ErrStreamNotFound):
			return f, fmt.Errorf("look at consumer %s: %w", c, Explain(err))
		}
	}
	return f, nil
}

// used reports whether workers or publishers have used these streams before.
func (f found) used() bool {
	for _, s := range f.streams {
		if s.State.LastSeq > 0 {
			return true
		}
	}
	return false
}

// wantedConsumer is the configuration that a channel's consumer needs with the existing
// stream.
func wantedConsumer(c messages.Channel, o wire.StreamOptions, f found) jetstream.ConsumerConfig {
	cfg := wire.ConsumerConfig(c, o)
	if s := f.streams[wire.StreamName]; s != nil {
		cfg.Replicas = s.Config.Replicas
	}
	return cfg
}

// Ensure makes what is missing, and repairs what breaks a promise. An operator's choices stay,
// except that a stream gets the size that o gives, if no message is lost by that. It blocks
// until the server has done so. Its error is an *UnfitError if something is wrong and could
// not be repaired; a failed try is repeated after seconds, and later after a minute. Any other
// error says that the server does not answer, or does not permit the question.
func (k *Keeper) Ensure(ctx context.Context) error {
	if err := CheckServer(k.js.Conn()); err != nil {
		return err
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	k.silence = nil
	var f found
	err := k.permitted(ctx, func(ctx context.Context) (err error) {
		f, err = look(ctx, k.js, k.o)
		return err
	})
	if err != nil {
		return err
	}
	again := k.complete || f.used()
	var u UnfitError
	k.ensureStreams(ctx, &u, f, again)
	k.ensureConsumers(ctx, &u, f, again)
	if len(u.problems) > 0 {
		return &u
	}
	k.complete = true
	return nil
}

// ensureStreams makes the missing streams, keeps the others, and adds the new ones to f.
// again says that they existed before.
func (k *Keeper) ensureStreams(ctx context.Context, u *UnfitError, f found, again bool) {
	for _, cfg := range wire.StreamConfigs(k.o) {
		if again {
			cfg = wire.RecreatedConfig(cfg, k.now())
		}
		blocks := cfg.Name == wire.StreamName || cfg.Name == wire.LedgerStream
		if info := f.streams[cfg.Name]; info != nil {
			k.keepStream(ctx, u, blocks, info, cfg)
			continue
		}
		k.try(ctx, u, blocks, "stream "+cfg.Name+" is missing", func(ctx context.Context) error {
			s, made, err := makeStream(ctx, k.js, cfg)
			if err == nil {
				f.streams[cfg.Name] = s.CachedInfo()
				k.logMade(made, again, "made the stream", "the stream is there", k.log.Info().Str("stream", cfg.Name).Str("size", size(s.CachedInfo().Config.MaxBytes)))
			}
			return err
		})
	}
}

// ensureConsumers does the same for the channels' consumers.
func (k *Keeper) ensureConsumers(ctx context.Context, u *UnfitError, f found, again bool) {
	for _, c := range messages.Channels() {
		cfg := wantedConsumer(c, k.o, f)
		if info := f.consumers[c]; info != nil {
			k.keepConsumer(ctx, u, info, cfg)
			continue
		}
		if f.streams[wire.StreamName] == nil {
			continue // the missing stream is reported already
		}
		k.try(ctx, u, true, "consumer "+string(c)+" is missing", func(ctx context.Context) error {
			made, err := makeConsumer(ctx, k.js, cfg)
			if err == nil {
				k.logMade(made, again, "made the consumer", "the consumer is there", k.log.Info().Str("consumer", string(c)))
			}
			return err
		})
	}
}

// logMade logs that something missing exists now, with one of two texts: this Keeper made it,
// or somebody else did. again says that it existed before.
func (k *Keeper) logMade(made, again bool, mine, others string, line *zerolog.Event) {
	switch {
	case !made:
		line.Msg(others)
	case again:
		line.Bool("recreated", true).Msg(mine)
	default:
		line.Msg(mine)
	}
}

// keepStream repairs an existing stream.
func (k *Keeper) keepStream(ctx context.Context, u *UnfitError, blocks bool, info *jetstream.StreamInfo, want jetstream.StreamConfig) {
	of := "stream " + want.Name
	all, fixed := compare(of, streamFields, info.Config, want, false)
	if !k.sort(u, blocks, all) {
		return
	}
	k.repair(ctx, u, blocks, all, func(ctx context.Context) error { _, err := k.js.UpdateStream(ctx, fixed); return sized(fixed, err) })
	bytes := newSize(k.o, info)
	if bytes == 0 {
		return
	}
	fixed.MaxBytes = bytes
	// The old size works, too.
	k.try(ctx, nil, false, fmt.Sprintf("max_bytes of %s is %d, and %s says %s", of, info.Config.MaxBytes, sizeSetting(want.Name), size(bytes)), func(ctx context.Context) error {
		_, err := k.js.UpdateStream(ctx, fixed)
		if err == nil {
			k.log.Info().Str("stream", want.Name).Str("size", size(bytes)).Msg("the stream has its new size")
		}
		return sized(fixed, err)
	})
}

// keepConsumer repairs an existing consumer.
func (k *Keeper) keepConsumer(ctx context.Context, u *UnfitError, info *jetstream.ConsumerInfo, want jetstream.ConsumerConfig) {
	all, fixed := compare("consumer "+want.Durable, consumerFields, info.Config, want, false)
	if text := paused(info, k.now()); text != "" {
		u.problems = append(u.problems, problem{text: text, blocks: true})
	}
	if k.sort(u, true, all) {
		k.repair(ctx, u, true, all, func(ctx context.Context) error {
			_, err := k.js.UpdateConsumer(ctx, wire.StreamName, fixed)
			return err
		})
	}
}

// paused describes a consumer that a person has paused. That person has to resume it.
func paused(info *jetstream.ConsumerInfo, now time.Time) string {
	if until := info.Config.PauseUntil; until != nil && until.After(now) {
		return fmt.Sprintf("pause_until of consumer %s is %s: it is paused until then, or until nats consumer resume", info.Name, until.UTC().Format(time.RFC3339))
	}
	return ""
}

// sort adds refused fields to the problems, and logs honoured ones. It returns false if a
// field is refused: then nothing is repaired.
func (k *Keeper) sort(u *UnfitError, blocks bool, all []difference) (ok bool) {
	ok = true
	for _, d := range all {
		switch d.action {
		case refuse:
			ok = false
			u.problems = append(u.problems, problem{text: d.String() + "; it can't be changed in place: " + remedy(d.of), blocks: blocks})
		case honour:
			if key := d.of + " " + d.field; k.logged[key] != d.String() {
				k.logged[key] = d.String()
				k.log.Info().Msg(d.String() + "; the worker keeps to it")
			}
		case fine, repair:
		}
	}
	return ok
}

func remedy(of string) string {
	if strings.HasPrefix(of, "consumer") {
		return "delete the consumer, and a worker or codeferry provision makes it again"
	}
	return "move the stream away (nats stream backup), and a worker or codeferry provision makes it again"
}

// repair repairs the fields that need it, if any.
func (k *Keeper) repair(ctx context.Context, u *UnfitError, blocks bool, all []difference, update func(context.Context) error) {
	var texts []string
	for _, d := range all {
		if d.action == repair {
			texts = append(texts, d.String())
		}
	}
	if len(texts) == 0 {
		return
	}
	text := strings.Join(texts, "; ")
	k.try(ctx, u, blocks, text, func(ctx context.Context) error {
		err := update(ctx)
		if err == nil {
			k.log.Warn().Str("what", text).Msg("repaired what would break a promise")
		}
		return err
	})
}

// try repairs something, unless a try failed shortly before. A failure is added to the
// problems, or logged if there is no list of problems. The context of f ends when the server
// denies a change.
func (k *Keeper) try(ctx context.Context, u *UnfitError, blocks bool, text string, f func(context.Context) error) {
	last, before := k.failed[text]
	switch {
	case before && k.now().Sub(last.at) < last.wait:
	case k.silence != nil:
		last = failure{err: k.silence} // waiting for each answer in turn would take too long
	default:
		err := k.permitted(ctx, f)
		if err == nil {
			delete(k.failed, text)
			return
		}
		last = failure{k.now(), Explain(err), min(retryAfter, max(retryFirst, 2*last.wait))}
		if silent(err) {
			k.silence = unanswered(err)
			last.err = k.silence
		}
		k.failed[text] = last
		if u == nil {
			k.log.Warn().Err(last.err).Msg(text)
		}
	}
	if u != nil {
		u.problems = append(u.problems, problem{text: text, blocks: blocks, err: last.err})
	}
}

// permitted calls f. Its error is a *notPermittedError if the server denies what f asks for.
func (k *Keeper) permitted(ctx context.Context, f func(context.Context) error) error {
	ctx, end := k.denials.until(ctx)
	defer end()
	err := f(ctx)
	if refused, ok := errors.AsType[*notPermittedError](context.Cause(ctx)); ok && err != nil {
		return refused
	}
	return err
}

// unanswered explains a request to make or change something that got no answer: a server does
// not answer a request that it does not permit.
func unanswered(err error) error {
	return fmt.Errorf("no answer; if this credential has no permission for it, run codeferry provision with one that has: %w", err)
}

func silent(err error) bool {
	return errors.Is(err, context.DeadlineExceeded) || errors.Is(err, nats.ErrTimeout)
}

// makeStream makes a stream. Another worker or the provisioner may be quicker: made is false
// then.
func makeStream(ctx context.Context, js jetstream.JetStream, cfg jetstream.StreamConfig) (s jetstream.Stream, made bool, err error) {
	s, err = js.CreateStream(ctx, cfg)
	if err == nil {
		return s, true, nil
	}
	if ctx.Err() == nil {
		if s, looked := js.Stream(ctx, cfg.Name); looked == nil {
			return s, false, nil
		}
	}
	return nil, false, sized(cfg, err)
}

// makeConsumer makes a consumer. Another worker or the provisioner may be quicker: made is
// false then.
func makeConsumer(ctx context.Context, js jetstream.JetStream, cfg jetstream.ConsumerConfig) (made bool, err error) {
	_, err = js.CreateConsumer(ctx, wire.StreamName, cfg)
	if err != nil && ctx.Err() == nil {
		if _, looked := js.Consumer(ctx, wire.StreamName, cfg.Durable); looked == nil {
			return false, nil
		}
	}
	return err == nil, err
}

// Ensure calls Keeper.Ensure once.
func Ensure(ctx context.Context, js jetstream.JetStream, o wire.StreamOptions) error {
	return NewKeeper(js, o, nil, zerolog.Nop()).Ensure(ctx)
}
