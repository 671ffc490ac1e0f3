//! Behaviour of the whole layer over a stub node.
