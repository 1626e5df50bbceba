package config

import (
	"errors"
	"fmt"
	"math"
	"regexp"
	"strconv"
	"time"
)

// DurationForms are examples of what [ParseDuration] takes, for a sentence.
const DurationForms = "10s, 5m, 12h or 1d"

// ErrNoUnit says that a duration is a number without a unit.
var ErrNoUnit = errors.New("no unit")

var (
	bareNumber = regexp.MustCompile(`^[-+]?[0-9]{1,12}(\.[0-9]{0,6})?$`)
	withDays   = regexp.MustCompile(`^([-+]?)([0-9]+(?:\.[0-9]*)?|\.[0-9]+)d(.*)$`)
)

// ParseDuration reads a duration as Go writes it, with days before the rest if there are
// any: 90s, 1h30m, 1d, 1d12h. A day has 24 hours. It reads all durations of the
// configuration and of the flags. The error of a number alone is an [ErrNoUnit]; every
// error shows the text.
func ParseDuration(text string) (time.Duration, error) {
	if bareNumber.MatchString(text) && text != "0" {
		return 0, &noUnitError{text}
	}
	m := withDays.FindStringSubmatch(text)
	if m == nil {
		return plainDuration(text, text)
	}
	days, err := strconv.ParseFloat(m[2], 64)
	const day = 24 * time.Hour
	if err != nil || days > float64(math.MaxInt64/day) {
		return 0, noDuration(text)
	}
	d := time.Duration(days * float64(day))
	if m[3] != "" {
		rest, err := plainDuration(text, m[3])
		if err != nil || m[3][0] == '-' || m[3][0] == '+' || rest > math.MaxInt64-d {
			return 0, noDuration(text)
		}
		d += rest
	}
	if m[1] == "-" {
		d = -d
	}
	return d, nil
}

func plainDuration(text, part string) (time.Duration, error) {
	d, err := time.ParseDuration(part)
	if err != nil {
		return 0, noDuration(text)
	}
	return d, nil
}

func noDuration(text string) error {
	return fmt.Errorf("%q is not a duration such as %s", text, DurationForms)
}

type noUnitError struct{ number string }

func (e *noUnitError) Error() string {
	return fmt.Sprintf("%[1]s has no unit: %[1]ss, %[1]sm, 1h, 1d", e.number)
}

func (*noUnitError) Is(target error) bool { return target == ErrNoUnit }
