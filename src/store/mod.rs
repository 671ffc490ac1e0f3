//! The cluster's shared state in domain verbs.
