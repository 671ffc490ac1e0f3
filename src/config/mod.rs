//! Raw files and environment, validated into a Config.
