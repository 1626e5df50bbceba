package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"

	"github.com/codeferry/codeferry/config"
)

// configFlags say which configuration a command reads.
type configFlags struct {
	Config string `short:"c" env:"CODEFERRY_CONFIG" help:"The configuration. Default: codeferry.yaml in this folder." placeholder:"FILE"`
}

// readConfig reads the configuration, and returns its path too.
func (f configFlags) readConfig() (string, *config.Config, error) {
	file, err := f.file()
	if err != nil {
		return "", nil, err
	}
	cfg, err := config.Load(file, config.Env{})
	return file, cfg, err
}

// file returns the configuration's path. Without one it is codeferry.yaml, if that is there.
func (f configFlags) file() (string, error) {
	if f.Config != "" {
		return f.Config, nil
	}
	if _, err := os.Stat(initConfig); errors.Is(err, fs.ErrNotExist) {
		return "", &exitError{exitUsage, fmt.Errorf("there is no %s in this folder: name a configuration with -c or CODEFERRY_CONFIG, or write one with codeferry init", initConfig)}
	}
	return initConfig, nil
}
