package main

import (
	"fmt"
	"runtime"
	"runtime/debug"
)

type versionCmd struct {
	JSON bool `name:"json" help:"Print one JSON object."`
}

// Help shows how the command is used.
func (versionCmd) Help() string {
	return `Examples:
  codeferry version
  codeferry version --json`
}

// Run prints what was built.
func (c versionCmd) Run(s streams) error {
	if c.JSON {
		return newJSON(s.out).Encode(struct {
			Version  string `json:"version"`
			Revision string `json:"revision,omitempty"`
			Go       string `json:"go"`
			Platform string `json:"platform"`
		}{version(), sources(), runtime.Version(), runtime.GOOS + "/" + runtime.GOARCH})
	}
	_, err := fmt.Fprintln(s.out, built())
	return err
}

// built is the version, the revision of the sources if it is known, the version of Go and
// the platform.
func built() string {
	shown := version()
	if r := sources(); r != "" {
		shown += " (" + r + ")"
	}
	return fmt.Sprintf("codeferry %s %s %s/%s", shown, runtime.Version(), runtime.GOOS, runtime.GOARCH)
}

// release and revision are set by the linker: -X main.release=v1.2.3, -X main.revision=5268c7….
var release, revision string

// version returns the release, or the module's version from the build info.
func version() string {
	if release != "" {
		return release
	}
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" && info.Main.Version != "(devel)" {
		return info.Main.Version
	}
	return "devel"
}

// sources returns the first twelve digits of the revision that was built, if it is known.
func sources() string {
	known := revision
	if info, ok := debug.ReadBuildInfo(); ok && known == "" {
		for _, s := range info.Settings {
			if s.Key == "vcs.revision" {
				known = s.Value
			}
		}
	}
	return known[:min(12, len(known))]
}
