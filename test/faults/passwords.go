package faults

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"time"
)

// Rotation gives the workers' NATS user another password: in the servers, which close
// connections with the old one, and in the file that the workers' nats.url names.
const Rotation Kind = "password rotations"

var passwordFaults = []fault{{
	kind: Rotation, doubts: everyWorker,
	fits:    func(p Plan) bool { return p.Broker != Embedded }, // it has no users
	moments: withAftermath(Rotation),
	begin: func(_ context.Context, r *run, i int, m moment) (func() error, error) {
		over := r.diary.begin(time.Now(), Rotation, "the NATS password changed")
		// Either change comes first, and the other within a second.
		password := fmt.Sprintf("password-%d", i+1)
		first, second := r.nats.admit, r.writeURLs
		if m.which%2 == 0 {
			first, second = second, first
		}
		return func() error { defer over(); return second(password) }, first(password)
	},
}}

const (
	// The users of the plans' servers: one for the workers, and one for the plan.
	workerUser, planUser, planPassword = "worker", "plan", "plan"
	// firstPassword is the workers' until it is changed.
	firstPassword = "password-0"
)

// urlFile is the file with a worker's URL of NATS.
func (r *run) urlFile(worker int) string {
	return filepath.Join(r.dir, fmt.Sprintf("nats-url-%d", worker))
}

// writeURLs writes every worker's file, with a rename, as a mounted secret changes.
func (r *run) writeURLs(password string) error {
	for worker := range r.plan.Workers {
		if err := r.writeURL(worker, password); err != nil {
			return err
		}
	}
	return nil
}

func (r *run) writeURL(worker int, password string) error {
	addrs := r.nats.addrs
	if len(r.ways) > 0 {
		addrs = nil
		for _, g := range r.ways[worker] {
			addrs = append(addrs, g.Addr())
		}
	}
	fresh := r.urlFile(worker) + ".new"
	if err := os.WriteFile(fresh, []byte(urlOf(workerUser, password, addrs)), 0o600); err != nil {
		return err
	}
	return os.Rename(fresh, r.urlFile(worker))
}
