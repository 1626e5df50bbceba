package main

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

var sample = target{dir: "testdata/sample", files: []string{"*.go"}, except: []string{"Connect", "Info", "Msg"}, without: "sample_test"}

var anything = regexp.MustCompile("")

// TestBreaks checks the breaks of a sample, and which of them its tests do not notice.
func TestBreaks(t *testing.T) {
	p, err := load(t.Context(), sample)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, m := range p.mutants {
		names = append(names, strings.TrimPrefix(m.name, "sample.go Quote: "))
	}
	want := []string{
		"left out: o = Offer{Price: 2 * p.Weight, Takes: time.Hour}",
		"always holds: p.Weight < 0 || p.Weight > 100",
		"never holds: p.Weight < 0 || p.Weight > 100",
		"never holds: p.Weight < 0",
		"never holds: p.Weight > 100",
		"equal counts differently: p.Weight < 0",
		"0 and 1 swapped: 0",
		"equal counts differently: p.Weight > 100",
		"left out: return Offer{}, false",
		"the other: false",
		"left out: Price: 2 * p.Weight",
		"left out: Takes: time.Hour",
		"another operator: 2 * p.Weight",
		"no case: Letter",
		"no case: Box",
		"left out: o.Price = max(o.Price, 5)",
		"min and max swapped: max(o.Price, 5)",
		"left out: o.Price += 10",
		"always holds: p.Fragile && !p.Express",
		"never holds: p.Fragile && !p.Express",
		"always holds: p.Fragile",
		"always holds: !p.Express",
		"left out: o.Takes = 2 * o.Takes",
		"another operator: 2 * o.Takes",
		"the other: true",
	}
	slices.Sort(names)
	slices.Sort(want)
	if !slices.Equal(names, want) {
		t.Errorf("broken\n%s\nwant\n%s", strings.Join(names, "\n"), strings.Join(want, "\n"))
	}

	binary, clean, err := p.build(t.Context(), sample.without)
	if err != nil {
		t.Fatal(err)
	}
	defer clean()
	survivors, err := runAll(t.Context(), binary, p, anything, 2)
	if err != nil {
		t.Fatal(err)
	}
	var survived []string
	for _, m := range survivors {
		survived = append(survived, strings.TrimPrefix(m.name, "sample.go Quote: "))
	}
	slices.Sort(survived)
	if want := []string{ // the sample's tests have no weight of 0 or 100, and no fragile express parcel
		"0 and 1 swapped: 0", "always holds: !p.Express", "equal counts differently: p.Weight < 0", "equal counts differently: p.Weight > 100",
	}; !slices.Equal(survived, want) {
		t.Errorf("not noticed\n%s\nwant\n%s", strings.Join(survived, "\n"), strings.Join(want, "\n"))
	}
	some, err := runAll(t.Context(), binary, p, regexp.MustCompile("Express"), 2)
	if err != nil || len(some) != 1 {
		t.Errorf("of the breaks of Express, %v are not noticed, error %v; want one, and no error", some, err)
	}
}

// TestBreaksOfWhatFails: if the tests fail without a break, that is an error.
func TestBreaksOfWhatFails(t *testing.T) {
	p, err := load(t.Context(), sample)
	if err != nil {
		t.Fatal(err)
	}
	binary, clean, err := p.build(t.Context(), "")
	if err != nil {
		t.Fatal(err)
	}
	defer clean()
	_, err = runAll(t.Context(), binary, p, anything, 2)
	if err == nil || !strings.Contains(err.Error(), "fail before anything is broken") || !strings.Contains(err.Error(), "there is no server") {
		t.Errorf("got the error %v", err)
	}
}

func TestReport(t *testing.T) {
	a, b, c := mutant{"f.go", 1, "a"}, mutant{"f.go", 2, "b"}, mutant{"f.go", 3, "c"}
	for name, test := range map[string]struct {
		survivors []mutant
		known     map[string]string
		only      string
		want      string
	}{
		"all are noticed":                {},
		"all are listed":                 {survivors: []mutant{a, b}, known: map[string]string{"a": "why", "b": "why"}},
		"one is not listed":              {survivors: []mutant{a, b}, known: map[string]string{"a": "why"}, want: "d/f.go:2: not noticed: b\n"},
		"one is noticed by now":          {survivors: []mutant{a}, known: map[string]string{"a": "why", "c": "why"}, want: "d: listed, and noticed by now: c\n"},
		"one is noticed, and not looked": {survivors: []mutant{a}, known: map[string]string{"a": "why", "c": "why"}, only: "^a$"},
		"one is not there":               {known: map[string]string{"x": "why"}, want: "d: listed, and not there: x\n"},
	} {
		var out strings.Builder
		ok := report("d", []mutant{a, b, c}, test.survivors, test.known, regexp.MustCompile(test.only), &out)
		if ok != (test.want == "") || out.String() != test.want {
			t.Errorf("%s: ok is %v, and it says %q; want %q", name, ok, out.String(), test.want)
		}
	}
}

func TestReadKnown(t *testing.T) {
	for name, c := range map[string]struct {
		text, err string
		want      int
	}{
		"a list":       {text: "# comment\n\na\n\twhy\n\tand why\nb\n\twhy\n", want: 2},
		"no reason":    {text: "a\nb\n\twhy\n", err: "no reason is given for: a"},
		"no name":      {text: "\twhy\n", err: ":1: a reason without a mutant above it"},
		"listed twice": {text: "a\n\twhy\na\n\twhy\n", err: ":3: listed twice: a"},
	} {
		path := filepath.Join(t.TempDir(), "mutants.txt")
		if err := os.WriteFile(path, []byte(c.text), 0o600); err != nil {
			t.Fatal(err)
		}
		known, err := readKnown(path)
		if c.err != "" {
			if err == nil || !strings.Contains(err.Error(), c.err) {
				t.Errorf("%s: got the error %v, want %q", name, err, c.err)
			}
			continue
		}
		if err != nil || len(known) != c.want {
			t.Errorf("%s: %d are known, error %v; want %d", name, len(known), err, c.want)
		}
	}
	if known, err := readKnown(filepath.Join(t.TempDir(), "none")); err != nil || len(known) != 0 {
		t.Errorf("no list: %v, error %v", known, err)
	}
}

// TestTheListsAreRead checks the lists of the delivery core.
func TestTheListsAreRead(t *testing.T) {
	for _, c := range core {
		if known, err := readKnown(filepath.Join("..", "..", c.dir, "testdata", "mutants.txt")); err != nil || len(known) == 0 {
			t.Errorf("%s: %d are known, error %v", c.dir, len(known), err)
		}
	}
}
