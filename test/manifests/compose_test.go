package manifests

import (
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/compose-spec/compose-go/v2/cli"
	"github.com/compose-spec/compose-go/v2/types"

	"github.com/codeferry/codeferry/config"
	"github.com/codeferry/codeferry/internal/service"
)

// project loads docker-compose.yml as docker compose does with --env-file; without one it
// reads .env.
func project(t *testing.T, envFile string) *types.Project {
	t.Helper()
	options, err := cli.NewProjectOptions([]string{root + "/docker-compose.yml"},
		cli.WithWorkingDirectory(root), cli.WithEnvFiles(envFiles(envFile)...), cli.WithDotEnv, cli.WithDefaultProfiles(), cli.WithConsistency(true))
	if err != nil {
		t.Fatal(err)
	}
	p, err := options.LoadProject(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func envFiles(name string) []string {
	if name == "" {
		return nil
	}
	return []string{root + "/" + name}
}

const clusterEnv = "deploy/cluster/cluster.env"

// TestServices: each way to start the project has its services, and no port twice.
func TestServices(t *testing.T) {
	for env, want := range map[string][]string{
		"":         {"nats", "sandbox", "worker"},
		clusterEnv: {"grafana", "nats-1", "nats-2", "nats-3", "prometheus", "provision", "sandbox", "volumes", "worker"},
	} {
		p := project(t, env)
		if got := p.ServiceNames(); !slices.Equal(got, want) {
			t.Errorf("with --env-file %q: the services are %v, want %v", env, got, want)
		}
		ports := make(map[string]string)
		for name, s := range p.Services {
			for _, port := range s.Ports {
				if !net.ParseIP(port.HostIP).IsLoopback() {
					t.Errorf("%s publishes a port at %q, beyond this machine", name, port.HostIP)
				}
				if other := ports[port.Published]; other != "" {
					t.Errorf("%s and %s publish port %s", name, other, port.Published)
				}
				ports[port.Published] = name
			}
		}
	}
}

// TestHardened: no service can write outside its volumes, gain rights, or has a capability;
// and no service of ours or of the cluster's nodes runs as root.
func TestHardened(t *testing.T) {
	for name, s := range project(t, clusterEnv).Services {
		if !s.ReadOnly || !slices.Equal(s.CapDrop, []string{"ALL"}) || name != "volumes" && !slices.Contains(s.SecurityOpt, "no-new-privileges:true") {
			t.Errorf("%s: read_only is %t, cap_drop %v, security_opt %v", name, s.ReadOnly, s.CapDrop, s.SecurityOpt)
		}
		if name != "volumes" && len(s.CapAdd) > 0 {
			t.Errorf("%s has the capabilities %v", name, s.CapAdd)
		}
		if strings.HasPrefix(name, "nats-") && s.User != "65532:65532" {
			t.Errorf("%s runs as %q", name, s.User)
		}
		if s.Restart == "" && name != "volumes" {
			t.Errorf("%s is not started again", name)
		}
	}
	text, err := os.ReadFile(root + "/deploy/Dockerfile")
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(text), "\nUSER nonroot\n") {
		t.Error("the image of deploy/Dockerfile runs as root")
	}
}

// TestFilesExist: every file that a service gets exists, and every path that a command or
// configuration names is one that its service gets.
func TestFilesExist(t *testing.T) {
	for _, env := range []string{"", clusterEnv} {
		p := project(t, env)
		for name, c := range p.Configs {
			exists(t, "config "+name, c.File)
		}
		for name, s := range p.Secrets {
			exists(t, "secret "+name, s.File)
		}
		for name, s := range p.Services {
			if s.Build != nil {
				exists(t, name+"'s Dockerfile", filepath.Join(s.Build.Context, s.Build.Dockerfile))
			}
			got := files(p, s)
			for _, arg := range s.Command {
				if path := arg[strings.IndexByte(arg, '=')+1:]; strings.HasPrefix(path, "/etc/") || strings.HasPrefix(path, "/run/") {
					if got[path] == "" {
						t.Errorf("%s does not get the file %s that its command names; it gets %v", name, path, got)
					}
				}
			}
		}
	}
}

// files returns the files of this repository that a service gets, by their paths there.
func files(p *types.Project, s types.ServiceConfig) map[string]string {
	all := make(map[string]string)
	for _, c := range s.Configs {
		all[c.Target] = p.Configs[c.Source].File
	}
	for _, c := range s.Secrets {
		target := c.Target
		if target == "" {
			target = c.Source
		}
		if !strings.HasPrefix(target, "/") {
			target = "/run/secrets/" + target
		}
		all[target] = p.Secrets[c.Source].File
	}
	return all
}

func exists(t *testing.T, what, path string) {
	t.Helper()
	if info, err := os.Stat(path); err != nil || info.IsDir() {
		t.Errorf("%s: %v", what, err)
	}
}

// TestConfigurations: the workers' configurations are right, with what the services get, and
// name servers that are services.
func TestConfigurations(t *testing.T) {
	for _, env := range []string{"", clusterEnv} {
		p := project(t, env)
		w := p.Services["worker"]
		got := files(p, w)
		const path = "/etc/codeferry/codeferry.yaml"
		text, err := os.ReadFile(got[path])
		if err != nil {
			t.Fatal(err)
		}
		cfg, err := config.Parse(path, text, environment(p, w))
		if err != nil {
			t.Errorf("with --env-file %q: %v", env, err)
			continue
		}
		if _, err := service.CheckHTTP(cfg, time.Now()); err != nil {
			t.Errorf("with --env-file %q: %v", env, err)
		}
		if len(cfg.Apps["default"].SMS) == 0 || len(cfg.Apps["default"].Email) == 0 {
			t.Errorf("with --env-file %q: the app has no step for a channel", env)
		}
		if len(cfg.Sealing.Keys) != 1 || len(cfg.Warnings) > 0 {
			t.Errorf("with --env-file %q: %d sealing keys, warnings %v", env, len(cfg.Sealing.Keys), cfg.Warnings)
		}
		for url := range strings.SplitSeq(cfg.NATS.URL, ",") {
			host, port, err := net.SplitHostPort(strings.TrimPrefix(url, "nats://"))
			if _, known := p.Services[host]; err != nil || !known || port != "4222" {
				t.Errorf("with --env-file %q: %s is no service", env, url)
			}
		}
		if grace := w.StopGracePeriod; grace == nil || cfg.Worker.Grace.Seconds() >= float64(*grace)/1e9 {
			t.Errorf("with --env-file %q: the worker is killed after %v, and takes %s to stop", env, grace, cfg.Worker.Grace)
		}
	}
}

// environment is what a configuration sees in a service.
func environment(p *types.Project, s types.ServiceConfig) config.Env {
	got := files(p, s)
	return config.Env{
		Lookup: func(name string) (string, bool) {
			value, known := s.Environment[name]
			if !known || value == nil {
				return "", false
			}
			return *value, true
		},
		ReadFile: func(path string) ([]byte, error) {
			if got[path] == "" {
				return nil, os.ErrNotExist
			}
			return os.ReadFile(got[path])
		},
	}
}

// TestProvisionerHasNoOtherSecret: of the secrets it gets its own alone, and so it reads the
// workers' configuration as codeferry provision does with --context.
func TestProvisionerHasNoOtherSecret(t *testing.T) {
	p := project(t, clusterEnv)
	s := p.Services["provision"]
	if len(s.Secrets) != 1 || s.Secrets[0].Source != "provisioner.json" || len(s.Environment) > 0 {
		t.Errorf("it gets the secrets %v and the environment %v", s.Secrets, s.Environment)
	}
	command := strings.Join(s.Command, " ")
	if command != "provision --context /run/secrets/provisioner.json -c /etc/codeferry/codeferry.yaml" {
		t.Errorf("it runs codeferry %s", command)
	}
	cfg, err := config.LoadForNATS("/etc/codeferry/codeferry.yaml", environment(p, s), config.Unneeded{Login: true, Sealing: true})
	if err != nil {
		t.Fatal(err)
	}
	if cfg.NATS.Replicas != 3 {
		t.Errorf("it makes streams with %d replicas", cfg.NATS.Replicas)
	}
}

// TestCommands: codeferry has each command and flag that a service uses.
func TestCommands(t *testing.T) {
	bin := filepath.Join(t.TempDir(), "codeferry")
	if out, err := exec.CommandContext(t.Context(), "go", "build", "-C", root, "-o", bin, "./cmd/codeferry").CombinedOutput(); err != nil {
		t.Fatalf("build codeferry: %v\n%s", err, out)
	}
	seen := 0
	for name, s := range project(t, clusterEnv).Services {
		if s.Build == nil {
			continue
		}
		seen++
		if out, err := exec.CommandContext(t.Context(), bin, append(slices.Clone(s.Command), "--help")...).CombinedOutput(); err != nil {
			t.Errorf("%s: codeferry %v --help: %v\n%s", name, s.Command, err, out)
		}
	}
	if seen < 3 {
		t.Errorf("only %d services run codeferry", seen)
	}
}

// TestPasswords: each role has a password in the nodes' environment, and that of the worker and
// of the provisioner is the one in the file that these get.
func TestPasswords(t *testing.T) {
	read := func(path string) string {
		text, err := os.ReadFile(root + "/deploy/" + path)
		if err != nil {
			t.Fatal(err)
		}
		return strings.TrimSpace(string(text))
	}
	p := project(t, clusterEnv)
	for _, node := range []string{"nats-1", "nats-2", "nats-3"} {
		got := p.Services[node].Environment
		password := func(name string) string {
			if got[name] == nil {
				return ""
			}
			return *got[name]
		}
		if password("NODE") != node {
			t.Errorf("%s is called %q", node, password("NODE"))
		}
		for _, m := range regexp.MustCompile(`password: \$(\w+)`).FindAllStringSubmatch(read("nats-roles.conf"), -1) {
			if password(m[1]) == "" {
				t.Errorf("%s has no %s", node, m[1])
			}
		}
		if password("WORKER_PASSWORD") != read("cluster/secrets/worker-password") {
			t.Errorf("the worker has another password than %s", node)
		}
		if !strings.Contains(read("cluster/secrets/provisioner.json"), `"password": "`+password("PROVISIONER_PASSWORD")+`"`) {
			t.Errorf("the provisioner has another password than %s", node)
		}
	}
}
