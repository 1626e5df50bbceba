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

// With the wrong key, or without one, nats-server still starts over an encrypted store, and
// hides the streams that it can't open; making these streams again deletes their files. With
// a key for a store that is not encrypted, it encrypts the store bit by bit. So the key is
// compared with the store before the server sees either.

// markFile is in the data directory of an encrypted store. With it a key can be compared with
// the key of the store.
const markFile = "encryption.check"

// mark is its content. Somebody who has it can try keys on it, as on the store itself, but a
// key is too long to be guessed.
type mark struct {
	Version int    `json:"version"`
	Cipher  string `json:"cipher"`
	Salt    []byte `json:"salt"`
	Check   []byte `json:"check"`
}

const (
	markVersion = 1
	markCipher  = "aes"
	// markText separates the check from the values that nats-server derives from the same key:
	// HMACs of the names of an account and a stream.
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

// readMark reads the mark of a data directory; there says whether it has one.
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
		return m, false, fmt.Errorf("%s is damaged, or of a newer codeferry; restore the right file. Without the file, the key is tried on the data itself", file)
	}
	return m, true, nil
}

// write writes the mark, completely or not at all.
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
	f, err := os.CreateTemp(dir, markFile+".") // only its owner can read it
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

// storedStream is a stream on the disk.
type storedStream struct {
	account, name string
	encrypted     bool
}

// stored is the content of a data directory.
type stored struct {
	streams []storedStream
	// deleted are the folders of streams that nats-server was deleting when it ended.
	// unfinished are the folders of streams that it was making and can't open, and that
	// hold data.
	deleted, unfinished []string
}

// storedStreams returns the streams in a data directory, and the remains of others after a
// crash. It leaves out a stream that was being made and holds no data: nats-server makes the
// stream over it.
func storedStreams(dir string) (out stored, err error) {
	store := filepath.Join(dir, server.JetStreamStoreDir)
	accounts, err := names(store)
	if err != nil {
		return stored{}, err
	}
	for _, account := range accounts {
		streams, err := names(filepath.Join(store, account, "streams"))
		if err != nil {
			return stored{}, err
		}
		for _, name := range streams {
			if strings.HasPrefix(name, deletedPrefix) {
				continue
			}
			folder := filepath.Join(store, account, "streams", name)
			files, err := names(filepath.Join(folder, "msgs"))
			if err != nil {
				return stored{}, err
			}
			holds := slices.ContainsFunc(files, func(file string) bool {
				return strings.HasSuffix(file, ".blk") && sizeOf(filepath.Join(folder, "msgs", file)) > firstSeqRecord
			})
			description := filepath.Join(folder, server.JetStreamMetaFile)
			summed := filled(filepath.Join(folder, server.JetStreamMetaFileSum))
			switch {
			case summed && filled(description):
				out.streams = append(out.streams, storedStream{account, name, filled(filepath.Join(folder, server.JetStreamMetaFileKey))})
			case summed && !exists(description):
				out.deleted = append(out.deleted, folder)
			case holds:
				out.unfinished = append(out.unfinished, folder)
			}
		}
	}
	return out, nil
}

// To make a stream, nats-server writes a description into its folder, then the checksum of
// the description, each completely or not at all, and then reports that it is made. To delete
// a stream, it removes the description, then renames the folder, then removes it
// (filestore.go, writeStreamMeta and Delete). So if a folder has only a checksum, the server
// was killed while it deleted the stream. If it has no checksum, the server was killed while
// it made the stream or removed the folder. When it starts again, it neither opens such a
// folder nor deletes it, and a stream that is made again gets its old messages back.

const (
	// deletedPrefix begins the name of a folder that nats-server deletes when it starts.
	deletedPrefix = "."
	// asideDir is the directory for folders that can't be opened.
	asideDir = "set-aside"
)

// finishDelete renames a folder so that nats-server deletes it.
func finishDelete(folder string) error {
	gone := filepath.Join(filepath.Dir(folder), deletedPrefix+filepath.Base(folder))
	err := os.RemoveAll(gone) // the remains of an earlier delete
	if err == nil {
		err = os.Rename(folder, gone)
	}
	if err != nil {
		return fmt.Errorf("finish the delete of a stream: %w", err)
	}
	return nil
}

// setAside moves a folder out of nats-server's way, and returns where it is.
func setAside(dir, folder string) (string, error) {
	aside := filepath.Join(dir, asideDir)
	err := os.MkdirAll(aside, 0o700)
	if err == nil {
		aside, err = os.MkdirTemp(aside, filepath.Base(folder)+"-")
	}
	if err == nil {
		aside = filepath.Join(aside, filepath.Base(folder))
		err = os.Rename(folder, aside)
	}
	if err != nil {
		return "", fmt.Errorf("set an unfinished stream aside: %w", err)
	}
	return aside, nil
}

// firstSeqRecord is the size in bytes of the record that nats-server writes into a stream's
// first block, before its description, if the sequences do not begin at 1: a record for the
// sequence before the first. Any message is larger.
const firstSeqRecord = 30

// names returns the names in a directory; none if it does not exist.
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

func filled(file string) bool { return sizeOf(file) > 0 }

func exists(file string) bool {
	_, err := os.Stat(file)
	return !errors.Is(err, fs.ErrNotExist)
}

// sizeOf is a file's size in bytes; 0 if it does not exist.
func sizeOf(file string) int64 {
	info, err := os.Stat(file)
	if err != nil {
		return 0
	}
	return info.Size()
}

// CheckStore reports whether the data in dir can be opened with a key, or without a key if it
// is empty. It changes nothing. A store that does not exist yet is fine, if its directory can
// be made.
func CheckStore(dir string, key sender.Secret) error {
	if err := checkWritable(dir); err != nil {
		return err
	}
	_, err := checkStore(dir, key)
	return err
}

// store is what checkStore has found in a data directory.
type store struct {
	marked bool
	stored
}

// checkStore also returns what the server has to find when it runs.
func checkStore(dir string, key sender.Secret) (store, error) {
	m, marked, err := readMark(dir)
	if err != nil {
		return store{}, fmt.Errorf("embedded NATS: %w", err)
	}
	on, err := storedStreams(dir)
	if err != nil {
		return store{}, fmt.Errorf("embedded NATS: %w", err)
	}
	encrypted := marked
	var plain []string
	for _, s := range on.streams {
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
		err = fmt.Errorf("the data in %s was written without encryption, and encryptionKey is given; remove the key, or choose another dataDir once no message waits in this one", dir)
	case !key.IsZero() && len(plain) > 0:
		err = fmt.Errorf("the data in %s is encrypted, except %s; move elsewhere what does not belong there, or restore its meta.key from a backup", dir, strings.Join(plain, ", "))
	case marked && !m.fits(key):
		err = wrongKey(dir)
	}
	if err != nil {
		return store{}, fmt.Errorf("embedded NATS: %w. Nothing was changed", err)
	}
	return store{marked, on}, nil
}

func wrongKey(dir string) error {
	return fmt.Errorf("the data in %s is encrypted with another key than encryptionKey; give the key that it was written with, or choose another dataDir", dir)
}

// checkRecovered refuses a server that could not open a stream on the disk, because a stream
// that is made again would destroy the old one.
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
