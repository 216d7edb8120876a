# Everything a developer does here. `make run` and `make test` set up what they
# need on Debian 12 or 13 with git, make, Go and Node, and say what they do.

export GOTOOLCHAIN := auto
export GOFLAGS := -buildvcs=false -trimpath

VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)
LDFLAGS := -s -w -X nimbus/cmd.Version=$(VERSION)
# As root Postgres runs as another user, who must be able to reach the data.
DATA_DIR ?= $(if $(filter 0,$(shell id -u)),/var/lib/nimbus,$(CURDIR)/build/data)
LISTEN ?= :8443
SUDO := $(if $(filter 0,$(shell id -u)),,sudo)
BUNDLE := embedded/postgres/bundle/postgres-linux-$(shell go env GOARCH 2>/dev/null || echo amd64).tar.zst
UI_SOURCES := $(shell find ui/src ui/public ui/tools ui/angular.json ui/package-lock.json -type f 2>/dev/null)

.DEFAULT_GOAL := help

.PHONY: help
help: ## print this list
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / {printf "  make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: run
run: build ## build everything and start an appliance; open the address it prints
	build/nimbus serve --data-dir $(DATA_DIR) --listen $(LISTEN)

.PHONY: build
build: build/nimbus build/nimbus-verify ## build the one binary, build/nimbus, and the verifier of exports, build/nimbus-verify

.PHONY: build/nimbus-verify
build/nimbus-verify:
	CGO_ENABLED=0 go build -ldflags '$(LDFLAGS)' -o build/nimbus-verify ./cmd/nimbus-verify

.PHONY: build/nimbus
build/nimbus: bundle ui
	go run ./packaging/licenses/gen
	@echo "==> compiling build/nimbus (the first time takes some minutes)"
	CGO_ENABLED=1 go build -ldflags '$(LDFLAGS)' -o build/nimbus ./cmd/nimbus

.PHONY: bundle
bundle: $(BUNDLE) ## fetch the Postgres binaries that are packed into the binary

$(BUNDLE): embedded/postgres/bundle/fetch/*.go
	@echo "==> fetching the Postgres binaries"
	go run ./embedded/postgres/bundle/fetch
	@touch $@

.PHONY: ui
ui: ui/dist/index.html ## build the browser interface into ui/dist

ui/node_modules/.package-lock.json: ui/package-lock.json
	@echo "==> installing the interface's packages"
	npm --prefix ui install --no-save --no-audit --no-fund
	@touch $@

ui/dist/index.html: ui/node_modules/.package-lock.json $(UI_SOURCES)
	@echo "==> building the interface"
	npm --prefix ui run build
	@touch $@

# Debian packages that the tests use: a C compiler, a software HSM, a cache
# server, a browser, a receiver of logs.
PACKAGES := gcc:gcc libc6-dev:/usr/include/stdlib.h softhsm2:softhsm2-util redis-server:redis-server chromium:chromium \
	rsyslog:/usr/sbin/rsyslogd rsyslog-gnutls:/usr/lib/*/rsyslog/lmnsd_gtls.so

.PHONY: tools
tools: ## install the Debian packages that the tests need
	@missing=""; for p in $(PACKAGES); do \
		probe=$${p#*:}; case $$probe in /*) test -e $$probe ;; *) command -v $$probe >/dev/null 2>&1 ;; esac || missing="$$missing $${p%%:*}"; done; \
	if [ -n "$$missing" ]; then echo "==> installing Debian packages:$$missing"; \
		$(SUDO) apt-get update -q && DEBIAN_FRONTEND=noninteractive $(SUDO) apt-get install -q -y --no-install-recommends $$missing; fi

.PHONY: test
test: tools bundle ui ## run every test, the story in a browser included
	@echo "==> go vet"
	go vet ./...
	@echo "==> go test"
	go test -timeout 20m ./...; code=$$?; go run ./embedded/postgres/postgrestest/keeper stop; exit $$code
	@$(MAKE) --no-print-directory e2e

.PHONY: race
race: tools bundle ui ## run the Go tests under the race detector
	go test -race -timeout 40m ./...

.PHONY: robust
robust: tools bundle ui ## run the faults of crashes, disks, upgrades, moves and clusters at their full number
	go test -timeout 2h ./appliance -run 'Robustness(01|02|46)|AnyNodeMayDie|MoveOut$$' -args -full

.PHONY: record
record: bundle ui ## keep what VERSION leaves behind, for the upgrade tests of later versions
	go test ./appliance -run 'Robustness46UpgradeFrom' -args -record $(VERSION)

.PHONY: e2e
e2e: tools build ## drive the story in Chromium; screenshots in build/screenshots
	@echo "==> the story in Chromium"
	node ui/e2e/story.mjs
	@echo "==> a new tenant in Chromium"
	node ui/e2e/onboarding.mjs
	@echo "==> a lost machine in Chromium"
	node ui/e2e/restore.mjs

.PHONY: bench
bench: build ## measure boot, memory, size and deployment overhead
	node ui/e2e/bench.mjs
	go test -run '^$$' -bench . -skip 'Backup|WebNodes' -benchtime 5x ./embedded/pulumi ./appliance | tee build/bench.txt
	@awk '{for (i = 2; i <= NF; i++) {if ($$i == "bare-ms/op") b = $$(i-1); if ($$i == "workflow-ms/op") w = $$(i-1)}} \
		END {printf "deployment of one machine %d ms, bare command line %d ms: %+d ms   (goal +1500 ms)\n", w, b, w - b}' build/bench.txt
	go test -run '^$$' -bench Backup -benchtime 1x -timeout 20m ./appliance
	go test -run '^$$' -bench WebNodes -benchtime 1x -timeout 20m ./appliance
	go test -run '^$$' -bench . ./appliance/permission
	go test -run '^$$' -bench 'Append|RecordInTransaction' -benchtime 3s ./appliance/audit
	go test -run '^$$' -bench Peer -benchtime 3x -timeout 20m ./appliance/audit
	go test -run '^$$' -bench Explorer -benchtime 1x -timeout 30m ./appliance/audit
	go test -run '^$$' -bench Verify ./appliance/audit/ledger
	go test -run '^$$' -bench VerifyDatabase -benchtime 3x -timeout 30m ./appliance/audit
	go test -run '^$$' -bench Tenants -benchtime 1x -timeout 30m ./appliance/db

# The package carries the time of the commit, not of the build.
SOURCE_DATE_EPOCH ?= $(shell git log -1 --format=%ct 2>/dev/null || echo 0)
DEB_VERSION = $(shell packaging/version '$(VERSION)' $(SOURCE_DATE_EPOCH))
DEB_ARCH ?= $(shell dpkg --print-architecture 2>/dev/null || echo amd64)
DEB = build/nimbus_$(DEB_VERSION)_$(DEB_ARCH).deb

.PHONY: deb
deb: build ## make the Debian package, build/nimbus_VERSION_ARCH.deb; DEB_ARCH=arm64 cross-compiles
	@$(MAKE) --no-print-directory deb-$(if $(filter $(DEB_ARCH),$(shell dpkg --print-architecture)),native,$(DEB_ARCH))

.PHONY: deb-native
deb-native:
	@echo "==> packing $(DEB)"
	@mkdir -p $(dir $(DEB))
	SOURCE_DATE_EPOCH=$(SOURCE_DATE_EPOCH) go run ./packaging/licenses/gen -sbom $(DEB:.deb=.cdx.json) -version $(DEB_VERSION)
	SBOM=$(DEB:.deb=.cdx.json) SOURCE_DATE_EPOCH=$(SOURCE_DATE_EPOCH) packaging/deb/build $(DEB_ARCH) $(DEB_VERSION) $(DEB)

.PHONY: deb-arm64
deb-arm64:
	@command -v aarch64-linux-gnu-gcc >/dev/null || { echo "The arm64 package needs a cross compiler: apt install gcc-aarch64-linux-gnu libc6-dev-arm64-cross" >&2; exit 1; }
	go run ./embedded/postgres/bundle/fetch -arch arm64
	GOARCH=arm64 CGO_ENABLED=1 CC=aarch64-linux-gnu-gcc go build -ldflags '$(LDFLAGS)' -o build/arm64/nimbus ./cmd/nimbus
	GOARCH=arm64 CGO_ENABLED=0 go build -ldflags '$(LDFLAGS)' -o build/arm64/nimbus-verify ./cmd/nimbus-verify
	SOURCE_DATE_EPOCH=$(SOURCE_DATE_EPOCH) go run ./packaging/licenses/gen -sbom $(DEB:.deb=.cdx.json) -version $(DEB_VERSION)
	SBOM=$(DEB:.deb=.cdx.json) BINARY=build/arm64/nimbus VERIFY=build/arm64/nimbus-verify SOURCE_DATE_EPOCH=$(SOURCE_DATE_EPOCH) packaging/deb/build arm64 $(DEB_VERSION) $(DEB)

PACKAGE_TOOLS := shellcheck:shellcheck lintian:lintian debootstrap:debootstrap systemd-container:systemd-nspawn xz-utils:xz

.PHONY: install-test
install-test: build ## install, upgrade, remove and purge the package in a small Debian, without systemd and booted by it
	@$(MAKE) --no-print-directory tools PACKAGES="$(PACKAGE_TOOLS)"
	shellcheck packaging/version packaging/deb/build packaging/deb/p[or]* packaging/test/root packaging/test/install packaging/test/arm64 packaging/test/reproduce packaging/image/build packaging/image/files/usr/local/lib/nimbus-console packaging/lxc/nimbus-lxc
	@$(MAKE) --no-print-directory deb-native XZ_LEVEL=0 DEB=build/test/nimbus.deb
	lintian --fail-on error,warning build/test/nimbus.deb
	$(SUDO) packaging/test/root
	$(SUDO) packaging/test/install build/test/nimbus.deb
	$(SUDO) packaging/test/install build/test/nimbus.deb systemd

ARM64_TOOLS := gcc-aarch64-linux-gnu:aarch64-linux-gnu-gcc libc6-dev-arm64-cross:/usr/aarch64-linux-gnu/include/stdlib.h qemu-user:qemu-aarch64 lintian:lintian zstd:zstd

.PHONY: arm64-test
arm64-test: ## cross-compile the package for arm64, look into it, and run its programs in emulation
	@$(MAKE) --no-print-directory tools PACKAGES="$(ARM64_TOOLS)"
	@$(MAKE) --no-print-directory deb DEB_ARCH=arm64
	lintian --fail-on error,warning build/nimbus_$(DEB_VERSION)_arm64.deb
	packaging/test/arm64 build/nimbus_$(DEB_VERSION)_arm64.deb '$(VERSION)'

.PHONY: reproduce-test
reproduce-test: deb ## build the package a second time elsewhere and compare the bytes
	packaging/test/reproduce $(DEB) '$(VERSION)' $(DEB_VERSION) $(SOURCE_DATE_EPOCH)

IMAGE_TOOLS := debootstrap:debootstrap fdisk:sfdisk qemu-utils:qemu-img qemu-system-x86:qemu-system-x86_64 xz-utils:xz

.PHONY: image
image: deb ## make a bootable disk for virtual machines, build/nimbus_VERSION.qcow2.xz, with the lines for Proxmox beside it
	@$(MAKE) --no-print-directory tools PACKAGES="$(IMAGE_TOOLS)"
	$(SUDO) packaging/image/build $(DEB) build/nimbus_$(DEB_VERSION)

.PHONY: image-test
image-test: image ## boot that disk in QEMU: wizard, setup token on the console, a power cut in a deployment
	node packaging/test/boot.mjs build/nimbus_$(DEB_VERSION).qcow2

.PHONY: fmt
fmt: ## format the Go sources
	gofmt -w appliance cmd embedded firstrun ui/*.go

.PHONY: lint
lint: ## look for what the compiler does not see
	go run github.com/golangci/golangci-lint/v2/cmd/golangci-lint@v2.15.0 run ./appliance/... ./cmd/... ./embedded/... ./firstrun/... ./ui
	npm --prefix ui run lint
	@test -z "$$(gofmt -l appliance cmd embedded firstrun ui/*.go)" || { gofmt -l appliance cmd embedded firstrun ui/*.go; echo "run make fmt"; exit 1; }

.PHONY: generate
generate: ## regenerate what is generated: provider schema, simulated API
	go run ./embedded/pulumi/bridge/gen
	go generate ./appliance/provider/proxmox/pvesim ./appliance/graph

.PHONY: verify
verify: generate ## regenerate and fail on a difference
	git diff --exit-code

.PHONY: clean
clean: ## remove what was built
	rm -rf build ui/dist/* ui/.angular
