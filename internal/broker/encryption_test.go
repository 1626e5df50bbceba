package broker_test

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/rs/zerolog"

	"github.com/codeferry/codeferry/internal/broker"
	"github.com/codeferry/codeferry/messages/wire"
	"github.com/codeferry/codeferry/sender"
)

var (
	storeKey = sender.NewSecret("0123456789abcdef0123456789abcdef")
	otherKey = sender.NewSecret("fedcba9876543210fedcba9876543210")
)

const (
	// plainMark is a part of each subject, body, outcome and entry that fill stores.
	plainMark = "PLAINMARK"
	filling   = 20
)

func startWith(dir string, key sender.Secret) (*broker.Embedded, error) {
	return broker.Start(broker.Options{Dir: dir, Listen: "127.0.0.1:0", Key: key, Log: zerolog.Nop()})
}

// fill makes a store with messages in every stream, and one message in flight.
func fill(t *testing.T, dir string, key sender.Secret) {
	t.Helper()
	e, err := startWith(dir, key)
	if err != nil {
		t.Fatal(err)
	}
	defer e.Stop()
	nc, js := connect(t, e.URL())
	defer nc.Close()
	ctx := deadline(t)
	if err := broker.Ensure(ctx, js, wire.StreamOptions{}); err != nil {
		t.Fatal(err)
	}
	kv, err := js.KeyValue(ctx, wire.LedgerName)
	if err != nil {
		t.Fatal(err)
	}
	for i := range filling {
		for _, subject := range []string{"codeferry.send.default.sms.SignIn.%s-%d", "codeferry.outcome.%s.sms.sent-%d", "codeferry.dead.%s.sms.rejected-%d"} {
			if _, err := js.Publish(ctx, fmt.Sprintf(subject, plainMark, i), []byte(`{"to":"`+plainMark+`"}`)); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := kv.Put(ctx, fmt.Sprintf("%s-%d", plainMark, i), []byte(plainMark)); err != nil {
			t.Fatal(err)
		}
	}
	c, err := js.Consumer(ctx, wire.StreamName, "sms")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Next(); err != nil {
		t.Fatal(err)
	}
}

// wantFilling fails the test unless a store opens and holds what fill stored.
func wantFilling(t *testing.T, dir string, key sender.Secret) {
	t.Helper()
	e, err := startWith(dir, key)
	if err != nil {
		t.Fatal(err)
	}
	defer e.Stop()
	nc, js := connect(t, e.URL())
	defer nc.Close()
	if err := broker.Ensure(deadline(t), js, wire.StreamOptions{}); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{wire.StreamName, wire.OutcomesName, wire.DeadName, "KV_" + wire.LedgerName} {
		s, err := js.Stream(deadline(t), name)
		if err != nil {
			t.Fatal(err)
		}
		if n := s.CachedInfo().State.Msgs; n != filling {
			t.Errorf("%s holds %d messages, not %d", name, n, filling)
		}
		first, err := s.GetMsg(deadline(t), 1)
		if err != nil || !bytes.Contains(first.Data, []byte(plainMark)) {
			t.Errorf("%s: %v %+v", name, err, first)
		}
	}
	c, err := js.Consumer(deadline(t), wire.StreamName, "sms")
	if err != nil {
		t.Fatal(err)
	}
	if info := c.CachedInfo(); info.Delivered.Stream != 1 || info.NumAckPending != 1 {
		t.Errorf("the consumer has forgotten: %+v", info)
	}
}

// files returns the checksum of each file below a folder, by its path.
func files(t *testing.T, dir string) map[string][sha256.Size]byte {
	t.Helper()
	all := make(map[string][sha256.Size]byte)
	err := filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		text, err := os.ReadFile(path)
		all[path] = sha256.Sum256(text)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// holders returns the files below a folder that hold a text.
func holders(t *testing.T, dir, text string) (out []string) {
	t.Helper()
	for path := range files(t, dir) {
		b, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if bytes.Contains(b, []byte(text)) || strings.Contains(path, text) {
			out = append(out, path)
		}
	}
	return out
}

const markFile = "encryption.check"

func remove(t *testing.T, path ...string) {
	t.Helper()
	if err := os.RemoveAll(filepath.Join(path...)); err != nil {
		t.Fatal(err)
	}
}

// contents are the files in a folder, by their names there.
func contents(t *testing.T, dir string) map[string][sha256.Size]byte {
	t.Helper()
	all := make(map[string][sha256.Size]byte)
	for path, sum := range files(t, dir) {
		name, err := filepath.Rel(dir, path)
		if err != nil {
			t.Fatal(err)
		}
		all[name] = sum
	}
	return all
}

func overwrite(t *testing.T, text string, path ...string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(path...), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// A key that is not the store's is refused, and the data on the disk stays unchanged: once
// the cause is fixed, everything is there.
func TestAKeyThatIsNotTheStores(t *testing.T) {
	t.Parallel()
	streams := filepath.Join("jetstream", "$G", "streams")
	for _, tt := range []struct {
		name     string
		with     sender.Secret
		damage   func(t *testing.T, dir string)
		key      sender.Secret
		want     string
		opens    sender.Secret
		repaired func(t *testing.T, dir string)
	}{
		{name: "another key", with: storeKey, key: otherKey, want: "encrypted with another key", opens: storeKey},
		{name: "no key", with: storeKey, key: sender.NewSecret(""), want: "is encrypted, and encryptionKey is not given", opens: storeKey},
		{name: "a key for a plain store", with: sender.NewSecret(""), key: storeKey, want: "was written without encryption", opens: sender.NewSecret("")},
		{
			name: "another key, and the mark is lost", with: storeKey, key: otherKey, want: "encrypted with another key", opens: storeKey,
			damage: func(t *testing.T, dir string) { remove(t, dir, markFile) },
		},
		{
			name: "no key, and the mark is lost", with: storeKey, key: sender.NewSecret(""), want: "is encrypted, and encryptionKey is not given", opens: storeKey,
			damage: func(t *testing.T, dir string) { remove(t, dir, markFile) },
		},
		{
			name: "a damaged mark", with: storeKey, key: storeKey, want: markFile + " is damaged", opens: storeKey,
			damage:   func(t *testing.T, dir string) { overwrite(t, `{"version":1}`, dir, markFile) },
			repaired: func(t *testing.T, dir string) { remove(t, dir, markFile) },
		},
		{
			name: "a stream whose key is gone", with: storeKey, key: storeKey, want: "is encrypted, except CODEFERRY_DEAD", opens: storeKey,
			damage: func(t *testing.T, dir string) {
				if err := os.Rename(filepath.Join(dir, streams, "CODEFERRY_DEAD", "meta.key"), filepath.Join(dir, "kept")); err != nil {
					t.Fatal(err)
				}
			},
			repaired: func(t *testing.T, dir string) {
				if err := os.Rename(filepath.Join(dir, "kept"), filepath.Join(dir, streams, "CODEFERRY_DEAD", "meta.key")); err != nil {
					t.Fatal(err)
				}
			},
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			fill(t, dir, tt.with)
			if tt.damage != nil {
				tt.damage(t, dir)
			}
			before := files(t, dir)
			for range 2 {
				e, err := startWith(dir, tt.key)
				if err == nil {
					e.Stop()
					t.Fatal("it has started")
				}
				if text := err.Error(); !strings.Contains(text, tt.want) || !strings.Contains(text, dir) || strings.Contains(text, "\n") ||
					strings.Contains(text, storeKey.Reveal()) || strings.Contains(text, otherKey.Reveal()) {
					t.Errorf("the error is %s", text)
				}
			}
			if after := files(t, dir); !maps.Equal(before, after) {
				t.Errorf("the refused starts have changed the files:\n%v\n%v", slices.Sorted(maps.Keys(before)), slices.Sorted(maps.Keys(after)))
			}
			if tt.repaired != nil {
				tt.repaired(t, dir)
			}
			wantFilling(t, dir, tt.opens)
			if _, err := os.Stat(filepath.Join(dir, markFile)); errors.Is(err, fs.ErrNotExist) == (!tt.opens.IsZero()) {
				t.Errorf("the mark: %v", err)
			}
		})
	}
}

// A key becomes the store's key only when a server has run with it: a key with a typing
// error, in a start that failed, leaves no mark.
func TestAStartThatFailsMarksNothing(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	busy := start(t, t.TempDir())
	_, err := broker.Start(broker.Options{Dir: dir, Listen: strings.TrimPrefix(busy.URL(), "nats://"), Key: otherKey, Log: zerolog.Nop()})
	if !errors.Is(err, broker.ErrInUse) {
		t.Fatal(err)
	}
	fill(t, dir, storeKey)
	wantFilling(t, dir, storeKey)
}

func TestCheckStore(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for _, key := range []sender.Secret{sender.NewSecret(""), storeKey} {
		if err := broker.CheckStore(filepath.Join(dir, "none"), key); err != nil {
			t.Errorf("a store that is not there yet: %v", err)
		}
	}
	if left := files(t, dir); len(left) > 0 {
		t.Errorf("it has written %v", left)
	}
	fill(t, dir, storeKey)
	for key, want := range map[sender.Secret]bool{sender.NewSecret(""): false, otherKey: false, storeKey: true} {
		if err := broker.CheckStore(dir, key); (err == nil) != want {
			t.Errorf("%q: %v", key.Reveal(), err)
		}
	}
}

func TestNothingIsPlainInAnEncryptedStore(t *testing.T) {
	t.Parallel()
	plain, encrypted := t.TempDir(), t.TempDir()
	fill(t, plain, sender.NewSecret(""))
	if len(holders(t, plain, plainMark)) == 0 {
		t.Fatal("the mark is not found in a plain store: this test can't fail")
	}
	fill(t, encrypted, storeKey)
	for _, text := range []string{plainMark, storeKey.Reveal(), `"to":`} {
		if found := holders(t, encrypted, text); len(found) > 0 {
			t.Errorf("%s is in %v", text, found)
		}
	}
}

// A stream that the server can't open is never made again over its remains.
func TestADamagedStream(t *testing.T) {
	t.Parallel()
	for _, key := range []sender.Secret{sender.NewSecret(""), storeKey} {
		dir := t.TempDir()
		fill(t, dir, key)
		sum := filepath.Join(dir, "jetstream", "$G", "streams", wire.DeadName, "meta.sum")
		good, err := os.ReadFile(sum)
		if err != nil {
			t.Fatal(err)
		}
		overwrite(t, "0", sum)
		before := files(t, filepath.Dir(sum))
		if _, err := startWith(dir, key); err == nil || !strings.Contains(err.Error(), "can't be opened: "+wire.DeadName+";") {
			t.Fatalf("got %v", err)
		}
		if !maps.Equal(before, files(t, filepath.Dir(sum))) {
			t.Error("the refused start has changed the damaged stream's files")
		}
		overwrite(t, string(good), sum)
		wantFilling(t, dir, key)
	}
}

// The remains of a stream that was being made during a crash hold no data, and do not prevent
// a start.
func TestAStreamThatWasBeingMade(t *testing.T) {
	t.Parallel()
	for _, key := range []sender.Secret{sender.NewSecret(""), storeKey} {
		dir := t.TempDir()
		fill(t, dir, key)
		streams := filepath.Join(dir, "jetstream", "$G", "streams")
		for _, folder := range []string{filepath.Join(streams, "HALF", "msgs"), filepath.Join(streams, ".gone", "msgs")} {
			if err := os.MkdirAll(folder, 0o700); err != nil {
				t.Fatal(err)
			}
		}
		overwrite(t, "", streams, "HALF", "meta.inf")
		wantFilling(t, dir, key)
		e, err := startWith(dir, key)
		if err != nil {
			t.Fatal(err)
		}
		_, js := connect(t, e.URL())
		if _, err := js.CreateStream(deadline(t), jetstream.StreamConfig{Name: "HALF", Subjects: []string{"half"}}); err != nil {
			t.Error(err)
		}
		e.Stop()
	}
}

// TestAStreamThatWasBeingMadeAgain: CODEFERRY's sequences continue where those of the old
// stream ended, and nats-server writes that down before the stream's description. A crash in
// between does not prevent a start. If there is a message, the folder is set aside unchanged.
func TestAStreamThatWasBeingMadeAgain(t *testing.T) {
	t.Parallel()
	for _, key := range []sender.Secret{sender.NewSecret(""), storeKey} {
		for name, tt := range map[string]struct {
			missing  []string
			messages int
			aside    bool
		}{
			"not described":                          {missing: []string{"meta.inf", "meta.sum", "meta.key"}},
			"half described":                         {missing: []string{"meta.sum"}},
			"not described, and it holds a message":  {missing: []string{"meta.inf", "meta.sum"}, messages: 1, aside: true},
			"half described, and it holds a message": {missing: []string{"meta.sum"}, messages: 1, aside: true},
		} {
			dir := t.TempDir()
			e, err := startWith(dir, key)
			if err != nil {
				t.Fatal(err)
			}
			_, js := connect(t, e.URL())
			cfg := wire.RecreatedConfig(wire.StreamConfigs(wire.StreamOptions{})[0], time.Now())
			if _, err := js.CreateStream(deadline(t), cfg); err != nil {
				t.Fatal(err)
			}
			for range tt.messages {
				if _, err := js.Publish(deadline(t), "codeferry.send.default.sms.SignIn.u", nil); err != nil {
					t.Fatal(err)
				}
			}
			js.Conn().Close()
			e.Stop()
			folder := filepath.Join(dir, "jetstream", "$G", "streams", wire.StreamName)
			for _, file := range append(tt.missing, filepath.Join("msgs", "index.db")) {
				if err := os.Remove(filepath.Join(folder, file)); err != nil && !errors.Is(err, fs.ErrNotExist) {
					t.Fatal(err)
				}
			}
			left := contents(t, folder)
			e, err = startWith(dir, key)
			if err != nil {
				t.Errorf("%s: %v", name, err)
				continue
			}
			aside, err := filepath.Glob(filepath.Join(dir, "set-aside", wire.StreamName+"-*", wire.StreamName))
			switch {
			case err != nil || len(aside) != map[bool]int{true: 1}[tt.aside]:
				t.Errorf("%s: set aside is %v (%v)", name, aside, err)
			case tt.aside && !maps.Equal(contents(t, aside[0]), left):
				t.Errorf("%s: what is set aside has changed", name)
			}
			_, js = connect(t, e.URL())
			again, err := js.CreateStream(deadline(t), wire.RecreatedConfig(cfg, time.Now()))
			if err != nil {
				t.Fatalf("%s: make the stream again: %v", name, err)
			}
			if n := again.CachedInfo().State.Msgs; n != 0 {
				t.Errorf("%s: the stream that was made again holds %d messages", name, n)
			}
			if _, err := js.Publish(deadline(t), "codeferry.send.default.sms.SignIn.u", nil); err != nil {
				t.Errorf("%s: %v", name, err)
			}
			js.Conn().Close()
			e.Stop()
		}
	}
}

// TestAStreamThatWasBeingDeleted: nats-server removes a stream's description before it
// renames its folder. A crash in between does not prevent a start, and no message comes back.
func TestAStreamThatWasBeingDeleted(t *testing.T) {
	t.Parallel()
	for _, key := range []sender.Secret{sender.NewSecret(""), storeKey} {
		for name, before := range map[string]bool{"the first time": false, "what was deleted before is still there": true} {
			t.Run(fmt.Sprintf("encrypted %v, %s", !key.IsZero(), name), func(t *testing.T) {
				t.Parallel()
				dir := t.TempDir()
				fill(t, dir, key)
				folder := filepath.Join(dir, "jetstream", "$G", "streams", wire.DeadName)
				if err := os.Remove(filepath.Join(folder, "meta.inf")); err != nil {
					t.Fatal(err)
				}
				if before {
					old := filepath.Join(filepath.Dir(folder), "."+wire.DeadName, "msgs")
					if err := os.MkdirAll(old, 0o700); err != nil {
						t.Fatal(err)
					}
					overwrite(t, "old", old, "1.blk")
				}
				all := files(t, dir)
				if err := broker.CheckStore(dir, key); err != nil {
					t.Errorf("CheckStore: %v", err)
				}
				if !maps.Equal(all, files(t, dir)) {
					t.Error("CheckStore has changed the data")
				}
				e, err := startWith(dir, key)
				if err != nil {
					t.Fatal(err)
				}
				defer e.Stop()
				_, js := connect(t, e.URL())
				defer js.Conn().Close()
				if _, err := js.Stream(deadline(t), wire.StreamName); err != nil {
					t.Errorf("another stream: %v", err)
				}
				if _, err := js.Stream(deadline(t), wire.DeadName); !errors.Is(err, jetstream.ErrStreamNotFound) {
					t.Errorf("the stream that was being deleted: %v, want %v", err, jetstream.ErrStreamNotFound)
				}
				again, err := js.CreateStream(deadline(t), jetstream.StreamConfig{Name: wire.DeadName, Subjects: []string{"codeferry.dead.>"}})
				if err != nil {
					t.Fatalf("make it again: %v", err)
				}
				if n := again.CachedInfo().State.Msgs; n != 0 {
					t.Errorf("the stream that was made again holds %d of the deleted one's messages", n)
				}
			})
		}
	}
}
