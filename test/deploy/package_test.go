package deploy

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"flag"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/codeferry/codeferry/internal/check"
)

var buildPackage = flag.Bool("package", false, "build the files of a release for this machine's architecture, and test them")

// TestPackage builds the files of a release for this machine's architecture, twice. Both builds
// have the same bytes. The archive and the Debian package have what they should have, and the
// package can be installed, upgraded and removed.
func TestPackage(t *testing.T) {
	if !*buildPackage {
		t.Skip("without -package")
	}
	dist := release(t, "umask 022", "TZ=UTC")
	again := release(t, "umask 077", "TZ=Asia/Shanghai")
	name := sameFiles(t, dist, again)
	t.Run("sums", func(t *testing.T) {
		if out, err := run(t, "sh", "-c", `cd "$1" && sha256sum --check SHA256SUMS`, "sh", dist); err != nil {
			t.Errorf("sha256sum --check: %v\n%s", err, out)
		}
	})
	t.Run("archive", func(t *testing.T) { archiveHas(t, filepath.Join(dist, name+".tar.gz"), name) })
	deb := filepath.Join(dist, name+".deb")
	t.Run("contents", func(t *testing.T) { packageHas(t, deb) })
	t.Run("install", func(t *testing.T) {
		installs(t, deb, strings.TrimSuffix(strings.TrimPrefix(name, "codeferry_"), "_linux_"+runtime.GOARCH))
	})
}

// release runs .ci/release under a shell's setting and with a variable, and returns its dist/.
func release(t *testing.T, setting, variable string) string {
	t.Helper()
	sbom, err := filepath.Glob(root + "/bin/cyclonedx-gomod-*")
	if err != nil || len(sbom) == 0 {
		t.Fatalf("this test needs bin/cyclonedx-gomod-*, which make package installs (error: %v)", err)
	}
	sbom[0], err = filepath.Abs(sbom[0])
	if err != nil {
		t.Fatal(err)
	}
	dist := filepath.Join(t.TempDir(), "dist")
	cmd := exec.CommandContext(t.Context(), "bash", "-c", setting+" && exec .ci/release")
	cmd.Dir = root
	cmd.Env = append(os.Environ(), variable, "SBOM="+sbom[0], "DIST="+dist, "PLATFORMS=linux/"+runtime.GOARCH)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf(".ci/release: %v\n%s", err, out)
	}
	return dist
}

// sameFiles compares two builds, and returns the name that their files begin with.
func sameFiles(t *testing.T, one, other string) (name string) {
	t.Helper()
	files, err := os.ReadDir(one)
	if err != nil {
		t.Fatal(err)
	}
	kinds := map[string]bool{".tar.gz": false, ".cdx.json": false, ".deb": false, "SHA256SUMS": false}
	for _, f := range files {
		known := false
		for kind := range kinds {
			if rest, ok := strings.CutSuffix(f.Name(), kind); ok {
				known, kinds[kind] = true, true
				name = max(name, rest)
			}
		}
		if !known {
			t.Errorf("dist/ has %s", f.Name())
		}
		if a, b := sum(t, filepath.Join(one, f.Name())), sum(t, filepath.Join(other, f.Name())); a != b {
			t.Errorf("%s differs between two builds", f.Name())
		}
	}
	for kind, found := range kinds {
		if !found {
			t.Errorf("dist/ has no file %s", kind)
		}
	}
	if t.Failed() {
		t.FailNow()
	}
	return name
}

func sum(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	digest := sha256.Sum256(text)
	return hex.EncodeToString(digest[:])
}

// archiveHas checks the names and modes in the archive, all below one folder.
func archiveHas(t *testing.T, path, folder string) {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	z, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for r := tar.NewReader(z); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		rest, ok := strings.CutPrefix(h.Name, folder+"/")
		check.True(t, "it is in the archive's folder", ok, h.Name)
		if rest != "" && h.Typeflag == tar.TypeReg {
			got = append(got, h.FileInfo().Mode().String()+" "+rest)
		}
		check.True(t, "it belongs to 0:0 without names", h.Uid == 0 && h.Gid == 0 && h.Uname == "" && h.Gname == "", h.Name)
	}
	check.Equal(t, "the list of the archive's files", strings.Join(got, "\n"), `-rw-r--r-- CHANGELOG.md
-rw-r--r-- LICENSE
-rw-r--r-- THIRD_PARTY_NOTICES
-rwxr-xr-x codeferry
-rw-r--r-- codeferry.1
-rw-r--r-- codeferry.service
-rw-r--r-- codeferry.yaml
-rw-r--r-- completions/_codeferry
-rw-r--r-- completions/codeferry.bash
-rw-r--r-- completions/codeferry.fish`)
}

// packageHas checks the names, modes and owners in the package, with dpkg's own reader.
func packageHas(t *testing.T, deb string) {
	t.Helper()
	out, err := run(t, "dpkg-deb", "--contents", deb)
	if err != nil {
		t.Fatalf("dpkg-deb --contents: %v\n%s", err, out)
	}
	var got []string
	for _, m := range regexp.MustCompile(`(?m)^(\S+) (\S+) .* \./(\S*)$`).FindAllStringSubmatch(out, -1) {
		check.Equal(t, "the owner of "+m[3], m[2], "root/root")
		if !strings.HasPrefix(m[1], "d") || strings.HasPrefix(m[3], "etc/codeferry/") {
			got = append(got, m[1]+" "+m[3])
		}
	}
	slices.SortFunc(got, func(a, b string) int { return strings.Compare(a[11:], b[11:]) })
	check.Equal(t, "the list of the package's files", strings.Join(got, "\n"), `drwxr-xr-x etc/codeferry/
drwx------ etc/codeferry/secrets/
-rwxr-xr-x usr/bin/codeferry
-rw-r--r-- usr/lib/systemd/system/codeferry.service
-rw-r--r-- usr/share/bash-completion/completions/codeferry
-rw-r--r-- usr/share/doc/codeferry/CHANGELOG.md.gz
-rw-r--r-- usr/share/doc/codeferry/THIRD_PARTY_NOTICES.gz
-rw-r--r-- usr/share/doc/codeferry/changelog.gz
-rw-r--r-- usr/share/doc/codeferry/copyright
-rw-r--r-- usr/share/doc/codeferry/examples/codeferry.yaml
-rw-r--r-- usr/share/fish/vendor_completions.d/codeferry.fish
-rw-r--r-- usr/share/lintian/overrides/codeferry
-rw-r--r-- usr/share/man/man1/codeferry.1.gz
-rw-r--r-- usr/share/zsh/vendor-completions/_codeferry`)
	if lintian, err := exec.LookPath("lintian"); err == nil {
		if out, err := run(t, lintian, "--fail-on", "error", deb); err != nil {
			t.Errorf("lintian: %v\n%s", err, out)
		}
	}
}

// installs installs the package into a folder, runs what it has, upgrades and removes it.
func installs(t *testing.T, deb, version string) {
	t.Helper()
	if os.Getuid() != 0 {
		check.Lacks(t, "dpkg installs only as root")
	}
	to := t.TempDir()
	if err := os.MkdirAll(to+"/var/lib/dpkg/updates", 0o755); err != nil {
		t.Fatal(err)
	}
	dpkg := func(args ...string) {
		t.Helper()
		// The scripts run outside the folder, which has no shell, and see it in DPKG_ROOT.
		out, err := run(t, "dpkg", append([]string{"--root=" + to, "--log=/dev/null", "--force-script-chrootless", "--force-depends"}, args...)...)
		if err != nil {
			t.Fatalf("dpkg %s: %v\n%s", args, err, out)
		}
	}
	put(t, to+"/var/lib/dpkg/status", "")
	dpkg("--install", deb)

	out, err := run(t, to+"/usr/bin/codeferry", "version")
	check.True(t, "codeferry version names "+version, err == nil && strings.HasPrefix(out, "codeferry "+version+" ("), out)
	page, err := run(t, "gzip", "-dc", to+"/usr/share/man/man1/codeferry.1.gz")
	check.True(t, "the manual page names "+version, err == nil && strings.Contains(page, strings.ReplaceAll(version, "-", `\-`)), err)

	verifies(t, to)

	mine := to + "/etc/codeferry/codeferry.yaml"
	put(t, mine, "listen: 127.0.0.1:8080\n")
	dpkg("--install", deb)
	dpkg("--purge", "codeferry")
	text, err := os.ReadFile(mine)
	check.True(t, "an upgrade and a purge keep the configuration", err == nil && string(text) == "listen: 127.0.0.1:8080\n", err)
	_, err = os.Stat(to + "/usr/bin/codeferry")
	check.True(t, "a purge removes the program", errors.Is(err, os.ErrNotExist), err)
}

// verifies lets systemd read the unit that is installed below a folder.
func verifies(t *testing.T, to string) {
	t.Helper()
	analyze, err := exec.LookPath("systemd-analyze")
	if err != nil {
		check.Lacks(t, "this test needs systemd-analyze")
	}
	for _, target := range []string{"basic", "multi-user", "network-online", "shutdown", "sysinit"} { // systemd's own
		put(t, to+"/usr/lib/systemd/system/"+target+".target", "[Unit]\nDescription=A target\n")
	}
	if out, err := run(t, analyze, "verify", "--root="+to, "codeferry.service"); err != nil || out != "" {
		t.Errorf("systemd-analyze verify: %v\n%s", err, out)
	}
}

// TestCompletions: each file makes its shell ask codeferry for the completions. bash is
// everywhere; the other shells are asked if they are installed.
func TestCompletions(t *testing.T) {
	t.Parallel()
	bin := t.TempDir()
	// codeferry answers a shell as the library does; cmd/codeferry tests what it answers.
	if err := os.WriteFile(filepath.Join(bin, "codeferry"), []byte("#!/bin/sh\ncase $COMP_LINE in 'codeferry dead '*) echo list ;; esac\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	folder, err := filepath.Abs(root + "/deploy/completions")
	if err != nil {
		t.Fatal(err)
	}
	for shell, script := range map[string]string{
		// bash completes only on a terminal. With -C, it runs the command to do so.
		"bash": `source "$1/codeferry.bash" && complete -p codeferry | tr -d \'`,
		"fish": `source $argv[1]/codeferry.fish; complete --do-complete 'codeferry dead '`,
		"zsh":  `fpath=("$1" $fpath); autoload -Uz compinit && compinit -D -u; print -r -- "$_comps[codeferry]"`,
	} {
		path, err := exec.LookPath(shell)
		if err != nil {
			if shell == "bash" {
				check.Lacks(t, "this test needs "+shell)
			}
			continue
		}
		args := []string{"-c", script, shell, folder}
		if shell == "fish" {
			args = []string{"-c", script, folder}
		}
		cmd := exec.CommandContext(t.Context(), path, args...)
		cmd.Env = append(os.Environ(), "PATH="+bin+string(os.PathListSeparator)+os.Getenv("PATH"), "HOME="+bin)
		out, err := cmd.CombinedOutput()
		want := map[string]string{"bash": "complete -o bashdefault -o default -C codeferry codeferry", "fish": "list", "zsh": "_codeferry"}[shell]
		check.Equal(t, "the answer of "+shell, strings.TrimSpace(string(out)), want)
		check.True(t, shell+" takes its file", err == nil, err)
	}
}

// run runs a program with English messages, and returns what it printed.
func run(t *testing.T, program string, args ...string) (string, error) {
	t.Helper()
	cmd := exec.CommandContext(context.WithoutCancel(t.Context()), program, args...)
	cmd.Env = append(os.Environ(), "LC_ALL=C.UTF-8", "TZ=UTC")
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	err := cmd.Run()
	return out.String(), err
}
