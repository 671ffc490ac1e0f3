//! The cluster's state in memory, for the simulator and as the second subject of the contract suite.
