# `make test` installs what the tests need and runs them all; with cargo-nextest, where that is installed.
.PHONY: test built needs later clients console promtool fmt lint deny fuzz sim track

# Where the Python packages that tests need are installed.
PYTHON := $(or $(CARGO_TARGET_DIR),target)/python

# Where the package of clients/typescript is installed, as its users install it.
ADAPTER := $(abspath $(or $(CARGO_TARGET_DIR),target)/adapter)

# Where promtool is unpacked.
PROMTOOL := $(abspath $(or $(CARGO_TARGET_DIR),target)/promtool)

# All crates but the copy of the state with planted defects, whose tests are those of the product.
TESTED := --workspace --exclude machine

# Whether documentation has code, which is tested too. Without any, rustdoc would read all crates to find nothing.
DOCS_HAVE_CODE := grep -rqE --include='*.rs' '^ *//[/!](.*```| {5})' src cluster chaos benches

test: needs clients
	@if cargo nextest --version >/dev/null 2>&1; then set -x; cargo nextest run $(TESTED) --locked; \
	else set -x; cargo test $(TESTED) --locked --lib --bins --tests; fi
	@if $(DOCS_HAVE_CODE); then set -x; cargo test --workspace --locked --doc; fi

# Compiles the tests and runs none.
built:
	@if cargo nextest --version >/dev/null 2>&1; then set -x; cargo nextest run $(TESTED) --locked --no-run; \
	else set -x; cargo test $(TESTED) --locked --lib --bins --tests --no-run; fi

# The tests that read times, and certificates, as if it were 400 days later: what passes today passes then. Waits go by
# the monotonic clock, which stays as it is. Core reads no date, nor do its tests: tests/it/arrows.rs holds that.
# `make later LATER_IT=` runs all of tests/it.
LATER := --config 'target."cfg(unix)".runner = "$(CURDIR)/tests/later"'
LATER_IT ?= access:: authentication:: backup:: client_tls:: client_tokens:: clocks:: console_sessions:: doctor::certificates \
	examples::the_function formats:: idempotency:: ingest:: limits:: mistakes:: oidc:: peer_security:: portal:: \
	receivers:: resume:: webhooks_chat:: webhooks_lambda:: webhooks_replay::
space := $(subst ,, )
READS_TIMES = (kind(lib) - test(/^core::/)) + (binary(it) & test(/$(subst $(space),|,$(strip $(LATER_IT)))/))

later: export NO_FAKE_STAT := 1
later:
	@if cargo nextest --version >/dev/null 2>&1; then set -x; \
	cargo nextest run $(TESTED) --locked $(LATER) -E '$(READS_TIMES)'; \
	else set -x; cargo test $(TESTED) --locked $(LATER) --lib -- --skip core:: && \
	cargo test $(TESTED) --locked $(LATER) --test it -- $(LATER_IT); fi

# The sources of the console compile, have their form, and make what stands in console/dist, of at most 300 KiB.
console: | needs
	cd console && npm ci --ignore-scripts --no-audit --no-fund && npm run check

# Says what is missing on this machine, and where to get it, before anything is installed or compiled.
needs:
	@tests/needs.sh

# Clients and verifiers of other people, in JavaScript and Python, that the tests drive, and the package for TypeScript.
clients: tests/js/node_modules/.package-lock.json $(PYTHON)/installed $(ADAPTER)/installed promtool

# Prometheus' tool, with which a test checks rules and metrics: the installed one, or else the one out of Debian's
# package, where that can be had. Without the tool the test says that it is skipped.
promtool:
	@test -x $(PROMTOOL)/usr/bin/promtool || command -v promtool >/dev/null || { command -v apt-get >/dev/null && \
	mkdir -p $(PROMTOOL) && cd $(PROMTOOL) && rm -f prometheus_*.deb && \
	apt-get -qq -o Acquire::Retries=1 -o Acquire::http::Timeout=20 download prometheus && dpkg-deb --fsys-tarfile prometheus_*.deb | tar -x ./usr/bin/promtool && \
	rm prometheus_*.deb; } || echo "promtool: it can't be had here, so its test is skipped"

tests/js/node_modules/.package-lock.json: tests/js/package-lock.json | needs
	cd tests/js && npm ci --no-audit --no-fund
	touch $@

$(PYTHON)/installed: tests/py/requirements.txt | needs
	python3 -m venv --clear $(PYTHON)
	$(PYTHON)/bin/pip install --quiet --disable-pip-version-check --only-binary :all: -r $<
	touch $@

# `npm pack` builds the package first.
$(ADAPTER)/installed: $(wildcard $(addprefix clients/typescript/,*.json *.mjs *.md src/*.ts)) | needs
	cd clients/typescript && npm ci --no-audit --no-fund
	rm -rf $(ADAPTER)
	mkdir -p $(ADAPTER)
	cd clients/typescript && npm pack --pack-destination $(ADAPTER)
	cd $(ADAPTER) && npm install --offline --no-save --no-audit --no-fund --prefix . ./*.tgz
	echo 'export * from "@waypost/webhook-adapter";' > $(ADAPTER)/load.mjs
	touch $@

fmt:
	cargo fmt --all --check

lint:
	cargo clippy --workspace --all-targets --locked -- -D warnings

# The advisory database lives on another host: where that is out of reach, everything else is checked all the same.
deny:
	cargo deny check bans licenses sources
	@if cargo deny fetch db >/dev/null 2>&1; then cargo deny check --disable-fetch advisories; \
	else echo "deny: the advisory database is out of reach; advisories were NOT checked"; fi

# Hostile bytes into every decoder, each for so many seconds; needs cargo-fuzz. What is learnt stays in fuzz/corpus.
FUZZ_SECONDS ?= 300

fuzz:
	@set -e; export RUSTC_BOOTSTRAP=1; for target in $$(cargo fuzz list); do \
	mkdir -p fuzz/corpus/$$target fuzz/seeds/$$target; \
	cargo fuzz run -s none $$target fuzz/corpus/$$target fuzz/seeds/$$target -- -max_total_time=$(FUZZ_SECONDS); \
	done

# Simulated clusters under faults, each from a seed, checked. With the flag a seed gives the same run, to the bit.
SEEDS ?= 10000

sim:
	RUSTFLAGS="--cfg tokio_unstable" cargo run --release --locked -p sim -- --seeds $(SEEDS)

# What this commit costs, beside the raw limit: about a minute. It is printed and nothing is kept; `benches track` keeps.
TRACK_PROFILE ?= dist
TRACKED := $(or $(CARGO_TARGET_DIR),target)/$(if $(filter dev,$(TRACK_PROFILE)),debug,$(TRACK_PROFILE))

# In the profile of the tests, what they compiled is taken: named with them, dependencies have the same features.
track:
	cargo build --profile $(TRACK_PROFILE) --locked $(if $(filter dev,$(TRACK_PROFILE)),$(TESTED) --tests,-p waypost -p benches) --bin waypost --bin benches
	$(TRACKED)/benches --waypost $(TRACKED)/waypost track --short
