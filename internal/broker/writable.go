package broker

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
)

// checkWritable tells whether the data directory can be written to; if it is not there,
// whether it can be made. It makes a folder and removes it again.
func checkWritable(dir string) error {
	at, err := filepath.Abs(dir)
	if err != nil {
		return fmt.Errorf("dataDir: %w", err)
	}
	for {
		info, err := os.Stat(at)
		if err == nil && !info.IsDir() {
			return fmt.Errorf("dataDir: %s is not a folder; choose another one", at)
		}
		if err == nil {
			break
		}
		if !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, syscall.ENOTDIR) || at == filepath.Dir(at) {
			return fmt.Errorf("dataDir: %w; choose another one, or give codeferry the right to it", err)
		}
		at = filepath.Dir(at)
	}
	made, err := os.MkdirTemp(at, ".codeferry-check-")
	if err == nil {
		err = os.Remove(made)
	}
	if err != nil {
		return fmt.Errorf("dataDir: codeferry can't write to %s: %w; choose another one, or give codeferry the right to it", at, err)
	}
	return nil
}
