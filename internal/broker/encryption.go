package broker

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/nats-io/nats-server/v2/server"

	"github.com/codeferry/codeferry/sender"
)

// A nats-server that is given the wrong key, or none, for an encrypted store starts
// all the same, and hides the streams that it can't open; whoever makes them anew
// deletes their files. One that is given a key for a plain store encrypts it as it
// goes. So the key is compared with the store before the server sees either.

// markFile stands in the data directory of an encrypted store, and tells whether a
// key is the one that the store was made with.
const markFile = "encryption.check"

// mark is its content. Whoever has it can try keys against it, as against the store
// itself; a key is too long for that.
type mark struct {
	Version int    `json:"version"`
	Cipher  string `json:"cipher"`
	Salt    []byte `json:"salt"`
	Check   []byte `json:"check"`
}

const (
	markVersion = 1
	markCipher  = "aes"
	// markText keeps the check apart from what nats-server derives of the same key:
	// HMACs of an account's name and a stream's.
	markText = "codeferry store encryption v1\x00"
)

func newMark(key sender.Secret) mark {
	m := mark{Version: markVersion, Cipher: markCipher, Salt: make([]byte, sha256.Size)}
	_, _ = rand.Read(m.Salt) // never fails
	m.Check = m.sum(key)
	return m
}

func (m mark) sum(key sender.Secret) []byte {
	h := hmac.New(sha256.New, []byte(key.Reveal()))
	h.Write([]byte(markText))
	h.Write(m.Salt)
	return h.Sum(nil)
}

func (m mark) fits(key sender.Secret) bool { return hmac.Equal(m.Check, m.sum(key)) }

// readMark reads a data directory's mark; there is none where it says so.
func readMark(dir string) (m mark, there bool, err error) {
	file := filepath.Join(dir, markFile)
	text, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		return m, false, nil
	}
	if err != nil {
		return m, false, fmt.Errorf("read the mark of the encrypted data: %w", err)
	}
	if json.Unmarshal(text, &m) != nil || m.Version != markVersion || m.Cipher != markCipher || len(m.Salt) == 0 || len(m.Check) != sha256.Size {
		return m, false, fmt.Errorf("%s is damaged, or a newer codeferry's; put the right one back. Without the file, the key is tried on the data itself", file)
	}
	return m, true, nil
}

// write puts the mark where it is read, whole or not at all.
func (m mark) write(dir string) (err error) {
	defer func() {
		if err != nil {
			err = fmt.Errorf("write the mark of the encrypted data: %w", err)
		}
	}()
	text, err := json.Marshal(m)
	if err != nil {
		return err
	}
	f, err := os.CreateTemp(dir, markFile+".") // its owner alone can read it
	if err != nil {
		return err
	}
	_, err = f.Write(append(text, '\n'))
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err == nil {
		err = os.Rename(f.Name(), filepath.Join(dir, markFile))
	}
	if err != nil {
		return errors.Join(err, os.Remove(f.Name()))
	}
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// markStore marks a store, unless it is marked.
func markStore(dir string, key sender.Secret) error {
	if _, marked, err := readMark(dir); marked || err != nil {
		return err
	}
	return newMark(key).write(dir)
}

// storedStream is one that lies on the disk.
type storedStream struct {
	account, name string
	encrypted     bool
}

// storedStreams returns the streams that lie in a data directory. What a crash left
// of one that was just being made, and that holds nothing, is none.
func storedStreams(dir string) (out []storedStream, err error) {
	store := filepath.Join(dir, server.JetStreamStoreDir)
	accounts, err := names(store)
	if err != nil {
		return nil, err
	}
	for _, account := range accounts {
		streams, err := names(filepath.Join(store, account, "streams"))
		if err != nil {
			return nil, err
		}
		for _, name := range streams {
			if strings.HasPrefix(name, ".") { // deleted, and nearly gone
				continue
			}
			folder := filepath.Join(store, account, "streams", name)
			files, err := names(filepath.Join(folder, "msgs"))
			if err != nil {
				return nil, err
			}
			described := filled(filepath.Join(folder, server.JetStreamMetaFile)) && filled(filepath.Join(folder, server.JetStreamMetaFileSum))
			holds := slices.ContainsFunc(files, func(file string) bool {
				return strings.HasSuffix(file, ".blk") && filled(filepath.Join(folder, "msgs", file))
			})
			if described || holds {
				out = append(out, storedStream{account, name, filled(filepath.Join(folder, server.JetStreamMetaFileKey))})
			}
		}
	}
	return out, nil
}

// names returns what a directory holds; nothing where it is not there.
func names(dir string) ([]string, error) {
	entries, err := os.ReadDir(dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("look at the data: %w", err)
	}
	out := make([]string, len(entries))
	for i, e := range entries {
		out[i] = e.Name()
	}
	return out, nil
}

func filled(file string) bool {
	info, err := os.Stat(file)
	return err == nil && info.Size() > 0
}

// CheckStore tells whether the data in dir may be opened with a key, or without
// one where it is empty. It reads only. A store that does not exist yet may be.
func CheckStore(dir string, key sender.Secret) error {
	_, err := checkStore(dir, key)
	return err
}

// store is what lies in a data directory.
type store struct {
	marked  bool
	streams []storedStream
}

// checkStore also returns what has to be there once the server runs.
func checkStore(dir string, key sender.Secret) (store, error) {
	m, marked, err := readMark(dir)
	if err != nil {
		return store{}, fmt.Errorf("embedded NATS: %w", err)
	}
	streams, err := storedStreams(dir)
	if err != nil {
		return store{}, fmt.Errorf("embedded NATS: %w", err)
	}
	encrypted := marked
	var plain []string
	for _, s := range streams {
		if s.encrypted {
			encrypted = true
		} else {
			plain = append(plain, s.name)
		}
	}
	switch {
	case key.IsZero() && encrypted:
		err = fmt.Errorf("the data in %s is encrypted, and encryptionKey is not given; give the key that it was written with, or choose another dataDir", dir)
	case !key.IsZero() && !encrypted && len(plain) > 0:
		err = fmt.Errorf("the data in %s was written without encryption, and encryptionKey is given; take the key out, or choose another dataDir once nothing waits in this one", dir)
	case !key.IsZero() && len(plain) > 0:
		err = fmt.Errorf("the data in %s is encrypted, but for %s; move what does not belong there elsewhere, or put its meta.key back from a backup", dir, strings.Join(plain, ", "))
	case marked && !m.fits(key):
		err = wrongKey(dir)
	}
	if err != nil {
		return store{}, fmt.Errorf("embedded NATS: %w. Nothing was changed", err)
	}
	return store{marked, streams}, nil
}

func wrongKey(dir string) error {
	return fmt.Errorf("the data in %s is encrypted with another key than encryptionKey; give the key that it was written with, or choose another dataDir", dir)
}

// checkRecovered refuses a server that could not open what lies on the disk: what
// would next be made over it would destroy it.
func checkRecovered(s *server.Server, dir string, key sender.Secret, on store) error {
	if len(on.streams) == 0 {
		return nil
	}
	info, err := s.Jsz(&server.JSzOptions{Accounts: true, Streams: true})
	if err != nil {
		return fmt.Errorf("embedded NATS: ask for its streams: %w", err)
	}
	open := make(map[[2]string]bool)
	for _, account := range info.AccountDetails {
		for _, stream := range account.Streams {
			open[[2]string{account.Name, stream.Name}] = true
		}
	}
	var hidden []string
	for _, s := range on.streams {
		if !open[[2]string{s.account, s.name}] {
			hidden = append(hidden, s.name)
		}
	}
	switch {
	case len(hidden) == 0:
		return nil
	case !key.IsZero() && !on.marked && len(hidden) == len(on.streams):
		return fmt.Errorf("embedded NATS: %w. Nothing was changed", wrongKey(dir))
	}
	return fmt.Errorf("embedded NATS: the data in %s holds what can't be opened: %s; the log says why. Restore it from a backup; to give it up, move its folder out of %s",
		dir, strings.Join(hidden, ", "), filepath.Join(dir, server.JetStreamStoreDir))
}
