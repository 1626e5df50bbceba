package main

import (
	"errors"
	"fmt"
	"reflect"
	"time"

	"github.com/alecthomas/kong"

	"github.com/codeferry/codeferry/config"
)

// durations has kong read durations as the configuration does: with days.
func durations() kong.Option {
	return kong.TypeMapper(reflect.TypeFor[time.Duration](), kong.MapperFunc(func(ctx *kong.DecodeContext, target reflect.Value) error {
		var text string
		if err := ctx.Scan.PopValueInto("duration", &text); err != nil {
			return err
		}
		d, err := config.ParseDuration(text)
		if err != nil {
			return err
		}
		target.SetInt(int64(d))
		return nil
	}))
}

// parseTime reads a time, or a duration before now.
func parseTime(text string, now time.Time) (time.Time, error) {
	if text == "" {
		return time.Time{}, nil
	}
	d, err := config.ParseDuration(text)
	if err == nil && d >= 0 {
		return now.Add(-d), nil
	}
	if errors.Is(err, config.ErrNoUnit) {
		return time.Time{}, err
	}
	t, err := time.Parse(time.RFC3339, text)
	if err != nil {
		return t, fmt.Errorf("%q is neither a time such as 2026-11-21T12:00:00Z nor a duration such as 2h or 1d", text)
	}
	return t, nil
}
