# The targets for contributors. `make` lists them; CONTRIBUTING.md describes them.
SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.PHONY: help dev deps npm test program clients manifests race lint fuzz mutate faults scale bench notices release package

# The tools have fixed versions. Update them by hand: dependabot does not read this file.
LINT_VERSION := v2.15.0
SBOM_VERSION := v1.10.0
LINT := bin/golangci-lint-$(LINT_VERSION)
SBOM := bin/cyclonedx-gomod-$(SBOM_VERSION)

# The packages: make test PKG=./worker/...
PKG ?= ./...
# More flags for dev, test, race, mutate and faults: make test PKG=./worker ARGS='-run TestDecide -v'
ARGS ?=
# The inputs for each fuzz target, and the time of each benchmark.
FUZZ_INPUTS ?= 50000
BENCH_TIME ?= 1s

# The tests of SES use this fake, if it is installed.
SES_LOCAL := bin/npm/node_modules/aws-ses-v2-local/dist/cli.js
ifneq ($(wildcard $(SES_LOCAL)),)
export CODEFERRY_SES_LOCAL ?= $(CURDIR)/$(SES_LOCAL)
endif

# npm writes these files when it has installed the packages for the tests, and the example for
# Node.js.
NPM := bin/npm/node_modules/.package-lock.json
NODE_EXAMPLE := examples/node/node_modules/.package-lock.json

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "  make %-8s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

dev: ## run NATS, the worker and a fake Aliyun in one process; ARGS for flags of codeferry dev
	go run ./cmd/codeferry dev $(ARGS)

deps: npm ## install what tests use: Postfix, promtool, systemd-analyze, a fake SES, Aliyun's SDKs, Python and Java (as root on Debian)
	@packages=(); \
	command -v postconf >/dev/null && command -v saslpasswd2 >/dev/null || packages+=(postfix sasl2-bin libsasl2-modules); \
	python3 -c 'import cryptography' 2>/dev/null || packages+=(python3-cryptography); \
	command -v javac >/dev/null || packages+=(default-jdk-headless); \
	command -v promtool >/dev/null || packages+=(prometheus); \
	command -v systemd-analyze >/dev/null || packages+=(systemd); \
	test -f /usr/share/java/gson.jar || packages+=(libgoogle-gson-java); \
	if test $${#packages[@]} -eq 0; then exit 0; fi; \
	apt-get update -q; \
	DEBIAN_FRONTEND=noninteractive apt-get install -qy --no-install-recommends "$${packages[@]}"

npm: $(NPM) $(NODE_EXAMPLE) ## install the part of deps that npm installs; needs no root

# None of the packages needs its install script.
$(NPM): .ci/npm/package.json .ci/npm/package-lock.json
	mkdir -p bin/npm
	cp $^ bin/npm/
	npm ci --ignore-scripts --silent --no-audit --no-fund --prefix bin/npm
	touch $@

$(NODE_EXAMPLE): examples/node/package.json examples/node/package-lock.json
	npm ci --silent --no-audit --no-fund --prefix examples/node
	touch $@

test: ## run the tests; PKG=./worker/... for some of them
	go test $(ARGS) $(PKG)

program: ## build bin/codeferry, and test the built program
	CGO_ENABLED=0 go build -trimpath -o bin/codeferry ./cmd/codeferry
	CODEFERRY_BIN=$(CURDIR)/bin/codeferry go test -count=1 $(ARGS) ./cmd/codeferry

clients: ## run the examples for Node.js, Python and Java, and Aliyun's SDKs; OFFICIAL=1 installs nats-py and jnats in place of the fakes
ifdef OFFICIAL
	python3 -m venv bin/python
	bin/python/bin/pip install --quiet --requirement examples/python/requirements.txt
	mvn --quiet --batch-mode --file examples/java/pom.xml compile dependency:copy-dependencies
	CODEFERRY_CLIENTS=1 CODEFERRY_PYTHON=$(CURDIR)/bin/python/bin/python CODEFERRY_JAVA_LIB='$(CURDIR)/examples/java/target/dependency/*' \
	go test -count=1 $(ARGS) ./test/clients
else
	CODEFERRY_CLIENTS=1 go test -count=1 $(ARGS) ./test/clients
endif

manifests: ## test deploy/: break each alert, roll the cluster, and read the manifests as Compose and Kubernetes do
	go test -count=1 ./test/deploy -run 'TestBrokenRules|TestCluster' -breaks -roll
	cd test/manifests && go vet . && go test -count=1 $(ARGS) .

race: ## run the tests under the race detector, one package at a time
	go test -race -p 1 $(ARGS) $(PKG)

lint: $(LINT) ## check the format, vet, the modules, the linters and the third-party notices
	@unformatted=$$(gofmt -l $$(git ls-files '*.go')); test -z "$$unformatted" || { echo "not gofmt'd: $$unformatted"; exit 1; }
	go vet $(PKG)
	for os in aix/ppc64 darwin/arm64 windows/amd64; do GOOS=$${os%/*} GOARCH=$${os#*/} go vet ./sender/internal/tcp || exit 1; done
	go mod tidy -diff
	go mod verify
	$(LINT) run $(PKG)
	go run ./internal/notices -check

$(LINT):
	GOBIN=$(CURDIR)/bin go install github.com/golangci/golangci-lint/v2/cmd/golangci-lint@$(LINT_VERSION)
	mv bin/golangci-lint $@

fuzz: ## fuzz each target; PKG=./messages for some of them, FUZZ_INPUTS=50000 each
	@packages=$$(go list -f '{{.Dir}} {{.ImportPath}}' $(PKG)); \
	while read -r dir pkg; do \
		targets=$$(grep -hoE '^func Fuzz[A-Za-z0-9_]+' "$$dir"/*_test.go 2>/dev/null | awk '{print $$2}') || continue; \
		for target in $$targets; do \
			echo "-- $$pkg $$target"; \
			go test -run '^$$' -fuzz "^$$target\$$" -fuzztime "$(FUZZ_INPUTS)x" -fuzzminimizetime 5s "$$pkg" || exit 1; \
		done; \
	done <<< "$$packages"

mutate: ## break the delivery core in a thousand ways; a fast test must notice each (about 4 minutes)
	go run ./internal/mutate $(ARGS)

faults: ## kill processes and break the provider, the long plans; ARGS='-faults.seed 7' repeats one
	go test -count=1 -timeout 40m -v ./test/faults -faults.long $(ARGS)

scale: ## measure fleets of up to 100 workers with 1000 apps (about 30 minutes); ARGS='-run TestThrottled' for one part
	go test -count=1 -timeout 90m -v ./test/scale -scale.long $(ARGS)

bench: ## run the benchmarks; BENCH_TIME=200x for a brief look
	go test -run '^$$' -bench . -benchtime $(BENCH_TIME) -benchmem $(PKG)

notices: ## write THIRD_PARTY_NOTICES: the third-party code in the program, and its licences
	go run ./internal/notices

release: $(SBOM) ## build dist/: archives for Linux and macOS, Debian packages, checksums, an SBOM each; VERSION=v1.2.3
	SBOM=$(CURDIR)/$(SBOM) .ci/release $(VERSION)

package: $(SBOM) ## build the release for this machine twice, and install its Debian package into a folder (Linux)
	go test -count=1 ./test/deploy -run TestPackage -package $(ARGS)

$(SBOM):
	GOBIN=$(CURDIR)/bin go install github.com/CycloneDX/cyclonedx-gomod/cmd/cyclonedx-gomod@$(SBOM_VERSION)
	mv bin/cyclonedx-gomod $@
