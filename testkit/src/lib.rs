//! What the tests of clawster stand on. No part of the program: the program cannot depend on it, since it depends on the program's library.
//!
//! - [`memory`]: the cluster's state in memory, for the simulator and as the second subject of the contract suite.

pub mod memory;
