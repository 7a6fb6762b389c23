//! Everything that is tested from outside the code it tests: one binary, a module per topic.

mod recordings;
