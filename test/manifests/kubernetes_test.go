package manifests

import (
	"bytes"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	monitoring "github.com/prometheus-operator/prometheus-operator/pkg/apis/monitoring/v1"
	apps "k8s.io/api/apps/v1"
	core "k8s.io/api/core/v1"
	networking "k8s.io/api/networking/v1"
	policy "k8s.io/api/policy/v1"
	"sigs.k8s.io/kustomize/api/krusty"
	"sigs.k8s.io/kustomize/kyaml/filesys"
	"sigs.k8s.io/yaml"

	"github.com/codeferry/codeferry/config"
)

// root is the root of the repository.
const root = "../.."

// overlay is the one that the documents show.
const overlay = root + "/deploy/kubernetes/overlays/example"

// scaledObject has the fields of KEDA's ScaledObject that the overlay sets. KEDA's own types
// would bring all of its dependencies.
type scaledObject struct {
	APIVersion string `json:"apiVersion"`
	Kind       string `json:"kind"`
	Metadata   struct {
		Name      string `json:"name"`
		Namespace string `json:"namespace"`
	} `json:"metadata"`
	Spec struct {
		ScaleTargetRef struct {
			Name string `json:"name"`
		} `json:"scaleTargetRef"`
		MinReplicaCount int `json:"minReplicaCount"`
		MaxReplicaCount int `json:"maxReplicaCount"`
		PollingInterval int `json:"pollingInterval"`
		CooldownPeriod  int `json:"cooldownPeriod"`
		Fallback        struct {
			FailureThreshold int `json:"failureThreshold"`
			Replicas         int `json:"replicas"`
		} `json:"fallback"`
		Triggers []trigger `json:"triggers"`
	} `json:"spec"`
}

type trigger struct {
	Type     string `json:"type"`
	Metadata struct {
		ServerAddress string `json:"serverAddress"`
		Query         string `json:"query"`
		Threshold     string `json:"threshold"`
	} `json:"metadata"`
}

// cluster is what the overlay renders.
type cluster struct {
	deployment    apps.Deployment
	account       core.ServiceAccount
	namespace     core.Namespace
	configMap     core.ConfigMap
	secret        core.Secret
	budget        policy.PodDisruptionBudget
	networkPolicy networking.NetworkPolicy
	podMonitor    monitoring.PodMonitor
	scaledObject  scaledObject
}

// render renders the overlay, and decodes every object strictly: an unknown field, or an
// object that is not expected, fails the test.
func render(t *testing.T) cluster {
	t.Helper()
	made, err := krusty.MakeKustomizer(krusty.MakeDefaultOptions()).Run(filesys.MakeFsOnDisk(), overlay)
	if err != nil {
		t.Fatal(err)
	}
	var c cluster
	into := map[string]any{
		"Deployment": &c.deployment, "ServiceAccount": &c.account, "Namespace": &c.namespace, "ConfigMap": &c.configMap, "Secret": &c.secret,
		"PodDisruptionBudget": &c.budget, "NetworkPolicy": &c.networkPolicy, "PodMonitor": &c.podMonitor, "ScaledObject": &c.scaledObject,
	}
	for _, r := range made.Resources() {
		text, err := r.AsYAML()
		if err != nil {
			t.Fatal(err)
		}
		v, known := into[r.GetKind()]
		if !known {
			t.Errorf("an object is not expected, or comes twice: %s %s", r.GetKind(), r.GetName())
			continue
		}
		delete(into, r.GetKind())
		if err := yaml.UnmarshalStrict(text, v); err != nil {
			t.Errorf("%s %s: %v", r.GetKind(), r.GetName(), err)
		}
		if r.GetKind() != "Namespace" && r.GetNamespace() != "codeferry" {
			t.Errorf("%s %s: its namespace is %q", r.GetKind(), r.GetName(), r.GetNamespace())
		}
	}
	for kind := range into {
		t.Errorf("the overlay renders no %s", kind)
	}
	if t.Failed() {
		t.FailNow()
	}
	return c
}

// worker returns the worker's container.
func (c cluster) worker(t *testing.T) core.Container {
	t.Helper()
	if n := len(c.deployment.Spec.Template.Spec.Containers); n != 1 {
		t.Fatalf("a pod has %d containers, want 1", n)
	}
	return c.deployment.Spec.Template.Spec.Containers[0]
}

// TestConfiguration: the configuration of the overlay is right, every file that it names is a
// key of the mounted secret, and the worker reads it where it is mounted.
func TestConfiguration(t *testing.T) {
	c := render(t)
	w := c.worker(t)
	mounts := make(map[string]string) // of each volume
	for _, m := range w.VolumeMounts {
		if m.SubPath != "" || !m.ReadOnly {
			t.Errorf("%s is mounted with subPath %q and readOnly %t: Kubernetes does not update a subPath", m.Name, m.SubPath, m.ReadOnly)
		}
		mounts[m.Name] = m.MountPath
	}
	secrets := make(map[string]string)
	for _, v := range c.deployment.Spec.Template.Spec.Volumes {
		switch {
		case v.ConfigMap != nil && v.ConfigMap.Name != c.configMap.Name, v.Secret != nil && v.Secret.SecretName != c.secret.Name:
			t.Errorf("volume %s: no such object", v.Name)
		case v.Secret != nil:
			for key, value := range c.secret.Data {
				secrets[filepath.Join(mounts[v.Name], key)] = string(value)
			}
		}
	}
	path := w.Args[slices.Index(w.Args, "-c")+1]
	if want := filepath.Join(mounts["config"], "codeferry.yaml"); path != want {
		t.Errorf("the worker reads %s, want %s", path, want)
	}
	read := make(map[string]bool)
	cfg, err := config.Parse(path, []byte(c.configMap.Data["codeferry.yaml"]), config.Env{
		Lookup: func(string) (string, bool) { return "", false },
		ReadFile: func(path string) ([]byte, error) {
			read[path] = true
			text, known := secrets[path]
			if !known {
				return nil, os.ErrNotExist
			}
			return []byte(text), nil
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	for path := range secrets {
		if !read[path] {
			t.Errorf("the configuration does not read %s", path)
		}
	}
	if len(cfg.Warnings) > 0 || len(cfg.Sealing.Keys) != 1 {
		t.Errorf("the configuration has the warnings %v and %d sealing keys", cfg.Warnings, len(cfg.Sealing.Keys))
	}
	port := cfg.Listen[strings.LastIndexByte(cfg.Listen, ':')+1:]
	if len(w.Ports) != 1 || w.Ports[0].Name != "http" || port != "8080" || w.Ports[0].ContainerPort != 8080 {
		t.Errorf("the configuration listens at %s, and the container's ports are %v", cfg.Listen, w.Ports)
	}
	grace := time.Duration(*c.deployment.Spec.Template.Spec.TerminationGracePeriodSeconds) * time.Second
	if least := cfg.Worker.Grace + 5*time.Second; grace < least {
		t.Errorf("Kubernetes waits %s before it kills a worker, want at least %s", grace, least)
	}
}

// TestProbes: Kubernetes starts a worker again only if its process does not answer.
func TestProbes(t *testing.T) {
	w := render(t).worker(t)
	for name, p := range map[string]struct {
		probe *core.Probe
		path  string
	}{"startup": {w.StartupProbe, "/livez"}, "liveness": {w.LivenessProbe, "/livez"}, "readiness": {w.ReadinessProbe, "/readyz"}} {
		if p.probe == nil || p.probe.HTTPGet == nil || p.probe.HTTPGet.Path != p.path || p.probe.HTTPGet.Port.StrVal != "http" {
			t.Errorf("the %s probe is %v, want GET %s at port http", name, p.probe, p.path)
		}
	}
}

// TestResources: the collector's limit leaves a tenth of the memory for everything else, and
// there is a CPU limit, from which Go takes GOMAXPROCS.
func TestResources(t *testing.T) {
	w := render(t).worker(t)
	limit := w.Resources.Limits.Memory().Value()
	for _, e := range w.Env {
		if e.Name != "GOMEMLIMIT" {
			continue
		}
		mib := regexp.MustCompile(`^(\d+)MiB$`).FindStringSubmatch(e.Value)
		if mib == nil {
			t.Fatalf("GOMEMLIMIT is %q, want so many MiB", e.Value)
		}
		var n int64
		for _, digit := range mib[1] {
			n = 10*n + int64(digit-'0')
		}
		if n <<= 20; n > limit*9/10 || n < limit*8/10 {
			t.Errorf("GOMEMLIMIT is %s of %s, want 80 to 90 %%", e.Value, w.Resources.Limits.Memory())
		}
		limit = 0
	}
	if limit != 0 {
		t.Error("GOMEMLIMIT is not set")
	}
	if w.Resources.Limits.Cpu().IsZero() || w.Resources.Requests.Cpu().IsZero() || w.Resources.Requests.Memory().IsZero() {
		t.Errorf("a limit or request is missing: %v", w.Resources)
	}
}

// TestRestricted: a pod fits the Pod Security Standard "restricted", which the namespace
// enforces, and has no token of Kubernetes.
func TestRestricted(t *testing.T) {
	c := render(t)
	if c.namespace.Labels["pod-security.kubernetes.io/enforce"] != "restricted" {
		t.Errorf("the namespace's labels are %v", c.namespace.Labels)
	}
	pod, s := c.deployment.Spec.Template.Spec, c.worker(t).SecurityContext
	if p := pod.SecurityContext; !*p.RunAsNonRoot || *p.RunAsUser == 0 || p.SeccompProfile.Type != core.SeccompProfileTypeRuntimeDefault {
		t.Errorf("the pod's security context is %v", p)
	}
	if *s.AllowPrivilegeEscalation || !*s.ReadOnlyRootFilesystem || !slices.Equal(s.Capabilities.Drop, []core.Capability{"ALL"}) || len(s.Capabilities.Add) > 0 {
		t.Errorf("the container's security context is %v", s)
	}
	if *pod.AutomountServiceAccountToken || *c.account.AutomountServiceAccountToken || pod.ServiceAccountName != c.account.Name {
		t.Errorf("the pod has a token of %q", pod.ServiceAccountName)
	}
}

// TestSelectors: everything that selects pods selects the worker's, and what it names there
// exists.
func TestSelectors(t *testing.T) {
	c := render(t)
	labels := c.deployment.Spec.Template.Labels
	selects := func(what string, by map[string]string) {
		if len(by) == 0 {
			t.Errorf("%s selects all pods", what)
		}
		for k, v := range by {
			if labels[k] != v {
				t.Errorf("%s selects %s=%s, and the pods have %v", what, k, v, labels)
			}
		}
	}
	selects("the deployment", c.deployment.Spec.Selector.MatchLabels)
	selects("the budget", c.budget.Spec.Selector.MatchLabels)
	selects("the network policy", c.networkPolicy.Spec.PodSelector.MatchLabels)
	selects("the pod monitor", c.podMonitor.Spec.Selector.MatchLabels)
	for _, s := range c.deployment.Spec.Template.Spec.TopologySpreadConstraints {
		selects("the spread over "+s.TopologyKey, s.LabelSelector.MatchLabels)
	}
	if n := *c.deployment.Spec.Strategy.RollingUpdate; n.MaxUnavailable.IntVal != 0 || n.MaxSurge.IntVal < 1 {
		t.Errorf("a roll-out takes %v", n)
	}
	endpoints := c.podMonitor.Spec.PodMetricsEndpoints
	if len(endpoints) != 1 || *endpoints[0].Port != "http" || endpoints[0].Path != "/metrics" {
		t.Fatalf("the pod monitor's endpoints are %v", endpoints)
	}
	if key := endpoints[0].Authorization.Credentials; key.Name != c.secret.Name || len(c.secret.Data[key.Key]) == 0 {
		t.Errorf("the pod monitor's token is %v", key)
	}
	if c.podMonitor.Spec.JobLabel != "app.kubernetes.io/name" || labels["app.kubernetes.io/name"] != "codeferry" {
		t.Error("the job of the scrape is not called codeferry")
	}
}

// TestScaling: KEDA scales the deployment by both channels, has at least one worker, and no
// other count contradicts it. test/deploy checks the metrics that the queries name.
func TestScaling(t *testing.T) {
	c := render(t)
	s := c.scaledObject.Spec
	if s.ScaleTargetRef.Name != c.deployment.Name || c.deployment.Spec.Replicas != nil {
		t.Errorf("KEDA scales %q, and the deployment %q has the replicas %v", s.ScaleTargetRef.Name, c.deployment.Name, c.deployment.Spec.Replicas)
	}
	if s.MinReplicaCount < 1 || s.MaxReplicaCount <= s.MinReplicaCount || s.Fallback.Replicas < s.MinReplicaCount {
		t.Errorf("the counts are %d to %d, and %d without Prometheus", s.MinReplicaCount, s.MaxReplicaCount, s.Fallback.Replicas)
	}
	for _, channel := range []string{"sms", "email"} {
		if !slices.ContainsFunc(s.Triggers, func(one trigger) bool {
			return one.Type == "prometheus" && one.Metadata.Threshold != "" && strings.Count(one.Metadata.Query, `channel="`+channel+`"`) == 2
		}) {
			t.Errorf("no trigger is about %s", channel)
		}
	}
}

// TestSecretsAreNone: the secrets in the repository say that they are none, or are those of
// the fake Aliyun.
func TestSecretsAreNone(t *testing.T) {
	for key, value := range render(t).secret.Data {
		if text := string(bytes.TrimSpace(value)); !strings.HasPrefix(text, "no-secret-") && text != "testid" && text != "testsecret" && text != "codeferry-private-AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8" {
			t.Errorf("%s looks like a real secret", key)
		}
	}
}

// TestToken: Prometheus sends the token of the secret as it is, so that it has no newline.
func TestToken(t *testing.T) {
	if token := render(t).secret.Data["http-token"]; len(token) == 0 || !bytes.Equal(token, bytes.TrimSpace(token)) {
		t.Errorf("the token is %q", token)
	}
}
