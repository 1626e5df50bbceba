package faults

import (
	"maps"
	"slices"
	"strings"
	"testing"
)

func TestParseKinds(t *testing.T) {
	got, err := ParseKinds("worker kills, password rotations")
	if err != nil || !slices.Equal(got, []Kind{WorkerKill, Rotation}) {
		t.Errorf("%q, %v", got, err)
	}
	for _, list := range []string{"", "worker kill", "worker kills,", "worker kills password rotations"} {
		if _, err := ParseKinds(list); err == nil || !strings.Contains(err.Error(), string(BadRecipients)) {
			t.Errorf("%q: %v; the error has to name the kinds", list, err)
		}
	}
}

// TestKindsAreWhole: each kind has everything that a plan needs, and its own name.
func TestKindsAreWhole(t *testing.T) {
	names := make(map[Kind]bool)
	for _, f := range faults {
		if f.kind == "" || names[f.kind] || strings.Contains(string(f.kind), ",") {
			t.Errorf("the name %q", f.kind)
		}
		names[f.kind] = true
		if f.moments == nil || f.begin == nil {
			t.Errorf("%s has no moments, or does nothing", f.kind)
		}
		if f.troubles != nil && f.doubts > 0 {
			t.Errorf("%s affects only some messages, and puts others in doubt", f.kind)
		}
	}
}

// TestOnly: each kind of fault can be carried out alone.
func TestOnly(t *testing.T) {
	for name, p := range map[string]Plan{
		"r1": Short(R1, 1), "r3": Long(R3, 1), "neighbors": ShortNeighbors(R1, 1), "long neighbors": LongNeighbors(R3, 1),
	} {
		for _, f := range faults {
			if f.kind == ProviderFault {
				continue // the plan sets its share
			}
			want := Times{f.kind: max(1, p.Times[f.kind])}
			if f.fits != nil && !f.fits(p) {
				want = Times{}
			}
			alone := p.Only(f.kind)
			if !maps.Equal(alone.Times, want) || alone.ProviderFaults != 0 || alone.Lead > 0 && f.kind != SlowApp {
				t.Errorf("%s: %s alone has %v, %.2f provider faults and a lead of %v, want %v", name, f.kind, alone.Times, alone.ProviderFaults, alone.Lead, want)
			}
			for _, other := range faults {
				if n := len(other.moments(alone)); n > 0 && other.kind != f.kind {
					t.Errorf("%s: %s alone has %d %s", name, f.kind, n, other.kind)
				}
			}
		}
	}
	p := Short(R1, 1)
	if without := p.Without(WorkerKill); without.Times[WorkerKill] != 0 || p.Times[WorkerKill] == 0 || without.Times[WorkerStop] != p.Times[WorkerStop] {
		t.Errorf("without worker kills, %v became %v; only the worker kills should go", p.Times, without.Times)
	}
}

// TestPlansHaveWhatFits: a plan has no fault that its broker can't have.
func TestPlansHaveWhatFits(t *testing.T) {
	every := make(Times)
	for _, f := range faults {
		every[f.kind] = 2
	}
	for b, lacks := range map[Broker][]Kind{
		R1:       {NodeStop, NodeCut},
		R3:       {FullStore},
		Embedded: {WorkerCut, NodeStop, NodeCut, FullStore, Rotation},
	} {
		p := ShortNeighbors(b, 1)
		p.Times = every
		p = p.fit()
		for _, f := range faults {
			if got, want := p.Times[f.kind] == 2, !slices.Contains(lacks, f.kind); got != want {
				t.Errorf("%s: has %s: %v, want %v", b, f.kind, got, want)
			}
		}
	}
}
