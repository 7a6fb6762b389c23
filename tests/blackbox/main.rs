//! Everything that is tested from outside the code it tests: one binary, a module per topic.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stderr,
    reason = "a test fails by panicking, and shows the gateway's log when it does"
)]

mod accounts;
mod administration;
mod answers;
mod blame;
mod browser_keys;
mod carrying;
mod cascade;
mod catalogue;
mod clouds;
mod connect;
mod console;
mod crash;
mod demands;
mod described;
mod dialects;
mod documents;
mod doors;
mod durability;
mod erasure;
mod everyday;
mod facts;
mod failover;
mod faults;
mod features;
mod forgetting;
mod forms;
mod fuzzed;
mod gossip;
mod guardrails;
mod hot;
mod house;
mod image;
mod inflow;
mod isolation;
mod keys;
mod layers;
mod learning;
mod ledger;
mod mail;
mod matrix;
mod midway;
mod networks;
mod nodes;
mod nul;
mod oidc;
mod pages;
mod paper;
mod people;
mod platform;
mod prices;
mod quota;
mod realtime;
mod recordings;
mod replays;
mod reports;
mod requests;
mod responses;
mod resting;
mod revisions;
mod rights;
mod routing;
mod selling;
mod servers;
mod serving;
mod signin;
mod sixteen;
mod socks;
mod staying;
mod telling;
mod tls;
mod vectors;
mod wishes;
