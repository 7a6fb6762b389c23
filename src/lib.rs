//! Optimux: one endpoint in front of every LLM provider. The rooms, in the order a request
//! walks through them; ARCHITECTURE.md is the map.
#![forbid(unsafe_code)]

pub mod boot;
pub mod cli;
pub mod config;
pub mod console;
pub mod http;
pub mod learn;

pub mod idempotency;
pub mod reports;
pub mod stored;

pub mod administration;
pub mod affinity;
pub mod agents;
pub mod apps;
pub mod exchange;
pub mod findings;
pub mod gateway;
pub mod live;
pub mod memory;
pub mod responses;
pub mod words;

pub mod admit;
pub mod connect;
pub mod guard;
pub mod issuer;
pub mod ledger;
pub mod notice;
pub mod platform;
pub mod sim;

pub mod catalogue;
pub mod quota;
pub mod router;
pub mod shape;
pub mod store;
pub mod telemetry;
pub mod upstream;

pub mod wire;

pub mod base;
