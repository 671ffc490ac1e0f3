//! Logs: rotated file, syslog, console.
