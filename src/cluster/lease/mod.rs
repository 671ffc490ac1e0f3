//! Leases: who may hold one, when a candidate may follow a holder, and when a holder must stop. The leadership is one of them.
//!
//! Not here: the transitions inside Redis (`crate::store`), timers and connections (`crate::engine`).

pub mod election;
pub mod holder;
pub mod leadership;
pub mod margins;
pub mod observation;
