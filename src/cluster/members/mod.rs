//! Members of the cluster: one of them, and all of them as a node sees them.

pub mod member;
pub mod view;
pub mod whole_view;
