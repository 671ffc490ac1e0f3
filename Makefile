# The commands of this repository. `make demo` and `make test` work from a fresh clone.

.PHONY: help demo test check fix long bench release setup

help:                ## these lines
	@grep -hE '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/: *[a-z]* *## /\t/' | expand -t 12

demo:                ## a cluster at work: a private Redis, three nodes, a live view
	@scripts/demo

test:                ## install what is missing, then all checks
	@scripts/test

check:               ## format, lints, tests, documentation; changes and installs nothing
	@scripts/check

fix:                 ## format, and what clippy can mend
	cargo clippy --fix --allow-dirty --allow-staged --all-targets
	cargo fmt --all

long:                ## only the tests that take minutes: 10,000 messages per node, 100,000 tasks, Redis stopped for a minute, a fight for a lease, TLS
	CLAWSTER_REDIS_SERVER="$$(scripts/setup --print)" cargo test --locked --test process -- --ignored --test-threads 1

bench:               ## start, memory, size, heartbeat and tick cost, checks and tasks a second, each against its limit
	CLAWSTER_REDIS_SERVER="$$(scripts/setup --print)" cargo bench --locked --bench limits
	CLAWSTER_REDIS_SERVER="$$(scripts/setup --print)" cargo bench --locked --bench work

release:             ## the binary, in target/release
	cargo build --release --locked
	@ls -l target/release/clawster

setup:               ## install redis-server and what else is missing
	@scripts/setup
